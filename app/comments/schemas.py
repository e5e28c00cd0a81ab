"""Schemas of comments."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from annotated_types import Len
from pydantic import Field

from brickwork import Filter, ListQuery, ReadSchema, Schema, SortBy

from .models import Comment


class CommentCreate(Schema):
    """A new comment."""

    article_id: UUID
    author_name: Annotated[str, Len(1, 100), Field(examples=["Grace"])]
    body: Annotated[str, Len(1, 10_000), Field(examples=["I see walls differently now."])]


class CommentUpdate(CommentCreate, partial=True):
    """Changes to a comment."""


class CommentRead(ReadSchema):
    """A comment in a response."""

    id: UUID
    article_id: UUID
    author_name: str
    body: str
    created_at: datetime
    updated_at: datetime


class CommentQuery(ListQuery[Comment]):
    """The filters and the order of comments."""

    article_id: Filter[UUID] = None
    sort: SortBy[Literal["created_at"]] = None
