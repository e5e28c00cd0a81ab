"""HTTP as bytes on a socket."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from httpx2 import URL, Request, Response

PATIENCE: Final = 30
"""The timeout of a response in seconds."""

HOST: Final = b"evil.example"
"""The Host of `request`, which no response may repeat."""

Headers = Sequence[tuple[bytes, bytes]]


class Wire:
    """A connection to a server, which reconnects after the server has closed it."""

    def __init__(self, url: URL) -> None:
        """Connect to nothing yet."""
        self._url = url
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self, method: str, target: bytes, *, headers: Headers = (), content: bytes = b""
    ) -> Response:
        """Send a request unchanged, with its actual length, and return the response."""
        lines = [method.encode() + b" " + target + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in headers]
        if not any(name.lower() == b"host" for name, _ in headers):
            lines.append(b"host: test")
        if content or method in {"POST", "PUT", "PATCH"}:
            lines.append(b"content-length: %d" % len(content))
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        return await self.raw(head + content, method=method)

    async def raw(self, request: bytes, *, method: str = "GET") -> Response:
        """Send *request*, and return the first response; `answer` returns the next ones."""
        await self.send(request)
        return await self.answer(method)

    async def send(self, data: bytes) -> None:
        """Send *data* without waiting for the server, which may respond before."""
        if self._streams is None or self._streams[0].at_eof():
            await self.close()
            self._streams = await asyncio.open_connection(self._url.host, self._url.port)
        self._streams[1].write(data)

    async def answer(self, method: str = "GET") -> Response:
        """Return the next response; raise `EOFError` if the connection is closed before."""
        if self._streams is None:
            raise EOFError
        async with asyncio.timeout(PATIENCE):
            response = await _read(self._streams[0], method)
        if response.status_code == 413 or response.headers.get("connection") == "close":
            await self.close()
        return response

    async def close(self) -> None:
        """Close the connection, even in the middle of a response."""
        if self._streams is not None:
            streams, self._streams = self._streams, None
            streams[1].transport.abort()
            await asyncio.sleep(0)


@asynccontextmanager
async def open_wire(url: URL) -> AsyncGenerator[Wire]:
    """Yield a connection to the server at *url*, closed at the end."""
    wire = Wire(url)
    try:
        yield wire
    finally:
        await wire.close()


async def _read(reader: asyncio.StreamReader, method: str) -> Response:
    head = await reader.readuntil(b"\r\n\r\n")
    start, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    pairs = [line.split(b":", 1) for line in lines]
    headers = [(name.strip(), value.strip()) for name, value in pairs]
    status = int(start.split(b" ")[1])
    lengths = [int(value) for name, value in headers if name.lower() == b"content-length"]
    content = b""
    if (b"transfer-encoding", b"chunked") in headers:
        content = await _chunks(reader)
        headers.remove((b"transfer-encoding", b"chunked"))
    elif method != "HEAD" and status >= 200 and status not in {204, 304}:
        content = await (reader.readexactly(lengths[0]) if lengths else reader.read())
    # The method and the URL appear only in messages.
    return Response(status, headers=headers, content=content, request=Request("GET", "http://test"))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    content = b""
    while size := int(await reader.readline(), 16):
        content += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return content


def request(
    method: str, target: str, *headers: str, body: bytes = b"", version: str = "HTTP/1.1"
) -> bytes:
    """Return a request as bytes, with these headers and a Host."""
    lines = [f"{method} {target} {version}", f"host: {HOST.decode()}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
