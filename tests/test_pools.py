"""The pool: first come, first served, and no connection lost on the way."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn
from sqlalchemy.util.queue import Empty, Full

from brickwork import Database
from brickwork.pools import FairPool, FairQueue

pytestmark = pytest.mark.anyio


async def taken(queue: FairQueue[int], patience: float | None = None) -> int:
    """Return an item as the pool takes one."""
    item: int = await greenlet_spawn(queue.get, True, patience)  # noqa: FBT003 — as the pool does
    return item


async def test_who_waits_is_served_in_turn_and_before_who_comes_now() -> None:
    queue = FairQueue[int](3)
    waiting = [asyncio.create_task(taken(queue)) for _ in range(3)]
    await asyncio.sleep(0)
    queue.put_nowait(1)  # is handed to the first, who has not run yet
    with pytest.raises(Empty):
        queue.get_nowait()
    for item in (2, 3, 4):
        queue.put_nowait(item)
    assert await asyncio.gather(*waiting) == [1, 2, 3]
    assert (queue.qsize(), queue.get_nowait(), queue.empty()) == (1, 4, True)


async def test_it_holds_no_more_than_it_may() -> None:
    queue = FairQueue[int](2)
    queue.put_nowait(1)
    assert not queue.full()
    queue.put_nowait(2)
    assert queue.full()
    with pytest.raises(Full):
        queue.put(3, False)  # noqa: FBT003 — as the pool does
    assert [queue.get(False), queue.get(False)] == [1, 2]


async def test_who_waits_too_long_is_told_and_gets_nothing_later() -> None:
    queue = FairQueue[int](1)
    with pytest.raises(Empty):
        await taken(queue, 0.01)
    queue.put_nowait(1)
    assert await taken(queue) == 1


@pytest.mark.parametrize("handed", [False, True], ids=["before it came", "when it came"])
async def test_who_gives_up_waiting_takes_nothing_along(*, handed: bool) -> None:
    queue = FairQueue[int](1)
    gone = asyncio.create_task(taken(queue))
    await asyncio.sleep(0)
    if handed:
        queue.put_nowait(1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    if not handed:
        queue.put_nowait(1)
    assert await taken(queue) == 1


@pytest.fixture
async def engine(empty_url: str) -> AsyncGenerator[AsyncEngine]:
    database = Database(empty_url, pool_size=2)
    yield database.reader
    await database.dispose()


async def test_connections_are_given_in_the_order_they_are_asked_for(engine: AsyncEngine) -> None:
    assert isinstance(engine.pool, FairPool)
    order: list[int] = []

    async def use(number: int) -> None:
        async with engine.connect() as connection:
            order.append(number)
            await connection.execute(text("SELECT 1"))

    await asyncio.gather(*(use(-1) for _ in range(2)))  # both are open now
    order.clear()
    await asyncio.gather(*(use(number) for number in range(40)))
    assert order == sorted(order)
    assert engine.pool.checkedin() == 2


async def test_both_ways_to_a_connection_are_one_line(engine: AsyncEngine) -> None:
    pool = engine.pool
    assert isinstance(pool, FairPool)
    held = [await engine.connect() for _ in range(2)]
    order: list[int] = []

    async def use(number: int) -> None:
        if number % 2:
            taken = pool.connect() if await pool.turn() else await greenlet_spawn(pool.connect)
            order.append(number)
            await asyncio.sleep(0)
            taken.close()
        else:
            async with engine.connect():
                order.append(number)
                await asyncio.sleep(0)

    waiting = [asyncio.create_task(use(number)) for number in range(20)]
    await asyncio.sleep(0)
    assert order == []
    for each in held:
        await each.close()
    await asyncio.gather(*waiting)
    assert order == [*range(20)]
    assert pool.checkedin() == 2


async def test_who_waits_for_a_turn_gets_a_connection_that_has_to_be_opened(
    engine: AsyncEngine,
) -> None:
    pool = engine.pool
    assert isinstance(pool, FairPool)
    held = [await engine.connect() for _ in range(2)]
    waiting = asyncio.create_task(pool.turn())
    await asyncio.sleep(0)
    await held[0].invalidate()
    await held[0].close()
    assert not await waiting
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await held[1].close()


async def test_a_turn_that_does_not_come_is_told_and_takes_nothing_along(empty_url: str) -> None:
    database = Database(empty_url, pool_size=1, pool_timeout=0.05)
    pool = database.reader.pool
    assert isinstance(pool, FairPool)
    async with database.reader.connect() as connection:
        await connection.execute(text("SELECT 1"))
        with pytest.raises(PoolTimeout):
            await pool.turn()
        gone = asyncio.create_task(pool.turn())
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
    assert (await pool.turn(), pool.checkedin()) == (True, 1)
    await database.dispose()
