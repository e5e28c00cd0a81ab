"""Query parameters: those a route does not know are refused, not passed over."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, get_origin

from fastapi import Depends, Query
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError
from starlette.datastructures import QueryParams

from brickwork.routes import QUERY_NAMES, current_request


def _check(_: object) -> None:
    """Raise what is wrong with the names in the query; FastAPI adds it to the other faults."""
    request = current_request.get(None)
    if request is None or not (sent := request.query_params):
        return
    # The route as it was included, with what the dependencies of its routers declare.
    scope = request.scope
    route = scope.get("fastapi", {}).get("effective_route_context") or scope["route"]
    declared = dict(_parameters(route.dependant))
    errors = [
        InitErrorDetails(type=error, loc=(name,), input=...)
        for name in dict.fromkeys(sent)
        for error, wrong in (
            (_UNKNOWN, name not in declared),
            (_TWICE, _twice(sent, name, declared)),
        )
        if wrong
    ]
    if errors:
        raise ValidationError.from_exception_data("query", errors)


_UNKNOWN: Final = PydanticCustomError("unknown_parameter", "There is no such parameter.")
_TWICE: Final = PydanticCustomError("repeated", "This takes one value.")
_NAMES: Final = Query(alias=QUERY_NAMES, include_in_schema=False, validate_default=True)


async def known_parameters(_: Annotated[None, _NAMES, BeforeValidator(_check)] = None) -> None:
    """Refuse a query parameter that the route does not declare, or a single one sent twice.

    Depend on it, in a route of class `Route`.
    """


KnownParameters = Annotated[None, Depends(known_parameters)]


def _twice(sent: QueryParams, name: str, declared: Mapping[str, object]) -> bool:
    many = get_origin(declared.get(name)) in {list, set, frozenset, tuple}
    return name in declared and not many and len(sent.getlist(name)) > 1


def _parameters(dependant: Dependant) -> Iterator[tuple[str, object]]:
    """Yield the name and the annotation of each query parameter that *dependant* declares."""
    for field in dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            for name, each in annotation.model_fields.items():
                yield each.alias or name, each.annotation
        elif field.alias != QUERY_NAMES:
            yield field.alias, annotation
    for dependency in dependant.dependencies:
        yield from _parameters(dependency)
