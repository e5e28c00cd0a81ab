"""What the endpoints of one resource have in common: its steps, its schemas, its key."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin
from uuid import UUID

from fastapi import Depends, Path
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from brickwork.embedding import Embedding
from brickwork.etags import tag_of, version_of
from brickwork.keys import key_type, primary_key
from brickwork.lists import ListQuery
from brickwork.names import input_path, of_rows
from brickwork.problems import Fault, Invalid, pointer
from brickwork.resource import Resource
from brickwork.routes import BATCH, handled_scope
from brickwork.schemas import Schema
from brickwork.sessions import adopt

M = TypeVar("M", bound=DeclarativeBase)

Endpoint = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Shape(Generic[M]):
    """What the endpoints of one resource differ in: its steps and its schemas."""

    resource: type[Resource[M]]
    model: type[M]
    read: type[BaseModel]
    create: type[Schema]
    update: type[Schema]
    replace: type[Schema]
    change: type[Schema]
    query: type[ListQuery[M]]
    embedded: Embedding

    def tag(self, row: DeclarativeBase) -> str | None:
        """Return the entity tag of *row* as answers show it; None if it is not versioned.

        What is shown of other rows has to be loaded.
        """
        if (version := version_of(row)) is None:
            return None
        try:
            shown = self._shown.validate_python(row, from_attributes=True)
        except ValidationError:  # the answer will fail, too
            return tag_of(version)
        return tag_of(version, self._shown.dump_json(shown, by_alias=True))

    @cached_property
    def _shown(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.read)

    def key(self, row: DeclarativeBase) -> object:
        """Return the key of *row*."""
        key: object = getattr(row, primary_key(self.model).key)
        return key

    def require_path(self, row: DeclarativeBase) -> None:
        """Raise `Invalid` for the key of a new *row* that no path could name."""
        key = self.key(row)
        if isinstance(key, str) and (key in {"", ".", "..", BATCH} or "/" in key):
            text = f"This cannot be a key, which is a segment of a path and not {BATCH}."
            place = place_of(primary_key(self.model).key, self.create)
            raise Invalid(text, errors=[Fault(code="no_path", detail=text, pointer=place)])


def place_of(name: str, schema: type[BaseModel], *before: int) -> str:
    """Return the pointer to the field *name* of a body of *schema*, or of an item *before* it."""
    field = schema.model_fields.get(name)
    return pointer(*before, *(input_path(name, field) if field else (name,)))


def typed(
    endpoint: Endpoint,
    shape: Shape[M],
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
    vars(endpoint).update(shape=shape, lane=lane, names=of_rows(shape.model, *writes))
    return endpoint


def _provider(shape: Shape[M]) -> Callable[..., Awaitable[Resource[M]]]:
    """Return what makes the resource for a request; FastAPI would call the class in a thread."""

    async def provide(**dependencies: Any) -> Resource[M]:
        adopt(dependencies["session"], handled_scope())
        rows = shape.resource(**dependencies)
        rows.loads = shape.embedded.options
        return rows

    provide.__signature__ = _signature(shape.resource)  # type: ignore[attr-defined]
    provide.isolation = shape.resource.isolation  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
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
