"""Statements that SQLAlchemy compiles once, and that run on the driver's connection itself.

The connection is one of SQLAlchemy's own pool: it is set up, counted and replaced as ever.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import aiosqlite
from asyncpg import InterfaceError, InternalClientError, PostgresError
from sqlalchemy import ColumnElement, Dialect, Float, Select, inspect
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Session
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

_EVENTS: Final = (
    "before_execute",
    "after_execute",
    "before_cursor_execute",
    "after_cursor_execute",
    "commit",
    "rollback",
)
"""What an application may listen to of an engine, and a driver would not tell."""


_ANY: Final = Session()
"""Stands for every session, in telling who listens to them."""


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
    statement: Select[Any], columns: Mapping[str, ColumnElement[Any]], dialect: Dialect
) -> Statement | None:
    """Return *statement*, which selects *columns*; None if its SQL depends on its values."""
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


def is_watched(engine: AsyncEngine, model: type[DeclarativeBase]) -> bool:
    """Tell whether somebody listens to what *engine* sends, or to rows of *model* being read."""
    sent: Any = engine.sync_engine.dispatch
    read: Any = inspect(model).class_manager.dispatch
    asked: Any = _ANY.dispatch
    return bool(read.load or asked.do_orm_execute or any(getattr(sent, name) for name in _EVENTS))


async def fetch(engine: AsyncEngine, statement: Statement, **given: Any) -> Sequence[Any] | None:
    """Return the rows of *statement*, in a transaction of its own; None if it failed.

    Nothing is lost by asking again. Raises `Unavailable` while all connections are in use.
    """
    try:
        connection = await _connection(engine)
    except PoolTimeout as error:
        raise faults.away() from error
    driver: Any = connection.driver_connection
    try:
        rows = await _fetched(driver, statement.sql, statement.bound(**given))
    except _ERRORS:
        connection.invalidate()
        return None
    except BaseException:  # given up while the server is at it
        connection.invalidate()
        raise
    finally:
        # No transaction was begun, so there is none to roll back, for which it would have to wait.
        connection._close_special(transaction_reset=True)  # noqa: SLF001
    return rows


async def _fetched(driver: Any, sql: str, values: list[Any]) -> Sequence[Any]:
    if isinstance(driver, aiosqlite.Connection):
        return [*await driver.execute_fetchall(sql, values)]
    rows: Sequence[Any] = await driver.fetch(sql, *values)
    return rows


async def _connection(engine: AsyncEngine) -> Any:
    pool = cast("FairPool", engine.sync_engine.pool)
    return pool.connect() if pool.is_ready() else await greenlet_spawn(pool.connect)
