"""The outermost layer: it gives a request its id, and refuses one that is too large."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brickwork.answers import REQUEST_ID, answer
from brickwork.cursors import Signer, signer
from brickwork.database import Database
from brickwork.guards import NOT_TEXT
from brickwork.limits import Limits, current
from brickwork.models import new_key
from brickwork.problems import (
    ContentTooLarge,
    HeadersTooLarge,
    Malformed,
    Problem,
    UriTooLong,
)
from brickwork.startup import check
from brickwork.workers import count_workers

_REQUEST_ID: Final = REQUEST_ID.lower().encode()
_MOUNTED: Final = "app_root_path"
"""The key that Starlette adds to the scope of a mounted application, which gets no lifespan."""

_UNSIGNED: Final = (
    "{count} processes serve the application, and each would sign cursors with a key of its own, "
    "which the others refuse: give all the same keys, install(app, cursor_keys=[…])."
)
_SANE: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")


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
        current.set(self.limits)
        signer.set(self.signer)
        if "\ufffd" in scope["path"] and "raw_path" in scope:
            scope["path"] = _text(scope["raw_path"])
        if problem := self._refusal(scope):
            await answer(problem, scope)(scope, receive, send)
        else:
            await self.app(scope, self._measured(headers, receive), _stamped(scope, send))

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
        try:
            unquote_to_bytes(query).decode()
        except UnicodeDecodeError:
            return Malformed("The query is not UTF-8.")
        return None

    def _measured(self, headers: Mapping[bytes, bytes], receive: Receive) -> Receive:
        """Return *receive*, which then reads no further than the limit."""
        limit, total = self.limits.body, 0
        declared = headers.get(b"content-length", b"0")

        async def receive_measured() -> Message:
            nonlocal total
            if declared.isdigit() and int(declared[:20]) > limit:
                raise self._too_large()
            message = await receive()
            total += len(message.get("body", b""))
            if total > limit:
                raise self._too_large()
            return message

        return receive_measured

    def _too_large(self) -> Problem:
        return ContentTooLarge(f"The body may have {self.limits.body} bytes.")


def _text(path: bytes) -> str:
    """Return *path* as text; what is not UTF-8 in it names nothing, and not what U+FFFD names."""
    return NOT_TEXT.sub("\0", unquote_to_bytes(path).decode(errors="surrogateescape"))


def _stamped(scope: Scope, send: Send) -> Send:
    """Return *send*, which then puts the id of the request on the answer."""

    async def send_stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)[REQUEST_ID] = scope[REQUEST_ID]
        await send(message)

    return send_stamped
