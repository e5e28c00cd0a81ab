"""What the endpoints of one resource have in common: its steps, its schemas, its key."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter
from sqlalchemy.orm import DeclarativeBase

from brickwork.problems import ErrorDetail, UnprocessableContent
from brickwork.query.embedding import EmbeddedFields
from brickwork.query.keys import BATCH, primary_key
from brickwork.query.list_query import ListQuery
from brickwork.resource.resource import Resource
from brickwork.schemas.names import field_pointer
from brickwork.schemas.schema import Schema

M = TypeVar("M", bound=DeclarativeBase)


@dataclass(frozen=True, kw_only=True)
class ResourceDefinition(Generic[M]):
    """What the endpoints of one resource differ in: its steps and its schemas."""

    resource: type[Resource[M]]
    model: type[M]
    read: type[BaseModel]
    create: type[Schema]
    update: type[Schema]
    replace: type[Schema]
    change: type[Schema]
    query: type[ListQuery[M]]
    embedded: EmbeddedFields

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """What answers show of a row."""
        return TypeAdapter(self.read)

    def key(self, row: DeclarativeBase) -> object:
        """Return the key of *row*."""
        key: object = getattr(row, primary_key(self.model).key)
        return key

    def require_path(self, row: DeclarativeBase) -> None:
        """Raise `UnprocessableContent` for the key of a new *row* that no path could name."""
        key = self.key(row)
        if isinstance(key, str) and (key in {"", ".", "..", BATCH} or "/" in key):
            text = f"This cannot be a key, which is a segment of a path and not {BATCH}."
            place = field_pointer(primary_key(self.model).key, self.create)
            raise UnprocessableContent(
                text, errors=[ErrorDetail(code="no_path", detail=text, pointer=place)]
            )
