"""The private parts of aiosqlite that Brickwork uses.

Each is behind one function. `tests/database/test_driver_internals.py` fails when one of them
changes. Of asyncpg, Brickwork uses public names only.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from threading import Thread
from typing import Any, TypeVar

from brickwork.database.drivers import SQLiteConnection

T = TypeVar("T")
R = TypeVar("R")


def connection_thread(connection: SQLiteConnection) -> Thread:
    """Return `_thread`, to wait for its end."""
    return connection._thread  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def sqlite_connection(driver: SQLiteConnection) -> sqlite3.Connection:
    """Return `_conn`, to interrupt its statement without a turn of its thread."""
    return driver._conn  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def run_in_thread(
    driver: SQLiteConnection, function: Callable[[sqlite3.Connection, T], R], argument: T
) -> Awaitable[R]:
    """Call *function* with the connection and *argument* in its thread, in one `_execute`."""
    private: Any = driver
    result: Awaitable[R] = private._execute(function, private._conn, argument)  # noqa: SLF001
    return result
