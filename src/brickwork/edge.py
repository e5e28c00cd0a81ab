"""The outermost layer: it gives a request its id, and refuses one that is too large."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from fastapi.routing import iter_route_contexts
from starlette._utils import get_route_path
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brickwork.answers import REQUEST_ID, answer
from brickwork.cursors import Signer, signer
from brickwork.database import Database, running_database
from brickwork.limits import Limits, current
from brickwork.models import new_key
from brickwork.paths import ROOT
from brickwork.problems import (
    ContentTooLarge,
    Fault,
    HeadersTooLarge,
    Malformed,
    Problem,
    UriTooLong,
    problem_in,
)
from brickwork.redaction import redacted
from brickwork.routes import as_get
from brickwork.startup import check
from brickwork.values import NOT_TEXT
from brickwork.workers import count_workers

_REQUEST_ID: Final = REQUEST_ID.lower().encode()
_MOUNTED: Final = "app_root_path"
"""The key that Starlette adds to the scope of a mounted application, which gets no lifespan."""

_LIMITER: Final = "starlette._body_limit_responder"
"""The key under which Starlette finds the limiter that counts the bytes of a body already."""

_UNSIGNED: Final = (
    "{count} processes serve the application, and each would sign cursors with a key of its own, "
    "which the others refuse: give all the same keys, install(app, cursor_keys=[…])."
)
_SANE: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")

_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?"
)
"""A host and a port (RFC 3986, section 3.2); a comma would make a list of it."""


_ESCAPES: Final = 1_000
"""How many backslashes a cookie may have: Python 3.11.7 needs a second for sixteen thousand."""


class Edge:
    """ASGI middleware that `install` adds to an application."""

    def __init__(
        self, app: ASGIApp, limits: Limits, signer: Signer, *, development: bool = False
    ) -> None:
        """Stand before *app*, and let nothing through that exceeds *limits*.

        *signer* writes and reads the cursors of its lists. Except in *development*, several
        processes do not start with a key each.
        """
        self.app = app
        self.limits = limits
        self.signer = signer
        self.development = development
        self._is_checked = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] == "lifespan":
            if self.signer.is_alone and not self.development and (count := count_workers()) > 1:
                await receive()
                failure = _UNSIGNED.format(count=count)
                await send({"type": "lifespan.startup.failed", "message": failure})
                return
            send = self._checking(scope, send)
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if not self._is_checked and _MOUNTED in scope:
            await self._check(scope)
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(_REQUEST_ID, b"").decode("latin-1")
        scope[REQUEST_ID] = given if _SANE.fullmatch(given) else str(new_key())
        scope[ROOT] = scope.get("root_path", "")
        state = scope.setdefault("state", {})
        if "database" not in state and (database := running_database(scope)):
            state["database"] = database
        current.set(self.limits)
        signer.set(self.signer)
        if "\ufffd" in scope["path"] and "raw_path" in scope:
            scope["path"] = _text(scope["raw_path"])
        if scope["method"] == "HEAD" and not _has_own_head(scope):
            scope = as_get(scope)
        if problem := self._refusal(scope):
            await answer(problem, scope)(scope, receive, send)
        else:
            length = headers.get(b"content-length", b"")
            await self._carry_out(scope, _Body(length, receive, self.limits.body), send)

    async def _carry_out(self, scope: Scope, body: "_Body", send: Send) -> None:
        """Have a request answered, and answer it where a middleware raises a problem.

        The server logs any other error, so that is raised without values.
        """
        scope[_LIMITER] = body
        answering = _Answer(scope, send)
        try:
            await self.app(scope, body.receive, answering.send)
        except Exception as error:  # noqa: BLE001 — it is raised below, where it has no context
            problem, failure = problem_in(error), redacted(error)
        else:
            return
        if problem is None or answering.is_begun:
            raise failure
        await answer(problem, scope)(scope, body.receive, answering.send)

    def _checking(self, scope: Scope, send: Send) -> Send:
        """Return a *send* that checks the database when the start-up is complete."""

        async def send_checking(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await self._check(scope)
            await send(message)

        return send_checking

    async def _check(self, scope: Scope) -> None:
        """Check the database at the start-up, or at the first request of a mounted application."""
        self._is_checked = True
        database = scope.get("state", {}).get("database")
        if isinstance(database, Database) and REQUEST_ID not in scope:
            await check(scope["app"], database)

    def _refusal(self, scope: Scope) -> Problem | None:
        query: bytes = scope["query_string"]
        length = len(scope.get("raw_path") or scope["path"]) + len(b"?" + query if query else b"")
        if length > self.limits.url:
            return UriTooLong(f"The URL may have {self.limits.url} bytes.")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > self.limits.headers:
            return HeadersTooLarge(f"The headers may have {self.limits.headers} bytes.")
        if any(value.count(b"\\") > _ESCAPES for value in _values(scope, b"cookie")):
            return HeadersTooLarge(f"A cookie may have {_ESCAPES} backslashes.")
        if not _has_host(scope):
            fault = Fault(code="host", detail="A request has one Host.", header="Host")
            return Malformed("The Host is missing, or is not one host.", errors=[fault])
        try:
            unquote_to_bytes(query).decode()
        except UnicodeDecodeError:
            return Malformed("The query is not UTF-8.")
        return None


class _Body:
    """The body of a request, of which nobody reads more than the limit.

    To Starlette it is the limiter that counts already: `include_router(…, max_body_size=…)` then
    sets `max_body_size`, where Starlette would answer in plain text. The smaller limit counts.
    """

    def __init__(self, length: bytes, receive: Receive, limit: int) -> None:
        self.max_body_size = limit
        self.total_size = 0
        self._receive = receive
        self._limit = limit
        self._declared = int(length[:20]) if length.isdigit() else 0

    async def receive(self) -> Message:
        """Return the next message; raises `ContentTooLarge` beyond the limit."""
        limit = min(self._limit, self.max_body_size)
        if self._declared <= limit:
            message = await self._receive()
            self.total_size += len(message.get("body", b""))
            if self.total_size <= limit:
                return message
        raise ContentTooLarge(f"The body may have {limit} bytes.")


class _Answer:
    """The answer to a request, with the id of the request."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.is_begun = False
        self._scope = scope
        self._send = send

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        self.is_begun = True
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)[REQUEST_ID] = self._scope[REQUEST_ID]
        await self._send(message)


def _has_own_head(scope: Scope) -> bool:
    """Tell whether a route of the application answers HEAD, and not GET, at the path of *scope*."""
    path = get_route_path(scope)
    return any(
        {"HEAD", "GET"} & (route.methods or set()) == {"HEAD"} and route.path_regex.match(path)
        for route in iter_route_contexts(scope["app"].routes)
    )


def _values(scope: Scope, header: bytes) -> Sequence[bytes]:
    return [value for name, value in scope["headers"] if name == header]


def _has_host(scope: Scope) -> bool:
    """Tell whether a request names one host, or none where HTTP lets it (RFC 9112, section 3.2)."""
    hosts = _values(scope, b"host")
    if not hosts:
        return scope.get("http_version") != "1.1"
    return len(hosts) == 1 and bool(_HOST.fullmatch(hosts[0].strip(b" \t")))


def _text(path: bytes) -> str:
    """Return *path* as text; what is not UTF-8 in it names nothing, and not what U+FFFD names."""
    return NOT_TEXT.sub("\0", unquote_to_bytes(path).decode(errors="surrogateescape"))
