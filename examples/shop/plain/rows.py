"""Helpers of the handlers."""

from typing import TypeVar
from uuid import UUID

from fastapi import HTTPException
from sqlalchemy import Select
from sqlalchemy.exc import IntegrityError

from .models import (
    DB,
    Base,
)
from .schemas import (
    PageQuery,
)

M = TypeVar("M", bound=Base)


def rejected(status: int, detail: str, pointer: str, code: str) -> HTTPException:
    """Return an error of one field."""
    return HTTPException(status, {"detail": detail, "errors": [{"pointer": pointer, "code": code}]})


async def save(db: DB, row: Base) -> None:
    """Commit. Raises a 409 or a 422 if a constraint fails."""
    try:
        await db.commit()
    except IntegrityError as error:
        if "foreign key" in str(error.orig).lower():
            raise HTTPException(422, "A row that is referred to does not exist.") from error
        raise HTTPException(409, "The value is taken.") from error
    await db.refresh(row)


async def find(db: DB, model: type[M], key: UUID) -> M:
    """Return the row. Raises a 404 without one."""
    if row := await db.get(model, key):
        return row
    raise HTTPException(404, f"{model.__name__} not found")


async def remove(db: DB, row: Base) -> None:
    """Delete *row*. Raises a 409 if others refer to it."""
    try:
        await db.delete(row)
        await db.commit()
    except IntegrityError as error:
        raise HTTPException(409, "Other rows refer to this one.") from error


def page(statement: Select[M], query: PageQuery) -> Select[M]:
    """Return the statement of a page."""
    return statement.limit(query.limit).offset(query.offset)
