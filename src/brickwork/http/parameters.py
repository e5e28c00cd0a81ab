"""Query parameters: unknown and repeated ones are rejected."""

from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from copy import copy
from dataclasses import replace
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.security import APIKeyQuery
from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from starlette.datastructures import QueryParams

from brickwork.query.list_query import ListQuery
from brickwork.query.parameters import CommaSeparated

_UNKNOWN_PARAMETER: Final = PydanticCustomError("unknown_parameter", "There is no such parameter.")
_REPEATED_PARAMETER: Final = PydanticCustomError("repeated", "This takes one value.")


def declared_parameters(dependant: Dependant) -> Mapping[str, Any]:
    """Return the annotations of the query parameters of *dependant*, by name."""
    return dict(_parameters(dependant))


def needs_request(dependant: Dependant) -> bool:
    """Return whether *dependant* itself takes a part of the request, or the response."""
    return any(getattr(dependant, name) for name in _PARAMETERS)


_PARAMETERS: Final = (
    "path_params",
    "query_params",
    "header_params",
    "cookie_params",
    "body_params",
    "background_tasks_param_name",
    "http_connection_param_name",
    "request_param_name",
    "response_param_name",
    "security_scopes_param_name",
    "websocket_param_name",
)
"""The attributes of a `Dependant` with its own parameters."""


def undeclared_parameter_errors(
    sent: QueryParams, declared: Mapping[str, Any]
) -> list[ErrorDetails]:
    """Return an error for each undeclared parameter, and for each that is sent too often."""
    errors = {name: _parameter_error(sent, name, declared) for name in dict.fromkeys(sent)}
    found = [
        InitErrorDetails(type=error, loc=("query", name), input=...)
        for name, error in errors.items()
        if error
    ]
    return ValidationError.from_exception_data("query", found).errors() if found else []


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
    """A model without fields, for which FastAPI passes on the whole query."""


def read_query_directly(dependant: Dependant) -> Dependant:
    """Return *dependant* with list queries that skip FastAPI's lookup of each field.

    It is valid for requests that send no name twice. The lookup changes nothing if the fields
    have no aliases and take one value.
    """
    return replace(
        dependant, query_params=[_with_raw_query(field) for field in dependant.query_params]
    )


def _with_raw_query(field: Any) -> Any:
    kind = field.field_info.annotation
    if not (isinstance(kind, type) and issubclass(kind, ListQuery)):
        return field
    if _transforms_query(field.field_info.annotation):
        return field
    field = copy(field)  # it still validates with the original type
    field.field_info = copy(field.field_info)
    field.field_info.annotation = _RawQuery
    return field


def _transforms_query(model: type[BaseModel]) -> bool:
    """Return whether FastAPI would change the names or values of a query for *model*."""
    renamed = any(field.alias or field.validation_alias for field in model.model_fields.values())
    return renamed or any(_takes_many(kind) for _, kind in _model_parameters(model))


def _parameters(dependant: Dependant) -> Iterator[tuple[str, Any]]:
    """Yield the name and the annotation of each query parameter of *dependant*."""
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
    for name, field in model.model_fields.items():
        commas = any(isinstance(mark, CommaSeparated) for mark in field.metadata)
        kind: Any = str if commas else field.annotation
        yield from ((alias, kind) for alias in parameter_aliases(name, field))


def parameter_aliases(name: str, field: Any) -> Sequence[str]:
    """Return the names that a request may use for *field*."""
    match field.validation_alias or field.alias:
        case None:
            return [name]
        case AliasChoices(choices=choices):
            return [choice for choice in choices if isinstance(choice, str)]
        case alias:
            return [str(alias)]


def _takes_many(annotation: Any) -> bool:
    """Return whether a parameter of this type takes several values."""
    kind = get_origin(annotation) or annotation
    if kind is Annotated:
        commas = any(isinstance(mark, CommaSeparated) for mark in annotation.__metadata__)
        return not commas and _takes_many(get_args(annotation)[0])
    if kind in {Union, UnionType}:
        return any(_takes_many(member) for member in get_args(annotation))
    many = isinstance(kind, type) and issubclass(kind, Sequence | AbstractSet)
    return many and not issubclass(kind, str | bytes)
