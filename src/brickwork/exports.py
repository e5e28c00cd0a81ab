"""Exports: a whole list as lines of JSON, in as much memory as a few rows take."""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Any, Final

from fastapi import Request
from pydantic import BaseModel, TypeAdapter
from sqlalchemy import Select
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from brickwork.database import Database, database_of
from brickwork.embedding import Embedding
from brickwork.lists import ListQuery
from brickwork.negotiation import NDJSON
from brickwork.problems import Fault, Invalid
from brickwork.queries import ordered
from brickwork.routes import HEAD

_ROWS: Final = 50  # read at a time
_BYTES: Final = 65_536  # sent at a time, or as many as a row has
_PAGING: Final = ("limit", "offset", "cursor", "count")


class Export(StreamingResponse):
    """An answer that is sent while it is read; the transaction ends when nobody reads on."""

    media_type = NDJSON

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes]) -> None:
        """Send *first* and the *rest*, and close it whatever happens."""
        super().__init__(_joined(first, rest), headers={"Vary": "Accept"})
        self._rest = rest

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._rest):
            await super().__call__(scope, receive, send)


async def export(
    request: Request,
    rows: Select[Any],
    at: ListQuery[Any],
    read: type[BaseModel],
    embedded: Embedding,
) -> Export:
    """Return all *rows* that *at* leaves, as *read* shows them, a line each.

    They are read in a transaction of its own, since that of the request ends before its answer is
    sent. Raises `Invalid` for parameters of a page.
    """
    if sent := [name for name in _PAGING if name in at.model_fields_set]:
        text = "An export has no pages: leave this out."
        faults = [Fault(code="no_pages", detail=text, parameter=name) for name in sent]
        raise Invalid(text, errors=faults)
    narrowed = at.narrow(rows)
    statement = narrowed.options(*embedded.options).order_by(*ordered(narrowed, at).clauses())
    lines = _lines(database_of(request), statement, TypeAdapter(read), embedded)
    if request.scope.get(HEAD):
        await lines.aclose()  # before anything is read
    # What is wrong with the database is told while there still is a status to tell it with.
    return Export(await anext(lines, b""), lines)


async def _lines(
    database: Database, statement: Select[Any], read: TypeAdapter[Any], embedded: Embedding
) -> AsyncGenerator[bytes]:
    lines = bytearray()
    async with database.export() as session:
        result = await session.stream_scalars(statement.execution_options(yield_per=_ROWS))
        async for rows in result.partitions():
            await embedded.complete(session, rows)
            for row in rows:
                shown = read.validate_python(row, from_attributes=True)
                lines += read.dump_json(shown, by_alias=True) + b"\n"
                if len(lines) >= _BYTES:
                    yield bytes(lines)
                    lines.clear()
            yield bytes(lines)
            lines.clear()


async def _joined(first: bytes, rest: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for each in rest:
        yield each
