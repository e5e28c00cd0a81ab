"""Access log."""

from collections.abc import Awaitable
from string import punctuation
from time import perf_counter
from typing import Final
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brickwork.context import request_id
from brickwork.http.line_buffer import LineBuffer

_MAX_PATH: Final = 2_048
"""The characters of a path and its query, so that a line fits into a block."""


_Record = tuple[str, bytes, bytes, int, float, str, bool]
"""Method, path, query, status, seconds, request id, and whether the response is complete."""


class AccessLog:
    """An application that logs each request to another one, on standard output.

    A line is `GET /articles?limit=2 200 1.3 ms 01a222df-ef28-73d9-a14f-26e52c6f9276`: method, path
    with query, status, time to the end of the response, request id. Wrap the whole application, so
    that no middleware changes a response after its line:

        app = AccessLog(FastAPI())

    Lines are buffered for at most a second, and written before the server ends. A path is as the
    client sent it; characters that could forge a line are percent-encoded. A response that began
    and did not end has the word `incomplete` at the end of its line. A client that went away before
    its response has the status `-`.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap *app*."""
        self._app = app
        self._lines = LineBuffer(_render_line)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, and log the request when its response ends."""
        if scope["type"] != "http":
            is_lifespan = scope["type"] == "lifespan"
            await self._app(scope, receive, self._flush_before_end(send) if is_lifespan else send)
            return
        exchange = _Exchange(scope, send, self._lines)
        try:
            await self._app(scope, receive, exchange.send)
        except BaseException:
            if not exchange.status:
                exchange.status = 500  # the server sends it
                exchange.log()
            raise
        finally:
            if not exchange.is_logged:
                exchange.log(is_complete=not exchange.status)

    def _flush_before_end(self, send: Send) -> Send:
        """Return a *send* that flushes the lines when the application has ended."""

        async def send_flushing(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                self._lines.close()
            await send(message)

        return send_flushing


class _Exchange:
    """A request and its response."""

    __slots__ = ("_began", "_lines", "_scope", "_send", "is_logged", "status")

    def __init__(self, scope: Scope, send: Send, lines: LineBuffer[_Record]) -> None:
        self.status = 0
        self.is_logged = False
        self._scope = scope
        self._send = send
        self._lines = lines
        self._began = perf_counter()

    def send(self, message: Message) -> Awaitable[None]:
        """Send *message*, and note the status and the end of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif self.status and not (self.is_logged or message.get("more_body", False)):
            return self._send_last(message)
        return self._send(message)

    async def _send_last(self, message: Message) -> None:
        await self._send(message)
        self.log()

    def log(self, *, is_complete: bool = True) -> None:
        """Log the request."""
        self.is_logged = True
        scope = self._scope
        path = scope.get("raw_path") or scope["path"].encode(errors="surrogatepass")
        seconds = perf_counter() - self._began
        self._lines.add(
            (
                scope["method"],
                path,
                scope["query_string"],
                self.status,
                seconds,
                request_id(scope) or "-",
                is_complete,
            )
        )


def _render_line(record: _Record) -> str:
    method, path, query, status, seconds, request_id, is_complete = record
    target = _encode_path(path + b"?" + query if query else path)
    end = "" if is_complete else " incomplete"
    return f"{method} {target} {status or '-'} {seconds * 1_000:.1f} ms {request_id}{end}\n"


def _encode_path(path: bytes) -> str:
    """Return *path* in printable ASCII characters without spaces."""
    text = path.decode("latin-1")
    if not (text.isascii() and text.isprintable()) or " " in text:
        text = quote(path, safe=punctuation)
    return text if len(text) <= _MAX_PATH else f"{text[:_MAX_PATH]}..."
