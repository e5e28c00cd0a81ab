"""What happened while a block ran: statements sent, paths taken, connections in use."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, QueuePool, event
from starlette.types import Scope

from brickwork import Database, lanes


@contextmanager
def statements() -> Generator[list[str]]:
    """Collect what is sent to any database, less what begins a transaction."""
    sent: list[str] = []

    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@contextmanager
def record_fast_path() -> Generator[list[bool]]:
    """Collect for each read whether the fast lane answered it."""
    connections_in_use: list[bool] = []
    answer: Any = vars(lanes.Lane)["__call__"]

    async def note(self: Any, scope: Scope, *rest: Any) -> Any:
        response = await answer(self, scope, *rest)
        connections_in_use.append(response is not None)
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes.Lane, "__call__", note)
        yield connections_in_use


@contextmanager
def event_listener(target: object, name: str) -> Generator[None]:
    def note(*_: object, **__: object) -> None: ...

    event.listen(target, name, note)
    try:
        yield
    finally:
        event.remove(target, name, note)


def connections_in_use(database: Database) -> int:
    """Return how many connections are in use, for reading or writing."""
    pools = [engine.pool for engine in (database.reader, database.writer)]
    return sum(pool.checkedout() for pool in pools if isinstance(pool, QueuePool))
