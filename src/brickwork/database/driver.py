"""Statements on the driver's connection, single or in batches.

The connections come from SQLAlchemy's pool, which sets them up, limits and replaces them.
"""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from brickwork.database.availability import SILENT, UNREACHABLE, UNWRITABLE, classify_outage
from brickwork.database.borrowing import is_rejection
from brickwork.database.coalescing import CallBatcher, is_hashable
from brickwork.database.compiled import BoundSQL, BoundStatement, CompiledStatement
from brickwork.database.database import Database
from brickwork.database.drivers import InterfaceError, InternalClientError, PostgresError
from brickwork.database.engines import EngineLender
from brickwork.database.postgresql import fetch_postgresql
from brickwork.database.sqlite import (
    EMPTY_ROWS,
    execute_in_transaction,
    execute_many,
    raise_if_error,
    run_in_sqlite_thread,
    sqlite_read_batch,
    sqlite_write_batch,
)
from brickwork.database.triggers import triggers_of

KEY_PARAM: Final = "brickwork_key"

KEYS_PARAM: Final = "brickwork_keys"
"""Bind parameter names: one key, a list of keys."""

_ParamItems = tuple[tuple[str, Any], ...]

_Scope = tuple[_ParamItems, _ParamItems]

_BatchRunner = Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]

_MAX_CONCURRENT_READS: Final = 4
"""Maximum number of concurrent read batches of a statement."""

_DRIVER_ERRORS: Final = (PostgresError, InterfaceError, InternalClientError, sqlite3.Error, OSError)
"""Exceptions of the drivers for a failed statement or connection."""


class StatementFailed(Exception):
    """A statement that failed and has changed nothing: it may be repeated. The text is why."""


async def fetch_rows(
    database: Database, statement: CompiledStatement, params: Mapping[str, Any]
) -> Sequence[Any]:
    """Execute a SELECT on a reader and return its rows.

    Raises:
        StatementFailed: The database rejected the statement, or the connection was lost.
        ServiceUnavailable: No connection is free, or the database times out.

    """
    bound = BoundSQL(statement.sql, statement.bind(params))
    return await _read(database.readers, _execute(database, database.readers, bound))


@dataclass
class FetchedRow:
    """A row shared by concurrent requests, with the response body of the first of them."""

    row: Sequence[Any]
    body: Any = None


async def fetch_by_key(
    database: Database, one: BoundStatement, many: BoundStatement | None, key: object, *, name: str
) -> FetchedRow | None:
    """Return the row with *key*. None if there is no such row. Raises as `fetch_rows` does.

    Concurrent lookups with the same parameter values are batched: PostgreSQL runs *many* with
    `KEYS_PARAM`, SQLite runs *one* with `KEY_PARAM` for each key. *name* is the key's column.
    """
    scope = (tuple(one.values.items()), tuple(many.values.items()) if many else ())
    shared = database.coalesce and one.statement.shareable
    if not shared or not is_hashable(scope):  # equal lookups cannot be recognised
        rows = await fetch_rows(database, one.statement, {**one.values, KEY_PARAM: key})
        return FetchedRow(one.statement.decode_row(rows[0])) if rows else None
    fetch = database.batchers.get(one.statement)
    if fetch is None:
        lookup = _KeyLookup(database, one.statement, many.statement if many else None, name)
        fetch = _get_batcher(database, one.statement, lookup, max_concurrent=_MAX_CONCURRENT_READS)
    row: FetchedRow | None = await fetch((scope, key))
    return row


@dataclass(frozen=True)
class _KeyLookup:
    """Executes a batch of lookups: one statement for each scope, a set of parameter values."""

    database: Database
    one: CompiledStatement
    many: CompiledStatement | None
    name: str

    async def __call__(self, lookups: Sequence[tuple[_Scope, Any]]) -> Sequence[Any]:
        keys_by_scope: dict[_Scope, set[Any]] = defaultdict(set)
        for scope, key in lookups:
            keys_by_scope[scope].add(key)
        reads = [self._lookup_scope(scope, [*keys]) for scope, keys in keys_by_scope.items()]
        results = await asyncio.gather(*reads, return_exceptions=True)
        rows = dict(zip(keys_by_scope, results, strict=True))
        return [_row_or_error(rows[scope], key) for scope, key in lookups]

    async def _lookup_scope(self, scope: _Scope, keys: Sequence[Any]) -> Mapping[Any, Any]:
        of_one, of_many = dict(scope[0]), dict(scope[1])
        if len(keys) == 1:
            return {keys[0]: row} if (row := await self._lookup_one(of_one, keys[0])) else {}
        if self.many:
            rows = await fetch_rows(self.database, self.many, {**of_many, KEYS_PARAM: keys})
        else:
            params = [{**of_one, KEY_PARAM: key} for key in keys]
            rows = await _read(
                self.database.readers, execute_many(self.database.readers, self.one, params)
            )
        index = [*self.one.columns].index(self.name)
        values = [self.one.decode_row(row) for row in rows]
        found = {row[index]: FetchedRow(row) for row in values}
        # A collation or a padding can make the text of another key equal.
        missing = [key for key in keys if isinstance(key, str) and key not in found]
        others = await asyncio.gather(*(self._lookup_one(of_one, key) for key in missing))
        return found | {key: row for key, row in zip(missing, others, strict=True) if row}

    async def _lookup_one(self, params: Mapping[str, Any], key: object) -> FetchedRow | None:
        rows = await fetch_rows(self.database, self.one, {**params, KEY_PARAM: key})
        return FetchedRow(self.one.decode_row(rows[0])) if rows else None


def _row_or_error(rows: Mapping[Any, Any] | BaseException, key: object) -> Any:
    return rows.get(key) if isinstance(rows, Mapping) else rows


async def execute_write(
    database: Database, write: BoundStatement, params: Mapping[str, Any]
) -> Sequence[Any]:
    """Execute and commit a write. Return its RETURNING rows.

    PostgreSQL returns no rows if the check of *write* does not find one; nothing has changed then.

    Raises:
        StatementFailed: The database rejected the statement, or its table has a trigger.
        ServiceUnavailable: No connection is free, or the result is lost: the write may be committed
            or not.

    """
    await _require_no_trigger(database, write.statement)
    writers = database.writers
    return await _write(writers, _execute(database, writers, write.bind(params)))


@dataclass(frozen=True)
class KeyedWrite:
    """The statements of an UPDATE or DELETE of one row by its key."""

    alone: BoundStatement
    """Writes one row, and waits for locks."""
    single: BoundStatement | None = None
    """Writes one row, and fails if it has to wait for a lock."""
    many: BoundStatement | None = None
    """Writes rows from a list for each parameter, as *single* does.

    The last column of its rows is the place of the row in the lists, from 1.
    """


async def write_by_key(
    database: Database, write: KeyedWrite, params: Mapping[str, Any]
) -> Sequence[Any]:
    """Write the row with the `KEY_PARAM` of *params*. Return its RETURNING row, or no row.

    Concurrent writes of different rows are batched. If the database rejects a batch, or a row of it
    is locked, each row is written by itself. Raises as `execute_write` does.
    """
    alone, many = write.alone, write.many
    if write.single and many and database.coalesce and alone.statement.shareable:
        scope: _ParamItems = (*many.values.items(),)
        if is_hashable(scope):
            name = (many.statement, scope)
            batcher = database.batchers.get(name)
            if batcher is None:
                run = _KeyedWriteBatch(database, write.single, many)
                batcher = _get_batcher(
                    database, name, run, max_concurrent=1, identify=itemgetter(KEY_PARAM)
                )
            with suppress(StatementFailed):
                row = await batcher(params)
                return () if row is None else (row,)
    # This write may wait for a lock. It does not delay the next batch.
    return await execute_write(database, alone, params)


@dataclass(frozen=True)
class _KeyedWriteBatch:
    """Executes a batch of writes of different rows."""

    database: Database
    single: BoundStatement
    many: BoundStatement

    async def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        results: list[Any] = [None] * len(rows)
        if len(rows) == 1:
            results[:] = await execute_write(self.database, self.single, rows[0]) or [None]
            return results
        # Processes that lock rows in the same order rarely wait for each other.
        order = sorted(range(len(rows)), key=lambda index: rows[index][KEY_PARAM])
        lists = _transpose([rows[index] for index in order])
        for record in await execute_write(self.database, self.many, lists):
            results[order[record[-1] - 1]] = record[:-1]
        return results


async def insert_one(
    database: Database, one: BoundStatement, many: BoundStatement, values: Mapping[str, Any]
) -> Sequence[Any]:
    """Insert *values*, and return the RETURNING rows. Raises as `execute_write` does.

    Concurrent inserts with the same other values, those of the scope, are batched with *many*,
    which takes a list for each column. If the database rejects the batch, each row is inserted by
    itself with *one*.
    """
    scope: _ParamItems = (*many.values.items(),)
    if not is_hashable(scope):
        return await execute_write(database, one, values)

    async def insert_batch(rows: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        if len(rows) > 1:
            with suppress(StatementFailed):
                records = await execute_write(database, many, _transpose(rows))
                if records:
                    return [*_match_inserted(many.statement, records, rows)]
        writes = [execute_write(database, one, row) for row in rows]
        results: list[Any] = await asyncio.gather(*writes, return_exceptions=True)
        return results

    insert = _get_batcher(database, (many.statement, scope), insert_batch, max_concurrent=1)
    records: Sequence[Any] = await insert(values)
    return records


async def insert_many(
    database: Database, insertion: BoundStatement, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert all *rows* or none. Raises as `execute_write` does.

    On PostgreSQL *insertion* takes a list for each column. On SQLite it runs once for each row, in
    one transaction.
    """
    await _require_no_trigger(database, insertion.statement)
    writers = database.writers
    if writers.is_sqlite:
        batch = [insertion.bind(row) for row in rows]
        await _write(writers, execute_in_transaction(writers, batch))
        return
    bound = insertion.bind(_transpose(rows))
    execution = fetch_postgresql(writers, bound, expected=len(rows))
    if not await _write(writers, execution):
        raise StatementFailed("the database inserted fewer rows")


async def _require_no_trigger(database: Database, statement: CompiledStatement) -> None:
    """Raise `StatementFailed` if the table of *statement* has a trigger."""
    if await _has_trigger(database, statement):
        raise StatementFailed("its table has a trigger, which may change the effect of a write")


async def _has_trigger(database: Database, statement: CompiledStatement) -> bool:
    """Return whether the table of *statement* has a trigger, which may change its effect."""
    table = statement.table
    if table is None:
        return False
    triggers = triggers_of(database.writer.sync_engine)
    if (has_any := triggers.cached(table)) is not None:
        return has_any
    async with database.session(readonly=True) as session:
        return await triggers.has_any(table, session)


def _match_inserted(
    statement: CompiledStatement, records: Sequence[Any], rows: Sequence[Mapping[str, Any]]
) -> Iterator[Any]:
    """Yield a result for each inserted row, and an error for a row that a trigger skipped."""
    if len(records) == len(rows):  # a stored key may differ in its padding
        yield from (EMPTY_ROWS for _ in rows)
        return
    names = [name for name in statement.columns if name in rows[0]]
    stored = (
        zip(statement.columns, statement.decode_row(record), strict=True) for record in records
    )
    key_of = itemgetter(*names)
    inserted = {key_of(dict(values)) for values in stored}
    skipped = StatementFailed("a trigger skipped the row")
    yield from (EMPTY_ROWS if key_of(row) in inserted else skipped for row in rows)


def _transpose(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


async def _read(lender: EngineLender, execution: Awaitable[Sequence[Any]]) -> Sequence[Any]:
    """Return the rows of a read *execution*. Raises as `fetch_rows` does."""
    try:
        rows = await execution
    except _DRIVER_ERRORS as error:
        outage = classify_outage(error, readonly=True)
        if outage is SILENT:
            raise lender.outage_problem(error, SILENT) from error
        if outage:
            _ = lender.outage_problem(error, outage)  # logs the outage; a retry may succeed
        raise StatementFailed("the database rejected the SELECT, or is away") from error
    _note_success(lender)
    return rows


async def _write(lender: EngineLender, execution: Awaitable[Sequence[Any]]) -> Sequence[Any]:
    """Return the rows of a committed write *execution*. Raises as `execute_write` does."""
    try:
        rows = await execution
    except _DRIVER_ERRORS as error:
        outage = classify_outage(error, readonly=False)
        if outage is UNWRITABLE or (is_rejection(error) and outage is not SILENT):
            raise StatementFailed("the database rejected the write") from error
        raise lender.outage_problem(error, outage or UNREACHABLE) from error
    _note_success(lender)
    return rows


def _note_success(lender: EngineLender) -> None:
    if lender.availability.outages:
        lender.availability.end(readonly=lender.readonly, wrote=not lender.readonly)


def _get_batcher(
    database: Database,
    name: object,
    run: _BatchRunner,
    *,
    max_concurrent: int,
    identify: Callable[[Any], Hashable] | None = None,
) -> CallBatcher[Any, Any]:
    batcher = database.batchers.get(name)
    if batcher is None:  # no call of this name is in flight
        batcher = CallBatcher(
            run, max_concurrent=max_concurrent, timeout=database.timeout, identify=identify
        )
        database.batchers[name] = batcher
    return batcher


async def _execute(database: Database, lender: EngineLender, bound: BoundSQL) -> Sequence[Any]:
    """Execute *bound* and return its rows. Errors of the driver propagate."""
    if not lender.is_sqlite:
        return await fetch_postgresql(lender, bound)
    run_batch, max_concurrent = (
        (sqlite_read_batch, _MAX_CONCURRENT_READS) if lender.readonly else (sqlite_write_batch, 1)
    )

    async def run_in_thread(batch: Sequence[BoundSQL]) -> Sequence[Any]:
        results: Sequence[Any] = await run_in_sqlite_thread(lender, run_batch, batch)
        return results

    if database.coalesce:
        batcher = _get_batcher(database, run_batch, run_in_thread, max_concurrent=max_concurrent)
        rows: Sequence[Any] = await batcher(bound)
        return rows
    (result,) = await run_in_thread([bound])
    return raise_if_error(result)
