"""Recorders of statements, paths and connections."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from httpx2 import Response
from sqlalchemy import Engine, QueuePool, event
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.util.concurrency import await_

from brickwork import Database, Problem
from brickwork.database import engines
from brickwork.database.triggers import TRIGGER_QUERIES
from brickwork.execution.eligibility import Declined
from brickwork.operations.endpoint import BoundOperation

_DIALECTS: dict[str, Any] = {
    "postgresql": PGDialect_asyncpg,
    "sqlite": SQLiteDialect_aiosqlite,
}
_QUESTIONS = {
    str(question.compile(dialect=_DIALECTS[name]())) for name, question in TRIGGER_QUERIES.items()
}


@contextmanager
def statements() -> Generator[list[str]]:
    """Collect the statements to all databases, except those that begin transactions or savepoints.

    The check for triggers of a table runs once for many requests, and is not collected either.
    """
    sent: list[str] = []

    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        is_begin = statement.startswith(("BEGIN", "SAVEPOINT", "RELEASE"))
        if not is_begin and statement not in _QUESTIONS:
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@contextmanager
def driver_statements(verb: str = "SELECT") -> Generator[list[str]]:
    """Collect the statements with *verb* that reach a driver, on connections opened in the block.

    The fast path bypasses SQLAlchemy, and is off if there is an event listener for statements.
    """
    sent: list[str] = []

    def note(statement: str) -> None:
        if statement.startswith(verb):
            sent.append(statement)

    def listening(set_up: Callable[..., None]) -> Callable[..., None]:
        def set_up_and_listen(connection: Any, *rest: Any, **options: Any) -> None:
            set_up(connection, *rest, **options)
            listen(connection.driver_connection)

        return set_up_and_listen

    def listen(driver: Any) -> None:
        if isinstance(driver, asyncpg.Connection):
            driver.add_query_logger(lambda record: note(record.query))
        else:
            await_(driver.set_trace_callback(note))

    with pytest.MonkeyPatch.context() as patch:
        for name in ("prepare_connection", "require_settings"):
            patch.setattr(engines, name, listening(getattr(engines, name)))
        yield sent


@contextmanager
def record_fast_path() -> Generator[list[bool]]:
    """Collect for each eligible request whether it took the fast path."""
    taken: list[bool] = []
    execute: Any = vars(BoundOperation)["_execute_statement"]

    async def note(self: Any, *arguments: Any) -> Any:
        try:
            result = await execute(self, *arguments)
        except Problem:
            taken.append(True)
            raise
        taken.append(not isinstance(result, Declined))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BoundOperation, "_execute_statement", note)
        yield taken


async def path_taken(request: Awaitable[Response]) -> str:
    """Await *request*, and return its status and path: `200 fast`, or `200 ORM`."""
    with record_fast_path() as taken:
        response = await request
    return f"{response.status_code} {'fast' if taken == [True] else 'ORM'}"


@contextmanager
def event_listener(target: object, name: str) -> Generator[None]:
    """Register a listener for an event of SQLAlchemy that does nothing."""

    def note(*_: object, **__: object) -> None: ...

    event.listen(target, name, note)
    try:
        yield
    finally:
        event.remove(target, name, note)


def connections_in_use(database: Database) -> int:
    """Count the connections in use, for reading and writing."""
    pools = [engine.pool for engine in (database.reader, database.writer)]
    return sum(pool.checkedout() for pool in pools if isinstance(pool, QueuePool))
