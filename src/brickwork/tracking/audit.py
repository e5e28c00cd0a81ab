"""Audit: who changed what and when, written with every change, in its transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Index,
    Select,
    String,
    Text,
    Uuid,
    event,
    func,
    insert,
    inspect,
    literal,
    or_,
    select,
    tuple_,
    type_coerce,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Mapper, Session, aliased, mapped_column
from typing_extensions import override

from brickwork.models.companions import CompanionTable, register_companion_tables
from brickwork.models.model import JSONDocument, UTCDateTime, new_key, now
from brickwork.query.list_query import ListQuery
from brickwork.query.ordering import SortKey
from brickwork.schemas.schema import ReadSchema
from brickwork.tracking.changes import (
    Action,
    Change,
    ChangeTracked,
    RowChange,
    changes_of_flush,
    is_secret,
    key_text,
    mapped_columns,
    table_name,
    to_json_value,
)

_MAX_ROWS: Final = 500
"""How many rows a statement names."""


class Audited(ChangeTracked):
    """Mixin: every change of a row is an `AuditEntry`, in the same transaction.

    Who it was is what `Resource.actor` returns; a script says it itself, with
    `session.info["actor"] = "import"`. A column that nobody is to read there is declared with
    `mapped_column(info={"audit": False})`: that it changed is told, and not from what to what.
    """


class AuditEntry(CompanionTable):
    """What was done to one row of an `Audited` class, by whom and when."""

    __tablename__ = "audit_entries"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=new_key)
    table_name: Mapped[str] = mapped_column(Text)
    row_key: Mapped[str] = mapped_column(Text)
    action: Mapped[Action] = mapped_column(String(6))
    changes: Mapped[dict[str, Change]] = mapped_column(JSONDocument)
    actor: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)

    __table_args__ = (Index(None, "table_name", "row_key", "id"),)


class AuditEntryRead(ReadSchema):
    """What a history shows: of each field that changed what it was and what it is.

    A field whose values are not shown to clients has neither.
    """

    id: UUID
    action: Action
    changes: dict[str, Change]
    actor: str | None
    request_id: str | None
    created_at: datetime


class HistoryQuery(ListQuery[AuditEntry]):
    """The query parameters of a history; what was done last comes first."""

    @override
    def sort_keys(self) -> Sequence[SortKey[str]]:
        return (SortKey("id", descending=True),)


def audit_entries(model: type[DeclarativeBase], *key: object) -> Select[AuditEntry]:
    """Return the entries of all rows of *model* that ever had this *key*."""
    return select(AuditEntry).where(*_entry_conditions(AuditEntry, model, *key))


def history_statement(row: DeclarativeBase) -> Select[AuditEntry]:
    """Return the entries of *row*, which is in the database.

    The entries of earlier rows with the same key are left out: those before the row was created or
    got its key, and those up to the last deletion.
    """
    entries = audit_entries(type(row), *(inspect(row).identity or ()))
    first = func.coalesce(_latest_key_change(row).scalar_subquery(), _LOWEST)
    return entries.where(AuditEntry.id >= first, AuditEntry.action != "delete")


_LOWEST: Final = literal(UUID(int=0), Uuid)


def _latest_key_change(row: DeclarativeBase) -> Select[UUID]:
    """Return the id of the last entry by which a row got the key of *row*, or lost it."""
    mapper, entry = inspect(type(row)), aliased(AuditEntry)
    changes = type_coerce(entry.changes, JSON)
    keys = [mapper.get_property_by_column(each).key for each in mapper.primary_key]
    got = [changes[each].as_string().is_not(None) for each in keys]
    return (
        select(entry.id)
        .where(*_entry_conditions(entry, type(row), *(inspect(row).identity or ())))
        .where(or_(entry.action != "update", *got))
        .order_by(entry.id.desc())
        .limit(1)
    )


def _entry_conditions(
    entry: type[AuditEntry], model: type[DeclarativeBase], *key: object
) -> tuple[ColumnElement[bool], ...]:
    """Return what is true of an *entry* of a row of *model* with this *key*."""
    return entry.table_name == table_name(model), entry.row_key == key_text(*key)


@event.listens_for(Audited, "instrument_class", propagate=True)
def _register_audit_table(_: Mapper[Any], model: type[DeclarativeBase]) -> None:
    register_companion_tables(model, AuditEntry)


@event.listens_for(Session, "after_flush_postexec")
def _write_audit_entries(session: Session, _: object) -> None:
    # Only now all values are known, and the lock on each row makes its entries follow each other.
    if entries := [_audit_entry(session, each) for each in changes_of_flush(session, Audited)]:
        connection = session.connection()
        _order_deletions_last(connection, [each for each in entries if each["action"] == "delete"])
        connection.execute(insert(AuditEntry), entries)


def _order_deletions_last(connection: Connection, deletions: Sequence[dict[str, Any]]) -> None:
    """Give the entries of *deletions* ids above those that their rows have.

    The clock of another server may be ahead of ours. An entry of a deleted row with a higher id
    would be in the history of the next row with its key.
    """
    entry = tuple_(AuditEntry.table_name, AuditEntry.row_key)
    for start in range(0, len(deletions), _MAX_ROWS):
        part = {
            (each["table_name"], each["row_key"]): each for each in deletions[start:][:_MAX_ROWS]
        }
        later = select(AuditEntry.table_name, AuditEntry.row_key, AuditEntry.id).where(
            entry.in_([*part]), AuditEntry.id > deletions[0]["id"]
        )
        for table, key, last in connection.execute(later):
            mine = part[table, key]
            mine["id"] = max(mine["id"], UUID(int=last.int + 1))


def _audit_entry(session: Session, write: RowChange) -> dict[str, Any]:
    model = type(write.row)
    own = mapped_columns(model)
    return {
        "id": new_key(),
        "table_name": table_name(model),
        "row_key": key_text(*(inspect(write.row).identity or ())),
        "action": write.action,
        "changes": {
            name: {} if is_secret(own[name]) else to_json_value(change)
            for name, change in write.changes.items()
        },
        "actor": session.info.get("actor"),
        "request_id": session.info.get("request_id"),
    }
