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

from brickwork.models.companions import Companion, accompany
from brickwork.models.model import JSONDocument, UTCDateTime, now
from brickwork.tracking.changes import (
    Action,
    Noted,
    Write,
    columns,
    is_secret,
    jsonable,
    key_text,
    stored,
    table_name,
    written,
)

_Number = BigInteger().with_variant(Integer, "sqlite")

_LOCK: Final = 0x6272_6963_6B77  # one that no other advisory lock of the database is likely to be

_INSERTS: Final[Mapping[str, Callable[[Any], postgresql.Insert | sqlite.Insert]]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}

_PENDING: Final = "brickwork.outbox.pending"
_COMMITTING: Final = "brickwork.outbox.committing"
_FORGOTTEN: Final = ""
"""The name whose position is that of the last event which is no longer there."""


class Published(Noted):
    """Mixin: every change of a row becomes an `OutboxEvent` when its transaction commits."""

    def published(self) -> Mapping[str, Any]:
        """Return what an event tells of this row: its columns; override to tell something else.

        Without those that an audit does not show, either.
        """
        row = cast("DeclarativeBase", self)
        own = columns(type(row))
        return stored(row, {name for name, each in own.items() if not is_secret(each)})


class OutboxEvent(Companion):
    """A committed change of a row of a `Published` class; *data* is None for a deleted one."""

    __tablename__ = "outbox_events"

    number: Mapped[int] = mapped_column(_Number, primary_key=True)
    table_name: Mapped[str] = mapped_column(Text)
    row_key: Mapped[str] = mapped_column(Text)
    action: Mapped[Action] = mapped_column(String(6))
    data: Mapped[dict[str, Any] | None] = mapped_column(JSONDocument)
    request_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)

    # SQLite would give the numbers of forgotten events to others.
    __table_args__ = (Index(None, "created_at"), {"sqlite_autoincrement": True})


class OutboxPosition(Companion):
    """How far a consumer is: the number of the last event it has taken."""

    __tablename__ = "outbox_positions"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(_Number)


@dataclass(frozen=True)
class Consumer:
    """Takes each event once and in order, in one transaction with what is done about it.

    A new name begins with the oldest event there is. Of several that take under one name at the
    same time, each waits for the one before.
    """

    name: str

    def __post_init__(self) -> None:
        """Refuse to be without a name."""
        if self.name == _FORGOTTEN:
            raise ValueError("A consumer is known by its name: Consumer('search').")

    async def take(self, session: AsyncSession, *, limit: int = 100) -> Sequence[OutboxEvent]:
        """Return the next events; they are taken if the transaction of *session* commits."""
        position = await self._position(session)
        events = await read_events(session, position.number, limit=limit)
        if events:
            position.number = events[-1].number
        return events

    async def _position(self, session: AsyncSession) -> OutboxPosition:
        """Return how far this consumer is, locked until the transaction ends."""
        known = select(OutboxPosition).where(OutboxPosition.name == self.name).with_for_update()
        known = known.execution_options(populate_existing=True)
        if (position := await session.scalar(known)) is not None:
            return position
        oldest = await _forgotten(session)
        if (position := await session.scalar(known)) is None:  # nor was another quicker
            position = OutboxPosition(name=self.name, number=oldest)
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
    mark = select(OutboxPosition.number).where(OutboxPosition.name == _FORGOTTEN)
    statement = select(OutboxEvent, mark.scalar_subquery())  # both as of one instant
    statement = statement.where(OutboxEvent.number > after).order_by(OutboxEvent.number)
    found = (await session.execute(statement.limit(limit))).all()
    for _, last in found[:1]:
        if (last or 0) > after:
            raise LookupError(
                f"The events up to {last} were forgotten: read the rows themselves, then the "
                f"events after {last}."
            )
    return [each for each, _ in found]


async def forget_events(session: AsyncSession, *, before: datetime) -> int:
    """Remove events from *before* an instant, and return how many.

    Those that a `Consumer` has yet to take stay; one that is gone for good has its row in
    `outbox_positions`, to be removed first.
    """
    await _forgotten(session)
    others = select(func.min(OutboxPosition.number)).where(OutboxPosition.name != _FORGOTTEN)
    old = select(func.max(OutboxEvent.number)).where(OutboxEvent.created_at < before)
    slowest, last = await session.scalar(others), await session.scalar(old)
    if last is None:
        return 0
    last = last if slowest is None else min(last, slowest)
    removed = await session.execute(delete(OutboxEvent).where(OutboxEvent.number <= last))
    mark = update(OutboxPosition).where(OutboxPosition.name == _FORGOTTEN)
    await session.execute(mark.values(number=last))
    return cast("CursorResult[Any]", removed).rowcount


async def _forgotten(session: AsyncSession) -> int:
    """Return the number of the last event that was forgotten, and lock it.

    It is written for that: a transaction that has seen an older state then fails, at whatever
    isolation, instead of going on with it.
    """
    insert = _INSERTS[session.get_bind().dialect.name](OutboxPosition)
    mark = insert.values(name=_FORGOTTEN, number=0).on_conflict_do_update(
        index_elements=["name"], set_={"number": OutboxPosition.number}
    )
    number: int = (await session.scalars(mark.returning(OutboxPosition.number))).one()
    return number


@dataclass(frozen=True)
class _Pending:
    """What is to be published, if *transaction* and those around it commit."""

    transaction: SessionTransaction | None
    events: Sequence[Mapping[str, Any]]

    def is_within(self, outer: SessionTransaction) -> bool:
        inner = self.transaction
        while inner is not None and inner is not outer:
            inner = inner.parent
        return inner is outer


@event.listens_for(Published, "instrument_class", propagate=True)
def _declare(_: Mapper[Any], model: type[DeclarativeBase]) -> None:
    accompany(model, OutboxEvent, OutboxPosition)


@event.listens_for(Session, "after_flush_postexec")
def _note(session: Session, _: object) -> None:
    if events := [_event(session, each) for each in written(session, Published)]:
        transaction = session.get_nested_transaction() or session.get_transaction()
        session.info.setdefault(_PENDING, []).append(_Pending(transaction, events))
    if session.info.get(_COMMITTING):  # a hook of the application wrote after ours
        _write(session)


@event.listens_for(Session, "before_commit")
def _publish(session: Session) -> None:
    if not session.in_nested_transaction():
        session.flush()
        _write(session)
        session.info[_COMMITTING] = True


@event.listens_for(Session, "after_soft_rollback")
def _drop(session: Session, ended: SessionTransaction) -> None:
    pending: list[_Pending] = session.info.get(_PENDING, [])
    session.info[_PENDING] = [each for each in pending if not each.is_within(ended)]


@event.listens_for(Session, "after_transaction_end")
def _end(session: Session, ended: SessionTransaction) -> None:
    if ended.parent is None:
        session.info.pop(_PENDING, None)
        session.info.pop(_COMMITTING, None)


def _event(session: Session, write: Write) -> dict[str, Any]:
    row = cast("Published", write.row)
    return {
        "table_name": table_name(type(write.row)),
        "row_key": key_text(*(inspect(write.row).identity or ())),
        "action": write.action,
        "data": None if write.action == "delete" else jsonable(row.published()),
        "request_id": session.info.get("request_id"),
    }


def _write(session: Session) -> None:
    pending: list[_Pending] = session.info.pop(_PENDING, [])
    if events := [event for each in pending for event in each.events]:
        connection = session.connection()
        if connection.dialect.name == "postgresql":  # which then keeps it until the commit is done
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        connection.execute(insert(OutboxEvent), events)
