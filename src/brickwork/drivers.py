"""Statements that SQLAlchemy compiles once, and that run on the driver's connection itself.

The connection is one of SQLAlchemy's own pool: it is set up, counted and replaced as ever.
"""

import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import aiosqlite
from asyncpg import InterfaceError, InternalClientError, PostgresError
from sqlalchemy import ClauseElement, ColumnElement, Dialect, Float
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import TypeEngine
from sqlalchemy.util import greenlet_spawn

from brickwork import faults
from brickwork.pools import FairPool

_Process = Callable[[Any], Any]

_ERRORS: Final = (PostgresError, InterfaceError, InternalClientError, sqlite3.Error, OSError)
"""What a driver raises when a statement fails, or the connection did."""

_FLOAT8: Final = 701
_NUMERIC: Final = 1700
"""What PostgreSQL calls its types of numbers, which is asked of numeric columns alone."""


@dataclass(frozen=True)
class Statement:
    """SQL in the words of one database, and how its values and rows are to be read."""

    sql: str
    names: Sequence[str]
    values: Mapping[str, Any]
    binds: Mapping[str, _Process]
    columns: Sequence[str]
    processes: Sequence[tuple[int, _Process]]

    def bound(self, **given: Any) -> list[Any]:
        """Return the values in the order of the placeholders."""
        values = {**self.values, **given}
        return [self.binds[name](values[name]) for name in self.names]

    def read(self, record: Sequence[Any]) -> list[Any]:
        """Return the values of *columns* in a row of the driver's."""
        values = [*record]
        for index, process in self.processes:
            values[index] = process(values[index])
        return values


def compiled(
    statement: ClauseElement, columns: Mapping[str, ColumnElement[Any]], dialect: Dialect
) -> Statement | None:
    """Return *statement*, which returns *columns*; None if its SQL depends on its values."""
    made: Any = statement.compile(dialect=dialect)
    if made.post_compile_params or made.literal_execute_params:
        return None
    return Statement(
        sql=str(made),
        names=made.positiontup or (),
        values=made.construct_params(_check=False),
        binds={name: _binding(each.type, dialect) for name, each in made.binds.items()},
        columns=[*columns],
        processes=[*_processes(columns.values(), dialect)],
    )


def _binding(kind: TypeEngine[Any], dialect: Dialect) -> _Process:
    process: _Process | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return process or _as_it_is


def _processes(
    columns: Iterable[ColumnElement[Any]], dialect: Dialect
) -> Iterator[tuple[int, _Process]]:
    for index, each in enumerate(columns):
        number = _FLOAT8 if isinstance(each.type, Float) else _NUMERIC
        if process := each.type.dialect_impl(dialect).result_processor(dialect, number):
            yield index, process


def _as_it_is(value: Any) -> Any:
    return value


async def fetch(engine: AsyncEngine, statement: Statement, **given: Any) -> Sequence[Any] | None:
    """Return the rows of *statement*, in a transaction of its own; None if it failed.

    Nothing is lost by asking again. Raises `Unavailable` while all connections are in use.
    """
    async with _lent(engine) as connection:
        try:
            return await _fetched(connection, statement, given)
        except _ERRORS:
            connection.invalidate()
            return None


async def write(engine: AsyncEngine, statement: Statement, **given: Any) -> Sequence[Any] | None:
    """Return the rows that *statement* wrote, which are committed; None if it was refused.

    What was refused changed nothing, and may be sent again. Raises `Unavailable` while all
    connections are in use, and where the answer was lost: it may be committed, or not.
    """
    async with _lent(engine) as connection:
        try:
            return await _fetched(connection, statement, given)
        except _ERRORS as error:
            if not _is_answer(error):
                connection.invalidate()
            if _is_refusal(error):
                return None
            raise faults.away() from error


@asynccontextmanager
async def _lent(engine: AsyncEngine) -> AsyncGenerator[Any]:
    """Lend a connection of the pool of *engine*, outside of any transaction."""
    try:
        connection = await _connection(engine)
    except PoolTimeout as error:
        raise faults.away() from error
    try:
        yield connection
    except BaseException:  # given up while the server is at it
        connection.invalidate()
        raise
    finally:
        # No transaction was begun, so there is none to roll back, for which it would have to wait.
        connection._close_special(transaction_reset=True)  # noqa: SLF001


def _is_answer(error: BaseException) -> bool:
    """Tell whether *error* is the database's own, on a connection that goes on."""
    return isinstance(error, sqlite3.Error) or (
        isinstance(error, PostgresError) and not _is_end(error)
    )


def _is_refusal(error: BaseException) -> bool:
    """Tell whether the statement surely changed nothing."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_ERROR"))
    return isinstance(error, sqlite3.Error | InterfaceError) or _is_answer(error)


def _is_end(error: PostgresError) -> bool:
    """Tell whether *error* is about the connection or the server, and not about the statement."""
    return str(error.sqlstate).startswith(("08", "53", "57P", "58", "XX"))


async def _fetched(
    connection: Any, statement: Statement, given: Mapping[str, Any]
) -> Sequence[Any]:
    driver: Any = connection.driver_connection
    sql, values = statement.sql, statement.bound(**given)
    if isinstance(driver, aiosqlite.Connection):
        return [*await driver.execute_fetchall(sql, values)]
    rows: Sequence[Any] = await driver.fetch(sql, *values)
    return rows


async def _connection(engine: AsyncEngine) -> Any:
    pool = cast("FairPool", engine.sync_engine.pool)
    return pool.connect() if pool.is_ready() else await greenlet_spawn(pool.connect)
