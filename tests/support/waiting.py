"""Waiting for what happens, and never for a while."""

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from brickwork import Database

DEADLINE = 60
"""Seconds, for a machine that does other things too; it passes where something hangs."""


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until *condition* holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 — it is not known what changes it
            await asyncio.sleep(0)


async def waiting_process(database: Database) -> int:
    """Return the process of PostgreSQL that waits for a lock in *database*, once there is one."""
    statement = text(
        "SELECT pid FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    found: int | None = None
    async with asyncio.timeout(DEADLINE):
        while found is None:  # in a new transaction, since each sees one state of all processes
            async with database.reader.connect() as connection:
                found = await connection.scalar(statement)
    return found


async def until_it_waits(task: asyncio.Task[Any], database: Database) -> None:
    """Let *task* run until it waits for a lock of PostgreSQL, or is done."""
    statement = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with asyncio.timeout(DEADLINE), database.reader.connect() as connection:
        # In a transaction, all answers would be those of the first time.
        _ = await connection.execution_options(isolation_level="AUTOCOMMIT")
        while not (task.done() or await connection.scalar(statement)):
            pass
