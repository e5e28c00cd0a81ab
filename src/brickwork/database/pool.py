"""First-come, first-served connection pool with one deadline.

In SQLAlchemy's own pool, a new request can take the connection that a waiting one was woken for.
Under load some requests wait ten times as long as others, and a few time out.
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

from brickwork.sqlalchemy_internals import listeners_to

T = TypeVar("T")


class ConnectTimeout(PoolTimeout):
    """A timeout of opening a connection, in a pool that is not full."""


class FairQueue(AsyncAdaptedQueue[T]):
    """A queue that hands items to waiting callers in the order of their arrival."""

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:  # noqa: FBT001, FBT002 — SQLAlchemy's signature
        """Create a FIFO queue of at most *maxsize* items."""
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

    def peek(self) -> T:
        """Return the next item without removing it."""
        return self._items[0]

    @override
    def put_nowait(self, item: T) -> None:
        if self._wake(item):
            return
        if self.full():
            raise Full
        self._items.append(item)

    def make_room(self) -> None:
        """Wake the first waiting caller to open a connection, because the pool has room."""
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
        if self._items or not block:  # nobody waits while there are items
            return self.get_nowait()
        if (item := await_(self._wait(timeout))) is None:
            raise Empty
        return item

    async def wait_turn(self, timeout: float | None) -> None:  # noqa: ASYNC109 — SQLAlchemy's parameter
        """Wait for an item, which `get_nowait` then returns, or for room in the pool.

        Raises `Empty` after *timeout* seconds.
        """
        if (item := await self._wait(timeout)) is not None:
            self._items.appendleft(item)

    async def _wait(self, timeout: float | None) -> T | None:  # noqa: ASYNC109 — as above
        turn: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(timeout):
                return await turn
        except (TimeoutError, asyncio.CancelledError) as end:
            if turn.done() and not turn.cancelled():  # the item arrived during the timeout
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
    """A SQLAlchemy pool with a `FairQueue`, and one timeout for waiting and connecting.

    It replaces a connection that the server has closed before lending it.
    """

    _queue_class = FairQueue[ConnectionPoolEntry]

    @override
    def connect(self) -> PoolProxiedConnection:
        return self.lend_now() if self.is_ready() else await_(self.lend())

    def is_ready(self) -> bool:
        """Return whether a connection can be lent without waiting. Valid until the next await."""
        queue = cast("FairQueue[ConnectionPoolEntry]", self._pool)
        return not queue.empty() and not self._needs_replacement(queue.peek())

    def lend_now(self) -> PoolProxiedConnection:
        """Return a connection of a pool that is ready."""
        return super().connect()

    async def lend(self) -> PoolProxiedConnection:
        """Wait for a connection, or open one.

        Raises `sqlalchemy.exc.TimeoutError`, or `ConnectTimeout` if opening takes too long.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        queue = cast("FairQueue[ConnectionPoolEntry]", self._pool)
        while queue.empty() and self._overflow >= self._max_overflow:
            try:
                await queue.wait_turn(deadline - loop.time())
            except Empty as error:
                text = f"all {self.size()} were in use for {self._timeout:g} s"
                raise PoolTimeout(text) from error
        # A listener may send a statement, which waits.
        if self.is_ready() and not listeners_to(self, "checkout"):
            return self.lend_now()
        try:
            async with asyncio.timeout_at(deadline):
                connection: PoolProxiedConnection = await greenlet_spawn(self.lend_now)
        except TimeoutError as error:
            raise ConnectTimeout(f"no connection in {self._timeout:g} s") from error
        return connection

    def invalidate_all(self) -> None:
        """Replace all connections before they are lent again, including those in use."""
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

    def _needs_replacement(self, entry: ConnectionPoolEntry) -> bool:
        """Return whether *entry* has no connection, or one to replace before it is lent."""
        record: Any = entry
        return record._is_hard_or_soft_invalidated() or _is_closed(entry)  # noqa: SLF001


def _is_closed(entry: ConnectionPoolEntry) -> bool:
    """Return whether the driver knows that the server has closed the connection."""
    is_closed = getattr(entry.driver_connection, "is_closed", None)
    return bool(is_closed and is_closed())
