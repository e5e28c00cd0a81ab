"""Outbox: every committed change of a row is an event, numbered in the order of the commits.

Events are written as the last thing before the commit. From then until it is done, a transaction
holds a lock, so that a number is never seen before a lower one (SQLite has one writer anyway).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    DeclarativeBase,
    Mapped,
    Mapper,
    Session,
    SessionTransaction,
    mapped_column,
)

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

_PENDING: Final = "brickwork.outbox.pending"
_COMMITTING: Final = "brickwork.outbox.committing"
_DELETED_UP_TO: Final = ""
"""The name whose position is that of the last event which is no longer there."""


class PublishesEvents(ChangeTracked):
    """Mixin: every change of a row becomes an `OutboxEvent` when its transaction commits."""

    def event_data(self) -> Mapping[str, Any]:
        """Return what an event tells of this row: its columns; override to tell something else.

        Without those that an audit does not show, either.
        """
        row = cast("DeclarativeBase", self)
        own = mapped_columns(type(row))
        return stored_values(row, {name for name, each in own.items() if not is_secret(each)})


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

    # SQLite would give the numbers of forgotten events to others.
    __table_args__ = (Index(None, "created_at"), {"sqlite_autoincrement": True})


class ConsumerOffset(CompanionTable):
    """How far a consumer is: the number of the last event it has taken."""

    __tablename__ = "outbox_positions"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    sequence: Mapped[int] = mapped_column(_SequenceType)


@dataclass(frozen=True)
class Consumer:
    """Takes each event once and in order, in one transaction with what is done about it.

    A new name begins with the oldest event there is. Of several that take under one name at the
    same time, each waits for the one before.
    """

    name: str

    def __post_init__(self) -> None:
        """Refuse to be without a name."""
        if self.name == _DELETED_UP_TO:
            raise ValueError("A consumer is known by its name: Consumer('search').")

    async def fetch(self, session: AsyncSession, *, limit: int = 100) -> Sequence[OutboxEvent]:
        """Return the next events; they are taken if the transaction of *session* commits."""
        position = await self._position(session)
        events = await read_events(session, position.sequence, limit=limit)
        if events:
            position.sequence = events[-1].sequence
        return events

    async def _position(self, session: AsyncSession) -> ConsumerOffset:
        """Return how far this consumer is, locked until the transaction ends."""
        known = select(ConsumerOffset).where(ConsumerOffset.name == self.name).with_for_update()
        known = known.execution_options(populate_existing=True)
        if (position := await session.scalar(known)) is not None:
            return position
        oldest = await _lock_deleted_up_to(session)
        if (position := await session.scalar(known)) is None:  # nor was another quicker
            position = ConsumerOffset(name=self.name, sequence=oldest)
            session.add(position)
            await session.flush()
        return position


async def read_events(
    session: AsyncSession, after: int, *, limit: int = 100
) -> Sequence[OutboxEvent]:
    """Return the events behind the number *after*, in the order in which they were committed.

    Whoever goes on after the number of the last one misses none. Raises `LookupError` if events
    behind *after* were forgotten.
    """
    mark = select(ConsumerOffset.sequence).where(ConsumerOffset.name == _DELETED_UP_TO)
    statement = select(OutboxEvent, mark.scalar_subquery())  # both as of one instant
    statement = statement.where(OutboxEvent.sequence > after).order_by(OutboxEvent.sequence)
    found = (await session.execute(statement.limit(limit))).all()
    for _, last in found[:1]:
        if (last or 0) > after:
            raise LookupError(
                f"The events up to {last} were forgotten: read the rows themselves, then the "
                f"events after {last}."
            )
    return [each for each, _ in found]


async def delete_events(session: AsyncSession, *, before: datetime) -> int:
    """Remove events from *before* an instant, and return how many.

    Those that a `Consumer` has yet to take stay; one that is gone for good has its row in
    `outbox_positions`, to be removed first.
    """
    await _lock_deleted_up_to(session)
    others = select(func.min(ConsumerOffset.sequence)).where(ConsumerOffset.name != _DELETED_UP_TO)
    old = select(func.max(OutboxEvent.sequence)).where(OutboxEvent.created_at < before)
    slowest, last = await session.scalar(others), await session.scalar(old)
    if last is None:
        return 0
    last = last if slowest is None else min(last, slowest)
    removed = await session.execute(delete(OutboxEvent).where(OutboxEvent.sequence <= last))
    mark = update(ConsumerOffset).where(ConsumerOffset.name == _DELETED_UP_TO)
    await session.execute(mark.values(sequence=last))
    return cast("CursorResult[Any]", removed).rowcount


async def _lock_deleted_up_to(session: AsyncSession) -> int:
    """Return the number of the last event that was forgotten, and lock it.

    It is written for that: a transaction that has seen an older state then fails, at whatever
    isolation, instead of going on with it.
    """
    insert = _INSERTS[session.get_bind().dialect.name](ConsumerOffset)
    mark = insert.values(name=_DELETED_UP_TO, sequence=0).on_conflict_do_update(
        index_elements=["name"], set_={"sequence": ConsumerOffset.sequence}
    )
    sequence: int = (await session.scalars(mark.returning(ConsumerOffset.sequence))).one()
    return sequence


@dataclass(frozen=True)
class _PendingEvents:
    """What is to be published, if *transaction* and those around it commit."""

    transaction: SessionTransaction | None
    events: Sequence[Mapping[str, Any]]

    def belongs_to(self, outer: SessionTransaction) -> bool:
        inner = self.transaction
        while inner is not None and inner is not outer:
            inner = inner.parent
        return inner is outer


@event.listens_for(PublishesEvents, "instrument_class", propagate=True)
def _register_outbox_tables(_: Mapper[Any], model: type[DeclarativeBase]) -> None:
    register_companion_tables(model, OutboxEvent, ConsumerOffset)


@event.listens_for(Session, "after_flush_postexec")
def _collect_events(session: Session, _: object) -> None:
    if events := [
        _event_values(session, each) for each in changes_of_flush(session, PublishesEvents)
    ]:
        transaction = session.get_nested_transaction() or session.get_transaction()
        session.info.setdefault(_PENDING, []).append(_PendingEvents(transaction, events))
    if session.info.get(_COMMITTING):  # a hook of the application wrote after ours
        _write_events(session)


@event.listens_for(Session, "before_commit")
def _write_before_commit(session: Session) -> None:
    if not session.in_nested_transaction():
        session.flush()
        _write_events(session)
        session.info[_COMMITTING] = True


@event.listens_for(Session, "after_soft_rollback")
def _discard_rolled_back(session: Session, ended: SessionTransaction) -> None:
    pending: list[_PendingEvents] = session.info.get(_PENDING, [])
    session.info[_PENDING] = [each for each in pending if not each.belongs_to(ended)]


@event.listens_for(Session, "after_transaction_end")
def _reset(session: Session, ended: SessionTransaction) -> None:
    if ended.parent is None:
        session.info.pop(_PENDING, None)
        session.info.pop(_COMMITTING, None)


def _event_values(session: Session, write: RowChange) -> dict[str, Any]:
    row = cast("PublishesEvents", write.row)
    return {
        "table_name": table_name(type(write.row)),
        "row_key": key_text(*(inspect(write.row).identity or ())),
        "action": write.action,
        "data": None if write.action == "delete" else to_json_value(row.event_data()),
        "request_id": session.info.get("request_id"),
    }


def _write_events(session: Session) -> None:
    pending: list[_PendingEvents] = session.info.pop(_PENDING, [])
    if events := [event for each in pending for event in each.events]:
        connection = session.connection()
        if connection.dialect.name == "postgresql":  # which then keeps it until the commit is done
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        connection.execute(insert(OutboxEvent), events)
