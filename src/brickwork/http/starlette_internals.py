"""The private parts of Starlette that Brickwork uses.

Each is behind one function or class. `tests/http/test_starlette_internals.py` fails when one of
them changes.
"""

from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from fastapi import Request
from starlette._utils import get_route_path, is_async_callable
from starlette.middleware.body_limit import (
    _BODY_LIMIT_RESPONDER_SCOPE_KEY,  # pyright: ignore[reportPrivateUsage]
)
from starlette.types import Scope
from typing_extensions import override

BODY_LIMITER: Final = _BODY_LIMIT_RESPONDER_SCOPE_KEY
"""The scope key of the object that limits a body. The innermost router sets its limit."""


def route_path(scope: Scope) -> str:
    """Return `get_route_path`: the path without the root path, which the routes match."""
    return get_route_path(scope)


def is_async(function: Callable[..., Any]) -> bool:
    """Return `is_async_callable`: whether Starlette awaits *function*, or calls it in a thread."""
    return is_async_callable(function)


def is_body_consumed(request: Request) -> bool:
    """Return whether the body was read and not kept in `_body`, like a form or a stream."""
    return request._stream_consumed and not hasattr(request, "_body")  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


class KeptBodyRequest(Request):
    """A request that keeps a streamed body in `_body`, as Starlette keeps one that was read."""

    @override
    async def stream(self) -> AsyncGenerator[bytes]:
        """Yield the body in chunks, and keep it: a dependency may read it before the endpoint."""
        if not hasattr(self, "_body"):
            chunks: list[bytes] = []
            async for chunk in super().stream():
                chunks.append(chunk)
                yield chunk
            self._body = b"".join(chunks)
            return
        yield self._body
        yield b""
