"""Statements in the thread of a SQLite connection."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

from brickwork.database.availability import is_sqlite_locked
from brickwork.database.borrowing import (
    StatementClock,
    borrow_connection,
    is_rejection,
    log_statement,
)
from brickwork.database.compiled import BoundSQL, CompiledStatement
from brickwork.database.connections import statement_deadline
from brickwork.database.driver_internals import run_in_thread
from brickwork.database.engines import EngineLender

_BatchFunction = Callable[[sqlite3.Connection, Sequence[BoundSQL]], Any]

EMPTY_ROWS: Final = ((),)
"""A result with one row and no columns: the caller knows all values already."""


def raise_if_error(result: Any) -> Sequence[Any]:
    """Return the rows in *result*, or raise the error that it is."""
    if isinstance(result, Exception):
        raise result
    return cast("Sequence[Any]", result)


async def execute_many(
    lender: EngineLender, statement: CompiledStatement, params: Sequence[Mapping[str, Any]]
) -> Sequence[Any]:
    """Execute a SELECT with each of *params* and return all rows. Raise the first error."""
    batch = [BoundSQL(statement.sql, statement.bind(values)) for values in params]
    results = await run_in_sqlite_thread(lender, sqlite_read_batch, batch)
    return [row for rows in results for row in raise_if_error(rows)]


async def execute_in_transaction(lender: EngineLender, batch: Sequence[BoundSQL]) -> Sequence[Any]:
    """Write *batch* in one transaction. Return a non-empty value, or raise the first error."""
    raise_if_error(
        (await run_in_sqlite_thread(lender, partial(_sqlite_write_all, is_whole=True), batch))[0]
    )
    return EMPTY_ROWS


async def run_in_sqlite_thread(
    lender: EngineLender, run_batch: _BatchFunction, batch: Sequence[BoundSQL]
) -> Sequence[Any]:
    """Execute *batch* in one hop to a connection's thread and back.

    The hop is most of the cost of a SQLite statement.
    """
    clock = StatementClock(lender.command_timeout)
    async with borrow_connection(lender) as connection:
        for sql, _, _ in batch:
            log_statement(lender, sql)
        driver = connection.driver_connection
        with statement_deadline(driver, clock.left):
            results: Sequence[Any] = await run_in_thread(driver, run_batch, batch)
    _log_checks(lender, batch, results)
    return results


def _log_checks(
    lender: EngineLender, batch: Sequence[BoundSQL], results: Sequence[Sequence[Any] | Exception]
) -> None:
    """Log the check of each row in *results*, and one for a rejected statement of *batch*."""
    for (_, _, check), rows in zip(batch, results, strict=False):
        if check is not None:
            for _ in range(1 if isinstance(rows, Exception) else len(rows)):
                log_statement(lender, check.sql)


def sqlite_read_batch(connection: sqlite3.Connection, batch: Sequence[BoundSQL]) -> Sequence[Any]:
    """Return the rows or the error of each SELECT in *batch*."""
    return [_fetch_or_error(connection, sql, values) for sql, values, _ in batch]


def sqlite_write_batch(connection: sqlite3.Connection, batch: Sequence[BoundSQL]) -> Sequence[Any]:
    """Return the rows or the error of each write in *batch*.

    One transaction commits them all. If SQLite rejects one, each runs again in its own transaction:
    a failed statement may have written some rows, or ended the transaction.
    """
    results = _sqlite_write_all(connection, batch)
    error = results[0]
    if not isinstance(error, Exception):
        return results
    if len(batch) == 1 or is_sqlite_locked(error) or not is_rejection(error):
        return [error] * len(batch)
    return [_sqlite_write_all(connection, [statement])[0] for statement in batch]


def _sqlite_write_all(
    connection: sqlite3.Connection, batch: Sequence[BoundSQL], *, is_whole: bool = False
) -> Sequence[Any]:
    """Write *batch* in one transaction. Return the rows of each statement, or the first error.

    A statement that changes rows and returns none fails too: a trigger skipped a row. So does one
    whose check does not find a row. With *is_whole*, every statement must return a row.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        results: list[Any] = []
        for sql, values, check in batch:
            changes = connection.total_changes
            results.append(rows := connection.execute(sql, values).fetchall())
            if not rows and (is_whole or connection.total_changes > changes):
                raise sqlite3.IntegrityError("A trigger skipped a row.")
            if check is not None and not all(
                connection.execute(check.sql, [*check.values, row[0]]).fetchone() for row in rows
            ):
                raise sqlite3.IntegrityError("A row would be out of its scope.")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.rollback()  # if SQLite has not
        return [error]
    return results


def _fetch_or_error(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> Any:
    try:
        return connection.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        return error
