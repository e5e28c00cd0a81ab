"""Connections of the drivers: set-up, BEGIN and rollback."""

from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState
from sqlalchemy.util.concurrency import await_

from brickwork.texts import LOWER

PRAGMAS: Final = (
    "busy_timeout = 1000",  # milliseconds; then the whole unit of work is tried again
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
)


def prepare(connection: DBAPIConnection, *, readonly: bool) -> None:
    """Set up a new *connection* of SQLite; PostgreSQL takes its settings when it connects."""
    if not _is_sqlite(connection.driver_connection):
        return
    connection.isolation_level = None  # transactions begin below, not where Python guesses
    connection.create_function(LOWER, 1, _lower, deterministic=True)
    cursor = connection.cursor()
    for pragma in (*PRAGMAS, "query_only = ON") if readonly else PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin_reading(connection: Connection) -> None:
    """Begin a transaction of SQLite that only reads.

    It locks nothing yet, and cannot be refused: one word to the driver will do.
    """
    driver: Any = connection.connection.driver_connection
    await_(driver.execute("BEGIN"))


def begin_writing(connection: Connection) -> None:
    """Begin a transaction of SQLite that writes, with the lock.

    A writer that reads first and locks later can lose another's update.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def roll_back(connection: Any, _: ConnectionPoolEntry | None, state: PoolResetState) -> None:
    """Roll back what a commit left open that was refused, or never reached the database.

    SQLAlchemy takes the transaction for ended, and the next request would commit it. Where nobody
    can wait, since the connection was lost and not given back, it is closed instead.
    """
    if state.asyncio_safe and _is_open(connection.driver_connection):
        connection.rollback()


def _is_open(driver: Any) -> bool:
    """Tell whether a connection of aiosqlite or asyncpg is in a transaction."""
    return bool(driver.in_transaction if _is_sqlite(driver) else driver.is_in_transaction())


def _is_sqlite(driver: object) -> bool:
    return hasattr(driver, "in_transaction")


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value
