"""Related rows that a request writes together with their owner."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from pydantic import BaseModel
from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    PrimaryKeyConstraint,
    Table,
    inspect,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, RelationshipProperty
from sqlalchemy.orm.attributes import flag_modified, set_committed_value

from brickwork.database.errors import reference_not_found
from brickwork.database.flush_log import NestedPlace, set_nested_place
from brickwork.models.model import Timestamped, Versioned, equal_values, now
from brickwork.models.soft_delete import as_soft_deletable
from brickwork.problems import pointer
from brickwork.query.keys import primary_key
from brickwork.query.lookup import base_statement, selected_model
from brickwork.query.related import load_lists
from brickwork.resource.defaults import new_row, replacement_values
from brickwork.resource.references import ReferenceScopes
from brickwork.schemas.names import Path, RequestPlace, input_paths
from brickwork.schemas.related import RelatedField, related_fields, stored_fields
from brickwork.schemas.schema import Schema
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M", bound=DeclarativeBase)

_INPUT: Final = "brickwork.input"
"""Key in the `info` of a row: the validated input that writes it."""

_LOADED: Final = "brickwork.loaded"
"""Key in the `info` of a row: the relationships that are loaded for a change."""


class _Owner(Protocol):
    """The interface of a resource for its related rows."""

    session: AsyncSession

    def reference_scopes(self) -> ReferenceScopes:
        """Return the rows that an attribute may refer to."""
        ...


@dataclass(frozen=True)
class Input:
    """The validated input of one row, and its place in the body."""

    data: BaseModel
    path: Path = ()
    """The index in a batch. Empty for a single row."""


def set_input(row: DeclarativeBase, data: BaseModel) -> None:
    """Record that *data* is the validated input that writes *row*."""
    inspect(row).info[_INPUT] = data


def input_of(row: DeclarativeBase) -> BaseModel | None:
    """Return the validated input that writes *row*. None if no request writes it."""
    data: BaseModel | None = inspect(row).info.get(_INPUT)
    return data


# --- New rows -------------------------------------------------------------------------------------


async def new_rows(
    resource: _Owner, model: type[M], schema: type[Schema], inputs: Sequence[Input]
) -> list[M]:
    """Return a new row of *model* for each of *inputs*, with its related rows.

    Related rows that exist are loaded by one statement for each field of *schema*. Raises
    `UnprocessableContent` with the keys of missing rows.
    """
    columns = stored_fields(schema, model)
    rows = [new_row(model, one.data, columns) for one in inputs]
    fields = related_fields(schema, model).values()
    targets = _Targets(resource)
    for row, one in zip(rows, inputs, strict=True):
        set_input(row, one.data)
        for field in fields:
            if field.kind == "rows":
                items = getattr(one.data, field.name) or ()
                targets.missing |= _unknown_keys(field, items, (), *one.path)
                children = [_new_child(row, field, n, item) for n, item in enumerate(items)]
                setattr(row, field.attribute, children)
    for field in fields:
        if field.kind == "keys":
            for row, found in zip(rows, await targets.find(field, inputs), strict=True):
                setattr(row, field.attribute, found)
    targets.require_all_found()
    return rows


def _unknown_keys(
    field: RelatedField, items: Sequence[BaseModel], known: Collection[object], *before: str | int
) -> set[RequestPlace]:
    """Return the places of keys in *items* that name none of the *known* rows."""
    if not field.finds_rows:
        return set()
    path = input_paths(field.item)[field.key]
    keys = [getattr(item, field.key) for item in items]
    return {
        ("pointer", pointer(*before, *field.path, index, *path))
        for index, key in enumerate(keys)
        if key is not None and key not in known
    }


def _new_child(row: DeclarativeBase, field: RelatedField, index: int, item: BaseModel) -> Any:
    child = new_row(field.model, item, field.columns())
    _set_place(child, row, field, index)
    return child


def _set_place(
    child: DeclarativeBase, row: DeclarativeBase, field: RelatedField, index: int
) -> None:
    path = (*field.path, index)
    set_nested_place(child, NestedPlace(row, field.attribute, path, input_paths(field.item)))


class _Targets:
    """The existing rows that lists of keys name."""

    def __init__(self, resource: _Owner) -> None:
        self._session = resource.session
        self._scopes = resource.reference_scopes()
        self.missing: set[RequestPlace] = set()
        """The places of keys of missing rows."""

    async def find(
        self,
        field: RelatedField,
        inputs: Sequence[Input],
        current: Sequence[Sequence[Any]] | None = None,
    ) -> list[list[Any]]:
        """Return the rows for the keys that each of *inputs* has in *field*.

        *current* are the rows that each has already; these need not be in the scope.
        """
        known = [{_key(row): row for row in rows} for rows in current or [()] * len(inputs)]
        lists: list[Sequence[Any]] = [getattr(one.data, field.name) or () for one in inputs]
        pairs = zip(lists, known, strict=True)
        wanted = {key for keys, own in pairs for key in keys if key not in own}
        found = await self._load(field, wanted) if wanted else {}
        result: list[list[Any]] = []
        for one, keys, own in zip(inputs, lists, known, strict=True):
            rows = {**found, **own}
            result.append([rows[key] for key in keys if key in rows])
            self.missing |= {
                ("pointer", pointer(*one.path, *field.path, n))
                for n, key in enumerate(keys)
                if key not in rows
            }
        return result

    async def _load(self, field: RelatedField, keys: Iterable[object]) -> dict[object, Any]:
        scope = self._scopes.get(field.attribute)
        statement = base_statement(field.model) if scope is None else scope
        model: type[DeclarativeBase] = selected_model(statement)
        key = primary_key(model)
        rows = await self._session.scalars(statement.where(key.in_(keys)))
        return {_key(row): row for row in rows}

    def require_all_found(self) -> None:
        """Raise `UnprocessableContent` if a row is missing, or outside its scope."""
        if self.missing:
            raise reference_not_found(self.missing)


def _key(row: DeclarativeBase) -> object:
    return (inspect(row).identity or (None,))[0]


# --- Changes --------------------------------------------------------------------------------------


async def prepare_changes(
    resource: _Owner,
    rows: Sequence[DeclarativeBase],
    schema: type[Schema],
    inputs: Sequence[Input],
    changes: Sequence[dict[str, Any]],
) -> None:
    """Load the related rows that *changes* of *rows* replace, and the rows that they name.

    A list of keys in *changes* becomes a list of rows, under the name of the relationship. Raises
    `UnprocessableContent` with the keys of missing rows.
    """
    for row, one in zip(rows, inputs, strict=True):
        set_input(row, one.data)
    targets = _Targets(resource)
    for field in related_fields(schema, type(rows[0])).values() if rows else ():
        sent = [n for n, change in enumerate(changes) if field.name in change]
        if not sent:
            continue
        written = [rows[n] for n in sent]
        lists = await _load(resource.session, written, field.relationship)
        if field.kind == "keys":
            own = [inputs[n] for n in sent]
            for n, found in zip(sent, await targets.find(field, own, lists), strict=True):
                del changes[n][field.name]
                changes[n][field.attribute] = found
    targets.require_all_found()


async def _load(
    session: AsyncSession, rows: Sequence[DeclarativeBase], by: RelationshipProperty[Any]
) -> list[list[Any]]:
    """Load the lists of the relationship *by* for *rows*, and return them."""
    lists = await load_lists(session, rows, by)
    for row, related in zip(rows, lists, strict=True):
        set_committed_value(row, by.key, related)
        inspect(row).info.setdefault(_LOADED, set()).add(by.key)
    return lists


async def change_related(
    session: AsyncSession, row: DeclarativeBase, changes: Mapping[str, Any]
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


async def _current(
    session: AsyncSession, row: DeclarativeBase, by: RelationshipProperty[Any]
) -> list[Any]:
    """Return the related rows before the change."""
    loaded: set[str] = inspect(row).info.get(_LOADED, set())
    if by.key not in loaded:
        await _load(session, [row], by)
    inspect(row).info[_LOADED].discard(by.key)
    return [*getattr(row, by.key)]


async def _replace_targets(
    session: AsyncSession,
    row: DeclarativeBase,
    by: RelationshipProperty[Any],
    targets: Sequence[Any],
) -> None:
    """Set the rows of a many-to-many relationship, unless they are the same."""
    if {*await _current(session, row, by)} != {*targets}:
        setattr(row, by.key, [*targets])
        await _touch(session, row)


class _ListChange:
    """The replacement of a one-to-many relationship of *row* by *items*."""

    def __init__(
        self,
        session: AsyncSession,
        row: DeclarativeBase,
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
        current = await _current(self._session, self._row, self._by)
        matches = self._match(current)
        kept = [row for row in matches if row is not None]
        removed = [row for row in current if row not in kept]
        set_committed_value(self._row, self._by.key, kept)
        for row in removed:
            await _remove(self._session, row)
        if removed and matches and _has_unique_values(self._field.model):
            await self._session.flush()  # the other rows may take values of the removed ones
        related: list[Any] = []
        for index, (row, item) in enumerate(zip(matches, self._items, strict=True)):
            related.append(
                _new_child(self._row, self._field, index, item)
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
        rows = {_key(row): row for row in current}
        if missing := _unknown_keys(self._field, self._items, rows):
            raise reference_not_found(missing)
        return [rows.get(getattr(item, self._field.key)) for item in self._items]

    def _match_values(self, current: Sequence[Any]) -> list[Any | None]:
        """Return the row that has the values of each item."""
        waiting = [*current]
        matches: list[Any | None] = []
        for item in self._items:
            values = replacement_values(current[0], item, self._field.columns()) if current else {}
            match = next((row for row in waiting if _has_values(row, values)), None)
            if match is not None:
                waiting.remove(match)
            matches.append(match)
        return matches

    def _update(self, row: Any, index: int, item: Schema) -> Any:
        _set_place(row, self._row, self._field, index)
        for name, value in replacement_values(row, item, self._field.columns()).items():
            setattr(row, name, value)
        return row


def _field_of(
    row: DeclarativeBase, by: RelationshipProperty[Any], items: Sequence[Schema]
) -> RelatedField:
    """Return the field of the input of *row* for the relationship *by*."""
    data = input_of(row)
    fields = related_fields(type(data), type(row)).values() if data else ()
    found = next((field for field in fields if field.relationship is by), None)
    item = type(items[0]) if items else Schema
    return found or RelatedField(by.key, "rows", by, (by.key,), item)


def _has_values(row: DeclarativeBase, values: Mapping[str, Any]) -> bool:
    """Return whether *row* has *values*, which may be SQL expressions."""
    columns = mapped_columns(type(row))
    return all(
        equal_values(columns[name], getattr(row, name), value)
        if name in columns
        else getattr(row, name) == value
        for name, value in values.items()
    )


async def _remove(session: AsyncSession, row: DeclarativeBase) -> None:
    if soft_deletable := as_soft_deletable(row):
        soft_deletable.deleted_at = now()
    else:
        await session.delete(row)


def _has_unique_values(model: type[DeclarativeBase]) -> bool:
    """Return whether a constraint other than the primary key compares rows of *model*."""
    others = (PrimaryKeyConstraint, ForeignKeyConstraint, CheckConstraint)
    tables: list[Any] = [table for table in inspect(model).tables if isinstance(table, Table)]
    return any(
        any(not isinstance(constraint, others) for constraint in table.constraints)
        or any(index.unique for index in table.indexes)
        for table in tables
    )


async def _touch(session: AsyncSession, row: DeclarativeBase) -> None:
    """Make the flush update *row*, because a response shows its related rows.

    A concurrent change of the same lists then waits for this one, or fails and is retried.
    """
    if isinstance(row, Timestamped):
        row.updated_at = now()
    elif isinstance(row, Versioned):
        row.version += 1
    elif name := _plain_attribute(type(row)):
        flag_modified(row, name)
    else:  # a flush would not update the key
        key = primary_key(type(row))
        statement = update(type(row)).where(key == _key(row)).values({key: key})
        with session.no_autoflush:  # one flush writes all rows of a batch
            await session.execute(statement, execution_options={"synchronize_session": False})


def _plain_attribute(model: type[DeclarativeBase]) -> str | None:
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
