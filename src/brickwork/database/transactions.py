"""Sessions and their transactions."""

from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session as SyncSession, SessionTransaction
from typing_extensions import override

from brickwork.database.connections import begin_foreign_transaction
from brickwork.database.isolation import SNAPSHOT_LEVEL, strictest_isolation
from brickwork.database.unit_of_work import unit_of_work


class _Session(SyncSession):
    """The session class of `Database.session`. Its flush log attributes errors to fields."""


class _AsyncSession(AsyncSession):
    """Async variant. Closing is synchronous if no transaction is open."""

    @override
    async def __aexit__(self, *error: object) -> None:
        if self.in_transaction():
            await super().__aexit__(*error)
        else:
            self.sync_session.close()


make_session: Final = async_sessionmaker(
    class_=_AsyncSession, expire_on_commit=False, sync_session_class=_Session
)
"""Session factory. There is one only, because each `async_sessionmaker` creates a class."""


def transaction_session() -> SyncSession:
    """Return an unbound session of the class that transactions use."""
    return _Session()


def is_own_session(session: AsyncSession) -> bool:
    """Return whether `Database.session` created *session*."""
    return isinstance(session.sync_session, _Session)


def record_flushed_rows(session: SyncSession, *_: object) -> None:
    """Record the rows of a flush in the flush log. A hook of `before_flush`."""
    unit = unit_of_work(session)
    if unit.is_managed:
        unit.flush_log.add((*session.new, *session.dirty))
        unit.flush_log.remove(session.deleted)


def prepare_transaction(
    session: SyncSession, transaction: SessionTransaction, connection: Connection
) -> None:
    """Set the isolation level of a transaction. A hook of `after_begin`."""
    unit = unit_of_work(session)
    if not unit.is_managed or transaction.nested:
        return
    unit.begun = True
    if unit.adopted and connection.dialect.name == "sqlite":
        begin_foreign_transaction(connection, writes=bool(unit.writable))
    isolation = unit.isolation_level
    if not isolation or connection.dialect.name != "postgresql":
        return
    current = connection.get_execution_options().get("isolation_level")
    # The level of a transaction that the session joins can no longer change.
    if current != isolation.upper() and not isinstance(session.bind, Connection):
        connection.exec_driver_sql(f"SET TRANSACTION ISOLATION LEVEL {isolation}")


async def begin_snapshot(session: AsyncSession) -> None:
    """Begin a transaction of *session* whose statements all read one snapshot.

    A running transaction keeps its level. SQLite transactions always read one snapshot.
    """
    bind = session.get_bind()
    if session.in_transaction() or not isinstance(bind, Engine) or bind.name != "postgresql":
        return
    levels = (unit_of_work(session).isolation_level, SNAPSHOT_LEVEL)
    isolation = strictest_isolation(levels) or SNAPSHOT_LEVEL
    options: Any = {"isolation_level": isolation.upper()}
    _ = await session.connection(execution_options=options)
