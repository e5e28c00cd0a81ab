"""Query parameters: those a route does not know are refused, not passed over."""

from collections.abc import Iterator, Mapping
from typing import Annotated, get_origin

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.datastructures import QueryParams

from brickwork.routes import UNREADABLE


async def known_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not declare, or a single one sent twice.

    The last of a route's dependencies, so that those which ask who is there come first.
    """
    sent = request.query_params
    if not sent or UNREADABLE in request.scope:
        return
    # The route as it was included, with what the dependencies of its routers declare.
    scope = request.scope
    route = scope.get("fastapi", {}).get("effective_route_context") or scope["route"]
    declared = dict(_parameters(route.dependant))
    errors = [
        {"type": code, "loc": ("query", name), "msg": text}
        for name in dict.fromkeys(sent)
        for code, text, wrong in (
            ("unknown_parameter", "There is no such parameter.", name not in declared),
            ("repeated", "This takes one value.", _twice(sent, name, declared)),
        )
        if wrong
    ]
    if errors:
        raise RequestValidationError(errors)


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
        else:
            yield field.alias, annotation
    for dependency in dependant.dependencies:
        yield from _parameters(dependency)
