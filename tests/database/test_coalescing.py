"""Coalescing: waiting items run together, and each has a result of its own."""

import asyncio
from collections.abc import Sequence

import pytest

from brickwork import ServiceUnavailable
from brickwork.database.coalescing import CallBatcher, SingleFlight
from tests.support.waiting import DEADLINE, until

pytestmark = pytest.mark.anyio


async def ends(tasks: Sequence[asyncio.Task[int]]) -> list[int | BaseException]:
    """Return the result of each of *tasks*, or its error."""
    async with asyncio.timeout(DEADLINE):
        return await asyncio.gather(*tasks, return_exceptions=True)


# --- Items that run together ----------------------------------------------------------------------


class Runs:
    """Doubles items once the gate is open, and collects which it was given together."""

    def __init__(self) -> None:
        """Keep the gate shut."""
        self.batches: list[Sequence[int]] = []
        self.gate = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        """Return twice each item; an error for negative ones, and an error of all for 13."""
        self.batches.append(items)
        await self.gate.wait()
        if 13 in items:
            raise RuntimeError("unlucky")
        return [ValueError(str(each)) if each < 0 else each * 2 for each in items]


async def start(
    runs: Runs, *items: int, max_concurrent: int = 1
) -> tuple[CallBatcher[int, int], list[asyncio.Task[int]]]:
    """Ask for *items*, in their order, and wait until the first of them run."""
    coalescer = CallBatcher(runs, max_concurrent=max_concurrent)
    before = len(runs.batches)
    tasks = [asyncio.create_task(coalescer(each)) for each in items]
    await until(lambda: len(runs.batches) == before + max_concurrent)
    return coalescer, tasks


async def test_waiting_items_run_together_in_order() -> None:
    runs = Runs()
    _, tasks = await start(runs, 1, 2, 3, 4)
    assert runs.batches == [[1]]
    runs.gate.set()
    assert await ends(tasks) == [2, 4, 6, 8]
    assert runs.batches == [[1], [2, 3, 4]]


async def test_batches_at_the_same_time_have_a_limit() -> None:
    runs = Runs()
    _, tasks = await start(runs, 1, 2, 3, 4, max_concurrent=2)
    assert runs.batches == [[1], [2]]
    runs.gate.set()
    _ = await ends(tasks)
    assert runs.batches == [[1], [2], [3, 4]]


async def test_batch_has_at_most_256_items() -> None:
    runs = Runs()
    _, tasks = await start(runs, *range(100, 400))
    runs.gate.set()
    _ = await ends(tasks)
    assert [len(each) for each in runs.batches] == [1, 256, 43]


async def test_error_of_an_item_is_its_own() -> None:
    runs = Runs()
    _, tasks = await start(runs, 1, -2, 3)
    runs.gate.set()
    results = await ends(tasks)
    assert [str(each) for each in results] == ["2", "-2", "6"]


async def test_error_of_an_item_alone_is_raised() -> None:
    runs = Runs()
    runs.gate.set()
    coalescer = CallBatcher(runs, max_concurrent=1)
    with pytest.raises(ValueError, match="-5"):
        await coalescer(-5)
    assert await coalescer(5) == 10


async def test_error_of_a_batch_is_raised_for_each() -> None:
    runs = Runs()
    coalescer, tasks = await start(runs, 1, 13, 3)
    runs.gate.set()
    results = await ends(tasks)
    assert [str(each) for each in results] == ["2", "unlucky", "unlucky"]
    assert await coalescer(4) == 8


@pytest.mark.parametrize("number", [0, 1], ids=["running", "waiting"])
async def test_cancelled_item_cancels_no_other(number: int) -> None:
    runs = Runs()
    coalescer, tasks = await start(runs, 1, 2, 3)
    tasks[number].cancel()
    await until(tasks[number].done)
    runs.gate.set()
    results = await ends(tasks)
    assert isinstance(results.pop(number), asyncio.CancelledError)
    assert results == [[4, 6], [2, 6]][number]
    assert await coalescer(4) == 8


async def test_end_of_the_loop_cancels_waiting_items() -> None:
    runs = Runs()
    _, tasks = await start(runs, 1, 2)
    first, runs.gate = runs.gate, asyncio.Event()
    first.set()
    await until(lambda: len(runs.batches) == 2)
    (drain,) = [each for each in asyncio.all_tasks() if "_run_batches" in str(each.get_coro())]
    drain.cancel()
    assert isinstance((await ends(tasks))[1], asyncio.CancelledError)


# --- Results that are shared ----------------------------------------------------------------------


class Makes:
    """Returns 1, 2, 3 and so on once the gate is open."""

    def __init__(self) -> None:
        """Keep the gate shut."""
        self.count = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        """Return how many calls came before, and this one."""
        self.count = own = self.count + 1
        await self.gate.wait()
        if self.error:
            raise self.error
        return own


async def share(sharing: SingleFlight, makes: Makes, *names: object) -> list[asyncio.Task[int]]:
    """Ask for *names*, in their order, and wait until all are asked for."""
    asked = 0

    async def ask(name: object) -> int:
        nonlocal asked
        asked += 1
        return await sharing(name, makes)

    tasks = [asyncio.create_task(ask(each)) for each in names]
    await until(lambda: asked == len(names))
    return tasks


async def test_result_is_shared_by_all_before_it_is_made() -> None:
    makes, sharing = Makes(), SingleFlight()
    tasks = await share(sharing, makes, *["a"] * 5)
    assert makes.count == 1
    makes.gate.set()
    assert await ends(tasks) == [1, 2, 2, 2, 2]


async def test_result_is_not_kept() -> None:
    makes, sharing = Makes(), SingleFlight()
    makes.gate.set()
    assert [await sharing("a", makes), await sharing("a", makes)] == [1, 2]


async def test_results_of_other_names_are_made_meanwhile() -> None:
    makes, sharing = Makes(), SingleFlight()
    tasks = await share(sharing, makes, "a", "b", "c")
    assert makes.count == 3
    makes.gate.set()
    assert await ends(tasks) == [1, 2, 3]


async def test_shared_error_is_raised_for_each() -> None:
    makes, sharing = Makes(), SingleFlight()
    makes.error = ValueError("no")
    tasks = await share(sharing, makes, *["a"] * 3)
    makes.gate.set()
    results = await ends(tasks)
    assert [str(each) for each in results] == ["no"] * 3
    makes.error = None
    assert await sharing("a", makes) == 3


@pytest.mark.parametrize("number", [0, 1], ids=["making", "waiting"])
async def test_cancelled_share_leaves_the_result_to_others(number: int) -> None:
    makes, sharing = Makes(), SingleFlight()
    tasks = await share(sharing, makes, *["a"] * 3)
    tasks[number].cancel()
    await until(tasks[number].done)
    makes.gate.set()
    results = await ends(tasks)
    assert isinstance(results.pop(number), asyncio.CancelledError)
    assert results == [[2, 2], [1, 2]][number]


async def test_names_are_forgotten_with_the_last_share() -> None:
    makes, sharing = Makes(), SingleFlight()
    tasks = await share(sharing, makes, "a", "b", "c", "a", "b", "c")
    assert [task.cancel() for task in tasks[::2]] == [True] * 3
    assert len(sharing) == 3
    makes.gate.set()
    _ = await ends(tasks)
    del tasks  # which hold the calls
    await until(lambda: len(sharing) == 0)


# --- Items that wait too long ---------------------------------------------------------------------


async def test_item_that_waits_too_long_is_refused_and_does_not_run() -> None:
    runs = Runs()
    coalescer = CallBatcher(runs, max_concurrent=1, timeout=0.05)
    first = asyncio.create_task(coalescer(1))
    await until(lambda: runs.batches == [[1]])
    with pytest.raises(ServiceUnavailable):
        await coalescer(2)
    runs.gate.set()
    assert await first == 2
    assert await coalescer(3) == 6
    assert runs.batches == [[1], [3]]


async def test_batch_that_nobody_waits_for_is_cancelled() -> None:
    runs = Runs()
    coalescer = CallBatcher(runs, max_concurrent=1, timeout=0.05)
    tasks = [asyncio.create_task(coalescer(each)) for each in (1, 2, 3)]
    await until(lambda: runs.batches == [[1]])
    first, runs.gate = runs.gate, asyncio.Event()
    first.set()
    results = await ends(tasks)
    assert (results[0], [type(each) for each in results[1:]]) == (
        2,
        [ServiceUnavailable, ServiceUnavailable],
    )
    assert runs.batches == [[1], [2, 3]]
    runs.gate.set()
    assert await coalescer(4) == 8


async def test_share_that_waits_too_long_is_refused() -> None:
    makes, sharing = Makes(), SingleFlight(0.05)
    tasks = await share(sharing, makes, "a", "a")
    assert isinstance((await ends(tasks[1:]))[0], ServiceUnavailable)
    makes.gate.set()
    assert await tasks[0] == 1
