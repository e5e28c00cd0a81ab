"""An application that does nothing: what the server, the loop and the load cost."""

from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from benchmarks.asgi import answer, live


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request alike."""
    if scope["type"] == "lifespan":
        await live(receive, send, _start)
    else:
        await answer(send, b'{"hello":"world"}')


async def _start() -> Callable[[], object]:
    return object  # there is nothing to close
