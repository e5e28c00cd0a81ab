"""Request ids and request limits."""

import re
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brickwork.context import REQUEST_ID
from brickwork.database.database import Database, running_database
from brickwork.database.redaction import redact_error
from brickwork.http.error_handling import REJECTION_SCOPE_KEY
from brickwork.http.ownership import Ownership
from brickwork.http.paths import ROOT_PATH_SCOPE_KEY
from brickwork.http.routing import head_as_get
from brickwork.http.workers import count_workers
from brickwork.limits import Limits, current_limits
from brickwork.models.model import new_key
from brickwork.problems import (
    BadRequest,
    ContentTooLarge,
    ErrorDetail,
    HeadersTooLarge,
    Problem,
    URITooLong,
)
from brickwork.query.cursors import CursorCipher, cursor_cipher
from brickwork.schemas.json_values import NOT_TEXT

_REQUEST_ID: Final = REQUEST_ID.lower().encode()
_MOUNT_SCOPE_KEY: Final = "app_root_path"
"""The scope key that Starlette sets for a mounted application, which gets no lifespan."""

_LIMITER_SCOPE_KEY: Final = "starlette._body_limit_responder"
"""The scope key of Starlette's body limiter."""

_MISSING_CURSOR_KEYS: Final = (
    "{count} processes serve the application, and each has a cursor key of its own: they would "
    "reject the cursors of each other. Share the keys, install(app, cursor_keys=[…])."
)
_SAFE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")

_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?"
)
"""A host and a port (RFC 3986, section 3.2), without commas."""


_MAX_BACKSLASHES: Final = 1_000
"""The backslashes in a cookie. Python 3.11.7 needs a second for 16 000 of them."""


DatabaseCheck = Callable[[Any, Database], Awaitable[None]]
"""A check of the database of an application, which logs missing tables."""


class RequestLimitsMiddleware:
    """The outermost ASGI middleware: request ids, limits and start-up checks."""

    def __init__(  # noqa: PLR0913 — the arguments of `install`
        self,
        app: ASGIApp,
        limits: Limits,
        cipher: CursorCipher,
        ownership: Ownership,
        *,
        check_database: DatabaseCheck,
        earlier_limit: int | None,
        development: bool,
    ) -> None:
        """Wrap *app*.

        Args:
            app: The application.
            limits: The limits of its requests.
            cipher: The cipher of its cursors.
            ownership: The owners of its routes. Routes older than `install` have no limits.
            check_database: A check to run at start-up.
            earlier_limit: The bytes of a body for routes older than `install`.
            development: Whether several processes may start without a shared cursor key.

        """
        self.app = app
        self.limits = limits
        self.cipher = cipher
        self.development = development
        self._ownership = ownership
        self._earlier_limit = earlier_limit
        self._check_database = check_database
        self._is_checked = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add an id to the request, and mark it as rejected if it exceeds a limit."""
        if scope["type"] == "lifespan":
            if (
                self.cipher.is_process_local
                and not self.development
                and (count := count_workers()) > 1
            ):
                await receive()
                failure = _MISSING_CURSOR_KEYS.format(count=count)
                await send({"type": "lifespan.startup.failed", "message": failure})
                return
            send = self._check_after_startup(scope, send)
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if not self._is_checked and _MOUNT_SCOPE_KEY in scope:
            await self._check_once(scope)
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(_REQUEST_ID, b"").decode("latin-1")
        scope[REQUEST_ID] = given if _SAFE_REQUEST_ID.fullmatch(given) else str(new_key())
        scope[ROOT_PATH_SCOPE_KEY] = scope.get("root_path", "")
        state = scope.setdefault("state", {})
        if "database" not in state and (database := running_database(scope)):
            state["database"] = database
        current_limits.set(self.limits)
        cursor_cipher.set(self.cipher)
        if "\ufffd" in scope["path"] and "raw_path" in scope:
            scope["path"] = _decode_path(scope["raw_path"])
        if scope["method"] == "HEAD" and self._ownership.takes_head(scope):
            scope = head_as_get(scope)
        if problem := self._find_rejection(scope):
            # The innermost middleware answers, so that the others see the response. The cookie is
            # removed, so that none of them parses it.
            others = [header for header in scope["headers"] if header[0] != b"cookie"]
            scope.update({REJECTION_SCOPE_KEY: problem, "headers": others})
        body = _LimitedBody(scope, receive, self.limits.body, self._earlier_limit, self._ownership)
        await self._run(scope, body, send)

    async def _run(self, scope: Scope, body: "_LimitedBody", send: Send) -> None:
        """Run the application. The server logs its error, so it is raised without values."""
        scope[_LIMITER_SCOPE_KEY] = body
        try:
            await self.app(scope, body.receive, _add_request_id(scope, send))
        except Exception as error:  # noqa: BLE001 — raised below, without context
            failure = redact_error(error)
        else:
            return
        finally:
            # The body refers to the scope. Without this, only the garbage collector would free both
            # and all that they refer to.
            scope.pop(_LIMITER_SCOPE_KEY, None)
        raise failure

    def _check_after_startup(self, scope: Scope, send: Send) -> Send:
        """Return a *send* that checks the database after start-up."""

        async def send_checking(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await self._check_once(scope)
            await send(message)

        return send_checking

    async def _check_once(self, scope: Scope) -> None:
        """Check the database at start-up, or at the first request of a mounted application."""
        self._is_checked = True
        database = scope.get("state", {}).get("database")
        if isinstance(database, Database) and REQUEST_ID not in scope:
            await self._check_database(scope["app"], database)

    def _find_rejection(self, scope: Scope) -> Problem | None:
        problem = self._find_excess(scope)
        if problem and self._ownership.is_earlier(scope, scope[ROOT_PATH_SCOPE_KEY]):
            problem = None
        if any(value.count(b"\\") > _MAX_BACKSLASHES for value in _header_values(scope, b"cookie")):
            return HeadersTooLarge(f"A cookie may have {_MAX_BACKSLASHES} backslashes.")
        if not (problem or _has_host(scope)):
            error = ErrorDetail(code="host", detail="Send exactly one Host.", header="Host")
            return BadRequest("The Host header is missing or invalid.", errors=[error])
        return problem

    def _find_excess(self, scope: Scope) -> Problem | None:
        query: bytes = scope["query_string"]
        length = len(scope.get("raw_path") or scope["path"]) + len(b"?" + query if query else b"")
        if length > self.limits.url:
            return URITooLong(f"The URL may have {self.limits.url} bytes.")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > self.limits.headers:
            return HeadersTooLarge(f"The headers may have {self.limits.headers} bytes.")
        try:
            unquote_to_bytes(query).decode()
        except UnicodeDecodeError:
            return BadRequest("The query is not UTF-8.")
        return None


class _LimitedBody:
    """The body of a request, limited to a number of bytes.

    It takes the place of Starlette's limiter: `include_router(…, max_body_size=…)` sets its
    `max_body_size`, where Starlette would answer in plain text. The smaller limit applies.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        limit: int,
        earlier_limit: int | None,
        ownership: Ownership,
    ) -> None:
        self.max_body_size: float = inf
        self.total_size = 0
        self._scope = scope
        self._root_path = scope[ROOT_PATH_SCOPE_KEY]
        self._receive = receive
        self._limit = limit
        self._earlier_limit = inf if earlier_limit is None else earlier_limit
        self._ownership = ownership
        length = dict(scope["headers"]).get(b"content-length", b"0")
        self._declared = int(length[:20]) if length.isdigit() else 0

    async def receive(self) -> Message:
        """Return the next message. Raises `ContentTooLarge` beyond the limit."""
        self._require_size(self._declared)
        message = await self._receive()
        self.total_size += len(message.get("body", b""))
        self._require_size(self.total_size)
        return message

    def _require_size(self, size: int) -> None:
        limit = min(self._limit, self.max_body_size)
        if size > limit and self._ownership.is_earlier(self._scope, self._root_path):
            limit = self._earlier_limit if self.max_body_size == inf else self.max_body_size
        if size > limit:
            raise ContentTooLarge(f"The body may have {limit} bytes.")


def _add_request_id(scope: Scope, send: Send) -> Send:
    """Return a *send* that adds the id of the request to the response."""

    async def send_with_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)[REQUEST_ID] = scope[REQUEST_ID]
        await send(message)

    return send_with_id


def _header_values(scope: Scope, header: bytes) -> Sequence[bytes]:
    return [value for name, value in scope["headers"] if name == header]


def _has_host(scope: Scope) -> bool:
    """Return whether the Host is valid, or optional in this version (RFC 9112, section 3.2)."""
    hosts = _header_values(scope, b"host")
    if not hosts:
        return scope.get("http_version") != "1.1"
    return len(hosts) == 1 and bool(_HOST.fullmatch(hosts[0].strip(b" \t")))


def _decode_path(path: bytes) -> str:
    """Decode *path*. Invalid UTF-8 becomes a character that no key may have, not U+FFFD."""
    return NOT_TEXT.sub("\0", unquote_to_bytes(path).decode(errors="surrogateescape"))
