"""Schemas of authors."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from annotated_types import Len, MaxLen
from pydantic import Field

from brickwork import ListQuery, OneOf, ReadSchema, Schema, SortBy

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

    name: str | None = None
    name__ne: str | None = None
    name__gt: str | None = None
    name__gte: str | None = None
    name__lt: str | None = None
    name__lte: str | None = None
    name__in: OneOf[str] | None = None
    name__contains: str | None = None
    name__icontains: str | None = None
    name__startswith: str | None = None
    email: str | None = None
    email__ne: str | None = None
    email__gt: str | None = None
    email__gte: str | None = None
    email__lt: str | None = None
    email__lte: str | None = None
    email__in: OneOf[str] | None = None
    email__contains: str | None = None
    email__icontains: str | None = None
    email__startswith: str | None = None
    sort: SortBy[Literal["name", "created_at"]] = None
