"""Overlapping transactions, and the order of their commits."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.util import await_only

from brickwork import Database, OutboxEvent, ServiceUnavailable, read_events
from tests.support.blog import Article

T = TypeVar("T")


class CommitOrder:
    """The beginnings and ends of transactions, as their writers saw them."""

    def __init__(self) -> None:
        """Begin without a transaction."""
        self._clock = count()
        self._begun: dict[str, int] = {}
        self._ended: dict[str, int] = {}

    @contextmanager
    def transaction(self, name: str) -> Generator[None]:
        """Record the beginning and the end of the block."""
        self._begun[name] = next(self._clock)
        yield
        self._ended[name] = next(self._clock)

    def assert_consistent(self, names: Sequence[str]) -> None:
        """Fail if a transaction in *names* follows another that began after its end."""
        latest = -1
        for name in names:
            assert self._ended[name] > latest, f"{name} is too late in {names}"
            latest = max(latest, self._begun[name])


async def retry_after_conflicts(work: Callable[[], Awaitable[T]]) -> T:
    """Return the result of *work*; repeat it after serialization failures."""
    while True:
        try:
            return await work()
        except ServiceUnavailable as error:
            if not error.retryable:
                raise


async def yield_to_others() -> None:
    """Let other tasks run for a random number of turns."""
    for _ in range(random.randrange(100)):  # noqa: S311 — no secret
        await asyncio.sleep(0)


@contextmanager
def pause_before_commits(*databases: Database) -> Generator[None]:
    """Let other tasks run between the last statement of a transaction and its commit."""

    def pause(_: Connection) -> None:
        await_only(yield_to_others())

    for database in databases:
        event.listen(database.writer.sync_engine, "commit", pause)
    try:
        yield
    finally:
        for database in databases:
            event.remove(database.writer.sync_engine, "commit", pause)


async def follow(database: Database, *, stopped: asyncio.Event) -> Sequence[OutboxEvent]:
    """Read events in small pages without a pause, until *stopped* is set and none are left."""
    seen: list[OutboxEvent] = []
    while True:
        last = stopped.is_set()
        async with database.session(readonly=True) as session:
            found = await read_events(session, seen[-1].sequence if seen else 0, limit=7)
        seen += found
        if last and not found:
            return seen


async def race(
    databases: Sequence[Database], order: CommitOrder, *, writers: int, articles: int
) -> Sequence[OutboxEvent]:
    """Write and change *articles* with each of *writers*; return the events that a reader saw.

    Every writer rolls back every third article.
    """

    async def write(database: Database, slug: str, *, roll_back: bool) -> None:
        async with database.session() as session:
            session.add(article := Article(slug=slug))
            await session.flush()
            await yield_to_others()
            article.views = 1
            if roll_back:
                await session.rollback()

    async def write_all(writer: int) -> None:
        database = databases[writer % len(databases)]
        for number in range(articles):
            slug, roll_back = f"{writer}-{number}", number % 3 == 2
            with order.transaction(slug):
                await retry_after_conflicts(partial(write, database, slug, roll_back=roll_back))

    stopped = asyncio.Event()
    with pause_before_commits(*databases):
        following = asyncio.create_task(follow(databases[-1], stopped=stopped))
        await asyncio.gather(*(write_all(writer) for writer in range(writers)))
        stopped.set()
        return await following
