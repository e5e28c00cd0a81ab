"""Rows that a flush wrote, and the changes of their columns.

Two kinds of changes bypass the flush and are not tracked:

- changes by the database itself, such as ON DELETE CASCADE and triggers
- bulk statements, such as `session.execute(update(Article))`
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from typing import Any, Literal, TypeAlias, cast

from pydantic_core import from_json, to_json
from sqlalchemy import Column, Connection, Table, event, inspect, select
from sqlalchemy.orm import Mapper, Session, object_session
from sqlalchemy.orm.attributes import set_committed_value

from brickwork.database.unit_of_work import unit_of_work
from brickwork.models.caching import cached_per_model
from brickwork.models.model import equal_values
from brickwork.schemas.types import to_base64

Action: TypeAlias = Literal["create", "update", "delete"]
"""The kind of change of a row."""

Change: TypeAlias = dict[Literal["before", "after"], Any]
"""The values of a column. A new row has no *before*, a deleted row no *after*."""


class ChangeTracked:
    """Mixin: flushes record changes of these rows, for `Audited` and `PublishesEvents`."""


@dataclass(frozen=True, eq=False)
class RowChange:
    """A change of one row by a flush."""

    row: object
    action: Action
    before: Mapping[str, Any]
    """The stored values of all columns that may have changed."""

    @cached_property
    def changes(self) -> Mapping[str, Change]:
        """Return the changed columns by attribute name. All columns of a new row have changed."""
        if self.action == "delete":
            return {name: {"before": value} for name, value in self.before.items()}
        if self.action == "create":
            return {name: {"after": value} for name, value in stored_values(self.row).items()}
        own, after = mapped_columns(type(self.row)), stored_values(self.row, self.before.keys())
        return {
            name: {"before": old, "after": after[name]}
            for name, old in self.before.items()
            if not equal_values(own[name], old, after[name])
        }


@dataclass(eq=False)
class _FlushChanges:
    """The changes of a session by its last flush, in their order."""

    changes: list[RowChange] = field(default_factory=list[RowChange])


def changes_of_flush(session: Session, kind: type[ChangeTracked]) -> list[RowChange]:
    """Return the changes of rows of *kind* by the current flush, in their order."""
    changes = unit_of_work(session).part(_FlushChanges).changes
    return [change for change in changes if isinstance(change.row, kind) and change.changes]


@cached_per_model
def mapped_columns(model: type[object]) -> Mapping[str, Column[Any]]:
    """Return the columns of *model* by attribute name."""
    mapper: Mapper[Any] = inspect(model)
    return {
        attribute.key: column
        for attribute in mapper.column_attrs
        for column in attribute.columns[:1]
        if isinstance(column, Column)  # not an expression
    }


def is_secret(column: Column[Any]) -> bool:
    """Return whether audit entries and events exclude the values of *column*."""
    return not column.info.get("audit", True)


def stored_values(row: object, names: Collection[str] | None = None) -> dict[str, Any]:
    """Return what is stored of a *row* that was flushed, in *names* or in every column."""
    loaded = inspect(row).dict
    wanted = mapped_columns(type(row)).keys() if names is None else names
    known = {name: loaded[name] for name in wanted if name in loaded}
    return _fill_missing(_session_of(row).connection(), row, wanted, known)


def table_name(model: type[object]) -> str:
    """Return the name of the table of *model*, or of the root of its inheritance."""
    return cast("Table[Any]", inspect(model).base_mapper.local_table).fullname


def key_text(*key: object) -> str:
    """Return a primary *key* as text. A composite key becomes a JSON array."""
    return str(key[0]) if len(key) == 1 else to_json(key, fallback=str).decode()


def to_json_value(value: object) -> Any:
    """Return *value* in the types of JSON. Bytes are base64. Other types become text."""
    text = to_json(_encode_bytes(value), inf_nan_mode="strings", fallback=str)
    return from_json(text)


def _encode_bytes(value: Any) -> Any:
    match value:
        case bytes():
            return to_base64(value)
        case dict():
            members = cast("dict[object, object]", value)
            return {name: _encode_bytes(member) for name, member in members.items()}
        case list():
            return [_encode_bytes(item) for item in cast("list[object]", value)]
        case _:
            return value


def reset_changes(session: Session, *_: object) -> None:
    """Forget the changes of the last flush, which may have failed. A hook of `before_flush`."""
    unit_of_work(session).part(_FlushChanges).changes = []


@event.listens_for(ChangeTracked, "before_insert", propagate=True)
def _track_insert(mapper: Mapper[Any], connection: Connection, row: object) -> None:
    identities = _session_of(row).identity_map
    old: object | None = identities.get(mapper.identity_key_from_instance(row))
    if old is not None:  # deleted in the same flush: SQLAlchemy merges both into an UPDATE
        names = mapped_columns(type(row)).keys() & mapped_columns(type(old)).keys()
        _append_change(row, "update", _values_before(connection, old, names))
        return
    for name in inspect(row).unloaded & _nullable_columns(type(row)):
        set_committed_value(row, name, None)  # its value after the INSERT, without a query
    _append_change(row, "create", {})


@cached_per_model
def _nullable_columns(model: type[object]) -> frozenset[str]:
    """Return the names of the columns that are NULL in a new row by default."""
    return frozenset(
        name
        for name, column in mapped_columns(model).items()
        if not (column.primary_key or column.default or column.server_default)
        if not column.type.should_evaluate_none  # stores JSON null, not NULL
    )


@event.listens_for(ChangeTracked, "before_update", propagate=True)
def _track_update(_: Mapper[Any], connection: Connection, row: object) -> None:
    # An attribute that is neither loaded nor set changes only by an `onupdate` default.
    columns = mapped_columns(type(row))
    on_update = {name for name, col in columns.items() if col.onupdate or col.server_onupdate}
    loaded = columns.keys() - inspect(row).unloaded
    _append_change(row, "update", _values_before(connection, row, loaded | on_update))


@event.listens_for(ChangeTracked, "before_delete", propagate=True)
def _track_delete(_: Mapper[Any], connection: Connection, row: object) -> None:
    _append_change(row, "delete", _values_before(connection, row, mapped_columns(type(row)).keys()))


def _append_change(row: object, action: Action, before: Mapping[str, Any]) -> None:
    changes = unit_of_work(_session_of(row)).part(_FlushChanges).changes
    changes.append(RowChange(row, action, before))


def _session_of(row: object) -> Session:
    return cast("Session", object_session(row))  # never None during a flush


def _values_before(connection: Connection, row: object, names: Collection[str]) -> dict[str, Any]:
    """Return the stored values of *names*, from the attribute history or the database."""
    attributes = inspect(row).attrs
    histories = {name: attributes[name].history for name in names}
    known = {
        name: value
        for name, history in histories.items()
        for value in (history.deleted or history.unchanged or ())
    }
    return _fill_missing(connection, row, names, known)


def _fill_missing(
    connection: Connection, row: object, names: Collection[str], known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of *names*. Read those from the database that are not *known*."""
    missing = [name for name in names if name not in known]
    values = {**known, **_read_columns(connection, row, missing)} if missing else known
    return {name: values[name] for name in mapped_columns(type(row)) if name in values}


def _read_columns(connection: Connection, row: object, names: Sequence[str]) -> dict[str, Any]:
    """Read the columns *names* of *row*. The values are None if the row no longer exists."""
    mapper, columns = inspect(type(row)), mapped_columns(type(row))
    keys = zip(mapper.primary_key, inspect(row).identity or (), strict=True)
    statement = select(*(columns[name] for name in names)).select_from(mapper.persist_selectable)
    values = connection.execute(statement.where(*(key == value for key, value in keys))).first()
    return dict(zip(names, values or repeat(None), strict=False))
