"""Events and consumers under many writers."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import pytest

from brickwork import Consumer, Database, IsolationLevel, OutboxEvent, delete_events, read_events
from tests.support.blog import Article
from tests.support.commits import CommitOrder, race, retry_after_conflicts
from tests.support.services import Service

ALWAYS = datetime.max.replace(tzinfo=UTC)


def slugs_of(found: Sequence[OutboxEvent]) -> list[str]:
    return [(row.data or {})["slug"] for row in found]


async def take(database: Database, name: str, limit: int) -> list[str]:
    async with database.session() as session:
        return slugs_of(await Consumer(name).fetch(session, limit=limit))


async def create_articles(database: Database, *slugs: str) -> None:
    async with database.session() as session:
        session.add_all(Article(slug=slug) for slug in slugs)


async def test_30_writers_publish_in_commit_order(blog_service: Service) -> None:
    one, other = (Database(blog_service.url, pool_size=15, pool_timeout=60) for _ in range(2))
    order = CommitOrder()
    async with one.lifespan(None), other.lifespan(None):
        seen = await race([one, other], order, writers=30, articles=10)
        async with one.session(readonly=True) as session:
            stored = await read_events(session, 0, limit=10_000)

    assert [row.sequence for row in seen] == [row.sequence for row in stored]
    assert len(stored) == 420  # two of each article that was not rolled back
    slugs = slugs_of(stored)
    assert slugs[::2] == slugs[1::2]  # the events of a transaction are adjacent
    order.assert_consistent(slugs)


async def test_consumers_of_one_name_share_a_running_stream(
    blog_service: Service,
) -> None:
    database, taken = blog_service.database, list[str]()

    async def consume() -> None:
        while found := await take(database, "search", 3):
            taken.extend(found)

    async def produce() -> None:
        for number in range(40):
            await create_articles(database, str(number))

    await asyncio.gather(produce(), *(consume() for _ in range(5)))
    await asyncio.gather(*(consume() for _ in range(5)))

    assert sorted(taken, key=int) == [str(number) for number in range(40)]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_consumers_starting_during_a_deletion_miss_no_event(
    blog_service: Service, isolation: IsolationLevel
) -> None:
    database = Database(blog_service.url, isolation_level=isolation)

    async def delete_old_events() -> None:
        async with database.session() as session:
            await delete_events(session, before=ALWAYS)

    async with database.lifespan(None):
        for turn in range(5):
            await create_articles(database, *(f"{turn}-{number}" for number in range(4)))
            consumers = [f"{turn}-{number}" for number in range(4)]
            begin = [retry_after_conflicts(partial(take, database, name, 1)) for name in consumers]
            await asyncio.gather(*begin, retry_after_conflicts(delete_old_events))
            for name in consumers:  # raises LookupError if it missed one
                await retry_after_conflicts(partial(take, database, name, 100))
