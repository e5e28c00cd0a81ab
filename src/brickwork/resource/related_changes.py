"""Changes of related rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    PrimaryKeyConstraint,
    Table,
    inspect,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import RelationshipProperty
from sqlalchemy.orm.attributes import flag_modified, set_committed_value

from brickwork.database.errors import reference_not_found
from brickwork.models.model import Timestamped, Versioned, equal_values, now
from brickwork.models.soft_delete import as_soft_deletable, is_soft_deletable
from brickwork.query.keys import primary_key
from brickwork.query.related import key_of
from brickwork.resource.defaults import replacement_values
from brickwork.resource.related import (
    input_of,
    new_child,
    sent_key,
    set_place,
    take_loaded,
    unknown_keys,
)
from brickwork.resource.removals import load_cascades
from brickwork.schemas.related import RelatedField, related_fields
from brickwork.schemas.schema import Schema
from brickwork.tracking.changes import mapped_columns


async def change_related(
    session: AsyncSession, row: object, changes: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Write the related rows in *changes* of *row*, and return the other changes."""
    relationships = inspect(row).mapper.relationships
    names = [name for name in changes if name in relationships]
    others = {name: value for name, value in changes.items() if name not in names}
    for name in names:
        relationship, value = relationships[name], changes[name]
        if relationship.secondary is not None and relationship.uselist:
            await _replace_targets(session, row, relationship, value)
        elif relationship.uselist and all(isinstance(item, Schema) for item in value):
            await _ListChange(session, row, relationship, value).write()
        else:
            others[name] = value
    return others


async def _replace_targets(
    session: AsyncSession,
    row: object,
    by: RelationshipProperty[Any],
    targets: Sequence[Any],
) -> None:
    """Set the rows of a many-to-many relationship, unless they are the same."""
    current = await take_loaded(session, row, by)
    if {*map(id, current)} != {*map(id, targets)}:
        setattr(row, by.key, [*targets])
        await _touch(session, row)


class _ListChange:
    """The replacement of a one-to-many relationship of *row* by *items*."""

    def __init__(
        self,
        session: AsyncSession,
        row: object,
        by: RelationshipProperty[Any],
        items: Sequence[Schema],
    ) -> None:
        self._session = session
        self._row = row
        self._by = by
        self._items = items
        self._field = _field_of(row, by, items)

    async def write(self) -> None:
        """Update, insert and remove rows. Raises `UnprocessableContent` for an unknown key."""
        names = self._field.item.model_fields
        current = await take_loaded(self._session, self._row, self._by, names)
        matches = self._match(current)
        kept = [row for row in matches if row is not None]
        kept_ids = {id(row) for row in kept}  # a dataclass compares its values, and has no hash
        removed = [row for row in current if id(row) not in kept_ids]
        set_committed_value(self._row, self._by.key, kept)
        if not is_soft_deletable(self._field.model):
            with self._session.no_autoflush:  # one flush writes all rows of a batch
                await load_cascades(self._session, removed)
        for row in removed:
            await _remove(self._session, row)
        if removed and matches and _has_unique_values(self._field.model):
            await self._session.flush()  # the other rows may take values of the removed ones
        related: list[Any] = []
        for index, (row, item) in enumerate(zip(matches, self._items, strict=True)):
            related.append(
                new_child(self._row, self._field, index, item)
                if row is None
                else self._update(row, index, item)
            )
        if len(related) > len(kept):
            setattr(self._row, self._by.key, related)
        is_changed = any(self._session.is_modified(row) for row in kept)
        if removed or len(related) > len(kept) or is_changed:
            await _touch(self._session, self._row)

    def _match(self, current: Sequence[Any]) -> list[Any | None]:
        """Return the row that each item updates. None for a new row."""
        if self._field.key not in self._field.item.model_fields:
            return self._match_values(current)
        rows = {key_of(row): row for row in current}
        if missing := unknown_keys(self._field, self._items, rows):
            raise reference_not_found(missing)
        return [rows.get(sent_key(self._field, item)) for item in self._items]

    def _match_values(self, current: Sequence[Any]) -> list[Any | None]:
        """Return the row that has the values of each item."""
        waiting = [*current]
        matches: list[Any | None] = []
        for item in self._items:
            values = replacement_values(current[0], item, self._field.columns()) if current else {}
            places = (n for n, row in enumerate(waiting) if _has_values(row, values))
            place = next(places, None)
            matches.append(None if place is None else waiting.pop(place))
        return matches

    def _update(self, row: Any, index: int, item: Schema) -> Any:
        set_place(row, self._row, self._field, index)
        for name, value in replacement_values(row, item, self._field.columns()).items():
            setattr(row, name, value)
        return row


def _field_of(row: object, by: RelationshipProperty[Any], items: Sequence[Schema]) -> RelatedField:
    """Return the field of the input of *row* for the relationship *by*."""
    data = input_of(row)
    fields = related_fields(type(data), type(row)).values() if data else ()
    found = next((field for field in fields if field.relationship is by), None)
    item = type(items[0]) if items else Schema
    return found or RelatedField(by.key, "rows", by, (by.key,), item)


def _has_values(row: object, values: Mapping[str, Any]) -> bool:
    """Return whether *row* has *values*, which may be SQL expressions."""
    columns = mapped_columns(type(row))
    return all(
        equal_values(columns[name], getattr(row, name), value)
        if name in columns
        else getattr(row, name) == value
        for name, value in values.items()
    )


async def _remove(session: AsyncSession, row: object) -> None:
    if soft_deletable := as_soft_deletable(row):
        soft_deletable.deleted_at = now()
    else:
        await session.delete(row)


def _has_unique_values(model: type[object]) -> bool:
    """Return whether a constraint other than the primary key compares rows of *model*."""
    others = (PrimaryKeyConstraint, ForeignKeyConstraint, CheckConstraint)
    tables: list[Any] = [table for table in inspect(model).tables if isinstance(table, Table)]
    return any(
        any(not isinstance(constraint, others) for constraint in table.constraints)
        or any(index.unique for index in table.indexes)
        for table in tables
    )


async def _touch(session: AsyncSession, row: object) -> None:
    """Make the flush update *row*, because a response shows its related rows.

    A concurrent change of the same lists then waits for this one, or fails and is retried.
    """
    if isinstance(row, Timestamped):
        row.updated_at = now()
    elif isinstance(row, Versioned):
        if not inspect(row).attrs.version.history.has_changes():  # another list has changed, too
            row.version += 1
    elif name := _plain_attribute(type(row)):
        flag_modified(row, name)
    else:  # a flush would not update the key
        key = primary_key(type(row))
        values = {attribute: attribute for attribute in key.attributes}
        same_key = key.is_equal(key.parts(key_of(row)))
        statement = update(type(row)).where(*same_key).values(values)
        with session.no_autoflush:  # one flush writes all rows of a batch
            await session.execute(statement, execution_options={"synchronize_session": False})


def _plain_attribute(model: type[object]) -> str | None:
    """Return an attribute that an UPDATE may set to its own value. None without one."""
    mapper = inspect(model)
    names = (
        name
        for name, column in mapped_columns(model).items()
        if not (column.primary_key or column.computed or column.identity)
        if not (column.onupdate or column is mapper.version_id_col)
        if not mapper.get_property_by_column(column).deferred
    )
    return next(names, None)
