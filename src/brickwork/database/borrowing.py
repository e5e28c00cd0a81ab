"""Connections of the drivers, without a session."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from brickwork.database.availability import is_connection_lost, is_sqlite_locked, is_stale_plan
from brickwork.database.drivers import InterfaceError, InternalClientError, PostgresError
from brickwork.database.engines import EngineLender
from brickwork.sqlalchemy_internals import return_connection

_MIN_TIMEOUT: Final = 0.001
"""Minimum timeout of a statement, in seconds."""


@asynccontextmanager
async def borrow_connection(lender: EngineLender) -> AsyncGenerator[Any]:
    """Borrow a connection, which is outside of any transaction."""
    connection: Any = await lender.lend()
    try:
        yield connection
    except BaseException as error:  # the connection is lost, or its statement may still run
        connection.invalidate()
        if isinstance(error, TimeoutError):
            lender.pool.invalidate_all()
        raise
    finally:
        return_connection(connection)  # no transaction is open


class StatementClock:
    """The remaining time of a statement, including the wait for its connection."""

    def __init__(self, seconds: float | None) -> None:
        """Start with *seconds*. None sets no limit."""
        self._loop = asyncio.get_running_loop()
        self._end = None if seconds is None else self._loop.time() + seconds

    @property
    def left(self) -> float | None:
        """Return the remaining seconds, at least `_MIN_TIMEOUT`. None without a limit."""
        return None if self._end is None else max(_MIN_TIMEOUT, self._end - self._loop.time())


statement_observers: Final[list[Callable[[str], None]]] = []
"""Functions of tests, which receive the SQL of each statement that bypasses SQLAlchemy."""


def log_statement(lender: EngineLender, sql: str) -> None:
    """Log a statement that bypasses SQLAlchemy, in SQLAlchemy's format."""
    for observe in statement_observers:
        observe(sql)
    engine = lender.engine.sync_engine
    if engine.logger.isEnabledFor(logging.INFO):
        engine.logger.info("%s", sql)
        engine.logger.info("[fast path] [SQL parameters hidden due to hide_parameters=True]")


def is_rejection(error: BaseException) -> bool:
    """Return whether *error* guarantees that the statement changed nothing."""
    match error:
        case PostgresError():
            return is_stale_plan(error) or not is_connection_lost(error, readonly=False)
        case sqlite3.OperationalError():
            name: str = getattr(error, "sqlite_errorname", "")
            return is_sqlite_locked(error) or name.startswith("SQLITE_ERROR")
        case InternalClientError():  # the connection was terminated before the statement was sent
            return str(error).startswith("cannot switch to state")
        case _:
            return isinstance(error, sqlite3.Error | InterfaceError)
