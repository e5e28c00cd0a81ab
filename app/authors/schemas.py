"""Schemas of authors."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from annotated_types import Len, MaxLen
from pydantic import Field

from brickwork import Filter, ListQuery, ReadSchema, Schema, SortBy

from .models import Author


class AuthorCreate(Schema):
    """A new author."""

    name: Annotated[str, Len(1, 100), Field(examples=["Ada Lovelace"])]
    email: Annotated[str, MaxLen(254), Field(examples=["ada@example.com"])]
    bio: str | None = Field(None, examples=["Wrote the first program."])


class AuthorUpdate(AuthorCreate, partial=True):
    """Changes to an author."""


class AuthorRead(ReadSchema):
    """An author in a response."""

    id: UUID
    name: str
    email: str
    bio: str | None
    created_at: datetime
    updated_at: datetime


class AuthorQuery(ListQuery[Author]):
    """The filters and the order of authors."""

    name: Filter[str] = None
    email: Filter[str] = None
    sort: SortBy[Literal["name", "created_at"]] = None
