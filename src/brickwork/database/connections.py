"""Connections of the drivers: how they are opened, set up, begun, rolled back and closed."""

import asyncio
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, Final

import aiosqlite
import asyncpg
from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState
from sqlalchemy.util.concurrency import await_
from typing_extensions import override

from brickwork.database.text import LOWER_FUNCTION

PRAGMAS: Final = (
    "busy_timeout = 1000",  # milliseconds; then the whole unit of work is tried again
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
)

_SHORT: Final = 2.0
"""The timeout of requests, in seconds, for which the usual wait for a lock is too long."""

_GRACE: Final = 2.0
"""How many seconds a server has to end what it does for a connection, before that is cut off."""

_closing: Final = set[asyncio.Task[None]]()
"""The tasks that close connections."""


# --- PostgreSQL -----------------------------------------------------------------------------------


class PostgresConnection(asyncpg.Connection):
    """A connection that nobody waits for when it is closed.

    asyncpg alone waits without end for a silent server to cancel a statement, or forgets to.
    """

    _is_left = False

    @override
    async def close(self, *, timeout: float | None = None) -> None:
        if timeout is None:
            self.terminate()
        elif not self._is_left:
            async with asyncio.timeout(timeout):
                await super().close(timeout=timeout)

    @override
    def terminate(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nobody could close it later
            super().terminate()
            return
        if not self._is_left:
            self._is_left = True
            task = loop.create_task(self._leave())
            _closing.add(task)
            task.add_done_callback(_closing.discard)

    async def _leave(self) -> None:
        """Have the server cancel what it does, and close; cut it off if that takes too long."""
        with suppress(Exception):
            async with asyncio.timeout(_GRACE):
                await super().close(timeout=_GRACE)


async def close_all() -> None:
    """Wait until the connections that are being closed are closed."""
    loop = asyncio.get_running_loop()
    tasks = [each for each in _closing if each.get_loop() is loop]
    await asyncio.gather(*tasks, return_exceptions=True)


class Hosts:
    """Connects to the first of several hosts that answers: none takes all the time there is."""

    def __init__(self, timeout: float) -> None:
        """Give each host its share of *timeout*, in seconds."""
        self._timeout = timeout

    async def __call__(
        self,
        *,
        host: Sequence[str],
        port: Sequence[int],
        timeout: float | None = None,  # noqa: ASYNC109 — that of asyncpg
        target_session_attrs: str = "any",
        **options: Any,
    ) -> Any:
        """Return a connection as `asyncpg.connect` does; *timeout* is for each host."""
        share = min(timeout or self._timeout, self._timeout / len(host))
        connect: Any = asyncpg.connect
        error: Exception = ConnectionError("no host is named")
        for attrs in _TRIES.get(target_session_attrs, (target_session_attrs,)):
            for name, number in zip(host, port, strict=True):
                try:
                    return await connect(
                        host=name,
                        port=number,
                        timeout=share,
                        target_session_attrs=attrs,
                        **options,
                    )
                except _NEXT_HOST as refusal:
                    error = refusal
        raise error


_TRIES: Final[Mapping[str, Sequence[str]]] = {"prefer-standby": ("standby", "any")}
_NEXT_HOST: Final = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.TargetServerAttributeNotMatched,
)
"""The errors after which libpq, too, goes on to the next host."""


class SettingIgnored(ConnectionError):
    """A pooler dropped what a connection asked for when it began."""

    sqlstate = "08P01"


def require_settings(connection: DBAPIConnection, settings: Mapping[str, str]) -> None:
    """Raise `SettingIgnored` unless *settings* are in force on a new *connection*."""
    names = ", ".join(f"current_setting('{name}')" for name in settings)
    values = await_(connection.driver_connection.fetchrow(f"SELECT {names}"))
    for (name, wanted), value in zip(settings.items(), values, strict=True):
        if value != wanted:
            raise SettingIgnored(f"{name} is {value}, not {wanted}")


# --- SQLite ---------------------------------------------------------------------------------------


async def open_file(*args: Any, **options: Any) -> aiosqlite.Connection:
    """Return a connection as `aiosqlite.connect` does; if that fails, its thread has ended.

    Else the thread would tell its end to a loop that may be closed by then: a traceback is printed.
    """
    connection = aiosqlite.connect(*args, **options)
    thread: Thread = connection._thread  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    thread.daemon = True  # as SQLAlchemy has it
    try:
        return await connection
    except BaseException:
        await asyncio.get_running_loop().run_in_executor(None, thread.join, _GRACE)
        raise


def prepare_connection(connection: DBAPIConnection, *, readonly: bool, timeout: float) -> None:
    """Set up a new *connection* of SQLite, for requests that have *timeout* seconds."""
    connection.isolation_level = None  # transactions begin below, not where Python guesses
    connection.create_function(LOWER_FUNCTION, 1, _lower, deterministic=True)
    pragmas = [*PRAGMAS]
    if timeout < _SHORT:  # two attempts to get the lock
        pragmas.append(f"busy_timeout = {timeout * 500:.0f}")
    if readonly:
        pragmas.append("query_only = ON")
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


@contextmanager
def statement_deadline(driver: Any, timeout: float | None) -> Generator[None]:
    """Interrupt what a *driver* connection of SQLite still does after *timeout* seconds."""
    if timeout is None:
        yield
        return
    connection: sqlite3.Connection = driver._conn  # noqa: SLF001
    timer = asyncio.get_running_loop().call_later(timeout, connection.interrupt)
    try:
        yield
    finally:
        timer.cancel()


def begin_read(connection: Connection) -> None:
    """Begin a transaction of SQLite that only reads.

    It locks nothing yet, and cannot be refused: one word to the driver will do.
    """
    driver: Any = connection.connection.driver_connection
    await_(driver.execute("BEGIN"))


def begin_write(connection: Connection) -> None:
    """Begin a transaction of SQLite that writes, with the lock.

    A writer that reads first and locks later can lose another's update.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def begin_foreign_transaction(connection: Connection, *, writes: bool) -> None:
    """Begin a transaction of SQLite on a *connection* that is not ours, as on one that is.

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
    """Roll back what a commit left open that was refused, or never reached the database.

    SQLAlchemy takes the transaction for ended, and the next request would commit it. Where nobody
    can wait, since the connection was lost and not given back, it is closed instead.
    """
    if state.asyncio_safe and _is_open(connection.driver_connection):
        connection.rollback()


def _is_open(driver: Any) -> bool:
    """Tell whether a connection of aiosqlite or asyncpg is in a transaction."""
    is_sqlite = hasattr(driver, "in_transaction")
    return bool(driver.in_transaction if is_sqlite else driver.is_in_transaction())
