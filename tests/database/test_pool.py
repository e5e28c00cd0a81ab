"""The connection pool: first come, first served."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn
from sqlalchemy.util.concurrency import await_
from sqlalchemy.util.queue import Empty, Full

from brickwork import Database
from brickwork.database.pool import ConnectTimeout, FairPool, FairQueue
from tests.support.databases import postgres_only
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


# --- The queue ------------------------------------------------------------------------------------


async def take_item(queue: FairQueue[int], timeout: float | None = None) -> int:  # noqa: ASYNC109 — the queue's own
    """Return an item as the pool takes one."""
    item: int = await greenlet_spawn(queue.get, True, timeout)  # noqa: FBT003 — as the pool does
    return item


async def start_takers(queue: FairQueue[int], count: int) -> list[asyncio.Task[int]]:
    """Start *count* tasks that wait for one item each."""
    tasks = [asyncio.create_task(take_item(queue)) for _ in range(count)]
    await until(lambda: len(vars(queue)["_waiting"]) == count)
    return tasks


async def test_items_are_handed_out_first_come_first_served() -> None:
    queue = FairQueue[int](3)
    takers = await start_takers(queue, 3)
    for item in (1, 2, 3):
        queue.put_nowait(item)
    assert await asyncio.gather(*takers) == [1, 2, 3]


async def test_newcomer_does_not_take_an_assigned_item() -> None:
    queue = FairQueue[int](3)
    (taker,) = await start_takers(queue, 1)
    queue.put_nowait(1)
    with pytest.raises(Empty):
        queue.get_nowait()
    assert await taker == 1


async def test_item_is_kept_while_nobody_waits() -> None:
    queue = FairQueue[int](3)
    queue.put_nowait(1)
    assert (queue.qsize(), queue.empty()) == (1, False)
    assert (queue.get_nowait(), queue.empty()) == (1, True)


async def test_full_queue_rejects_an_item() -> None:
    queue = FairQueue[int](2)
    queue.put_nowait(1)
    assert not queue.full()
    queue.put_nowait(2)
    assert queue.full()
    with pytest.raises(Full):
        queue.put(3, False)  # noqa: FBT003 — as the pool does
    assert [queue.get(False), queue.get(False)] == [1, 2]


async def test_timed_out_taker_gets_no_later_item() -> None:
    queue = FairQueue[int](1)
    with pytest.raises(Empty):
        await take_item(queue, 0.01)
    queue.put_nowait(1)
    assert await take_item(queue) == 1


async def test_cancelled_taker_takes_nothing() -> None:
    queue = FairQueue[int](1)
    (taker,) = await start_takers(queue, 1)
    taker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taker
    queue.put_nowait(1)
    assert await take_item(queue) == 1


async def test_taker_cancelled_with_its_item_puts_it_back() -> None:
    queue = FairQueue[int](1)
    (taker,) = await start_takers(queue, 1)
    queue.put_nowait(1)
    taker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taker
    assert await take_item(queue) == 1


async def test_make_room_wakes_a_taker_without_an_item() -> None:
    queue = FairQueue[int](1)
    (taker,) = await start_takers(queue, 1)
    queue.make_room()
    with pytest.raises(Empty):
        await taker


async def test_cancelled_taker_passes_the_room_to_the_next() -> None:
    queue = FairQueue[int](2)
    first, second = await start_takers(queue, 2)
    queue.make_room()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(Empty):
        await second


# --- The pool -------------------------------------------------------------------------------------


@pytest.fixture
async def engine(service_url: str) -> AsyncGenerator[AsyncEngine]:
    """Return an engine with two connections."""
    database = Database(service_url, pool_size=2)
    yield database.reader
    await database.dispose()


@pytest.fixture
def pool(engine: AsyncEngine) -> FairPool:
    """Return the pool of the engine."""
    assert isinstance(engine.pool, FairPool)
    return engine.pool


def count_waiting(pool: FairPool) -> int:
    """Count the waiters for a connection."""
    queue: FairQueue[object] = vars(pool)["_pool"]
    return len(vars(queue)["_waiting"])


async def test_connections_are_lent_first_come_first_served(
    engine: AsyncEngine, pool: FairPool
) -> None:
    order: list[int] = []

    async def use(number: int) -> None:
        async with engine.connect() as connection:
            order.append(number)
            await connection.execute(text("SELECT 1"))

    held = [await engine.connect() for _ in range(2)]
    tasks = [asyncio.create_task(use(number)) for number in range(20)]
    await until(lambda: count_waiting(pool) == 20)
    for connection in held:
        await connection.close()
    await asyncio.gather(*tasks)
    assert order == [*range(20)]
    assert pool.checkedin() == 2


async def test_checkout_listener_can_execute_after_a_wait(
    small: AsyncEngine,
) -> None:
    def select_one(connection: Any, *_: object) -> None:
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        cursor.close()

    event.listen(small.sync_engine, "checkout", select_one)

    async def one() -> int:
        async with small.connect() as connection:
            return await connection.scalar(select(1)) or 0

    assert [*await asyncio.gather(one(), one(), one())] == [1, 1, 1]


async def test_connect_and_lend_share_one_queue(engine: AsyncEngine, pool: FairPool) -> None:
    order: list[int] = []

    async def connect(number: int) -> None:
        async with engine.connect() as connection:
            order.append(number)
            await connection.execute(text("SELECT 1"))

    async def lend(number: int) -> None:
        connection = await pool.lend()
        order.append(number)
        connection.close()

    held = [await engine.connect() for _ in range(2)]
    users = [(lend if n % 2 else connect)(n) for n in range(20)]
    tasks = [asyncio.create_task(user) for user in users]
    await until(lambda: count_waiting(pool) == 20)
    for connection in held:
        await connection.close()
    await asyncio.gather(*tasks)
    assert order == [*range(20)]
    assert pool.checkedin() == 2


async def test_lend_reopens_an_invalidated_connection(engine: AsyncEngine, pool: FairPool) -> None:
    held = [await engine.connect() for _ in range(2)]
    lent = asyncio.create_task(pool.lend())
    await until(lambda: count_waiting(pool) == 1)
    await held[0].invalidate()
    await held[0].close()
    connection = await lent
    assert connection.is_valid
    connection.close()
    await held[1].close()


@pytest.mark.parametrize("state", ["invalidated", "distrusted"])
async def test_pool_without_a_valid_connection_is_not_ready(
    engine: AsyncEngine, pool: FairPool, state: str
) -> None:
    async with engine.connect() as connection:
        assert not pool.is_ready()  # since there is none
        if state == "invalidated":
            await connection.invalidate()
    if state == "distrusted":
        assert pool.is_ready()
        pool.invalidate_all()
    assert not pool.is_ready()
    (await pool.lend()).close()
    assert pool.is_ready()


@postgres_only
async def test_connection_closed_by_the_server_is_replaced(
    engine: AsyncEngine, pool: FairPool, database: Database
) -> None:
    async with engine.connect() as connection:
        process = await connection.scalar(select(func.pg_backend_pid()))
        driver: Any = (await connection.get_raw_connection()).driver_connection
    assert pool.is_ready()
    async with database.writer.connect() as other:
        await other.execute(select(func.pg_terminate_backend(process, 30_000)))
    await until(driver.is_closed)
    async with engine.connect() as first, engine.connect() as second:
        rows = [await connection.scalar(text("SELECT 1")) for connection in (first, second)]
    assert rows == [1, 1]


@pytest.fixture
async def small(service_url: str) -> AsyncGenerator[AsyncEngine]:
    """Return an engine with one connection and a short timeout."""
    database = Database(service_url, pool_size=1, pool_timeout=0.5)
    yield database.reader
    await database.dispose()


async def test_lending_times_out(small: AsyncEngine) -> None:
    assert isinstance(small.pool, FairPool)
    async with small.connect() as connection:
        await connection.execute(text("SELECT 1"))
        with pytest.raises(PoolTimeout, match=r"all 1 were in use for 0\.5 s"):
            await small.pool.lend()
    assert small.pool.is_ready()


async def test_slow_connect_times_out(small: AsyncEngine) -> None:
    pool = small.pool
    assert isinstance(pool, FairPool)

    @event.listens_for(small.sync_engine, "do_connect")
    def hang(*_: object) -> None:
        await_(asyncio.Event().wait())

    with pytest.raises(ConnectTimeout, match=r"no connection in 0\.5 s"):
        await pool.lend()
    event.remove(small.sync_engine, "do_connect", hang)
    (await pool.lend()).close()
    assert pool.checkedin() == 1


async def test_failed_connect_makes_room_for_the_next(small: AsyncEngine) -> None:
    pool = small.pool
    assert isinstance(pool, FairPool)
    fails = asyncio.Event()

    @event.listens_for(small.sync_engine, "do_connect")
    def fail_later(*_: object) -> None:
        await_(fails.wait())
        event.remove(small.sync_engine, "do_connect", fail_later)
        raise ConnectionRefusedError

    failing, waiting = asyncio.create_task(pool.lend()), asyncio.create_task(pool.lend())
    await until(lambda: count_waiting(pool) == 1)
    fails.set()
    with pytest.raises(ConnectionRefusedError):
        await failing
    (await waiting).close()
    assert pool.checkedin() == 1


async def test_cancelled_lending_takes_nothing(engine: AsyncEngine, pool: FairPool) -> None:
    held = [await engine.connect() for _ in range(2)]
    lent = asyncio.create_task(pool.lend())
    await until(lambda: count_waiting(pool) == 1)
    lent.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lent
    for connection in held:
        await connection.close()
    assert (pool.is_ready(), pool.checkedin()) == (True, 2)
