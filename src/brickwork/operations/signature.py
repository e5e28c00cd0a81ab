"""Signatures of endpoints, for FastAPI."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar, get_args, get_origin
from uuid import UUID

from fastapi import Depends, Path
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from brickwork.database.foreign_sessions import adopt_session
from brickwork.http.request_check import current_scope
from brickwork.query.keys import key_type
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource
from brickwork.schemas.names import row_names

M = TypeVar("M", bound=DeclarativeBase)

Endpoint = Callable[..., Awaitable[Any]]


def with_signature(
    endpoint: Endpoint,
    definition: ResourceDefinition[M],
    *,
    fast_operation: object = None,
    writes: Sequence[type[BaseModel]] = (),
    **types: object,
) -> Endpoint:
    """Annotate the parameters of *endpoint* with *types*, which FastAPI reads.

    Errors of the database name fields as the schemas in *writes* do.
    """
    resource, model = definition.resource, definition.model
    types["resource"] = Annotated[resource, Depends(_resource_dependency(definition))]
    types["key"] = Annotated[str, Path(alias="id", json_schema_extra=key_schema(model))]
    annotations = endpoint.__annotations__
    annotations |= {name: types[name] for name in annotations.keys() & types.keys()}
    names = row_names(model, *writes)
    vars(endpoint).update(shape=definition, fast_operation=fast_operation, names=names)
    return endpoint


def _resource_dependency(
    definition: ResourceDefinition[M],
) -> Callable[..., Awaitable[Resource[M]]]:
    """Return a dependency that builds the resource. FastAPI would call the class in a thread."""

    async def provide(**dependencies: Any) -> Resource[M]:
        adopt_session(dependencies["session"], current_scope())
        resource = definition.resource(**dependencies)
        resource.load_options = definition.embedded.options
        return resource

    isolation_level = definition.resource.isolation_level
    provide.__signature__ = _resource_signature(definition.resource)  # type: ignore[attr-defined]
    provide.isolation_level = isolation_level  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    return provide


def _resource_signature(resource: type[Resource[Any]]) -> inspect.Signature:
    """Return the signature of *resource*. Raises `TypeError` unless its session is async."""
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
    """Return the JSON schema of a key. Keys are parsed as text: a malformed key is not found."""
    schemas: dict[type, dict[str, Any]] = {
        UUID: {"type": "string", "format": "uuid"},
        int: {"type": "integer"},
        str: {"type": "string"},
    }
    return next(schema for kind, schema in schemas.items() if issubclass(key_type(model), kind))
