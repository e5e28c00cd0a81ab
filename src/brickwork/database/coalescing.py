"""Coalescing: what comes while the like of it is carried out is carried out together after it.

Nothing waits for a clock. What is alone is carried out alone and at once, and what is carried out
together began after the last of it came, so that everybody reads what was written before.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar
from weakref import WeakValueDictionary

from brickwork.database.availability import database_unavailable

T = TypeVar("T")
R = TypeVar("R")

_MOST: Final = 256
"""How many are carried out together."""

_Make = Callable[[], Awaitable[R]]

_Waiting: TypeAlias = tuple[T, asyncio.Future[R], float | None]
"""An item, its result, and the instant until which somebody waits for it."""


class CallBatcher(Generic[T, R]):
    """Carries out items, those that wait together; each has a result or an error of its own."""

    def __init__(
        self,
        run: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        *,
        at_once: int,
        timeout: float | None = None,
    ) -> None:
        """Have *run* carry items out, *at_once* times at most at the same time.

        An item that is not carried out *timeout* seconds after it came is refused.
        """
        self._run = run
        self._free = at_once
        self._timeout = timeout
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._drains: set[asyncio.Task[None]] = set()

    async def __call__(self, item: T) -> R:
        """Return the result of *item*; raises its error, or `Unavailable` if it waits too long."""
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
            self._go_on()
        if isinstance(result, Exception):
            raise result
        return result

    def _go_on(self) -> None:
        """Carry out what waits, in a task of its own: no request is to end it."""
        if self._waiting and self._free:
            self._free -= 1
            drain = asyncio.create_task(self._drain())
            self._drains.add(drain)
            drain.add_done_callback(self._drains.discard)

    async def _drain(self) -> None:
        try:
            while batch := self._next():
                await self._answer(batch)
        finally:
            self._free += 1

    def _next(self) -> "Sequence[_Waiting[T, R]]":
        """Return the items that are carried out next; nobody waits any more for the others."""
        batch: list[_Waiting[T, R]] = []
        while self._waiting and len(batch) < _MOST:
            if not (each := self._waiting.popleft())[1].done():
                batch.append(each)
        return batch

    async def _answer(self, batch: "Sequence[_Waiting[T, R]]") -> None:
        try:
            async with asyncio.timeout_at(batch[-1][2]):  # after which nobody waits
                results = await self._run([item for item, _, _ in batch])
        except Exception as error:  # noqa: BLE001 — it is told to those who asked
            results = [error] * len(batch)
        except BaseException:
            for _, turn, _ in batch:
                turn.cancel()
            raise
        for (_, turn, _), result in zip(batch, results, strict=True):
            if turn.done():  # who asked went away
                continue
            if isinstance(result, Exception):
                turn.set_exception(result)
            else:
                turn.set_result(result)


class SingleFlight:
    """Makes once what several ask for: who comes while it is made shares what is made next."""

    def __init__(self, timeout: float | None = None) -> None:
        """Remember what is asked for while somebody waits for it, *timeout* seconds at most."""
        self._timeout = timeout
        self._asked: WeakValueDictionary[Hashable, CallBatcher[Any, Any]] = WeakValueDictionary()

    async def __call__(self, name: Hashable, make: _Make[R]) -> R:
        """Return what *make* returns, or another's that is called *name*; raises its error."""
        asked: CallBatcher[_Make[R], R] | None = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = CallBatcher(_once, at_once=1, timeout=self._timeout)
        return await asked(make)

    def __len__(self) -> int:
        """Return for how many things somebody waits."""
        return len(self._asked)


async def _once(makes: Sequence[_Make[R]]) -> Sequence[R]:
    return [await makes[0]()] * len(makes)


def is_hashable(value: object) -> bool:
    """Tell whether it can be told what is equal to *value*."""
    try:
        hash(value)
    except TypeError:
        return False
    return True
