"""Waiting for conditions, without fixed pauses."""

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from brickwork import Database

DEADLINE = 60
"""The timeout of a hanging test in seconds, for busy machines."""


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until *condition* holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 — nothing signals the change
            await asyncio.sleep(0)


async def waiting_process(database: Database) -> int:
    """Wait for a process of PostgreSQL that waits for a lock in *database*, and return it."""
    statement = text(
        "SELECT pid FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    found: int | None = None
    async with asyncio.timeout(DEADLINE):
        while (
            found is None
        ):  # a transaction sees one state of all processes, so each look has a new one
            async with database.reader.connect() as connection:
                found = await connection.scalar(statement)
    return found


async def until_it_waits(task: asyncio.Task[Any], database: Database) -> None:
    """Run *task* until it waits for a lock of PostgreSQL, or is done."""
    statement = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with asyncio.timeout(DEADLINE), database.reader.connect() as connection:
        # Within one transaction, every query would return the first result.
        _ = await connection.execution_options(isolation_level="AUTOCOMMIT")
        while not (task.done() or await connection.scalar(statement)):
            pass
