"""Statements that run on the driver's connection itself, alone or with others that wait.

The connection is one of SQLAlchemy's own pool: it is set up, counted and replaced as ever.
"""

import asyncio
import logging
import sqlite3
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from asyncpg import InterfaceError, InternalClientError, PostgresError

from brickwork.database.availability import (
    SILENT,
    UNREACHABLE,
    UNWRITABLE,
    classify_outage,
    is_connection_lost,
    is_sqlite_locked,
    is_stale_plan,
)
from brickwork.database.coalescing import CallBatcher, is_hashable
from brickwork.database.compiled import BoundStatement, CompiledStatement
from brickwork.database.connections import statement_deadline
from brickwork.database.database import Database
from brickwork.database.engines import EngineLender
from brickwork.database.triggers import triggers_of

KEY_PARAM: Final = "brickwork_key"
KEYS_PARAM: Final = "brickwork_keys"
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

_LEAST: Final = 0.001
"""How many seconds a statement has, even if none are left."""

_ERRORS: Final = (PostgresError, InterfaceError, InternalClientError, sqlite3.Error, OSError)
"""What a driver raises when a statement fails, or the connection did."""


async def fetch_rows(
    database: Database, statement: CompiledStatement, given: Mapping[str, Any]
) -> Sequence[Any] | None:
    """Return the rows of *statement*, in a transaction of its own; None if it failed.

    Nothing is lost by asking again. Raises `Unavailable` if there is no connection, or no answer in
    time.
    """
    return await _read_or_none(
        database.readers, _sent(database, database.readers, statement, given)
    )


@dataclass
class FetchedRow:
    """A row, for all who asked for it at the same time, and what the first of them made of it."""

    row: Sequence[Any]
    made: Any = None


async def fetch_by_key(
    database: Database, one: BoundStatement, many: BoundStatement | None, key: object, *, name: str
) -> FetchedRow | None:
    """Return the row that *one* finds by its `KEY_PARAM`; None if there is none, or it failed.

    Those that wait are found together, each among the rows that its own values narrow: on
    PostgreSQL by *many*, which takes `KEYS_PARAM`, on SQLite by *one* for each. *name* is the
    column of both that is the key.
    """
    scope = (tuple(one.values.items()), tuple(many.values.items()) if many else ())
    shared = database.coalesce and one.statement.shareable
    if not shared or not is_hashable(scope):  # none can be told to be the same
        rows = await fetch_rows(database, one.statement, {**one.values, KEY_PARAM: key})
        return FetchedRow(one.statement.read(rows[0])) if rows else None
    finding = _Finding(database, one.statement, many.statement if many else None, name)
    ask = _coalescer(database, one.statement, finding, at_once=_READING)
    found: FetchedRow | None = await ask((scope, key))
    return found


@dataclass(frozen=True)
class _Finding:
    """Finds rows that are asked for at the same time, in one go those of each scope."""

    database: Database
    one: CompiledStatement
    many: CompiledStatement | None
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
            rows = await fetch_rows(self.database, self.one, {**known, KEY_PARAM: keys[0]})
        elif self.many:
            rows = await fetch_rows(self.database, self.many, {**shared, KEYS_PARAM: keys})
        else:
            given = [{**known, KEY_PARAM: key} for key in keys]
            rows = await _read_or_none(
                self.database.readers, _each(self.database.readers, self.one, given)
            )
        place = [*self.one.columns].index(self.name)
        read = [self.one.read(row) for row in rows or ()]
        return {row[place]: FetchedRow(row) for row in read}


def _of(found: Mapping[Any, Any] | BaseException, key: object) -> Any:
    if isinstance(found, Mapping):
        return found.get(key)
    return found if isinstance(found, Exception) else None


async def execute_write(
    database: Database, statement: CompiledStatement, given: Mapping[str, Any]
) -> Sequence[Any] | None:
    """Return the rows that *statement* wrote, which are committed; None if it was refused.

    What was refused changed nothing, and may be sent again; so may what was not sent, as its table
    has a trigger. Raises `Unavailable` if there is no connection, and where the answer was lost or
    is late: it may be committed, or not.
    """
    if await _has_trigger(database, statement):
        return None
    writers = database.writers
    return await _settled(writers, _sent(database, writers, statement, given))


async def insert_one(
    database: Database, one: CompiledStatement, many: CompiledStatement, given: Mapping[str, Any]
) -> Sequence[Any] | None:
    """Insert *given* with *one*, and return its rows; None if the database rejected them.

    Those that wait are inserted together by *many*, which takes a list for each value. If that is
    refused, each is inserted alone: none is refused for what another brought.
    """

    async def together(rows: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        written = await execute_write(database, many, _lists(rows)) if len(rows) > 1 else None
        if written:
            return [*_found(many, written, rows)]
        alone = [execute_write(database, one, row) for row in rows]
        each: list[Any] = await asyncio.gather(*alone, return_exceptions=True)
        return each

    made: Sequence[Any] | None = await _coalescer(database, one, together, at_once=1)(given)
    return made


async def insert_many(
    database: Database, statement: CompiledStatement, rows: Sequence[Mapping[str, Any]]
) -> Sequence[Any] | None:
    """Insert all *rows* or none. Return a value that is not empty; None if one was rejected.

    On PostgreSQL *statement* takes a list for each value; on SQLite it is carried out for each row,
    in one transaction.
    """
    if await _has_trigger(database, statement):
        return None
    writers = database.writers
    if writers.is_sqlite:
        bound = [(statement.sql, statement.bound(each)) for each in rows]
        return await _settled(writers, _whole(writers, bound))
    values = statement.bound(_lists(rows))
    return await _settled(writers, _alone(writers, statement.sql, values, expected=len(rows)))


async def _has_trigger(database: Database, statement: CompiledStatement) -> bool:
    """Tell whether a trigger may do other than *statement* says."""
    table = statement.table
    if table is None:
        return False
    triggers = triggers_of(database.writer.sync_engine)
    if (known := triggers.known(table)) is not None:
        return known
    async with database.session(readonly=True) as session:
        return await triggers.on(table, session)


def _found(
    statement: CompiledStatement, records: Sequence[Any], rows: Sequence[Mapping[str, Any]]
) -> Iterator[Any]:
    """Yield something for each of *rows* that *statement* returned; a trigger may omit some."""
    name = statement.columns[0]
    written = {statement.read(each)[0] for each in records}
    yield from (_WRITTEN if row[name] in written else None for row in rows)


def _lists(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


async def _read_or_none(
    lender: EngineLender, sent: Awaitable[Sequence[Any]]
) -> Sequence[Any] | None:
    """Return the rows that were *sent* for; None if another attempt may have them."""
    try:
        rows = await sent
    except _ERRORS as error:
        outage = classify_outage(error, readonly=True)
        if outage is SILENT:
            raise lender.refusal(error, SILENT) from error
        if outage:
            _ = lender.refusal(error, outage)  # which is logged; another attempt may succeed
        return None
    _note_success(lender)
    return rows


async def _settled(lender: EngineLender, sent: Awaitable[Sequence[Any]]) -> Sequence[Any] | None:
    """Return what was *sent* returns, which is committed; None if it was refused."""
    try:
        rows = await sent
    except _ERRORS as error:
        outage = classify_outage(error, readonly=False)
        if outage is UNWRITABLE or (_is_refusal(error) and outage is not SILENT):
            return None
        raise lender.refusal(error, outage or UNREACHABLE) from error
    _note_success(lender)
    return rows


def _note_success(lender: EngineLender) -> None:
    if lender.availability.outages:
        lender.availability.end(readonly=lender.readonly, wrote=not lender.readonly)


def _coalescer(
    database: Database, name: object, run: _Run, *, at_once: int
) -> CallBatcher[Any, Any]:
    known = database.coalescers.get(name)
    if known is None:  # nothing of this name is carried out now
        known = CallBatcher(run, at_once=at_once, timeout=database.timeout)
        database.coalescers[name] = known
    return known


async def _sent(
    database: Database, lender: EngineLender, statement: CompiledStatement, given: Mapping[str, Any]
) -> Sequence[Any]:
    """Return the rows of *statement*; raises what the driver does."""
    values = statement.bound(given)
    if not lender.is_sqlite:
        return await _alone(lender, statement.sql, values)
    carry_out, at_once = (_read, _READING) if lender.readonly else (_written, 1)

    async def together(batch: Sequence[_Bound]) -> Sequence[Any]:
        results: Sequence[Any] = await _in_thread(lender, carry_out, batch)
        return results

    bound = (statement.sql, values)
    if database.coalesce:
        rows: Sequence[Any] = await _coalescer(database, carry_out, together, at_once=at_once)(
            bound
        )
        return rows
    (result,) = await together([bound])
    return _raised(result)


def _raised(result: Any) -> Sequence[Any]:
    if isinstance(result, Exception):
        raise result
    return cast("Sequence[Any]", result)


@asynccontextmanager
async def _lent(lender: EngineLender) -> AsyncGenerator[Any]:
    """Lend a connection, outside of any transaction."""
    connection: Any = await lender.lend()
    try:
        yield connection
    except BaseException as error:  # it is lost, or was given up while the server is at it
        connection.invalidate()
        if isinstance(error, TimeoutError):
            lender.pool.distrust()
        raise
    finally:
        # No transaction is open, so there is none to roll back, for which it would have to wait.
        connection._close_special(transaction_reset=True)  # noqa: SLF001


class _Clock:
    """The time that is left for a statement, and for the connection before it."""

    def __init__(self, seconds: float | None) -> None:
        """Begin with as many *seconds*, or without a limit."""
        self._loop = asyncio.get_running_loop()
        self._end = None if seconds is None else self._loop.time() + seconds

    @property
    def left(self) -> float | None:
        """How many seconds are left, and always a few."""
        return None if self._end is None else max(_LEAST, self._end - self._loop.time())


def _log(lender: EngineLender, sql: str) -> None:
    """Log a statement as SQLAlchemy does, which has no part in it."""
    engine = lender.engine.sync_engine
    if engine.logger.isEnabledFor(logging.INFO):
        engine.logger.info("%s", sql)
        engine.logger.info("[fast path] [SQL parameters hidden due to hide_parameters=True]")


# --- PostgreSQL -----------------------------------------------------------------------------------


async def _alone(
    lender: EngineLender, sql: str, values: Sequence[Any], *, expected: int = 0
) -> Sequence[Any]:
    """Return the rows of a statement; none, and nothing is written, if fewer than *expected*."""
    clock = _Clock(lender.command_timeout)
    async with _lent(lender) as connection:
        _log(lender, sql)
        try:
            return await _fetched(lender, connection, sql, values, clock, expected)
        except PostgresError as error:
            if is_connection_lost(error, readonly=lender.readonly):
                raise
            refused = error  # on a connection that is as good as before
    raise refused


async def _fetched(  # noqa: PLR0913, PLR0917 — what a statement is made of
    lender: EngineLender,
    connection: Any,
    sql: str,
    values: Sequence[Any],
    clock: _Clock,
    expected: int,
) -> Sequence[Any]:
    rows: Sequence[Any]
    driver = connection.driver_connection
    if lender.begin is None and not expected:
        rows = await driver.fetch(sql, *values, timeout=clock.left)
        return rows
    transaction = driver.transaction(**(lender.begin or {}))
    await transaction.start()
    try:
        rows = await driver.fetch(sql, *values, timeout=clock.left)
    except PostgresError as error:
        if not is_connection_lost(error, readonly=lender.readonly):
            await transaction.rollback()
        raise
    if len(rows) < expected:
        await transaction.rollback()
        return ()
    await transaction.commit()
    return rows


def _is_refusal(error: BaseException) -> bool:
    """Tell whether the statement surely changed nothing."""
    match error:
        case PostgresError():
            return is_stale_plan(error) or not is_connection_lost(error, readonly=False)
        case sqlite3.OperationalError():
            name: str = getattr(error, "sqlite_errorname", "")
            return is_sqlite_locked(error) or name.startswith("SQLITE_ERROR")
        case InternalClientError():  # on a connection that was told of its end, and sent nothing
            return str(error).startswith("cannot switch to state")
        case _:
            return isinstance(error, sqlite3.Error | InterfaceError)


# --- SQLite ---------------------------------------------------------------------------------------


async def _each(
    lender: EngineLender, statement: CompiledStatement, given: Sequence[Mapping[str, Any]]
) -> Sequence[Any]:
    """Return the rows that *statement* reads with each that is *given*; raises if one failed."""
    bound = [(statement.sql, statement.bound(each)) for each in given]
    read = await _in_thread(lender, _read, bound)
    return [row for rows in read for row in _raised(rows)]


async def _whole(lender: EngineLender, batch: Sequence[_Bound]) -> Sequence[Any]:
    """Return something if all of *batch* is written and committed; raises the first error."""
    _raised((await _in_thread(lender, partial(_all_written, is_whole=True), batch))[0])
    return _WRITTEN


async def _in_thread(
    lender: EngineLender, carry_out: _CarryOut, batch: Sequence[_Bound]
) -> Sequence[Any]:
    """Have *batch* carried out in one hop to the thread of a connection, and back.

    That is most of what a statement of SQLite costs.
    """
    clock = _Clock(lender.command_timeout)
    async with _lent(lender) as connection:
        for sql, _ in batch:
            _log(lender, sql)
        driver = connection.driver_connection
        with statement_deadline(driver, clock.left):
            results: Sequence[Any] = await driver._execute(carry_out, driver._conn, batch)  # noqa: SLF001
    return results


def _read(connection: sqlite3.Connection, batch: Sequence[_Bound]) -> Sequence[Any]:
    """Return what each of *batch* reads, or its error."""
    return [_result(connection, *each) for each in batch]


def _written(connection: sqlite3.Connection, batch: Sequence[_Bound]) -> Sequence[Any]:
    """Return what each of *batch* wrote, or its error.

    They are committed together. If one is refused they are written again, each in a transaction of
    its own: a statement that fails may have written a part, or ended the transaction.
    """
    results = _all_written(connection, batch)
    error = results[0]
    if not isinstance(error, Exception):
        return results
    if len(batch) == 1 or is_sqlite_locked(error) or not _is_refusal(error):
        return [error] * len(batch)
    return [_all_written(connection, [each])[0] for each in batch]


def _all_written(
    connection: sqlite3.Connection, batch: Sequence[_Bound], *, is_whole: bool = False
) -> Sequence[Any]:
    """Return what each of *batch* wrote in one transaction; if one is refused, its error alone.

    A statement that changes rows and returns none is refused as well: a trigger has passed over a
    row. If *is_whole*, each has to return one.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        results: list[Any] = []
        for each in batch:
            changes = connection.total_changes
            results.append(rows := connection.execute(*each).fetchall())
            if not rows and (is_whole or connection.total_changes > changes):
                raise sqlite3.IntegrityError("A trigger has passed over a row.")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.rollback()  # if SQLite has not
        return [error]
    return results


def _result(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> Any:
    try:
        return connection.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        return error
