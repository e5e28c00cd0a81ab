"""Writes: which rows a flush wrote, and how their columns changed.

What the database does by itself (ON DELETE CASCADE, triggers) and what a statement does to many
rows at once (`session.execute(update(Article))`) passes no flush, and is not seen here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import repeat
from typing import Any, Final, Literal, TypeAlias, cast

from pydantic_core import from_json, to_json
from sqlalchemy import Column, Connection, Table, event, inspect, select
from sqlalchemy.orm import DeclarativeBase, Mapper, Session, object_session
from sqlalchemy.orm.attributes import set_committed_value

Action: TypeAlias = Literal["create", "update", "delete"]
"""What was done to a row."""

Change: TypeAlias = dict[Literal["before", "after"], Any]
"""What a column held; that of a new row has no *before*, that of a deleted one no *after*."""

_CHANGES_KEY: Final = "brickwork.writes"


class ChangeTracked:
    """Mixin: what sessions write of these rows is noted, as `Audited` and `Published` need it."""


@dataclass(frozen=True, eq=False)
class RowChange:
    """What a flush did to one row."""

    row: DeclarativeBase
    action: Action
    before: Mapping[str, Any]
    """What was stored, of every column that may have changed."""

    @cached_property
    def changes(self) -> Mapping[str, Change]:
        """The columns that changed, by the names of their attributes; all of a row that is new."""
        if self.action == "delete":
            return {name: {"before": value} for name, value in self.before.items()}
        if self.action == "create":
            return {name: {"after": value} for name, value in stored_values(self.row).items()}
        own, after = mapped_columns(type(self.row)), stored_values(self.row, self.before.keys())
        return {
            name: {"before": old, "after": after[name]}
            for name, old in self.before.items()
            if not own[name].type.compare_values(old, after[name])
        }


def changes_of_flush(session: Session, kind: type[ChangeTracked]) -> list[RowChange]:
    """Return what the flush that ends has changed of rows of *kind*, in the order it did."""
    noted: list[RowChange] = session.info[_CHANGES_KEY]
    return [each for each in noted if isinstance(each.row, kind) and each.changes]


@cache
def mapped_columns(model: type[DeclarativeBase]) -> Mapping[str, Column[Any]]:
    """Return the columns of *model*, by the names of their attributes."""
    return {
        each.key: column
        for each in inspect(model).column_attrs
        for column in each.columns[:1]
        if isinstance(column, Column)  # and no expression
    }


def is_secret(column: Column[Any]) -> bool:
    """Tell whether the values of *column* are kept out of everything that tells of changes."""
    return not column.info.get("audit", True)


def stored_values(row: DeclarativeBase, names: Collection[str] | None = None) -> dict[str, Any]:
    """Return what is stored of a *row* that was flushed, in *names* or in every column."""
    loaded = inspect(row).dict
    wanted = mapped_columns(type(row)).keys() if names is None else names
    known = {name: loaded[name] for name in wanted if name in loaded}
    return _fill_missing(_session_of(row).connection(), row, wanted, known)


def table_name(model: type[DeclarativeBase]) -> str:
    """Return the name of the table that has the rows of *model*, or of what it inherits from."""
    return cast("Table[Any]", inspect(model).base_mapper.local_table).fullname


def key_text(*key: object) -> str:
    """Return a primary *key* as text; one of several columns as a JSON array."""
    return str(key[0]) if len(key) == 1 else to_json(key, fallback=str).decode()


def to_json_value(value: object) -> Any:
    """Return *value* in the types of JSON; what JSON does not know is text."""
    text = to_json(value, bytes_mode="base64", inf_nan_mode="strings", fallback=str)
    return from_json(text)


@event.listens_for(Session, "before_flush")
def _reset_changes(session: Session, *_: object) -> None:
    session.info[_CHANGES_KEY] = []  # those of a flush that failed do not count


@event.listens_for(ChangeTracked, "before_insert", propagate=True)
def _track_insert(mapper: Mapper[Any], connection: Connection, row: DeclarativeBase) -> None:
    known = _session_of(row).identity_map
    old: DeclarativeBase | None = known.get(mapper.identity_key_from_instance(row))
    if old is not None:  # and is deleted in the same flush: SQLAlchemy makes an update of both
        names = mapped_columns(type(row)).keys() & mapped_columns(type(old)).keys()
        _append_change(row, "update", _values_before(connection, old, names))
        return
    for name in inspect(row).unloaded & _nullable_columns(type(row)):
        set_committed_value(row, name, None)  # as it will be, without asking the database
    _append_change(row, "create", {})


@cache
def _nullable_columns(model: type[DeclarativeBase]) -> frozenset[str]:
    """Return the names of the columns that are NULL in a new row which was given no value."""
    return frozenset(
        name
        for name, each in mapped_columns(model).items()
        if not (each.primary_key or each.default or each.server_default)
        if not each.type.should_evaluate_none  # JSON that is null, and no NULL
    )


@event.listens_for(ChangeTracked, "before_update", propagate=True)
def _track_update(_: Mapper[Any], connection: Connection, row: DeclarativeBase) -> None:
    # What is neither loaded nor set changes only where a default or the database changes it.
    own = mapped_columns(type(row))
    moving = {name for name, each in own.items() if each.onupdate or each.server_onupdate}
    touched = own.keys() - inspect(row).unloaded
    _append_change(row, "update", _values_before(connection, row, touched | moving))


@event.listens_for(ChangeTracked, "before_delete", propagate=True)
def _track_delete(_: Mapper[Any], connection: Connection, row: DeclarativeBase) -> None:
    _append_change(row, "delete", _values_before(connection, row, mapped_columns(type(row)).keys()))


def _append_change(row: DeclarativeBase, action: Action, before: Mapping[str, Any]) -> None:
    _session_of(row).info[_CHANGES_KEY].append(RowChange(row, action, before))


def _session_of(row: DeclarativeBase) -> Session:
    return cast("Session", object_session(row))  # a row that is flushed has one


def _values_before(
    connection: Connection, row: DeclarativeBase, names: Collection[str]
) -> dict[str, Any]:
    """Return what the database has in *names*: known since it was loaded, or read now."""
    attributes = inspect(row).attrs
    histories = {name: attributes[name].history for name in names}
    known = {
        name: value
        for name, each in histories.items()
        for value in (each.deleted or each.unchanged or ())
    }
    return _fill_missing(connection, row, names, known)


def _fill_missing(
    connection: Connection, row: DeclarativeBase, names: Collection[str], known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of *names*, those that are not *known* as the database has them."""
    missing = [name for name in names if name not in known]
    values = {**known, **_read_columns(connection, row, missing)} if missing else known
    return {name: values[name] for name in mapped_columns(type(row)) if name in values}


def _read_columns(
    connection: Connection, row: DeclarativeBase, names: Sequence[str]
) -> dict[str, Any]:
    """Return the columns *names* of *row* as the database has them; None if the row is gone."""
    mapper, own = inspect(type(row)), mapped_columns(type(row))
    keys = zip(mapper.primary_key, inspect(row).identity or (), strict=True)
    statement = select(*(own[name] for name in names)).select_from(mapper.persist_selectable)
    found = connection.execute(statement.where(*(key == value for key, value in keys))).first()
    return dict(zip(names, found or repeat(None), strict=False))
