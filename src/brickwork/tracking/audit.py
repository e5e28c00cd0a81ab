"""Audit entries, written in the transaction of each change."""

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
from sqlalchemy.orm import Mapped, Mapper, Session, aliased, mapped_column
from typing_extensions import override

from brickwork.database.unit_of_work import actor_of, unit_of_work
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
"""Maximum number of rows in a query."""


class Audited(ChangeTracked):
    """Mixin: every change of a row adds an `AuditEntry` in the same transaction.

    `Resource.actor` returns the actor; a script sets `session.info["actor"] = "import"`. For a
    column with `mapped_column(info={"audit": False})`, an entry records that the column changed,
    but not its values.
    """


class AuditEntry(CompanionTable):
    """A change of one row of an `Audited` class, with its actor and time."""

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
    """An entry of a history: the changed fields with their values before and after.

    A field that clients cannot read has neither value.
    """

    id: UUID
    action: Action
    changes: dict[str, Change]
    actor: str | None
    request_id: str | None
    created_at: datetime


class HistoryQuery(ListQuery[AuditEntry]):
    """The query parameters of a history, newest entry first."""

    @override
    def sort_keys(self) -> Sequence[SortKey[str]]:
        return (SortKey("id", descending=True),)


def audit_entries(model: type[object], *key: object) -> Select[AuditEntry]:
    """Return a SELECT of the entries of all rows of *model* that ever had this *key*."""
    return select(AuditEntry).where(*_entry_conditions(AuditEntry, model, *key))


def history_statement(row: object) -> Select[AuditEntry]:
    """Return a SELECT of the entries of *row*, which exists in the database.

    It excludes the entries of earlier rows with the same key.
    """
    entries = audit_entries(type(row), *(inspect(row).identity or ()))
    first = func.coalesce(_latest_key_change(row).scalar_subquery(), _LOWEST)
    return entries.where(AuditEntry.id >= first, AuditEntry.action != "delete")


_LOWEST: Final = literal(UUID(int=0), Uuid)


def _latest_key_change(row: object) -> Select[UUID]:
    """Return a SELECT of the last entry's id by which a row got or lost the key of *row*."""
    mapper, entry = inspect(type(row)), aliased(AuditEntry)
    changes = type_coerce(entry.changes, JSON)
    keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    has_new_key = [changes[key].as_string().is_not(None) for key in keys]
    return (
        select(entry.id)
        .where(*_entry_conditions(entry, type(row), *(inspect(row).identity or ())))
        .where(or_(entry.action != "update", *has_new_key))
        .order_by(entry.id.desc())
        .limit(1)
    )


def _entry_conditions(
    entry: type[AuditEntry], model: type[object], *key: object
) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that select entries of rows of *model* with this *key*."""
    return entry.table_name == table_name(model), entry.row_key == key_text(*key)


@event.listens_for(Audited, "instrument_class", propagate=True)
def _register_audit_table(mapper: Mapper[Any], _: object) -> None:
    register_companion_tables(mapper, AuditEntry)


def write_audit_entries(session: Session, _: object) -> None:
    """Write the entries of the rows that a flush changed. A hook of `after_flush_postexec`."""
    # After the flush all values are known, and the locks on its rows order their entries.
    changes = changes_of_flush(session, Audited)
    if entries := [_audit_entry(session, change) for change in changes]:
        connection = session.connection()
        deletions = [entry for entry in entries if entry["action"] == "delete"]
        _order_deletions_last(connection, deletions)
        connection.execute(insert(AuditEntry), entries)


def _order_deletions_last(connection: Connection, deletions: Sequence[dict[str, Any]]) -> None:
    """Raise the ids of *deletions* above those of all earlier entries of their rows.

    The clock of another server may be ahead. An earlier entry with a higher id than the deletion
    would appear in the history of the next row with the same key.
    """
    entry = tuple_(AuditEntry.table_name, AuditEntry.row_key)
    for start in range(0, len(deletions), _MAX_ROWS):
        chunk = deletions[start:][:_MAX_ROWS]
        part = {(values["table_name"], values["row_key"]): values for values in chunk}
        later = select(AuditEntry.table_name, AuditEntry.row_key, AuditEntry.id).where(
            entry.in_([*part]), AuditEntry.id > deletions[0]["id"]
        )
        for table, key, last in connection.execute(later):
            deletion = part[table, key]
            deletion["id"] = max(deletion["id"], UUID(int=last.int + 1))


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
        "actor": actor_of(session),
        "request_id": unit_of_work(session).request_id,
    }
