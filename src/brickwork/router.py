"""One short declaration a resource: `crud_router` makes its endpoints, all in the same way."""

import re
from collections.abc import Callable, Collection
from typing import Any, Final, Literal, NamedTuple, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase

from brickwork import operations
from brickwork.embedding import embedding
from brickwork.inputs import fitted, replacement
from brickwork.lists import ListQuery
from brickwork.openapi import also_merge_patch, described, exported
from brickwork.operations import Endpoint, Shape
from brickwork.resource import Resource
from brickwork.routes import Route
from brickwork.schemas import Schema

M = TypeVar("M", bound=DeclarativeBase)

Operation = Literal["list", "create", "get", "update", "replace", "delete"]
"""What a resource can be asked to do; the name ends the operationId: `articles_create`."""


class _Kind(NamedTuple):
    """How an operation is reached, and the statuses it may have."""

    endpoint: Callable[[Shape[Any]], Endpoint]
    method: str
    path: str
    statuses: tuple[int, ...]


_READ: Final = (400, 406, 414, 422, 431, 500, 503)
_WRITE: Final = (409, 413, 415, *_READ)
_OPERATIONS: Final[dict[Operation, _Kind]] = {
    "list": _Kind(operations.list_, "GET", "", (200, *_READ)),
    "create": _Kind(operations.create, "POST", "", (201, *_WRITE)),
    "get": _Kind(operations.get, "GET", "/{id}", (200, 404, *_READ)),
    "update": _Kind(operations.update, "PATCH", "/{id}", (200, 404, *_WRITE)),
    "replace": _Kind(operations.replace, "PUT", "/{id}", (200, 404, *_WRITE)),
    "delete": _Kind(operations.delete, "DELETE", "/{id}", (204, 404, 409, *_READ)),
}


def crud_router(  # noqa: PLR0913 — these seven, and no eighth
    prefix: str,
    resource: type[Resource[M]],
    *,
    read: type[BaseModel],
    create: type[Schema],
    update: type[Schema],
    query: type[ListQuery[M]] | None = None,
    omit: Collection[Operation] = (),
) -> APIRouter:
    """Return the endpoints of *resource* at *prefix*, less the operations in *omit*.

    *read* is the shape of answers, *create* of a POST and a PUT, *update* of a PATCH (declare it
    `partial=True`), *query* the parameters of the list. What a resource does otherwise is a step
    to override or an endpoint to add to the router, not a keyword here. Raises `TypeError` for
    schemas and a model that do not fit each other.
    """
    model = resource.model
    created = fitted(create, model)
    shape = Shape(
        resource=resource,
        model=model,
        read=read,
        create=created,
        update=fitted(update, model),
        replace=replacement(created, read),
        query=query or ListQuery,
        embedded=embedding(model, read),
    )
    router = APIRouter(prefix=prefix, tags=[prefix.strip("/")], route_class=Route)
    for name in _OPERATIONS:
        if name not in omit:
            _add(router, name, shape)
    return router


def _add(router: APIRouter, name: Operation, shape: Shape[Any]) -> None:
    kind = _OPERATIONS[name]
    success, *failures = kind.statuses
    shown: Any = {"list": list[shape.read], "delete": None}.get(name, shape.read)  # type: ignore[name-defined]
    resource = re.sub(r"\W+", "_", router.prefix.strip("/"))
    router.add_api_route(
        kind.path,
        kind.endpoint(shape),
        methods=[kind.method],
        status_code=success,
        response_model=shown,
        operation_id=f"{resource}_{name}",
        name=f"{resource}_{name}",
        summary=f"{name.capitalize()} {resource}",
        responses=described(failures) | (exported() if name == "list" else {}),
        openapi_extra=also_merge_patch(shape.update) if name == "update" else None,
    )
