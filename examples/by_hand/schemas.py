"""Step 3: the schemas of requests and responses."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from annotated_types import Ge, Len, MaxLen
from pydantic import StringConstraints

from brickwork import ReadSchema, Schema


class ArticleCreate(Schema):
    """A new article."""

    title: Annotated[str, Len(1, 200)]
    slug: Annotated[str, StringConstraints(max_length=100, pattern="^[a-z0-9]+(-[a-z0-9]+)*$")]
    body: Annotated[str, MaxLen(100_000)] = ""
    status: Literal["draft", "published"] = "draft"
    views: Annotated[int, Ge(0)] = 0
    rating: float | None = None
    published_at: datetime | None = None
    meta: dict[str, Any] | None = None


class ArticleUpdate(ArticleCreate, partial=True):
    """Changes to an article."""


class ArticleResponse(ReadSchema):
    """An article in a response."""

    id: UUID
    title: str
    slug: str
    body: str
    status: str
    views: int
    rating: float | None
    published_at: datetime | None
    meta: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
