"""Coalescing: batches of calls, and shared results."""

import asyncio
from collections.abc import Sequence

import pytest

from brickwork import ServiceUnavailable
from brickwork.database.coalescing import CallBatcher, SingleFlight
from tests.support.waiting import DEADLINE, until

pytestmark = pytest.mark.anyio


async def outcomes(tasks: Sequence[asyncio.Task[int]]) -> list[int | BaseException]:
    """Return the results of *tasks*, with an error where one failed."""
    async with asyncio.timeout(DEADLINE):
        return await asyncio.gather(*tasks, return_exceptions=True)


# --- Items that run together ----------------------------------------------------------------------


class Doubler:
    """A batch function that waits for a gate, records its batches and doubles their items."""

    def __init__(self) -> None:
        """Keep the gate shut."""
        self.batches: list[Sequence[int]] = []
        self.gate = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        """Double *items*. A negative item has an error; 13 fails the whole batch."""
        self.batches.append(items)
        await self.gate.wait()
        if 13 in items:
            raise RuntimeError("unlucky")
        return [ValueError(str(item)) if item < 0 else item * 2 for item in items]


async def start(
    runs: Doubler, *items: int, max_concurrent: int = 1
) -> tuple[CallBatcher[int, int], list[asyncio.Task[int]]]:
    """Call the batcher with *items* in order, and wait until the first batches run."""
    coalescer = CallBatcher(runs, max_concurrent=max_concurrent)
    before = len(runs.batches)
    tasks = [asyncio.create_task(coalescer(item)) for item in items]
    await until(lambda: len(runs.batches) == before + max_concurrent)
    return coalescer, tasks


async def test_waiting_items_run_together_in_order() -> None:
    runs = Doubler()
    _, tasks = await start(runs, 1, 2, 3, 4)
    assert runs.batches == [[1]]
    runs.gate.set()
    assert await outcomes(tasks) == [2, 4, 6, 8]
    assert runs.batches == [[1], [2, 3, 4]]


async def test_concurrent_batches_have_a_limit() -> None:
    runs = Doubler()
    _, tasks = await start(runs, 1, 2, 3, 4, max_concurrent=2)
    assert runs.batches == [[1], [2]]
    runs.gate.set()
    _ = await outcomes(tasks)
    assert runs.batches == [[1], [2], [3, 4]]


async def test_batch_has_at_most_256_items() -> None:
    runs = Doubler()
    _, tasks = await start(runs, *range(100, 400))
    runs.gate.set()
    _ = await outcomes(tasks)
    assert [len(batch) for batch in runs.batches] == [1, 256, 43]


async def test_equal_items_run_in_turn() -> None:
    runs = Doubler()
    batcher = CallBatcher(runs, max_concurrent=1, identify=lambda item: item % 10)
    tasks = [asyncio.create_task(batcher(item)) for item in (1, 2, 12, 3, 22, 4)]
    await until(lambda: len(runs.batches) == 1)
    runs.gate.set()
    assert await outcomes(tasks) == [2, 4, 24, 6, 44, 8]
    assert runs.batches == [[1], [2, 3, 4], [12], [22]]


async def test_error_of_an_item_fails_only_that_item() -> None:
    runs = Doubler()
    _, tasks = await start(runs, 1, -2, 3)
    runs.gate.set()
    results = await outcomes(tasks)
    assert [str(result) for result in results] == ["2", "-2", "6"]


async def test_error_of_a_single_call_is_raised() -> None:
    runs = Doubler()
    runs.gate.set()
    coalescer = CallBatcher(runs, max_concurrent=1)
    with pytest.raises(ValueError, match="-5"):
        await coalescer(-5)
    assert await coalescer(5) == 10


async def test_error_of_a_batch_fails_all_its_items() -> None:
    runs = Doubler()
    coalescer, tasks = await start(runs, 1, 13, 3)
    runs.gate.set()
    results = await outcomes(tasks)
    assert [str(result) for result in results] == ["2", "unlucky", "unlucky"]
    assert await coalescer(4) == 8


@pytest.mark.parametrize("number", [0, 1], ids=["running", "waiting"])
async def test_cancelled_item_cancels_no_other(number: int) -> None:
    runs = Doubler()
    coalescer, tasks = await start(runs, 1, 2, 3)
    tasks[number].cancel()
    await until(tasks[number].done)
    runs.gate.set()
    results = await outcomes(tasks)
    assert isinstance(results.pop(number), asyncio.CancelledError)
    assert results == [[4, 6], [2, 6]][number]
    assert await coalescer(4) == 8


async def test_cancelled_runner_cancels_waiting_items() -> None:
    runs = Doubler()
    _, tasks = await start(runs, 1, 2)
    first, runs.gate = runs.gate, asyncio.Event()
    first.set()
    await until(lambda: len(runs.batches) == 2)
    (drain,) = [task for task in asyncio.all_tasks() if "_run_batches" in str(task.get_coro())]
    drain.cancel()
    assert isinstance((await outcomes(tasks))[1], asyncio.CancelledError)


# --- Results that are shared ----------------------------------------------------------------------


class CallCounter:
    """A function that waits for a gate and returns its number of calls."""

    def __init__(self) -> None:
        """Keep the gate shut."""
        self.count = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        """Return the number of calls, this one included."""
        self.count = own = self.count + 1
        await self.gate.wait()
        if self.error:
            raise self.error
        return own


async def share(
    sharing: SingleFlight, makes: CallCounter, *names: object
) -> list[asyncio.Task[int]]:
    """Request *names* in order, and wait until all requests have begun."""
    asked = 0

    async def ask(name: object) -> int:
        nonlocal asked
        asked += 1
        return await sharing(name, makes)

    tasks = [asyncio.create_task(ask(name)) for name in names]
    await until(lambda: asked == len(names))
    return tasks


async def test_calls_before_a_run_share_its_result() -> None:
    makes, sharing = CallCounter(), SingleFlight()
    tasks = await share(sharing, makes, *["a"] * 5)
    assert makes.count == 1
    makes.gate.set()
    assert await outcomes(tasks) == [1, 2, 2, 2, 2]


async def test_result_is_not_cached() -> None:
    makes, sharing = CallCounter(), SingleFlight()
    makes.gate.set()
    assert [await sharing("a", makes), await sharing("a", makes)] == [1, 2]


async def test_calls_of_different_names_run_concurrently() -> None:
    makes, sharing = CallCounter(), SingleFlight()
    tasks = await share(sharing, makes, "a", "b", "c")
    assert makes.count == 3
    makes.gate.set()
    assert await outcomes(tasks) == [1, 2, 3]


async def test_shared_error_is_raised_for_every_caller() -> None:
    makes, sharing = CallCounter(), SingleFlight()
    makes.error = ValueError("no")
    tasks = await share(sharing, makes, *["a"] * 3)
    makes.gate.set()
    results = await outcomes(tasks)
    assert [str(result) for result in results] == ["no"] * 3
    makes.error = None
    assert await sharing("a", makes) == 3


@pytest.mark.parametrize("number", [0, 1], ids=["making", "waiting"])
async def test_cancelled_caller_leaves_the_result_to_others(number: int) -> None:
    makes, sharing = CallCounter(), SingleFlight()
    tasks = await share(sharing, makes, *["a"] * 3)
    tasks[number].cancel()
    await until(tasks[number].done)
    makes.gate.set()
    results = await outcomes(tasks)
    assert isinstance(results.pop(number), asyncio.CancelledError)
    assert results == [[2, 2], [1, 2]][number]


async def test_names_are_removed_after_the_last_caller() -> None:
    makes, sharing = CallCounter(), SingleFlight()
    tasks = await share(sharing, makes, "a", "b", "c", "a", "b", "c")
    assert [task.cancel() for task in tasks[::2]] == [True] * 3
    assert len(sharing) == 3
    makes.gate.set()
    _ = await outcomes(tasks)
    del tasks  # which hold the calls
    await until(lambda: len(sharing) == 0)


# --- Items that wait too long ---------------------------------------------------------------------


async def test_timed_out_item_is_rejected_and_does_not_run() -> None:
    runs = Doubler()
    coalescer = CallBatcher(runs, max_concurrent=1, timeout=0.05)
    first = asyncio.create_task(coalescer(1))
    await until(lambda: runs.batches == [[1]])
    with pytest.raises(ServiceUnavailable):
        await coalescer(2)
    runs.gate.set()
    assert await first == 2
    assert await coalescer(3) == 6
    assert runs.batches == [[1], [3]]


async def test_batch_without_waiting_callers_is_cancelled() -> None:
    runs = Doubler()
    coalescer = CallBatcher(runs, max_concurrent=1, timeout=0.05)
    tasks = [asyncio.create_task(coalescer(item)) for item in (1, 2, 3)]
    await until(lambda: runs.batches == [[1]])
    first, runs.gate = runs.gate, asyncio.Event()
    first.set()
    results = await outcomes(tasks)
    assert (results[0], [type(result) for result in results[1:]]) == (
        2,
        [ServiceUnavailable, ServiceUnavailable],
    )
    assert runs.batches == [[1], [2, 3]]
    runs.gate.set()
    assert await coalescer(4) == 8


async def test_timed_out_caller_of_a_shared_result_is_rejected() -> None:
    makes, sharing = CallCounter(), SingleFlight(0.05)
    tasks = await share(sharing, makes, "a", "a")
    assert isinstance((await outcomes(tasks[1:]))[0], ServiceUnavailable)
    makes.gate.set()
    assert await tasks[0] == 1
