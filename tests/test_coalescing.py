"""Coalescing: what waits is carried out together, and each has what is its own."""

import asyncio
from collections.abc import Sequence

import pytest

from brickwork.coalescing import Coalescer, Sharing

pytestmark = pytest.mark.anyio


class Runs:
    """What was carried out together, and when it may end."""

    def __init__(self) -> None:
        self.batches: list[Sequence[int]] = []
        self.gate = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(items)
        await self.gate.wait()
        if 13 in items:
            raise RuntimeError("unlucky")
        return [ValueError(str(each)) if each < 0 else each * 2 for each in items]


async def begun(
    runs: Runs, *items: int, at_once: int = 1
) -> tuple[Coalescer[int, int], list[asyncio.Task[int]]]:
    coalescer = Coalescer(runs, at_once=at_once)
    tasks = [asyncio.ensure_future(coalescer(each)) for each in items]
    await asyncio.sleep(0)
    return coalescer, tasks


async def test_what_waits_is_carried_out_together_in_its_order() -> None:
    runs = Runs()
    _, tasks = await begun(runs, 1, 2, 3, 4)
    assert runs.batches == [[1]]
    runs.gate.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
    assert runs.batches == [[1], [2, 3, 4]]


async def test_no_more_are_carried_out_at_once_than_is_said() -> None:
    runs = Runs()
    _, tasks = await begun(runs, 1, 2, 3, 4, at_once=2)
    assert runs.batches == [[1], [2]]
    runs.gate.set()
    await asyncio.gather(*tasks)
    assert runs.batches == [[1], [2], [3, 4]]


async def test_there_is_an_end_to_how_many() -> None:
    runs = Runs()
    _, tasks = await begun(runs, *range(100, 400))
    runs.gate.set()
    await asyncio.gather(*tasks)
    assert [len(each) for each in runs.batches] == [1, 256, 43]


async def test_an_error_is_that_of_one() -> None:
    runs = Runs()
    coalescer, tasks = await begun(runs, 1, -2, 3)
    runs.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(each) for each in results] == ["2", "-2", "6"]
    with pytest.raises(ValueError, match="-5"):
        await coalescer(-5)
    assert await coalescer(5) == 10


async def test_what_cannot_be_carried_out_is_told_to_all_and_the_next_goes_on() -> None:
    runs = Runs()
    coalescer, tasks = await begun(runs, 1, 13, 3)
    runs.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(each) for each in results] == ["2", "unlucky", "unlucky"]
    assert await coalescer(4) == 8


async def test_who_goes_away_takes_nobody_along() -> None:
    runs = Runs()
    _, tasks = await begun(runs, 1, 2, 3)
    tasks[1].cancel()
    runs.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [results[0], results[2]] == [2, 6]
    runs.gate.clear()
    _, tasks = await begun(runs, 4, 5)
    tasks[0].cancel()
    await asyncio.sleep(0)
    runs.gate.set()
    assert await tasks[1] == 10


async def test_a_loop_that_ends_leaves_nobody_waiting() -> None:
    runs = Runs()
    _, tasks = await begun(runs, 1, 2)
    first, runs.gate = runs.gate, asyncio.Event()
    first.set()
    await tasks[0]
    await asyncio.sleep(0)
    (drain,) = [each for each in asyncio.all_tasks() if "_drain" in str(each.get_coro())]
    drain.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]


class Made:
    """How many times something was made, and when it may be."""

    def __init__(self) -> None:
        self.count = 0
        self.gate = asyncio.Event()

    async def __call__(self) -> int:
        self.count = own = self.count + 1
        await self.gate.wait()
        return own


async def test_what_is_made_is_shared_by_those_who_came_before() -> None:
    made, sharing = Made(), Sharing()
    tasks = [asyncio.ensure_future(sharing("a", made)) for _ in range(5)]
    await asyncio.sleep(0)
    assert made.count == 1
    made.gate.set()
    assert await asyncio.gather(*tasks) == [1, 2, 2, 2, 2]
    assert await sharing("a", made) == 3


async def test_what_is_called_otherwise_waits_for_nobody() -> None:
    made, sharing = Made(), Sharing()
    tasks = [asyncio.ensure_future(sharing(name, made)) for name in range(5)]
    await asyncio.sleep(0)
    assert made.count == 5
    made.gate.set()
    assert await asyncio.gather(*tasks) == [1, 2, 3, 4, 5]


async def test_nothing_is_remembered_that_nobody_waits_for() -> None:
    made, sharing = Made(), Sharing()
    tasks = [asyncio.ensure_future(sharing(n % 3, made)) for n in range(12)]
    await asyncio.sleep(0)
    _ = [each.cancel() for each in tasks[::2]]
    assert len(sharing) == 3
    made.gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    del tasks
    await asyncio.sleep(0)
    assert len(sharing) == 0
