"""What is written at once is sent at once, and nothing is lost or late."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from typing_extensions import override

from brickwork import install
from brickwork.transports import Joined
from tests.support.server import serving

pytestmark = pytest.mark.anyio


class Wire(asyncio.Transport):
    """A transport that notes what it is asked for."""

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


def say(*texts: bytes) -> Callable[[Joined], None]:
    """Return what writes *texts* one after the other."""

    def written(joined: Joined) -> None:
        for each in texts:
            joined.write(each)

    return written


def close(joined: Joined) -> None:
    joined.close()


def abort(joined: Joined) -> None:
    joined.abort()


@pytest.mark.parametrize(
    ("steps", "sent"),
    [
        ([say(b"head", b"body")], [[b"head", b"body"]]),
        ([say(b"head")], [b"head"]),
        ([say(b"a", b"b", b"c")], [[b"a", b"b"], b"c"]),
        ([say(b"a", b"b", b"c", b"d")], [[b"a", b"b"], [b"c", b"d"]]),
        ([say(b"")], []),
        ([say(b"head", b"")], [[b"head", b""]]),
        ([say(b"head", b"body"), close], [[b"head", b"body"], "close"]),
        ([say(b"refused"), close], [b"refused", "close"]),
        ([close, say(b"late")], ["close"]),
        ([say(b"head"), abort], ["abort"]),
    ],
)
async def test_what_is_written_at_once_is_sent_at_once(
    steps: Sequence[Callable[[Joined], None]], sent: list[Any]
) -> None:
    wire = Wire()
    joined = Joined(wire)
    for step in steps:
        step(joined)
    await asyncio.sleep(0)
    assert wire.calls == sent
    assert joined.get_extra_info("peername") == "there"


async def test_what_is_written_later_does_not_wait_for_more() -> None:
    wire = Wire()
    joined = Joined(wire)
    for each in (b"a", b"b", b"c"):
        joined.write(each)
        await asyncio.sleep(0)
    assert wire.calls == [b"a", b"b", b"c"]


async def test_a_part_of_a_stream_arrives_before_the_next_is_made() -> None:
    app, more = FastAPI(), asyncio.Event()
    install(app)

    async def parts() -> AsyncGenerator[bytes]:
        yield b"first"
        await more.wait()
        for each in (b"second", b"third", b"fourth"):
            yield each

    @app.get("/parts")
    async def read() -> StreamingResponse:
        return StreamingResponse(parts())

    async with serving(app) as client, client.stream("GET", "/parts") as response:
        received = response.aiter_raw()
        assert await anext(received) == b"first"
        more.set()
        assert b"".join([each async for each in received]) == b"secondthirdfourth"
