"""Helpers of ASGI applications without a framework."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs
from uuid import UUID

from starlette.types import Receive, Send


async def live(
    receive: Receive, send: Send, start: Callable[[], Awaitable[Callable[[], object]]]
) -> None:
    """Call *start*, wait until the server stops, and call the function that *start* returned."""
    await receive()
    stop = await start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    stop()
    await send({"type": "lifespan.shutdown.complete"})


async def body_of(receive: Receive) -> bytes:
    """Return the whole body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def answer(send: Send, body: bytes, status: int = 200) -> None:
    """Send a *body* of JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def page(asked: bytes) -> tuple[UUID, int]:
    """Return the key before the first article of a page, and the length of the page."""
    given = parse_qs(asked.decode())
    return UUID(given.get("after", ["0" * 32])[0]), int(given.get("limit", ["20"])[0])
