"""Statements on a connection of PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from asyncpg import PostgresError

from brickwork.database.availability import is_connection_lost
from brickwork.database.borrowing import StatementClock, borrow_connection, log_statement
from brickwork.database.engines import EngineLender


async def fetch_postgresql(
    lender: EngineLender, sql: str, values: Sequence[Any], *, expected: int = 0
) -> Sequence[Any]:
    """Execute a statement and return its rows.

    Roll back and return no rows if there are fewer than *expected*.
    """
    clock = StatementClock(lender.command_timeout)
    async with borrow_connection(lender) as connection:
        log_statement(lender, sql)
        try:
            return await _fetch_in_transaction(lender, connection, sql, values, clock, expected)
        except PostgresError as error:
            if is_connection_lost(error, readonly=lender.readonly):
                raise
            rejection = error  # the connection remains usable
    raise rejection


async def _fetch_in_transaction(  # noqa: PLR0913, PLR0917 — all parts of a statement
    lender: EngineLender,
    connection: Any,
    sql: str,
    values: Sequence[Any],
    clock: StatementClock,
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
