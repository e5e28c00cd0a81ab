"""The server's protocol: limits, and invalid messages."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from httpx2 import AsyncClient
from starlette.types import Receive, Scope, Send
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.server import ServerState

from brickwork import install
from brickwork.http.protocol import Protocol
from tests.support.server import serving
from tests.support.waiting import until
from tests.support.wire import Wire, open_wire, request

pytestmark = pytest.mark.anyio

LONG = b"x-long: " + b"v" * 1_000_000 + b"\r\n"
MANY = b"x-many: v\r\n" * 100_000


class Gate(FastAPI):
    """An application that answers when its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        install(self)

        @self.post("/headers")
        async def headers(request: Request) -> dict[str, str]:
            await request.body()
            return dict(request.headers)

        @self.post("/size")
        async def size(request: Request) -> int:
            return len(await request.body())

        @self.get("/slow")
        async def slow() -> str:
            await self.gate.wait()
            return "slow"

        @self.post("/parts")
        async def parts() -> StreamingResponse:
            async def stream() -> AsyncIterator[bytes]:
                yield b"first"
                await self.gate.wait()
                yield b"last"

            return StreamingResponse(stream(), headers={"content-length": "9"})


@pytest.fixture
def app() -> Gate:
    return Gate()


@pytest.fixture
async def client(app: Gate) -> AsyncIterator[AsyncClient]:
    async with serving(app) as client:
        yield client


@pytest.fixture
async def wire(client: AsyncClient) -> AsyncIterator[Wire]:
    async with open_wire(client.base_url) as wire:
        yield wire


def chunked_post(path: str, *lines: bytes) -> bytes:
    """Return a chunked POST, with *lines* as its raw body."""
    return request("POST", path, "transfer-encoding: chunked") + b"".join(lines)


# --- Trailers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trailer",
    [b"authorization: smuggled", b"Host: evil.example", b"cookie: a=b", b"expect: 100-continue"],
)
async def test_trailer_does_not_become_a_header(wire: Wire, trailer: bytes) -> None:
    body = chunked_post("/headers", b"2\r\nab\r\n0\r\n", trailer, b"\r\n\r\n")
    response = await wire.raw(body)
    assert response.json() == {"host": "evil.example", "transfer-encoding": "chunked"}
    assert (await wire.raw(chunked_post("/size", b"2\r\nab\r\n0\r\n\r\n"))).json() == 2


@pytest.mark.parametrize("trailers", [LONG, MANY], ids=["one", "many"])
async def test_excessive_trailers_are_a_431(wire: Wire, trailers: bytes) -> None:
    response = await wire.raw(chunked_post("/size", b"2\r\nab\r\n0\r\n", trailers))
    assert response.status_code == 431
    assert response.headers["content-type"] == "application/problem+json"
    with pytest.raises(EOFError):
        await wire.answer()


@pytest.mark.parametrize("trailers", [LONG, MANY], ids=["one", "many"])
async def test_excessive_trailers_after_the_response_close_the_connection(
    wire: Wire, trailers: bytes
) -> None:
    assert (await wire.raw(chunked_post("/nowhere", b"2\r\nab\r\n0\r\n"))).status_code == 404
    await wire.send(trailers)
    with pytest.raises((EOFError, ConnectionError)):
        await wire.answer()


# --- Chunks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chunks",
    [b"1;x=" + b"y" * 1_000_000, (b"1;x=" + b"y" * 30_000 + b"\r\na\r\n") * 30],
    ids=["one", "many"],
)
async def test_excessive_chunk_extensions_are_a_431(wire: Wire, chunks: bytes) -> None:
    response = await wire.raw(chunked_post("/size", chunks))
    assert response.status_code == 431


async def test_body_limit_applies_to_small_chunks(wire: Wire) -> None:
    for size, status in ((1_048_576, 200), (1_048_577, 413)):
        response = await wire.raw(chunked_post("/size", b"1\r\na\r\n" * size, b"0\r\n\r\n"))
        assert response.status_code == status


# --- Invalid messages -----------------------------------------------------------------------------


async def test_invalid_message_does_not_cut_off_earlier_responses(app: Gate, wire: Wire) -> None:
    await wire.send(request("GET", "/slow") + request("GET", "/slow") + b"\0\r\n\r\n")
    await wire.send(request("GET", "/slow"))
    app.gate.set()
    assert [(await wire.answer()).json() for _ in range(2)] == ["slow", "slow"]
    with pytest.raises(EOFError):
        await wire.answer()


@pytest.mark.parametrize("path", ["/parts", "/nowhere"])
async def test_invalid_body_after_a_response_closes_the_connection(
    client: AsyncClient, path: str
) -> None:
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(chunked_post(path, b"2\r\nab\r\n"))
    begin = await reader.readuntil(b"first" if path == "/parts" else b"}")
    writer.write(b"no size\r\n")
    assert b"HTTP/1.1" in begin
    assert await reader.read() == b""
    writer.close()


async def test_invalid_body_of_a_pipelined_request_closes_the_connection(
    app: Gate, wire: Wire
) -> None:
    await wire.send(
        request("GET", "/slow") + chunked_post("/size", b"2\r\nab\r\n") + b"no size\r\n"
    )
    with pytest.raises(EOFError):
        await wire.answer()
    app.gate.set()


# --- Writes ---------------------------------------------------------------------------------------


class Recording(asyncio.Transport):
    """A transport that records what it sends in one call."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    @override
    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.sent.append(b"".join(list_of_data))

    @override
    def is_closing(self) -> bool:
        return False


async def test_response_of_uvicorn_is_one_write() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"short"})

    transport = Recording()
    protocol = Protocol(Config(app, lifespan="off"), ServerState(), {})
    protocol.connection_made(transport)
    protocol.data_received(request("GET", "/"))
    await until(lambda: bool(transport.sent))
    (response,) = transport.sent
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"short" in response
    if protocol.timeout_keep_alive_task:
        protocol.timeout_keep_alive_task.cancel()
