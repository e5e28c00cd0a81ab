"""Failures of a PostgreSQL server: closed, silent, cut, rejecting."""

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final, Self

from sqlalchemy import make_url

_SSL_REQUEST: Final = 80877103


class Proxy:
    """A TCP proxy of a database server that can be closed, frozen and cut."""

    def __init__(self, url: str) -> None:
        """Forward to the server of the database at *url*."""
        self._target = make_url(url)
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0

    @property
    def url(self) -> str:
        """Return the URL of the database through the proxy."""
        here = self._target.set(host="127.0.0.1", port=self._port, query={"sslmode": "disable"})
        return here.render_as_string(hide_password=False)

    async def __aenter__(self) -> Self:
        """Open the proxy."""
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the proxy and its connections."""
        await self.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def open(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Accept no more connections, and cut the open ones."""
        if self._server:
            self._server.close()
            self._server = None
        self.cut()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """Cut all connections."""
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        """Forward nothing in either direction, also on new connections."""
        self._flows.clear()

    def thaw(self) -> None:
        """Forward the waiting data, and all later data."""
        self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._target.host, self._target.port
        inner_reader, inner_writer = await asyncio.open_connection(host, port)
        self._writers |= {writer, inner_writer}
        for source, sink in ((reader, inner_writer), (inner_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(65_536):
                    await self._flows.wait()
                    sink.write(data)
                    await sink.drain()
        finally:
            self._writers.discard(sink)
            sink.close()


@asynccontextmanager
async def rejecting(state: str, message: str) -> AsyncGenerator[str]:
    """Yield the URL of a server that rejects all connections with this SQLSTATE and *message*."""
    fields = f"SFATAL\0VFATAL\0C{state}\0M{message}\0\0".encode()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                (length,) = struct.unpack("!i", await reader.readexactly(4))
                (code,) = struct.unpack("!i", (await reader.readexactly(length - 4))[:4])
                if code != _SSL_REQUEST:
                    break
                writer.write(b"N")
            writer.write(b"E" + struct.pack("!i", len(fields) + 4) + fields)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://ada:secret@127.0.0.1:{port}/shop"
