"""Exports: a list streamed as NDJSON."""

import math
from collections.abc import AsyncGenerator, AsyncIterable, Generator
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from fastapi import Request
from sqlalchemy import Pool, QueuePool
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from brickwork.context import request_context
from brickwork.database.availability import database_unavailable
from brickwork.execution.fieldsets import Fieldset
from brickwork.http.negotiation import NDJSON
from brickwork.problems import ErrorDetail, UnprocessableContent
from brickwork.query.list_query import ListQuery
from brickwork.resource.resource import Resource

T = TypeVar("T")

_FETCH_SIZE: Final = 50  # rows
_CHUNK_BYTES: Final = 65_536  # a chunk ends after the row with which it reaches this size
_PAGE_PARAMS: Final = ("limit", "offset", "cursor", "count")

_running: Final = WeakKeyDictionary[Pool, int]()
"""The number of running exports, by connection pool."""


class Export(StreamingResponse):
    """A response streamed from the database, in the transaction of its request."""

    media_type = NDJSON
    background: BackgroundTask | None

    def __init__(self, session: AsyncSession, first: bytes, rest: AsyncGenerator[bytes]) -> None:
        """Stream *first* and the *rest*, which the response always closes."""
        super().__init__(_chain(first, rest), headers={"Vary": "Accept"})
        self._rest = rest
        self._session = session
        self._transaction = AsyncExitStack()
        self._is_complete = False

    def take(self, transaction: AsyncExitStack) -> None:
        """Take over *transaction*, and end it after the last row."""
        self._transaction = transaction

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        background, self.background = self.background, None
        async with self._transaction:
            async with aclosing(self._rest):
                await super().__call__(scope, receive, send)
            if not self._is_complete:  # the client has disconnected
                await self._session.rollback()
        # End the body after the transaction: if that fails, its rows were never committed.
        if self._is_complete:
            with suppress(OSError):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        if background:
            await background()

    @override
    async def stream_response(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async for chunk in self.body_iterator:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        self._is_complete = True


async def export_rows(
    request: Request,
    resource: Resource[Any],
    params: ListQuery[Any],
    fieldset: Fieldset,
) -> Export:
    """Return a response with a JSON line for each row of *resource* that *params* selects.

    A line has the fields of *fieldset*.

    Raises:
        UnprocessableContent: a parameter selects a page.
        ServiceUnavailable: too many exports are running.

    """
    if sent := [name for name in _PAGE_PARAMS if name in params.model_fields_set]:
        text = "An export has no pages: omit this parameter."
        errors = [ErrorDetail(code="no_pages", detail=text, parameter=name) for name in sent]
        raise UnprocessableContent(text, errors=errors)
    lines = _lines(resource, params, fieldset)
    context = request_context(request.scope)
    if context.is_head:
        await lines.aclose()  # HEAD reads no rows
    # Read the first rows before the response starts: a database error still sets its status.
    response = Export(resource.session, await anext(lines, b""), lines)
    context.take_transaction = response.take
    return response


async def _lines(
    resource: Resource[Any], params: ListQuery[Any], fieldset: Fieldset
) -> AsyncGenerator[bytes]:
    session, lines = resource.session, bytearray()
    with _count_export(session):
        async with aclosing(resource.export(params)) as rows, aclosing(_chunks(rows)) as chunks:
            async for chunk in chunks:
                await fieldset.embedded.complete(session, chunk)
                for row in chunk:
                    lines += fieldset.dump(row) + b"\n"
                    if len(lines) >= _CHUNK_BYTES:
                        yield bytes(lines)
                        lines.clear()
                yield bytes(lines)
                lines.clear()


async def _chunks(rows: AsyncIterable[T]) -> AsyncGenerator[list[T]]:
    """Yield *rows* in lists of at most `_FETCH_SIZE`."""
    chunk: list[T] = []
    async for row in rows:
        chunk.append(row)
        if len(chunk) == _FETCH_SIZE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@contextmanager
def _count_export(session: AsyncSession) -> Generator[None]:
    """Count a running export.

    Raises `ServiceUnavailable` while exports use half of the connections. An export takes as long
    as its client reads, so that the other half is reserved for other requests.
    """
    pool = session.get_bind().engine.pool
    maximum = max(1, pool.size() // 2) if isinstance(pool, QueuePool) else math.inf
    if (count := _running.get(pool, 0)) >= maximum:
        raise database_unavailable()
    _running[pool] = count + 1
    try:
        yield
    finally:
        _running[pool] = _running.get(pool, 1) - 1


async def _chain(first: bytes, rest: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
