"""Connections, first come first served.

SQLAlchemy's own pool lets whoever comes now take the connection that another was just woken for:
under load some wait ten times as long as others, and a few until they are refused.
"""

import asyncio
from collections import deque
from typing import TypeVar, cast

from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util.concurrency import await_
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty, Full
from typing_extensions import override

T = TypeVar("T")


class FairQueue(AsyncAdaptedQueue[T]):
    """A queue whose items are handed to those who wait, in the order they came."""

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:  # noqa: FBT001, FBT002 — the pool calls it so
        """Hold *maxsize* items at most; the one that was put first is the first to be taken."""
        super().__init__(maxsize, use_lifo)
        self._items: deque[T] = deque()
        self._waiting: deque[asyncio.Future[T]] = deque()

    @override
    def empty(self) -> bool:
        return not self._items

    @override
    def full(self) -> bool:
        return 0 < self.maxsize <= len(self._items)

    @override
    def qsize(self) -> int:
        return len(self._items)

    def first(self) -> T:
        """Return the item that is taken next."""
        return self._items[0]

    @override
    def put_nowait(self, item: T) -> None:
        while self._waiting:
            if not (first := self._waiting.popleft()).done():
                first.set_result(item)
                return
        if self.full():
            raise Full
        self._items.append(item)

    @override
    def get_nowait(self) -> T:
        if not self._items:
            raise Empty
        return self._items.popleft()

    @override
    def get(self, block: bool = True, timeout: float | None = None) -> T:
        if self._items or not block:  # where there are items, nobody waits
            return self.get_nowait()
        return await_(self._wait(timeout))

    async def turn(self, timeout: float | None) -> None:  # noqa: ASYNC109 — that of the pool
        """Wait in line for an item, which then is the first; raises `Empty`."""
        self._items.appendleft(await self._wait(timeout))

    async def _wait(self, timeout: float | None) -> T:  # noqa: ASYNC109 — as above
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(timeout):
                return await turn
        except (TimeoutError, asyncio.CancelledError) as end:
            if turn.done() and not turn.cancelled():  # it came in the moment it was given up
                self.put_nowait(turn.result())
            turn.cancel()
            if isinstance(end, TimeoutError):
                raise Empty from None
            raise


class FairPool(AsyncAdaptedQueuePool):
    """A pool of SQLAlchemy's with that queue."""

    _queue_class = FairQueue[ConnectionPoolEntry]

    async def turn(self) -> bool:
        """Wait while all connections are in use; tell whether `connect` then waits for nothing.

        That holds until something is awaited. Raises `sqlalchemy.exc.TimeoutError`.
        """
        queue = cast("FairQueue[ConnectionPoolEntry]", self._pool)
        if queue.empty() and self._overflow >= self._max_overflow:
            try:
                await queue.turn(self._timeout)
            except Empty as error:
                raise PoolTimeout(f"No connection for {self._timeout} s.") from error
        return not queue.empty() and queue.first().dbapi_connection is not None
