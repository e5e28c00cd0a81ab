"""Soft delete.

The database enforces the rules:

- `is_deleted` is computed from `deleted_at`, so they cannot disagree.
- A foreign key refers to the key and to `is_deleted` of the target, so it cannot refer to a deleted
  row. Rows that refer to a row are hidden and restored together with it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import Boolean, ColumnElement, Computed, ForeignKeyConstraint, Index, inspect, text
from sqlalchemy.orm import Mapped, mapped_column

from brickwork.models.model import UTCDateTime, is_deleted_marker

DeletedFilter: TypeAlias = Literal["exclude", "include", "only"]
"""The visible rows: those not deleted, all rows, or only deleted rows."""

_NOT_DELETED = text("deleted_at IS NULL")


class SoftDelete:
    """Mixin: a deleted row stays hidden until it is restored or purged."""

    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime, sort_order=92)
    is_deleted: Mapped[bool] = mapped_column(
        Boolean, Computed("deleted_at IS NOT NULL", persisted=True), sort_order=93
    )


def as_soft_deletable(row: object) -> SoftDelete | None:
    """Return *row* if its model has soft delete. None otherwise."""
    return row if isinstance(row, SoftDelete) else None


def is_soft_deletable(model: type[object]) -> bool:
    """Return whether *model* has soft delete."""
    return issubclass(model, SoftDelete)


def unique_unless_deleted(*columns: str) -> Index:
    """Return an index that makes *columns* unique among rows that are not deleted.

    `__table_args__ = (unique_unless_deleted("slug"),)`. Another row may take the slug of a deleted
    row. Restoring the deleted row is then a conflict.
    """
    return Index(
        None, *columns, unique=True, postgresql_where=_NOT_DELETED, sqlite_where=_NOT_DELETED
    )


def soft_delete_foreign_key(
    column: str | Sequence[str], hidden: str, target: type[object]
) -> ForeignKeyConstraint:
    """Return a foreign key to rows of *target* that are not deleted.

    Args:
        column: The column that refers to the key of *target*. A key of several columns has as many,
            in its order.
        hidden: A boolean column, `mapped_column(default=False)`. The database sets it while the
            target is deleted, which hides this row as well. Purging the target removes this row.
        target: A model with soft delete.

    Raises:
        TypeError: The key of *target* has another number of columns.

    """
    names = [column] if isinstance(column, str) else [*column]
    key, is_deleted = inspect(target).primary_key, inspect(target).columns["is_deleted"]
    own = ", ".join(item.name for item in key)
    if len(names) != len(key):
        raise TypeError(
            f"{', '.join(names)} cannot refer to {target.__name__}, whose key is {own}. Name a "
            "column for each of its columns."
        )
    table = is_deleted.table
    if not any(_has_columns(index, *key, is_deleted) for index in table.indexes):
        name = f"uq_{table.name}_{'_'.join(item.name for item in key)}_is_deleted"
        Index(name, *key, is_deleted, unique=True)
    return ForeignKeyConstraint(
        [*names, hidden], [*key, is_deleted], onupdate="CASCADE", ondelete="CASCADE"
    )


def soft_delete_conditions(
    model: type[object], which: DeletedFilter = "exclude"
) -> list[ColumnElement[bool]]:
    """Return the conditions of the rows of *model* that are visible."""
    # Attributes and not columns, since a statement may alias the table.
    hidden: list[ColumnElement[bool]] = [
        getattr(model, name).is_(False)
        for name, column in inspect(model).columns.items()
        if is_deleted_marker(column)
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
