"""A client of an application, without a server."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import unquote

from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncBaseTransport, AsyncClient, Request, Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

CreateApp: TypeAlias = Callable[[str], FastAPI]
"""A function that creates an application for the database of a URL."""


@asynccontextmanager
async def calling(app: FastAPI, *, root_path: str = "") -> AsyncGenerator[AsyncClient]:
    """Start *app*, and yield a client that calls it. An error of it is a 500, as on a server.

    The request extension `target` sets the path and query without normalisation.
    """
    async with (
        app.router.lifespan_context(app) as state,
        client_of(app, state, root_path=root_path) as client,
    ):
        yield client


def client_of(app: FastAPI, state: Mapping[str, Any] | None, *, root_path: str = "") -> AsyncClient:
    """Return a client that calls *app*, after its start with *state*."""
    transport = _Transport(app, state or {}, root_path)
    return AsyncClient(transport=transport, base_url="http://test")


class _Transport(AsyncBaseTransport):
    def __init__(self, app: FastAPI, state: Mapping[str, Any], root_path: str) -> None:
        self._app = app
        self._state = state
        self._root_path = root_path

    @override
    async def handle_async_request(self, request: Request) -> Response:
        target: bytes | None = request.extensions.get("target")

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            scope["state"] = dict(self._state)
            if target is not None:
                path, _, query = target.partition(b"?")
                scope.update(raw_path=path, path=unquote(path.decode()), query_string=query)
            await self._app(scope, receive, send)

        inner = ASGITransport(call, raise_app_exceptions=False, root_path=self._root_path)
        return await inner.handle_async_request(request)
