"""Coalescing of concurrent calls into batches.

Calls that arrive while a similar call is running are executed as one batch when it finishes. There
is no timer: a single call starts immediately. A batch starts after its last call arrived, so every
caller sees all earlier writes.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar
from weakref import WeakValueDictionary

from brickwork.database.availability import database_unavailable

T = TypeVar("T")
R = TypeVar("R")

_MAX_BATCH_SIZE: Final = 256
"""Maximum number of calls in a batch."""

_Producer = Callable[[], Awaitable[R]]

_QueuedItem: TypeAlias = tuple[T, asyncio.Future[R], float | None]
"""An item, the future of its result, and the caller's deadline in the loop's time."""


class CallBatcher(Generic[T, R]):
    """Executes waiting items in batches. Each item has its own result or error."""

    def __init__(
        self,
        run: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        *,
        max_concurrent: int,
        timeout: float | None = None,
        identify: Callable[[T], Hashable] | None = None,
    ) -> None:
        """Execute batches with *run*, at most *max_concurrent* at a time.

        A call fails if it has no result after *timeout* seconds. Items for which *identify* returns
        equal values are never in one batch, and start in the order of their arrival.
        """
        self._run = run
        self._identify = identify
        self._free = max_concurrent
        self._timeout = timeout
        self._waiting: deque[_QueuedItem[T, R]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: T) -> R:
        """Return the result of *item*, or raise its error.

        Raises `ServiceUnavailable` after the timeout.
        """
        if not self._free:
            loop = asyncio.get_running_loop()
            turn: asyncio.Future[R] = loop.create_future()
            deadline = None if self._timeout is None else loop.time() + self._timeout
            self._waiting.append((item, turn, deadline))
            try:
                async with asyncio.timeout_at(deadline):
                    return await turn
            except TimeoutError as error:
                raise database_unavailable() from error
        self._free -= 1
        try:
            (result,) = await self._run([item])
        finally:
            self._free += 1
            self._start_next_batch()
        if isinstance(result, Exception):
            raise result
        return result

    def _start_next_batch(self) -> None:
        """Execute waiting items in a new task, which no request can cancel."""
        if self._waiting and self._free:
            self._free -= 1
            drain = asyncio.create_task(self._run_batches())
            self._tasks.add(drain)
            drain.add_done_callback(self._tasks.discard)

    async def _run_batches(self) -> None:
        try:
            while batch := self._take_batch():
                await self._deliver(batch)
        finally:
            self._free += 1

    def _take_batch(self) -> "Sequence[_QueuedItem[T, R]]":
        """Remove the next batch from the queue, without calls that were given up."""
        batch: list[_QueuedItem[T, R]] = []
        later: list[_QueuedItem[T, R]] = []
        taken: set[Hashable] = set()
        while self._waiting and len(batch) < _MAX_BATCH_SIZE:
            if (item := self._waiting.popleft())[1].done():
                continue
            if self._identify is not None:
                if (name := self._identify(item[0])) in taken:
                    later.append(item)
                    continue
                taken.add(name)
            batch.append(item)
        self._waiting.extendleft(reversed(later))
        return batch

    async def _deliver(self, batch: "Sequence[_QueuedItem[T, R]]") -> None:
        try:
            async with asyncio.timeout_at(batch[-1][2]):  # the last caller's deadline
                results = await self._run([item for item, _, _ in batch])
        except Exception as error:  # noqa: BLE001 — raised in the callers
            results = [error] * len(batch)
        except BaseException:
            for _, turn, _ in batch:
                turn.cancel()
            raise
        for (_, turn, _), result in zip(batch, results, strict=True):
            if turn.done():  # the caller was cancelled
                continue
            if isinstance(result, Exception):
                turn.set_exception(result)
            else:
                turn.set_result(result)


class SingleFlight:
    """Single flight: concurrent calls with one name share the next result."""

    def __init__(self, timeout: float | None = None) -> None:
        """Let callers wait *timeout* seconds at most."""
        self._timeout = timeout
        self._in_flight: WeakValueDictionary[Hashable, CallBatcher[Any, Any]] = (
            WeakValueDictionary()
        )

    async def __call__(self, name: Hashable, produce: _Producer[R]) -> R:
        """Return the result of *produce*, or of a concurrent call with the same *name*."""
        batcher: CallBatcher[_Producer[R], R] | None = self._in_flight.get(name)
        if batcher is None:
            batcher = self._in_flight[name] = CallBatcher(
                _run_first, max_concurrent=1, timeout=self._timeout
            )
        return await batcher(produce)

    def __len__(self) -> int:
        """Return the number of names with a call in flight."""
        return len(self._in_flight)


async def _run_first(producers: Sequence[_Producer[R]]) -> Sequence[R]:
    return [await producers[0]()] * len(producers)


def is_hashable(value: object) -> bool:
    """Return whether *value* is hashable, so that equal requests can be recognised."""
    try:
        hash(value)
    except TypeError:
        return False
    return True
