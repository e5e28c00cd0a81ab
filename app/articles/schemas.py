"""Schemas of articles."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from annotated_types import Ge, Len, MaxLen
from pydantic import Field, StringConstraints

from brickwork import Filter, ListQuery, ReadSchema, Schema, Search, SortBy

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

    title: Filter[str] = None
    slug: Filter[str] = None
    status: Filter[Status] = None
    views: Filter[int] = None
    rating: Filter[float] = None
    published_at: Filter[datetime] = None
    author_id: Filter[UUID] = None
    created_at: Filter[datetime] = None
    sort: SortBy[
        Literal["title", "slug", "status", "views", "rating", "published_at", "created_at"]
    ] = None
    q: Search = None
    search_fields = ("title", "body")
