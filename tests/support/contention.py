"""Serialization failures, and commits that are held up."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, event
from sqlalchemy.util import await_only

from brickwork.database.errors import serialization_conflict
from tests.support.waiting import DEADLINE

ATTEMPTS: Final = 8
"""The number of attempts before a request fails."""


@contextmanager
def contention(failures: int) -> Generator[list[int]]:
    """Fail the first *failures* commits with a serialization failure; yield all commits."""
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
    """A commit that waits until it is released."""

    def __init__(self, commit: int) -> None:
        """Stop at the *commit* with this number."""
        self._number = commit
        self._commits = 0
        self._reached = asyncio.Event()
        self._released = asyncio.Event()

    def __call__(self, _: Connection) -> None:
        """Stop the commit, or let it pass."""
        self._commits += 1
        if self._commits == self._number:
            self._reached.set()
            await_only(self._released.wait())

    async def reached(self) -> None:
        """Wait until the commit has stopped."""
        async with asyncio.timeout(DEADLINE):
            await self._reached.wait()

    def release(self) -> None:
        """Let the commit continue."""
        self._released.set()


@contextmanager
def halted(commit: int) -> Generator[Halt]:
    """Stop at the *commit* with this number, from 1, not counting those that `contention` fails."""
    halt = Halt(commit)
    event.listen(Engine, "commit", halt)
    try:
        yield halt
    finally:
        halt.release()
        event.remove(Engine, "commit", halt)
