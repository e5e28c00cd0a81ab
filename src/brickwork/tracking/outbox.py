"""Outbox of events, numbered in commit order.

A transaction writes its events just before the commit, and holds a lock until the commit is done.
No reader can see an event before one with a lower number. SQLite needs no lock: it has one writer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import (
    BigInteger,
    CursorResult,
    Index,
    Integer,
    String,
    Text,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    Mapped,
    Mapper,
    Session,
    SessionTransaction,
    mapped_column,
)

from brickwork.database.unit_of_work import unit_of_work
from brickwork.models.companions import CompanionTable, register_companion_tables
from brickwork.models.model import JSONDocument, UTCDateTime, now
from brickwork.tracking.changes import (
    Action,
    ChangeTracked,
    RowChange,
    changes_of_flush,
    is_secret,
    key_text,
    mapped_columns,
    stored_values,
    table_name,
    to_json_value,
)

_SequenceType = BigInteger().with_variant(Integer, "sqlite")

_LOCK: Final = 0x6272_6963_6B77  # one that no other advisory lock of the database is likely to be

_INSERTS: Final[Mapping[str, Callable[[Any], postgresql.Insert | sqlite.Insert]]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}

_DELETED_UP_TO: Final = ""
"""The consumer name whose offset is the number of the last deleted event."""


class PublishesEvents(ChangeTracked):
    """Mixin: every committed change of a row becomes an `OutboxEvent`."""

    def event_data(self) -> Mapping[str, Any]:
        """Return the data of an event: the columns of the row. Override it for other data.

        Columns with `info={"audit": False}` are excluded.
        """
        columns = mapped_columns(type(self))
        names = {name for name, column in columns.items() if not is_secret(column)}
        return stored_values(self, names)


class OutboxEvent(CompanionTable):
    """A committed change of a row. *data* is None for a deleted row."""

    __tablename__ = "outbox_events"

    sequence: Mapped[int] = mapped_column(_SequenceType, primary_key=True)
    table_name: Mapped[str] = mapped_column(Text)
    row_key: Mapped[str] = mapped_column(Text)
    action: Mapped[Action] = mapped_column(String(6))
    data: Mapped[dict[str, Any] | None] = mapped_column(JSONDocument)
    request_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)

    # Without AUTOINCREMENT, SQLite would reuse the numbers of deleted events.
    __table_args__ = (Index(None, "created_at"), {"sqlite_autoincrement": True})


class ConsumerOffset(CompanionTable):
    """The number of the last event that a consumer has fetched."""

    __tablename__ = "outbox_positions"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    sequence: Mapped[int] = mapped_column(_SequenceType)


@dataclass(frozen=True)
class Consumer:
    """Fetches each event once and in order.

    The offset is stored in the caller's transaction, together with the effects of the events. A new
    consumer starts with the oldest event. Concurrent fetches under one name wait for each other.
    """

    name: str

    def __post_init__(self) -> None:
        """Raise `ValueError` for an empty name."""
        if self.name == _DELETED_UP_TO:
            raise ValueError("A consumer needs a name: Consumer('search').")

    async def fetch(self, session: AsyncSession, *, limit: int = 100) -> Sequence[OutboxEvent]:
        """Return the next events, *limit* at most. They count as fetched if *session* commits."""
        position = await self._position(session)
        events = await read_events(session, position.sequence, limit=limit)
        if events:
            position.sequence = events[-1].sequence
        return events

    async def _position(self, session: AsyncSession) -> ConsumerOffset:
        """Return the offset of this consumer, locked until the transaction ends."""
        own = select(ConsumerOffset).where(ConsumerOffset.name == self.name).with_for_update()
        own = own.execution_options(populate_existing=True)
        if (position := await session.scalar(own)) is not None:
            return position
        oldest = await _lock_deleted_up_to(session)
        if (position := await session.scalar(own)) is None:  # no concurrent fetch created it
            position = ConsumerOffset(name=self.name, sequence=oldest)
            session.add(position)
            await session.flush()
        return position


async def read_events(
    session: AsyncSession, after: int, *, limit: int = 100
) -> Sequence[OutboxEvent]:
    """Return the events with numbers above *after*, in commit order.

    A reader that continues after the last number misses no event. Raises `LookupError` if events
    after that number were deleted.
    """
    mark = select(ConsumerOffset.sequence).where(ConsumerOffset.name == _DELETED_UP_TO)
    statement = select(OutboxEvent, mark.scalar_subquery())  # both from one snapshot
    statement = statement.where(OutboxEvent.sequence > after).order_by(OutboxEvent.sequence)
    rows = (await session.execute(statement.limit(limit))).all()
    for _, last in rows[:1]:
        if (last or 0) > after:
            raise LookupError(
                f"The events up to {last} were deleted: read the rows themselves, then the "
                f"events after {last}."
            )
    return [event for event, _ in rows]


async def delete_events(session: AsyncSession, *, before: datetime) -> int:
    """Delete events from *before* an instant, and return their number.

    Events that a `Consumer` has not fetched are kept. If a consumer no longer exists, delete its
    row in `outbox_positions` first.
    """
    await _lock_deleted_up_to(session)
    offsets = select(func.min(ConsumerOffset.sequence)).where(ConsumerOffset.name != _DELETED_UP_TO)
    old = select(func.max(OutboxEvent.sequence)).where(OutboxEvent.created_at < before)
    slowest, last = await session.scalar(offsets), await session.scalar(old)
    if last is None:
        return 0
    last = last if slowest is None else min(last, slowest)
    result = await session.execute(delete(OutboxEvent).where(OutboxEvent.sequence <= last))
    mark = update(ConsumerOffset).where(ConsumerOffset.name == _DELETED_UP_TO)
    await session.execute(mark.values(sequence=last))
    return cast("CursorResult[Any]", result).rowcount


async def _lock_deleted_up_to(session: AsyncSession) -> int:
    """Return the number of the last deleted event, and lock its row.

    The lock is an UPDATE, so that a transaction with an older snapshot fails.
    """
    insert = _INSERTS[session.get_bind().dialect.name](ConsumerOffset)
    mark = insert.values(name=_DELETED_UP_TO, sequence=0).on_conflict_do_update(
        index_elements=["name"], set_={"sequence": ConsumerOffset.sequence}
    )
    sequence: int = (await session.scalars(mark.returning(ConsumerOffset.sequence))).one()
    return sequence


@dataclass(frozen=True)
class _EventGroup:
    """Events to write if *transaction* and its enclosing transactions commit."""

    transaction: SessionTransaction | None
    events: Sequence[Mapping[str, Any]]

    def belongs_to(self, outer: SessionTransaction) -> bool:
        inner = self.transaction
        while inner is not None and inner is not outer:
            inner = inner.parent
        return inner is outer


@dataclass(eq=False)
class _PendingEvents:
    """The events of a session that are not written yet."""

    groups: list[_EventGroup] = field(default_factory=list[_EventGroup])
    is_committing: bool = False
    """Whether the transaction has written its events, and is about to commit."""


@event.listens_for(PublishesEvents, "instrument_class", propagate=True)
def _register_outbox_tables(mapper: Mapper[Any], _: object) -> None:
    register_companion_tables(mapper, OutboxEvent, ConsumerOffset)


def collect_events(session: Session, _: object) -> None:
    """Collect the events of the rows that a flush changed. A hook of `after_flush_postexec`."""
    pending = unit_of_work(session).part(_PendingEvents)
    changes = changes_of_flush(session, PublishesEvents)
    if events := [_event_values(session, change) for change in changes]:
        transaction = session.get_nested_transaction() or session.get_transaction()
        pending.groups.append(_EventGroup(transaction, events))
    if pending.is_committing:  # a later listener of the application flushed
        _write_events(session)


def write_events_before_commit(session: Session) -> None:
    """Flush, and write the pending events. A hook of `before_commit`."""
    if not session.in_nested_transaction():
        session.flush()
        _write_events(session)
        unit_of_work(session).part(_PendingEvents).is_committing = True


def discard_rolled_back_events(session: Session, ended: SessionTransaction) -> None:
    """Discard the events of a transaction or savepoint. A hook of `after_soft_rollback`."""
    pending = unit_of_work(session).part(_PendingEvents)
    pending.groups = [group for group in pending.groups if not group.belongs_to(ended)]


def discard_pending_events(session: Session, ended: SessionTransaction) -> None:
    """Discard the events that no commit has written. A hook of `after_transaction_end`."""
    pending = unit_of_work(session).part(_PendingEvents)
    if ended.parent is None:
        pending.groups, pending.is_committing = [], False


def _event_values(session: Session, write: RowChange) -> dict[str, Any]:
    row = cast("PublishesEvents", write.row)
    return {
        "table_name": table_name(type(write.row)),
        "row_key": key_text(*(inspect(write.row).identity or ())),
        "action": write.action,
        "data": None if write.action == "delete" else to_json_value(row.event_data()),
        "request_id": unit_of_work(session).request_id,
    }


def _write_events(session: Session) -> None:
    pending = unit_of_work(session).part(_PendingEvents)
    groups, pending.groups = pending.groups, []
    if events := [values for group in groups for values in group.events]:
        connection = session.connection()
        if connection.dialect.name == "postgresql":  # the lock lasts until the commit is done
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        connection.execute(insert(OutboxEvent), events)
