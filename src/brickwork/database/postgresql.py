"""Statements on a connection of PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from brickwork.database.availability import is_connection_lost
from brickwork.database.borrowing import StatementClock, borrow_connection, log_statement
from brickwork.database.compiled import BoundSQL, RowCheck
from brickwork.database.drivers import PostgresError
from brickwork.database.engines import EngineLender


async def fetch_postgresql(
    lender: EngineLender, bound: BoundSQL, *, expected: int = 0
) -> Sequence[Any]:
    """Execute a statement and return its rows.

    Roll back and return no rows if there are fewer than *expected*, or the check of the statement
    does not find one.
    """
    clock = StatementClock(lender.command_timeout)
    async with borrow_connection(lender) as connection:
        log_statement(lender, bound.sql)
        try:
            return await _fetch_in_transaction(lender, connection, bound, clock, expected)
        except PostgresError as error:
            if is_connection_lost(error, readonly=lender.readonly):
                raise
            rejection = error  # the connection remains usable
    raise rejection


async def _fetch_in_transaction(
    lender: EngineLender, connection: Any, bound: BoundSQL, clock: StatementClock, expected: int
) -> Sequence[Any]:
    rows: Sequence[Any]
    driver = connection.driver_connection
    sql, values, check = bound
    if lender.begin is None and not expected and check is None:
        rows = await driver.fetch(sql, *values, timeout=clock.left)
        return rows
    transaction = driver.transaction(**(lender.begin or {}))
    await transaction.start()
    try:
        rows = await driver.fetch(sql, *values, timeout=clock.left)
        is_complete = len(rows) >= expected and await _passes_check(lender, driver, check, rows)
    except PostgresError as error:
        if not is_connection_lost(error, readonly=lender.readonly):
            await transaction.rollback()
        raise
    if not is_complete:
        await transaction.rollback()
        return ()
    await transaction.commit()
    return rows


async def _passes_check(
    lender: EngineLender, driver: Any, check: RowCheck | None, rows: Sequence[Any]
) -> bool:
    """Return whether *check* finds each of the written *rows*. True if there is none."""
    if check is None:
        return True
    for row in rows:
        log_statement(lender, check.sql)
        if not await driver.fetch(check.sql, *check.values, row[0]):
            return False
    return True
