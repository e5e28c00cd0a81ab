"""The private parts of Starlette, each by what it is used for."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.types import Message, Receive, Scope, Send

from brickwork.http import starlette_internals as internals
from tests.support.calls import calling

pytestmark = pytest.mark.anyio


async def test_path_of_routes_has_no_root_path() -> None:
    async def tell(request: Request) -> str:
        return internals.route_path(request.scope)

    outer, inner = FastAPI(), FastAPI()
    for app in (outer, inner):
        app.add_api_route("/things/{name}", tell)
    outer.mount("/inner", inner)
    async with calling(outer, root_path="/proxy") as client:
        paths = ("/proxy/things/a", "/proxy/inner/things/a", "/things/a")
        assert [(await client.get(path)).json() for path in paths] == ["/things/a"] * 3


def test_asynchronous_function_is_recognised() -> None:
    async def awaited(_: object = None) -> None: ...

    class Awaited:
        async def __call__(self) -> None: ...

    def called() -> None: ...

    functions = (awaited, partial(awaited, 1), Awaited(), called)
    assert [internals.is_async(function) for function in functions] == [True, True, True, False]


class Limiter:
    """A limiter that records the size at which a body is read, and its own limit."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.max_body_size = 1_000
        self.total_size = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def count() -> Message:
            message = await receive()
            self.total_size += len(message.get("body", b""))
            return message

        scope[internals.BODY_LIMITER] = self
        await self._app(scope, count, send)


@pytest.mark.parametrize("place", ["application", "router", "route"])
async def test_limit_of_a_router_is_set_on_the_limiter(place: str) -> None:
    limits: dict[str, Any] = {name: {} for name in ("application", "router", "route")}
    limits[place] = {"max_body_size": 5}

    async def read(request: Request) -> int:
        return len(await request.body())

    router = APIRouter()
    router.add_api_route("/size", read, methods=["POST"], **limits["route"])
    app = FastAPI(**limits["application"])
    app.include_router(router, **limits["router"])
    limited: Any = Limiter(app)
    limited.router = app.router
    async with calling(limited) as client:
        response = await client.post("/size", content=b"0123456789")
    assert (response.status_code, response.text) == (200, "10"), "Starlette itself limits nothing"
    assert (limited.max_body_size, limited.total_size) == (5, 10)


def request_of(*chunks: bytes, kind: type[Request] = Request) -> Request:
    """Return a request with a body of *chunks*."""
    more = iter(range(len(chunks) - 1, -1, -1))
    parts = iter(chunks)

    async def receive() -> Message:
        return {"type": "http.request", "body": next(parts), "more_body": next(more) > 0}

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    return kind(scope, receive)


async def consume(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def test_body_that_was_read_is_kept() -> None:
    request = request_of(b"a=", b"b")
    assert not internals.is_body_consumed(request)
    assert await request.body() == b"a=b"
    assert not internals.is_body_consumed(request)


async def test_stream_is_consumed() -> None:
    request = request_of(b"a=", b"b")
    assert await consume(request.stream()) == b"a=b"
    assert internals.is_body_consumed(request)


async def test_form_is_consumed() -> None:
    request = request_of(b"a=", b"b")
    assert dict(await request.form()) == {"a": "b"}
    assert internals.is_body_consumed(request)


async def test_kept_stream_can_be_read_again() -> None:
    request = request_of(b"a=", b"b", kind=internals.KeptBodyRequest)
    assert await consume(request.stream()) == b"a=b"
    assert not internals.is_body_consumed(request)
    assert await request.body() == b"a=b"
    assert await consume(request.stream()) == b"a=b"
    assert dict(await request.form()) == {"a": "b"}


async def test_kept_body_can_be_streamed() -> None:
    request = request_of(b"a=", b"b", kind=internals.KeptBodyRequest)
    assert await request.body() == b"a=b"
    assert await consume(request.stream()) == b"a=b"
