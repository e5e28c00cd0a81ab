"""Connections, first come first served, and all by one deadline.

SQLAlchemy's own pool lets whoever comes now take the connection that another was just woken for:
under load some wait ten times as long as others, and a few until they are refused.
"""

import asyncio
import time
from collections import deque
from typing import Any, Literal, TypeVar, cast

from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn
from sqlalchemy.util.concurrency import await_
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty, Full
from typing_extensions import override

T = TypeVar("T")


class ConnectTimeout(PoolTimeout):
    """No connection was made in time, where the pool had room for one."""


class FairQueue(AsyncAdaptedQueue[T]):
    """A queue whose items are handed to those who wait, in the order they came."""

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:  # noqa: FBT001, FBT002 — the pool calls it so
        """Hold *maxsize* items at most; the one that was put first is the first to be taken."""
        super().__init__(maxsize, use_lifo)
        self._items: deque[T] = deque()
        self._waiting: deque[asyncio.Future[T | None]] = deque()

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
        if self._wake(item):
            return
        if self.full():
            raise Full
        self._items.append(item)

    def make_room(self) -> None:
        """Have the first who waits for an item make one: there is room for it now."""
        self._wake(None)

    def _wake(self, item: T | None) -> bool:
        while self._waiting:
            if not (first := self._waiting.popleft()).done():
                first.set_result(item)
                return True
        return False

    @override
    def get_nowait(self) -> T:
        if not self._items:
            raise Empty
        return self._items.popleft()

    @override
    def get(self, block: bool = True, timeout: float | None = None) -> T:
        if self._items or not block:  # where there are items, nobody waits
            return self.get_nowait()
        if (item := await_(self._wait(timeout))) is None:
            raise Empty
        return item

    async def turn(self, timeout: float | None) -> None:  # noqa: ASYNC109 — that of the pool
        """Wait in line for an item, which then is the first, or for room; raises `Empty`."""
        if (item := await self._wait(timeout)) is not None:
            self._items.appendleft(item)

    async def _wait(self, timeout: float | None) -> T | None:  # noqa: ASYNC109 — as above
        turn: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(timeout):
                return await turn
        except (TimeoutError, asyncio.CancelledError) as end:
            if turn.done() and not turn.cancelled():  # it came in the moment it was given up
                item = turn.result()
                if item is None:
                    self.make_room()
                else:
                    self.put_nowait(item)
            turn.cancel()
            if isinstance(end, TimeoutError):
                raise Empty from None
            raise


class FairPool(AsyncAdaptedQueuePool):
    """A pool of SQLAlchemy's with that queue; its timeout bounds waiting and connecting together.

    A connection that the server has closed is replaced before it is lent.
    """

    _queue_class = FairQueue[ConnectionPoolEntry]

    @override
    def connect(self) -> PoolProxiedConnection:
        return self.lend_now() if self.is_ready() else await_(self.lend())

    def is_ready(self) -> bool:
        """Tell whether there is a connection to lend at once; that holds until something waits."""
        queue = cast("FairQueue[ConnectionPoolEntry]", self._pool)
        return not queue.empty() and not self._is_spent(queue.first())

    def lend_now(self) -> PoolProxiedConnection:
        """Return a connection, where the pool is ready."""
        return super().connect()

    async def lend(self) -> PoolProxiedConnection:
        """Return a connection, which may have to be waited for or opened.

        Raises `sqlalchemy.exc.TimeoutError`; `ConnectTimeout` if one could not be opened in time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        queue = cast("FairQueue[ConnectionPoolEntry]", self._pool)
        while queue.empty() and self._overflow >= self._max_overflow:
            try:
                await queue.turn(deadline - loop.time())
            except Empty as error:
                text = f"all {self.size()} were in use for {self._timeout:g} s"
                raise PoolTimeout(text) from error
        if self.is_ready() and not self.dispatch.checkout:  # a listener may send a statement
            return self.lend_now()
        try:
            async with asyncio.timeout_at(deadline):
                lent: PoolProxiedConnection = await greenlet_spawn(self.lend_now)
        except TimeoutError as error:
            raise ConnectTimeout(f"no connection in {self._timeout:g} s") from error
        return lent

    def distrust(self) -> None:
        """Have all connections replaced before they are lent, those that are in use included."""
        self._invalidate_time = time.time()

    @override
    def _do_get(self) -> ConnectionPoolEntry:
        entry = super()._do_get()
        if _is_closed(entry):
            entry.invalidate()
        return entry

    @override
    def _dec_overflow(self) -> Literal[True]:
        done = super()._dec_overflow()
        cast("FairQueue[ConnectionPoolEntry]", self._pool).make_room()
        return done

    def _is_spent(self, entry: ConnectionPoolEntry) -> bool:
        """Tell whether *entry* has no connection, or one that is replaced before it is lent."""
        record: Any = entry
        return record._is_hard_or_soft_invalidated() or _is_closed(entry)  # noqa: SLF001


def _is_closed(entry: ConnectionPoolEntry) -> bool:
    """Tell whether the driver knows that the server has closed the connection."""
    is_closed = getattr(entry.driver_connection, "is_closed", None)
    return bool(is_closed and is_closed())
