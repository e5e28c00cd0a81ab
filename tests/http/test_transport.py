"""Coalesced writes of a transport."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from typing_extensions import override

from brickwork import install
from brickwork.http.transport import WriteCoalescingTransport
from tests.support.server import serving


class Wire(asyncio.Transport):
    """A transport that records its calls."""

    def __init__(self) -> None:
        super().__init__({"peername": "there"})
        self.calls: list[Any] = []

    @override
    def write(self, data: Any) -> None:
        self.calls.append(data)

    @override
    def writelines(self, list_of_data: Any) -> None:
        self.calls.append([*list_of_data])

    @override
    def is_closing(self) -> bool:
        return "close" in self.calls or "abort" in self.calls

    @override
    def close(self) -> None:
        self.calls.append("close")

    @override
    def abort(self) -> None:
        self.calls.append("abort")


@pytest.mark.parametrize(
    ("parts", "sent"),
    [
        pytest.param([b"head", b"body"], [[b"head", b"body"]], id="two parts"),
        pytest.param([b"head"], [b"head"], id="one part"),
        pytest.param([b"a", b"b", b"c"], [[b"a", b"b"], b"c"], id="three parts"),
        pytest.param([b"a", b"b", b"c", b"d"], [[b"a", b"b"], [b"c", b"d"]], id="four parts"),
        pytest.param([b""], [], id="an empty part"),
        pytest.param([b"head", b""], [[b"head", b""]], id="an empty body"),
    ],
)
async def test_parts_are_sent_in_pairs(parts: list[bytes], sent: list[Any]) -> None:
    wire = Wire()
    coalescing = WriteCoalescingTransport(wire)
    for part in parts:
        coalescing.write(part)
    await asyncio.sleep(0)

    assert wire.calls == sent


@pytest.mark.parametrize(
    ("parts", "calls"),
    [
        pytest.param([b"head", b"body"], [[b"head", b"body"], "close"], id="two parts"),
        pytest.param([b"refused"], [b"refused", "close"], id="one part"),
    ],
)
async def test_parts_are_sent_before_the_close(parts: list[bytes], calls: list[Any]) -> None:
    wire = Wire()
    coalescing = WriteCoalescingTransport(wire)
    for part in parts:
        coalescing.write(part)
    coalescing.close()
    await asyncio.sleep(0)

    assert wire.calls == calls


async def test_part_after_the_close_is_not_sent() -> None:
    wire = Wire()
    coalescing = WriteCoalescingTransport(wire)
    coalescing.close()
    coalescing.write(b"late")
    await asyncio.sleep(0)

    assert wire.calls == ["close"]


async def test_aborted_part_is_not_sent() -> None:
    wire = Wire()
    coalescing = WriteCoalescingTransport(wire)
    coalescing.write(b"head")
    coalescing.abort()
    await asyncio.sleep(0)

    assert wire.calls == ["abort"]


async def test_transport_forwards_extra_info() -> None:
    assert WriteCoalescingTransport(Wire()).get_extra_info("peername") == "there"


async def test_parts_of_separate_loop_iterations_are_sent_separately() -> None:
    wire = Wire()
    coalescing = WriteCoalescingTransport(wire)
    for part in (b"a", b"b", b"c"):
        coalescing.write(part)
        await asyncio.sleep(0)
    assert wire.calls == [b"a", b"b", b"c"]


async def test_streamed_part_is_sent_without_delay() -> None:
    app, more = FastAPI(), asyncio.Event()
    install(app)

    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        await more.wait()
        for part in (b"second", b"third", b"fourth"):
            yield part

    @app.get("/parts")
    async def read() -> StreamingResponse:
        return StreamingResponse(parts())

    async with serving(app) as client, client.stream("GET", "/parts") as response:
        received = response.aiter_raw()
        assert await anext(received) == b"first"
        more.set()
        assert b"".join([chunk async for chunk in received]) == b"secondthirdfourth"
