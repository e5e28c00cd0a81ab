"""Signatures of endpoints, from which FastAPI reads what a request has to have."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar, get_args, get_origin
from uuid import UUID

from fastapi import Depends, Path
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from brickwork.database.foreign_sessions import adopt_session
from brickwork.http.routing import current_scope
from brickwork.query.keys import key_type
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource
from brickwork.schemas.names import row_names

M = TypeVar("M", bound=DeclarativeBase)

Endpoint = Callable[..., Awaitable[Any]]


def with_signature(
    endpoint: Endpoint,
    shape: ResourceDefinition[M],
    *,
    lane: object = None,
    writes: Sequence[type[BaseModel]] = (),
    **types: object,
) -> Endpoint:
    """Give *endpoint* the types that FastAPI is to read from its signature.

    A conflict with what is stored is told by the names of the schemas that it *writes*.
    """
    types["rows"] = Annotated[shape.resource, Depends(_provider(shape))]
    types["key"] = Annotated[str, Path(alias="id", json_schema_extra=key_schema(shape.model))]
    wanted = endpoint.__annotations__
    wanted |= {name: types[name] for name in wanted.keys() & types.keys()}
    vars(endpoint).update(shape=shape, lane=lane, names=row_names(shape.model, *writes))
    return endpoint


def _provider(shape: ResourceDefinition[M]) -> Callable[..., Awaitable[Resource[M]]]:
    """Return what makes the resource for a request; FastAPI would call the class in a thread."""

    async def provide(**dependencies: Any) -> Resource[M]:
        adopt_session(dependencies["session"], current_scope())
        rows = shape.resource(**dependencies)
        rows.load_options = shape.embedded.options
        return rows

    provide.__signature__ = _signature(shape.resource)  # type: ignore[attr-defined]
    provide.isolation_level = shape.resource.isolation_level  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    return provide


def _signature(resource: type[Resource[Any]]) -> inspect.Signature:
    """Return the signature of *resource*; raises `TypeError` for a session that cannot work."""
    signature = inspect.signature(resource, eval_str=True)
    annotation = signature.parameters["session"].annotation
    session = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if session is not Any and isinstance(session, type) and not issubclass(session, AsyncSession):
        raise TypeError(
            f"{resource.__name__}.session is a {session.__name__}: make it an AsyncSession, with "
            "Annotated[AsyncSession, Depends(...)]."
        )
    return signature


def key_schema(model: type[DeclarativeBase]) -> dict[str, Any]:
    """Return what openapi.json says of a key, which is any text: one that is none names no row."""
    schemas: dict[type, dict[str, Any]] = {
        UUID: {"type": "string", "format": "uuid"},
        int: {"type": "integer"},
        str: {"type": "string"},
    }
    return next(schema for kind, schema in schemas.items() if issubclass(key_type(model), kind))
