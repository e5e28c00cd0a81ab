"""What clients send and see of authors."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from annotated_types import Len, MaxLen

from brickwork import ReadSchema, Schema


class AuthorCreate(Schema):
    """A new author."""

    name: Annotated[str, Len(1, 100)]
    email: Annotated[str, MaxLen(254)]
    bio: str | None = None


class AuthorUpdate(AuthorCreate, partial=True):
    """Changes to an author."""


class AuthorRead(ReadSchema):
    """An author as it is shown."""

    id: UUID
    name: str
    email: str
    bio: str | None
    created_at: datetime
    updated_at: datetime
