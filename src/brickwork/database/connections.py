"""Driver connections: opening, set-up, transactions and closing."""

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState
from sqlalchemy.util.concurrency import await_
from typing_extensions import override

from brickwork.database.driver_internals import connection_thread, sqlite_connection
from brickwork.database.drivers import (
    CannotConnectNowError,
    Connection as DriverConnection,
    SQLiteConnection,
    TargetServerAttributeNotMatched,
    connect_postgresql,
    connect_sqlite,
)
from brickwork.database.text import LOWER_FUNCTION

PRAGMAS: Final = (
    "busy_timeout = 1000",  # milliseconds; then the whole unit of work is retried
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
)

_SHORT_TIMEOUT: Final = 2.0
"""Request timeout, in seconds, below which `busy_timeout` is shortened."""

_GRACE: Final = 2.0
"""Seconds that a server has to cancel a statement before its connection is aborted."""

_closing: Final = set[asyncio.Task[None]]()
"""The tasks that close connections."""


# --- PostgreSQL -----------------------------------------------------------------------------------


class PostgresConnection(DriverConnection):
    """A connection that is closed in the background.

    asyncpg itself waits for a silent server without limit, or does not cancel the statement.
    """

    _is_closing = False

    @override
    async def close(self, *, timeout: float | None = None) -> None:
        if timeout is None:
            self.terminate()
        elif not self._is_closing:
            async with asyncio.timeout(timeout):
                await super().close(timeout=timeout)

    @override
    def terminate(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no loop is left to close it later
            super().terminate()
            return
        if not self._is_closing:
            self._is_closing = True
            task = loop.create_task(self._close_gracefully())
            _closing.add(task)
            task.add_done_callback(_closing.discard)

    async def _close_gracefully(self) -> None:
        """Cancel the server's statement and close, within the grace period."""
        with suppress(Exception):
            async with asyncio.timeout(_GRACE):
                await super().close(timeout=_GRACE)


async def close_all() -> None:
    """Wait for the tasks that close connections in this loop."""
    loop = asyncio.get_running_loop()
    tasks = [task for task in _closing if task.get_loop() is loop]
    await asyncio.gather(*tasks, return_exceptions=True)


class Hosts:
    """Connects to the first of several hosts that answers."""

    def __init__(self, timeout: float) -> None:
        """Divide *timeout*, in seconds, evenly among the hosts."""
        self._timeout = timeout

    async def __call__(
        self,
        *,
        host: Sequence[str],
        port: Sequence[int],
        timeout: float | None = None,  # noqa: ASYNC109 — asyncpg's parameter
        target_session_attrs: str = "any",
        **options: Any,
    ) -> Any:
        """Return a connection as `asyncpg.connect` does; *timeout* is for each host."""
        share = min(timeout or self._timeout, self._timeout / len(host))
        connect: Any = connect_postgresql
        error: Exception = ConnectionError("the URL names no host")
        for attrs in _TARGET_FALLBACKS.get(target_session_attrs, (target_session_attrs,)):
            for name, number in zip(host, port, strict=True):
                try:
                    return await connect(
                        host=name,
                        port=number,
                        timeout=share,
                        target_session_attrs=attrs,
                        **options,
                    )
                except _NEXT_HOST_ERRORS as failure:
                    error = failure
        raise error


_TARGET_FALLBACKS: Final[Mapping[str, Sequence[str]]] = {"prefer-standby": ("standby", "any")}
_NEXT_HOST_ERRORS: Final = (
    OSError,
    CannotConnectNowError,
    TargetServerAttributeNotMatched,
)
"""Errors after which the next host is tried, as in libpq."""


class SettingIgnored(ConnectionError):
    """A pooler dropped a setting that the connection sent at its start."""

    sqlstate = "08P01"


def require_settings(connection: DBAPIConnection, settings: Mapping[str, str]) -> None:
    """Raise `SettingIgnored` unless *settings* are in force on a new *connection*."""
    names = ", ".join(f"current_setting('{name}')" for name in settings)
    values = await_(connection.driver_connection.fetchrow(f"SELECT {names}"))
    for (name, wanted), value in zip(settings.items(), values, strict=True):
        if value != wanted:
            raise SettingIgnored(f"{name} is {value}, not {wanted}")


# --- SQLite ---------------------------------------------------------------------------------------


async def open_file(*args: Any, **options: Any) -> SQLiteConnection:
    """Open a connection as `aiosqlite.connect` does. On failure, wait for its thread to end.

    A thread that ends later would call a closed event loop, and print a traceback.
    """
    connection = connect_sqlite(*args, **options)
    thread = connection_thread(connection)
    thread.daemon = True  # as SQLAlchemy has it
    try:
        return await connection
    except BaseException:
        await asyncio.get_running_loop().run_in_executor(None, thread.join, _GRACE)
        raise


def prepare_connection(connection: DBAPIConnection, *, readonly: bool, timeout: float) -> None:
    """Set up a new SQLite *connection* for requests with a *timeout* in seconds."""
    connection.isolation_level = None  # transactions begin in `begin_read` and `begin_write`
    connection.create_function(LOWER_FUNCTION, 1, _lower, deterministic=True)
    pragmas = [*PRAGMAS]
    if timeout < _SHORT_TIMEOUT:  # two attempts to get the lock
        pragmas.append(f"busy_timeout = {timeout * 500:.0f}")
    if readonly:
        pragmas.append("query_only = ON")
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


@contextmanager
def statement_deadline(driver: Any, timeout: float | None) -> Generator[None]:
    """Interrupt the statement of a SQLite connection after *timeout* seconds.

    None sets no deadline.
    """
    if timeout is None:
        yield
        return
    interrupt = sqlite_connection(driver).interrupt
    timer = asyncio.get_running_loop().call_later(timeout, interrupt)
    try:
        yield
    finally:
        timer.cancel()


def begin_read(connection: Connection) -> None:
    """Begin a read transaction on SQLite.

    BEGIN takes no lock and cannot fail, so it bypasses SQLAlchemy's cursor.
    """
    driver: Any = connection.connection.driver_connection
    await_(driver.execute("BEGIN"))


def begin_write(connection: Connection) -> None:
    """Begin a write transaction on SQLite, and take the write lock.

    A writer that reads before it locks can lose the update of another.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def begin_foreign_transaction(connection: Connection, *, writes: bool) -> None:
    """Begin a SQLite transaction on a *connection* of the application's engine.

    Python's driver begins none before the first change, and none for a savepoint.
    """
    raw: Any = connection.connection.dbapi_connection
    raw.create_function(LOWER_FUNCTION, 1, _lower, deterministic=True)
    if not raw.driver_connection.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


# --- Both -----------------------------------------------------------------------------------------


def roll_back_connection(
    connection: Any, _: ConnectionPoolEntry | None, state: PoolResetState
) -> None:
    """Roll back a transaction that a failed commit left open.

    SQLAlchemy considers the transaction ended, so the next request would commit it. SQLAlchemy
    closes a connection that the garbage collector returns, because nothing can be awaited there.
    """
    if state.asyncio_safe and _is_open(connection.driver_connection):
        connection.rollback()


def _is_open(driver: Any) -> bool:
    """Return whether a connection of aiosqlite or asyncpg is in a transaction."""
    is_sqlite = hasattr(driver, "in_transaction")
    return bool(driver.in_transaction if is_sqlite else driver.is_in_transaction())
