"""Applications that run on between tests."""

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple

from fastapi import FastAPI
from httpx2 import AsyncClient

from tests.support.calls import CreateApp, client_of

KEPT: Final = 4
"""The applications that run at a time: those of one module, on both databases."""


class _Running(NamedTuple):
    app: FastAPI
    state: Mapping[str, Any] | None
    lifespan: AsyncExitStack


class Running:
    """The applications of the last tests. To start one takes longer than most tests."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._running = OrderedDict[tuple[CreateApp, str], _Running]()

    async def client(self, create_app: CreateApp, url: str) -> AsyncClient:
        """Return a new client of the application that *create_app* creates for *url*.

        *create_app* is a function of a module, and the database has the same URL for each test.
        """
        return (await self.app_and_client(create_app, url))[1]

    async def app_and_client(self, create_app: CreateApp, url: str) -> tuple[FastAPI, AsyncClient]:
        """Return the application, too, which the test leaves as it was."""
        key = (create_app, url)
        if key not in self._running:
            self._running[key] = await _start(create_app(url))
        self._running.move_to_end(key)
        while len(self._running) > KEPT:
            _, oldest = self._running.popitem(last=False)
            await oldest.lifespan.aclose()
        app, state, _ = self._running[key]
        return app, client_of(app, state)

    async def end(self) -> None:
        """End all applications."""
        while self._running:
            await self._running.popitem()[1].lifespan.aclose()


async def _start(app: FastAPI) -> _Running:
    stack = AsyncExitStack()
    return _Running(app, await stack.enter_async_context(app.router.lifespan_context(app)), stack)
