"""Statements that run on the driver's connection itself, alone or with others that wait.

The connection is one of SQLAlchemy's own pool: it is set up, counted and replaced as ever.
"""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from asyncpg import InterfaceError, InternalClientError, PostgresError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from brickwork import faults
from brickwork.coalescing import Coalescer, is_hashable
from brickwork.database import Database
from brickwork.pools import FairPool
from brickwork.statements import Prepared, Statement

KEY: Final = "brickwork_key"
KEYS: Final = "brickwork_keys"
"""The parameters of statements that find a row by its key, and several by theirs."""

_Bound = tuple[str, Sequence[Any]]
_Values = tuple[tuple[str, Any], ...]
_Scope = tuple[_Values, _Values]
_CarryOut = Callable[[sqlite3.Connection, Sequence[_Bound]], Any]
_Run = Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]

_WRITTEN: Final = ((),)
"""Stands for a row of which all was known before."""

_READING: Final = 4
"""How many batches of reads are on their way at the same time, each of all that waited."""

_ERRORS: Final = (PostgresError, InterfaceError, InternalClientError, sqlite3.Error, OSError)
"""What a driver raises when a statement fails, or the connection did."""


async def fetch(
    database: Database, statement: Statement, given: Mapping[str, Any]
) -> Sequence[Any] | None:
    """Return the rows of *statement*, in a transaction of its own; None if it failed.

    Nothing is lost by asking again. Raises `Unavailable` while all connections are in use.
    """
    try:
        return await _sent(database, database.reader, statement, given)
    except _ERRORS:
        return None


@dataclass
class Found:
    """A row, for all who asked for it at the same time, and what the first of them made of it."""

    row: Sequence[Any]
    made: Any = None


async def find(
    database: Database, one: Prepared, many: Prepared | None, key: object, *, name: str
) -> Found | None:
    """Return the row that *one* finds by its `KEY`; None if there is none, or it failed.

    Those that wait are found together, each among the rows that its own values narrow: on
    PostgreSQL by *many*, which takes `KEYS`, on SQLite by *one* for each. *name* is the column of
    both that is the key.
    """
    scope = (tuple(one.values.items()), tuple(many.values.items()) if many else ())
    if not database.coalesce or not is_hashable(scope):  # none can be told to be the same
        rows = await fetch(database, one.statement, {**one.values, KEY: key})
        return Found(one.statement.read(rows[0])) if rows else None
    finding = _Finding(database, one.statement, many.statement if many else None, name)
    ask = _coalescer(database, one.statement, finding, at_once=_READING)
    found: Found | None = await ask((scope, key))
    return found


@dataclass(frozen=True)
class _Finding:
    """Finds rows that are asked for at the same time, in one go those of each scope."""

    database: Database
    one: Statement
    many: Statement | None
    name: str

    async def __call__(self, wanted: Sequence[tuple[_Scope, Any]]) -> Sequence[Any]:
        keys: dict[_Scope, set[Any]] = defaultdict(set)
        for scope, key in wanted:
            keys[scope].add(key)
        reads = (self._alike(scope, [*each]) for scope, each in keys.items())
        found = dict(zip(keys, await asyncio.gather(*reads, return_exceptions=True), strict=True))
        return [_of(found[scope], key) for scope, key in wanted]

    async def _alike(self, scope: _Scope, keys: Sequence[Any]) -> Mapping[Any, Any]:
        known, shared = dict(scope[0]), dict(scope[1])
        if len(keys) == 1:
            rows = await fetch(self.database, self.one, {**known, KEY: keys[0]})
        elif self.many:
            rows = await fetch(self.database, self.many, {**shared, KEYS: keys})
        else:
            given = [{**known, KEY: key} for key in keys]
            rows = await _each(self.database.reader, self.one, given)
        place = [*self.one.columns].index(self.name)
        read = [self.one.read(row) for row in rows or ()]
        return {row[place]: Found(row) for row in read}


def _of(found: Mapping[Any, Any] | BaseException, key: object) -> Any:
    if isinstance(found, Mapping):
        return found.get(key)
    return found if isinstance(found, Exception) else None


async def write(
    database: Database, statement: Statement, given: Mapping[str, Any]
) -> Sequence[Any] | None:
    """Return the rows that *statement* wrote, which are committed; None if it was refused.

    What was refused changed nothing, and may be sent again. Raises `Unavailable` while all
    connections are in use, and where the answer was lost: it may be committed, or not.
    """
    return await _settled(_sent(database, database.writer, statement, given))


async def insert(
    database: Database, one: Statement, many: Statement, given: Mapping[str, Any]
) -> Sequence[Any] | None:
    """Return something if *given* is inserted, as `write` does for *one*, which returns its rows.

    Those that wait are inserted together by *many*, which takes a list for each value. If that is
    refused, each is inserted alone: none is refused for what another brought.
    """

    async def together(rows: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        written = await write(database, many, _lists(rows)) if len(rows) > 1 else None
        if written:
            return [_WRITTEN] * len(rows)
        alone = [write(database, one, row) for row in rows]
        each: list[Any] = await asyncio.gather(*alone, return_exceptions=True)
        return each

    made: Sequence[Any] | None = await _coalescer(database, one, together, at_once=1)(given)
    return made


async def insert_all(
    database: Database, statement: Statement, rows: Sequence[Mapping[str, Any]]
) -> Sequence[Any] | None:
    """Return something if all *rows* are inserted, as `write` does; if one is refused, none is.

    On PostgreSQL *statement* takes a list for each value; on SQLite it is carried out for each row,
    in one transaction.
    """
    if database.writer.dialect.name == "postgresql":
        return await write(database, statement, _lists(rows))
    bound = [(statement.sql, statement.bound(each)) for each in rows]
    return await _settled(_whole(database.writer, bound))


def _lists(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


async def _settled(sent: Awaitable[Sequence[Any]]) -> Sequence[Any] | None:
    """Return what was *sent* returns, which is committed; None if it was refused."""
    try:
        return await sent
    except _ERRORS as error:
        if _is_refusal(error):
            return None
        raise faults.away() from error


def _coalescer(database: Database, name: object, run: _Run, *, at_once: int) -> Coalescer[Any, Any]:
    if name not in database.coalescers:
        database.coalescers[name] = Coalescer(run, at_once=at_once)
    return database.coalescers[name]


async def _sent(
    database: Database, engine: AsyncEngine, statement: Statement, given: Mapping[str, Any]
) -> Sequence[Any]:
    """Return the rows of *statement*; raises what the driver does."""
    values = statement.bound(given)
    if engine.dialect.name == "postgresql":
        return await _alone(engine, statement.sql, values)
    carry_out, at_once = (_written, 1) if engine is database.writer else (_read, _READING)

    async def together(batch: Sequence[_Bound]) -> Sequence[Any]:
        results: Sequence[Any] = await _in_thread(engine, carry_out, batch)
        return results

    bound = (statement.sql, values)
    if database.coalesce:
        rows: Sequence[Any] = await _coalescer(database, carry_out, together, at_once=at_once)(
            bound
        )
        return rows
    (result,) = await together([bound])
    return _raised(result)


async def _each(
    engine: AsyncEngine, statement: Statement, given: Sequence[Mapping[str, Any]]
) -> Sequence[Any] | None:
    """Return the rows that *statement* reads with each that is *given*; None if one failed."""
    try:
        read = await _in_thread(
            engine, _read, [(statement.sql, statement.bound(each)) for each in given]
        )
        return [row for rows in read for row in _raised(rows)]
    except _ERRORS:
        return None


async def _whole(engine: AsyncEngine, batch: Sequence[_Bound]) -> Sequence[Any]:
    return _raised(await _in_thread(engine, _all_written, batch))


def _raised(result: Any) -> Sequence[Any]:
    if isinstance(result, Exception):
        raise result
    return cast("Sequence[Any]", result)


async def _in_thread(engine: AsyncEngine, carry_out: _CarryOut, batch: Sequence[_Bound]) -> Any:
    """Have *batch* carried out in one hop to the thread of a connection, and back.

    That is most of what a statement of SQLite costs.
    """
    async with _lent(engine) as connection:
        driver = connection.driver_connection
        return await driver._execute(carry_out, driver._conn, batch)  # noqa: SLF001


async def _alone(engine: AsyncEngine, sql: str, values: Sequence[Any]) -> Sequence[Any]:
    async with _lent(engine) as connection:
        try:
            rows: Sequence[Any] = await connection.driver_connection.fetch(sql, *values)
        except PostgresError as error:
            if _is_end(error):
                raise
            refused = error  # on a connection that is as good as before
        else:
            return rows
    raise refused


def _read(connection: sqlite3.Connection, batch: Sequence[_Bound]) -> Sequence[Any]:
    """Return what each of *batch* reads, or its error."""
    return [_result(connection, *each) for each in batch]


def _written(connection: sqlite3.Connection, batch: Sequence[_Bound]) -> Sequence[Any]:
    """Return what each of *batch* wrote, or its error; they are committed together."""
    connection.execute("BEGIN IMMEDIATE")
    results: list[Any] = []
    for each in batch:
        results.append(_result(connection, *each))
        if not connection.in_transaction:  # SQLite gave up all of it
            return [results[-1]] * len(batch)
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.rollback()  # if SQLite has not
        return [error] * len(batch)
    return results


def _all_written(connection: sqlite3.Connection, batch: Sequence[_Bound]) -> Any:
    """Return something if all of *batch* is written and committed, else the error of the first."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for each in batch:
            connection.execute(*each).fetchall()
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.rollback()
        return error
    return _WRITTEN


def _result(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> Any:
    try:
        return connection.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        return error


@asynccontextmanager
async def _lent(engine: AsyncEngine) -> AsyncGenerator[Any]:
    """Lend a connection of the pool of *engine*, outside of any transaction."""
    try:
        connection = await _connection(engine)
    except PoolTimeout as error:
        raise faults.away() from error
    try:
        yield connection
    except BaseException:  # it is lost, or was given up while the server is at it
        connection.invalidate()
        raise
    finally:
        # No transaction was begun, so there is none to roll back, for which it would have to wait.
        connection._close_special(transaction_reset=True)  # noqa: SLF001


def _is_refusal(error: BaseException) -> bool:
    """Tell whether the statement surely changed nothing."""
    match error:
        case sqlite3.OperationalError():
            name: str = error.sqlite_errorname
            return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_ERROR"))
        case PostgresError():
            return not _is_end(error)
        case _:
            return isinstance(error, sqlite3.Error | InterfaceError)


def _is_end(error: PostgresError) -> bool:
    """Tell whether *error* is about the connection or the server, and not about the statement."""
    return str(error.sqlstate).startswith(("08", "53", "57P", "58", "XX"))


async def _connection(engine: AsyncEngine) -> Any:
    pool = cast("FairPool", engine.sync_engine.pool)
    return pool.connect() if await pool.turn() else await greenlet_spawn(pool.connect)
