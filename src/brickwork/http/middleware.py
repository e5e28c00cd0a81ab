"""Request ids and request limits."""

import re
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brickwork.context import (
    PATH_TAKEN,
    REQUEST_ID,
    new_context,
    new_request_id,
    request_context,
    request_id,
)
from brickwork.database.database import Database, running_database
from brickwork.database.redaction import redact_error
from brickwork.http.ownership import Ownership
from brickwork.http.paths import application_root
from brickwork.http.routing import handle_head_as_get
from brickwork.http.starlette_internals import BODY_LIMITER
from brickwork.http.workers import count_workers
from brickwork.limits import Limits, current_limits
from brickwork.problems import (
    BadRequest,
    ContentTooLarge,
    ErrorDetail,
    HeadersTooLarge,
    Problem,
    URITooLong,
)
from brickwork.query.cursors import CursorCipher, cursor_cipher
from brickwork.request_internals import is_mounted
from brickwork.schemas.json_values import NOT_TEXT

_REQUEST_ID: Final = REQUEST_ID.lower().encode()

_PATH_TAKEN: Final = PATH_TAKEN.lower().encode()

_HEADER_TEXT: Final = re.compile(r"[^ -~]+")
"""What a header may not have, of a text in plain English."""

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


DatabaseCheck = Callable[[Any, Database | None], Awaitable[None]]
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
        check_databases: DatabaseCheck,
        earlier_limit: int | None,
        development: bool,
    ) -> None:
        """Wrap *app*.

        Args:
            app: The application.
            limits: The limits of its requests.
            cipher: The cipher of its cursors.
            ownership: The owners of its routes. Routes older than `install` have no limits.
            check_databases: A check to run at start-up.
            earlier_limit: The bytes of a body for routes older than `install`.
            development: Whether several processes may start without a shared cursor key.

        """
        self.app = app
        self.limits = limits
        self.cipher = cipher
        self.development = development
        self._ownership = ownership
        self._earlier_limit = earlier_limit
        self._check_databases = check_databases
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
        if not self._is_checked and is_mounted(scope):
            await self._check_once(scope)
        headers = _Headers(scope["headers"])
        context = new_context(scope, headers.request_id or new_request_id())
        state = scope.setdefault("state", {})
        if "database" not in state and (database := running_database(scope)):
            state["database"] = database
        current_limits.set(self.limits)
        cursor_cipher.set(self.cipher)
        if "\ufffd" in scope["path"] and "raw_path" in scope:
            scope["path"] = _decode_path(scope["raw_path"])
        if scope["method"] == "HEAD" and self._ownership.takes_head(scope):
            scope = handle_head_as_get(scope)
        if problem := self._find_rejection(scope, headers):
            # The innermost middleware answers, so that the others see the response. The cookie is
            # removed, so that none of them parses it.
            others = [header for header in scope["headers"] if header[0] != b"cookie"]
            context.rejection, scope["headers"] = problem, others
        limits = (self.limits.body, inf if self._earlier_limit is None else self._earlier_limit)
        body = _LimitedBody(scope, receive, headers.length, limits, self._ownership)
        await self._call_app(scope, body, send)

    async def _call_app(self, scope: Scope, body: "_LimitedBody", send: Send) -> None:
        """Run the application. The server logs its error, so it is raised without values."""
        scope[BODY_LIMITER] = body
        try:
            await self.app(scope, body.receive, self._add_headers(scope, send))
        except Exception as error:  # noqa: BLE001 — raised below, without context
            failure = redact_error(error)
        else:
            return
        finally:
            # The body refers to the scope. Without this, only the garbage collector would free both
            # and all that they refer to.
            scope.pop(BODY_LIMITER, None)
        raise failure

    def _add_headers(self, scope: Scope, send: Send) -> Send:
        """Return a *send* that adds the id of the request, and in development its path."""
        context = request_context(scope)
        header = (_REQUEST_ID, context.request_id.encode())

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [item for item in message.get("headers", ()) if item[0] != _REQUEST_ID]
                message["headers"] = [*others, header]
                if self.development and context.path_taken:
                    path = _HEADER_TEXT.sub(" ", context.path_taken).encode()
                    message["headers"].append((_PATH_TAKEN, path))
            await send(message)

        return send_with_headers

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
        if not request_id(scope):
            default = database if isinstance(database, Database) else None
            await self._check_databases(scope["app"], default)

    def _find_rejection(self, scope: Scope, headers: "_Headers") -> Problem | None:
        problem = self._find_excess(scope, headers)
        if problem and self._ownership.is_earlier(scope, application_root(scope)):
            problem = None
        if headers.backslashes > _MAX_BACKSLASHES:
            return HeadersTooLarge(f"A cookie may have {_MAX_BACKSLASHES} backslashes.")
        if not (problem or headers.has_valid_host(scope)):
            error = ErrorDetail(code="host", detail="Send exactly one Host.", header="Host")
            return BadRequest("The Host header is missing or invalid.", errors=[error])
        return problem

    def _find_excess(self, scope: Scope, headers: "_Headers") -> Problem | None:
        query: bytes = scope["query_string"]
        length = len(scope.get("raw_path") or scope["path"]) + len(b"?" + query if query else b"")
        if length > self.limits.url:
            return URITooLong(f"The URL may have {self.limits.url} bytes.")
        if headers.size > self.limits.headers:
            return HeadersTooLarge(f"The headers may have {self.limits.headers} bytes.")
        if b"%" in query or not query.isascii():
            try:
                unquote_to_bytes(query).decode()
            except UnicodeDecodeError:
                return BadRequest("The query is not UTF-8.")
        return None


class _Headers:
    """The headers of a request that the limits need, read in one pass."""

    __slots__ = ("_hosts", "backslashes", "length", "request_id", "size")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.size = self.length = self.backslashes = 0
        self.request_id = ""
        self._hosts: list[bytes] = []
        for name, value in headers:
            self.size += len(name) + len(value)
            if name == b"host":
                self._hosts.append(value)
            elif name == b"content-length":
                self.length = int(value[:20]) if value.isdigit() else 0
            elif name == b"cookie":
                self.backslashes = max(self.backslashes, value.count(b"\\"))
            elif name == _REQUEST_ID:
                given = value.decode("latin-1")
                self.request_id = given if _SAFE_REQUEST_ID.fullmatch(given) else ""

    def has_valid_host(self, scope: Scope) -> bool:
        """Return whether the Host is valid, or optional in the version (RFC 9112, 3.2)."""
        if not self._hosts:
            return scope.get("http_version") != "1.1"
        return len(self._hosts) == 1 and bool(_HOST.fullmatch(self._hosts[0].strip(b" \t")))


class _LimitedBody:
    """The body of a request, limited to a number of bytes.

    It takes the place of Starlette's limiter: `include_router(…, max_body_size=…)` sets its
    `max_body_size`, where Starlette would answer in plain text. That limit replaces the limit of
    the application. Of `Limits.body` and `FastAPI(max_body_size=…)`, the smaller applies.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        declared: int,
        limits: tuple[int, float],
        ownership: Ownership,
    ) -> None:
        """Wrap *receive*; *limits* are those of a route, and of a route older than `install`."""
        self.max_body_size: float = inf
        self.total_size = 0
        self._scope = scope
        self._root_path = application_root(scope)
        self._receive = receive
        self._declared = declared
        self._limit, self._earlier_limit = limits
        self._ownership = ownership

    async def receive(self) -> Message:
        """Return the next message. Raises `ContentTooLarge` beyond the limit."""
        self._require_size(self._declared)
        message = await self._receive()
        self.total_size += len(message.get("body", b""))
        self._require_size(self.total_size)
        return message

    def _require_size(self, size: int) -> None:
        is_own = self.max_body_size not in {inf, self._earlier_limit}
        limit = self.max_body_size if is_own else self._limit
        if size > limit and not is_own and self._is_earlier():
            limit = self._earlier_limit
        if size > limit:
            raise ContentTooLarge(f"The body may have {limit} bytes.")

    def _is_earlier(self) -> bool:
        return self._ownership.is_earlier(self._scope, self._root_path)


def _decode_path(path: bytes) -> str:
    """Decode *path*. Invalid UTF-8 becomes a character that no key may have, not U+FFFD."""
    return NOT_TEXT.sub("\0", unquote_to_bytes(path).decode(errors="surrogateescape"))
