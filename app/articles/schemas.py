"""Schemas of articles."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from annotated_types import Ge, Len, MaxLen
from pydantic import Field, StringConstraints

from brickwork import ListQuery, OneOf, ReadSchema, Schema, Search, SortBy

from .models import Article

Slug = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, pattern="^[a-z0-9]+(-[a-z0-9]+)*$"),
    Field(examples=["how-a-wall-stands"]),
]
Status = Literal["draft", "published"]


class ArticleCreate(Schema):
    """A new article."""

    title: Annotated[str, Len(1, 200), Field(examples=["How a wall stands"])]
    slug: Slug
    body: Annotated[str, MaxLen(100_000)] = Field("", examples=["Brick by brick."])
    status: Status = "draft"
    views: Annotated[int, Ge(0)] = 0
    rating: float | None = Field(None, examples=[4.5])
    published_at: datetime | None = Field(None, examples=[None])
    meta: dict[str, Any] | None = Field(None, examples=[{"language": "en"}])
    author_id: UUID | None = Field(None, examples=[None])


class ArticleUpdate(ArticleCreate, partial=True):
    """Changes to an article."""


class ArticleRead(ReadSchema):
    """An article in a response."""

    id: UUID
    title: str
    slug: str
    body: str
    status: Status
    views: int
    rating: float | None
    published_at: datetime | None
    meta: dict[str, Any] | None
    author_id: UUID | None
    created_at: datetime
    updated_at: datetime
    version: int


class ArticleQuery(ListQuery[Article]):
    """The filters, the order and the search of articles."""

    title: str | None = None
    title__ne: str | None = None
    title__gt: str | None = None
    title__gte: str | None = None
    title__lt: str | None = None
    title__lte: str | None = None
    title__in: OneOf[str] | None = None
    title__contains: str | None = None
    title__icontains: str | None = None
    title__startswith: str | None = None
    slug: str | None = None
    slug__ne: str | None = None
    slug__gt: str | None = None
    slug__gte: str | None = None
    slug__lt: str | None = None
    slug__lte: str | None = None
    slug__in: OneOf[str] | None = None
    slug__contains: str | None = None
    slug__icontains: str | None = None
    slug__startswith: str | None = None
    status: Status | None = None
    status__ne: Status | None = None
    status__in: OneOf[Status] | None = None
    views: int | None = None
    views__ne: int | None = None
    views__gt: int | None = None
    views__gte: int | None = None
    views__lt: int | None = None
    views__lte: int | None = None
    views__in: OneOf[int] | None = None
    rating: float | None = None
    rating__ne: float | None = None
    rating__gt: float | None = None
    rating__gte: float | None = None
    rating__lt: float | None = None
    rating__lte: float | None = None
    rating__in: OneOf[float] | None = None
    rating__isnull: bool | None = None
    published_at: datetime | None = None
    published_at__ne: datetime | None = None
    published_at__gt: datetime | None = None
    published_at__gte: datetime | None = None
    published_at__lt: datetime | None = None
    published_at__lte: datetime | None = None
    published_at__in: OneOf[datetime] | None = None
    published_at__isnull: bool | None = None
    author_id: UUID | None = None
    author_id__ne: UUID | None = None
    author_id__in: OneOf[UUID] | None = None
    author_id__isnull: bool | None = None
    created_at: datetime | None = None
    created_at__ne: datetime | None = None
    created_at__gt: datetime | None = None
    created_at__gte: datetime | None = None
    created_at__lt: datetime | None = None
    created_at__lte: datetime | None = None
    created_at__in: OneOf[datetime] | None = None
    sort: SortBy[
        Literal["title", "slug", "status", "views", "rating", "published_at", "created_at"]
    ] = None
    q: Search = None
    search_fields = ("title", "body")
