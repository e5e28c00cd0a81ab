"""The context of a request."""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from brickwork.problems import Problem

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid_utils import uuid7

REQUEST_ID: Final = "X-Request-Id"

PATH_TAKEN: Final = "X-Brickwork-Path"
"""The header that names the path of a request, in development."""

_CONTEXT_KEY: Final = "brickwork"
"""The key of the context in the scope of a request."""


@dataclass(slots=True, eq=False)
class RequestContext:
    """The state that Brickwork keeps of a request, in one place of its scope."""

    request_id: str = ""
    """The id of the request. Empty without `install`."""
    root_path: str | None = None
    """The root path of the application that `install` prepared. None without it.

    A mount changes `root_path` for everything below it, even a mount of plain routes.
    """
    rejection: Problem | None = None
    """The problem of a request that is rejected before its route. None if it has none."""
    failure: Exception | None = None
    """The error of a request that the dispatcher has handled. None without one."""
    is_head: bool = False
    """Whether a HEAD request is handled as a GET."""
    isolation_level: Any = None
    """The isolation level of the transaction. None: the level of the database."""
    sessions: list[Any] = field(default_factory=list[Any])
    """The sessions of the application, of the current attempt."""
    managed_sessions: list[Any] = field(default_factory=list[Any])
    """The sessions of a `Database` that resources have, of the current attempt."""
    record: Callable[[Any], Awaitable[None]] | None = None
    """Stores the response in the transaction, for its Idempotency-Key. None without a key."""
    take_transaction: Callable[[Any], None] | None = None
    """Takes over the transaction until a streamed response ends. None for other responses."""
    resolved: Any = None
    """The resolved values of a hand-written endpoint."""
    path_taken: str = ""
    """`fast path`, or `ORM path` with the reason. Empty for other routes."""


def request_context(scope: MutableMapping[str, Any]) -> RequestContext:
    """Return the context of the request of *scope*, made on first use."""
    context: RequestContext | None = scope.get(_CONTEXT_KEY)
    if context is None:
        context = scope[_CONTEXT_KEY] = RequestContext()
    return context


def new_context(scope: MutableMapping[str, Any], request_id: str) -> RequestContext:
    """Return the new context of the request of *scope*, which an application begins to handle.

    A mounted application keeps the id that the outer application gave.
    """
    outer: RequestContext | None = scope.get(_CONTEXT_KEY)
    request_id = outer.request_id or request_id if outer else request_id
    context = RequestContext(request_id, scope.get("root_path", ""))
    scope[_CONTEXT_KEY] = context
    return context


def request_id(scope: MutableMapping[str, Any]) -> str:
    """Return the id of the request. It is empty without `install`."""
    context: RequestContext | None = scope.get(_CONTEXT_KEY)
    return context.request_id if context else ""


def new_request_id() -> str:
    """Return a new id, a UUIDv7 (RFC 9562)."""
    return str(uuid7())
