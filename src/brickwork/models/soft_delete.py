"""Soft delete: rows that are marked and not removed, and those that are hidden with them.

The database keeps the rules. `is_deleted` is computed from `deleted_at`, so they cannot disagree; a
reference to a row that may be deleted refers to its key and to `is_deleted`, so that there can be
none to a deleted row, and what refers to it is hidden and shown again with it.
"""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Computed,
    ForeignKeyConstraint,
    Index,
    inspect,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from brickwork.models.model import UTCDateTime, is_deleted_marker

DeletedFilter: TypeAlias = Literal["exclude", "include", "only"]
"""Which rows are shown: those not deleted, all, or the deleted ones alone."""

_NOT_DELETED = text("deleted_at IS NULL")


class SoftDelete:
    """Mixin: a row that is deleted stays, hidden, until it is restored or purged."""

    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime, sort_order=92)
    is_deleted: Mapped[bool] = mapped_column(
        Boolean, Computed("deleted_at IS NOT NULL", persisted=True), sort_order=93
    )


def as_soft_deletable(row: object) -> SoftDelete | None:
    """Return *row* if its deletion is a mark."""
    return row if isinstance(row, SoftDelete) else None


def is_soft_deletable(model: type[object]) -> bool:
    """Tell whether deleted rows of *model* stay."""
    return issubclass(model, SoftDelete)


def unique_unless_deleted(*columns: str) -> Index:
    """Return the index by which rows that are not deleted differ in *columns*.

    `__table_args__ = (unique_unless_deleted("slug"),)`. The slug of a deleted row is free for
    another row; restoring the first one is a conflict then.
    """
    return Index(
        None, *columns, unique=True, postgresql_where=_NOT_DELETED, sqlite_where=_NOT_DELETED
    )


def soft_delete_foreign_key(
    column: str, hidden: str, target: type[DeclarativeBase]
) -> ForeignKeyConstraint:
    """Return the reference of *column* to rows of *target* that are not deleted.

    *hidden* is a column of booleans, `mapped_column(default=False)`, which the database keeps: it
    is true while the row referred to is deleted, and hides this row too. When that one is purged,
    this one goes with it.
    """
    (key,), is_deleted = inspect(target).primary_key, inspect(target).columns["is_deleted"]
    table = is_deleted.table
    if not any(_has_columns(each, key, is_deleted) for each in table.indexes):
        Index(f"uq_{table.name}_{key.name}_is_deleted", key, is_deleted, unique=True)
    return ForeignKeyConstraint(
        [column, hidden], [key, is_deleted], onupdate="CASCADE", ondelete="CASCADE"
    )


def soft_delete_conditions(
    model: type[DeclarativeBase], which: DeletedFilter = "exclude"
) -> list[ColumnElement[bool]]:
    """Return what is true of the rows of *model* that are shown."""
    # Attributes and not columns, since a statement may have the table under another name.
    hidden: list[ColumnElement[bool]] = [
        getattr(model, name).is_(False)
        for name, each in inspect(model).columns.items()
        if is_deleted_marker(each)
    ]
    if not issubclass(model, SoftDelete):
        return hidden
    deleted_at = model.deleted_at
    match which:
        case "exclude":
            return [*hidden, deleted_at.is_(None)]
        case "include":
            return hidden
        case _:
            return [*hidden, deleted_at.is_not(None)]


def _has_columns(index: Index, *columns: ColumnElement[Any]) -> bool:
    return [*index.expressions] == [*columns]
