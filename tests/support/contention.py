"""Transactions that other transactions are in the way of."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, event
from sqlalchemy.util import await_only

from brickwork.database.errors import serialization_conflict
from tests.support.waiting import DEADLINE

ATTEMPTS: Final = 8
"""How often a request is carried out before it is refused."""


@contextmanager
def contention(failures: int) -> Generator[list[int]]:
    """Fail as many commits as *failures*, as a serialization failure does; number them all."""
    commits: list[int] = []

    def fail(_: Connection) -> None:
        commits.append(len(commits) + 1)
        if len(commits) <= failures:
            raise serialization_conflict()

    event.listen(Engine, "commit", fail)
    try:
        yield commits
    finally:
        event.remove(Engine, "commit", fail)


class Halt:
    """A commit that is held until it may continue."""

    def __init__(self, commit: int) -> None:
        """Hold the *commit* of this number."""
        self._number = commit
        self._commits = 0
        self._reached = asyncio.Event()
        self._released = asyncio.Event()

    def __call__(self, _: Connection) -> None:
        """Hold it or let it pass."""
        self._commits += 1
        if self._commits == self._number:
            self._reached.set()
            await_only(self._released.wait())

    async def reached(self) -> None:
        """Wait until the commit is held."""
        async with asyncio.timeout(DEADLINE):
            await self._reached.wait()

    def release(self) -> None:
        """Let the commit continue."""
        self._released.set()


@contextmanager
def halted(commit: int) -> Generator[Halt]:
    """Hold the *commit* of this number, from 1; one that meets `contention` does not count."""
    halt = Halt(commit)
    event.listen(Engine, "commit", halt)
    try:
        yield halt
    finally:
        halt.release()
        event.remove(Engine, "commit", halt)
