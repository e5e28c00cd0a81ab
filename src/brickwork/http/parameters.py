"""Query parameters: those a route does not know are refused, not passed over."""

from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from copy import copy
from dataclasses import replace
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.security import APIKeyQuery
from pydantic import AliasChoices, BaseModel
from pydantic_core import InitErrorDetails, PydanticCustomError
from starlette.datastructures import QueryParams

from brickwork.query.list_query import CommaSeparated, ListQuery

REQUEST_PARAM: Final = "?"
"""The parameter that stands for the request as a whole, in the errors of FastAPI."""

_UNKNOWN_PARAMETER: Final = PydanticCustomError("unknown_parameter", "There is no such parameter.")
_REPEATED_PARAMETER: Final = PydanticCustomError("repeated", "This takes one value.")


def declared_parameters(dependant: Dependant) -> Mapping[str, Any]:
    """Return the annotations of the query parameters that *dependant* declares, by their names."""
    return {name: kind for name, kind in _parameters(dependant) if name != REQUEST_PARAM}


def undeclared_parameter_errors(
    sent: QueryParams, declared: Mapping[str, Any]
) -> list[InitErrorDetails]:
    """Return the names in *sent* that are not *declared*, and single ones sent twice."""
    faults = {name: _parameter_error(sent, name, declared) for name in dict.fromkeys(sent)}
    return [
        InitErrorDetails(type=fault, loc=(name,), input=...)
        for name, fault in faults.items()
        if fault
    ]


def _parameter_error(
    sent: QueryParams, name: str, declared: Mapping[str, Any]
) -> PydanticCustomError | None:
    if name not in declared:
        return _UNKNOWN_PARAMETER
    return (
        _REPEATED_PARAMETER
        if len(sent.getlist(name)) > 1 and not _takes_many(declared[name])
        else None
    )


class _RawQuery(BaseModel):
    """A model to FastAPI, which has no fields to look for and passes on all that was sent."""


def read_query_directly(dependant: Dependant) -> Dependant:
    """Return *dependant* with the query of a list read at once, as long as no name comes twice.

    FastAPI looks for each field of a model in each request; what it finds is what was sent, where
    fields have no other names and take one value.
    """
    return replace(
        dependant, query_params=[_with_raw_query(each) for each in dependant.query_params]
    )


def _with_raw_query(field: Any) -> Any:
    kind = field.field_info.annotation
    if not (isinstance(kind, type) and issubclass(kind, ListQuery)):
        return field
    if _transforms_query(field.field_info.annotation):
        return field
    field = copy(field)  # which validates as it did, whatever its annotation
    field.field_info = copy(field.field_info)
    field.field_info.annotation = _RawQuery
    return field


def _transforms_query(model: type[BaseModel]) -> bool:
    """Tell whether FastAPI makes anything else of a query than its names and values."""
    renamed = any(each.alias or each.validation_alias for each in model.model_fields.values())
    return renamed or any(_takes_many(kind) for _, kind in _model_parameters(model))


def _parameters(dependant: Dependant) -> Iterator[tuple[str, Any]]:
    """Yield the name and the annotation of each query parameter that *dependant* declares."""
    for field in dependant.query_params:
        annotation: Any = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _model_parameters(annotation)
        else:
            yield from (
                (alias, annotation) for alias in parameter_aliases(field.name, field.field_info)
            )
    if isinstance(dependant.call, APIKeyQuery):
        yield dependant.call.model.name, str
    for dependency in dependant.dependencies:
        yield from _parameters(dependency)


def _model_parameters(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, each in model.model_fields.items():
        commas = any(isinstance(mark, CommaSeparated) for mark in each.metadata)
        kind: Any = str if commas else each.annotation
        yield from ((alias, kind) for alias in parameter_aliases(name, each))


def parameter_aliases(name: str, field: Any) -> Sequence[str]:
    """Return the names under which a request may have *field*, which is called *name*."""
    match field.validation_alias or field.alias:
        case None:
            return [name]
        case AliasChoices(choices=choices):
            return [each for each in choices if isinstance(each, str)]
        case alias:
            return [str(alias)]


def _takes_many(annotation: Any) -> bool:
    """Tell whether a parameter of this type takes several values."""
    kind = get_origin(annotation) or annotation
    if kind is Annotated:
        commas = any(isinstance(each, CommaSeparated) for each in annotation.__metadata__)
        return not commas and _takes_many(get_args(annotation)[0])
    if kind in {Union, UnionType}:
        return any(_takes_many(each) for each in get_args(annotation))
    many = isinstance(kind, type) and issubclass(kind, Sequence | AbstractSet)
    return many and not issubclass(kind, str | bytes)
