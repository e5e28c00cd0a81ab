"""Exports: a whole list as lines of JSON, in as much memory as a few rows take."""

import math
from collections.abc import AsyncGenerator, AsyncIterable, Generator
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from fastapi import Request
from pydantic import BaseModel, TypeAdapter
from sqlalchemy import Pool, QueuePool
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from brickwork.database.availability import database_unavailable
from brickwork.http.negotiation import NDJSON
from brickwork.http.routing import HEAD_SCOPE_KEY, STREAM_SCOPE_KEY
from brickwork.problems import ErrorDetail, UnprocessableContent
from brickwork.query.embedding import EmbeddedFields
from brickwork.query.list_query import ListQuery
from brickwork.resource.resource import Resource

T = TypeVar("T")

_ROWS: Final = 50  # shown at a time
_BYTES: Final = 65_536  # sent at a time, or as many as a row has
_PAGING: Final = ("limit", "offset", "cursor", "count")

_running: Final = WeakKeyDictionary[Pool, int]()
"""How many exports run, by the pool whose connections they use."""


class Export(StreamingResponse):
    """An answer that is sent while it is read, in the transaction of its request."""

    media_type = NDJSON
    background: BackgroundTask | None

    def __init__(self, session: AsyncSession, first: bytes, rest: AsyncGenerator[bytes]) -> None:
        """Send *first* and the *rest*, and close it whatever happens."""
        super().__init__(_joined(first, rest), headers={"Vary": "Accept"})
        self._rest = rest
        self._session = session
        self._transaction = AsyncExitStack()
        self._is_whole = False

    def take(self, transaction: AsyncExitStack) -> None:
        """Have *transaction* end with this answer."""
        self._transaction = transaction

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        background, self.background = self.background, None
        async with self._transaction:
            async with aclosing(self._rest):
                await super().__call__(scope, receive, send)
            if not self._is_whole:  # nobody reads on
                await self._session.rollback()
        # Only now, since a transaction that fails at its end has shown what never was.
        if self._is_whole:
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
        self._is_whole = True


async def export_endpoint(
    request: Request,
    rows: Resource[Any],
    params: ListQuery[Any],
    read: type[BaseModel],
    embedded: EmbeddedFields,
) -> Export:
    """Return all *rows* that *params* leaves, as *read* shows them, a line each.

    Raises `UnprocessableContent` for parameters of a page, and
    `ServiceUnavailable` while many exports run.
    """
    if sent := [name for name in _PAGING if name in params.model_fields_set]:
        text = "An export has no pages: leave this out."
        faults = [ErrorDetail(code="no_pages", detail=text, parameter=name) for name in sent]
        raise UnprocessableContent(text, errors=faults)
    lines = _lines(rows, params, TypeAdapter(read), embedded)
    if request.scope.get(HEAD_SCOPE_KEY):
        await lines.aclose()  # before anything is read
    # What is wrong with the database is told while there still is a status to tell it with.
    response = Export(rows.session, await anext(lines, b""), lines)
    request.scope[STREAM_SCOPE_KEY] = response.take
    return response


async def _lines(
    rows: Resource[Any], params: ListQuery[Any], read: TypeAdapter[Any], embedded: EmbeddedFields
) -> AsyncGenerator[bytes]:
    lines = bytearray()
    with _counted(rows.session):
        async with aclosing(rows.export(params)) as exported, aclosing(_chunks(exported)) as chunks:
            async for chunk in chunks:
                await embedded.complete(rows.session, chunk)
                for row in chunk:
                    shown = read.validate_python(row, from_attributes=True)
                    lines += read.dump_json(shown, by_alias=True) + b"\n"
                    if len(lines) >= _BYTES:
                        yield bytes(lines)
                        lines.clear()
                yield bytes(lines)
                lines.clear()


async def _chunks(rows: AsyncIterable[T]) -> AsyncGenerator[list[T]]:
    """Yield *rows*, a few at a time."""
    chunk: list[T] = []
    async for row in rows:
        chunk.append(row)
        if len(chunk) == _ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@contextmanager
def _counted(session: AsyncSession) -> Generator[None]:
    """Count an export; raises `Unavailable` while exports use half of the connections.

    An export takes as long as its client reads. The other half is for other requests.
    """
    pool = session.get_bind().engine.pool
    most = max(1, pool.size() // 2) if isinstance(pool, QueuePool) else math.inf
    if (count := _running.get(pool, 0)) >= most:
        raise database_unavailable()
    _running[pool] = count + 1
    try:
        yield
    finally:
        _running[pool] = _running.get(pool, 1) - 1


async def _joined(first: bytes, rest: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for each in rest:
        yield each
