"""What clients send and see of articles."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from annotated_types import Ge, Len, MaxLen
from pydantic import StringConstraints

from brickwork import ReadSchema, Schema

Slug = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern="^[a-z0-9]+(-[a-z0-9]+)*$")
]
Status = Literal["draft", "published"]


class ArticleCreate(Schema):
    """A new article."""

    title: Annotated[str, Len(1, 200)]
    slug: Slug
    body: Annotated[str, MaxLen(100_000)] = ""
    status: Status = "draft"
    views: Annotated[int, Ge(0)] = 0
    rating: float | None = None
    published_at: datetime | None = None
    meta: dict[str, Any] | None = None
    author_id: UUID | None = None


class ArticleUpdate(ArticleCreate, partial=True):
    """Changes to an article."""


class ArticleRead(ReadSchema):
    """An article as it is shown."""

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
