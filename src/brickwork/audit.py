"""Audit: who changed what and when, written with every change, in its transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Select, String, Text, Uuid, event, insert, inspect, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Mapper, Session, mapped_column
from typing_extensions import override

from brickwork.lists import ListQuery
from brickwork.models import JSONDocument, UTCDateTime, new_key, now
from brickwork.schemas import ReadSchema
from brickwork.sorting import SortKey
from brickwork.writes import (
    Action,
    Change,
    Companion,
    Noted,
    Write,
    accompany,
    columns,
    is_secret,
    jsonable,
    key_text,
    table_name,
    written,
)


class Audited(Noted):
    """Mixin: every change of a row is an `AuditEntry`, in the same transaction.

    Who it was is what `Resource.actor` returns; a script says it itself, with
    `session.info["actor"] = "import"`. A column that nobody is to read there is declared with
    `mapped_column(info={"audit": False})`: that it changed is told, and not from what to what.
    """


class AuditEntry(Companion):
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
    """Return the entries of the row of *model* with this *key*, be it still there or not."""
    return select(AuditEntry).where(
        AuditEntry.table_name == table_name(model), AuditEntry.row_key == key_text(*key)
    )


@event.listens_for(Audited, "instrument_class", propagate=True)
def _declare(_: Mapper[Any], model: type[DeclarativeBase]) -> None:
    accompany(model, AuditEntry)


@event.listens_for(Session, "after_flush_postexec")
def _record(session: Session, _: object) -> None:
    # Only now all values are known, and the lock on each row makes its entries follow each other.
    if entries := [_entry(session, each) for each in written(session, Audited)]:
        session.connection().execute(insert(AuditEntry), entries)


def _entry(session: Session, write: Write) -> dict[str, Any]:
    model = type(write.row)
    own = columns(model)
    return {
        "table_name": table_name(model),
        "row_key": key_text(*(inspect(write.row).identity or ())),
        "action": write.action,
        "changes": {
            name: {} if is_secret(own[name]) else jsonable(change)
            for name, change in write.changes.items()
        },
        "actor": session.info.get("actor"),
        "request_id": session.info.get("request_id"),
    }
