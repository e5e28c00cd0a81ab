"""An application that does nothing.

Its figures are the cost of the server, the event loop and the load.
"""

from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from benchmarks.asgi import answer, live


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Send the same response to every request."""
    if scope["type"] == "lifespan":
        await live(receive, send, _start)
    else:
        await answer(send, b'{"hello":"world"}')


async def _start() -> Callable[[], object]:
    return object  # there is nothing to close
