"""One request on each path of an application."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import MetaData, select
from typing_extensions import override

from brickwork import Database
from tests.support.calls import client_of
from tests.support.recording import record_fast_path
from tests.support.tables import Rows, insert_rows, remove_rows


@dataclass(frozen=True)
class Step:
    """A request, its expected status, and whether it takes the fast path."""

    method: str
    path: str
    json: Any = None
    _: KW_ONLY
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    status: int = 200
    fast: bool = True
    id: str = ""

    @override
    def __str__(self) -> str:
        """Return the id of the test."""
        headers = "".join(f" with {name}: {value}" for name, value in self.headers.items())
        return self.id or f"{self.method} {self.path}{headers}"

    async def send(self, client: AsyncClient) -> Response:
        """Send the request, and return the response. `json` None: no body."""
        body: dict[str, Any] = {} if self.json is None else {"json": self.json}
        target = {"target": self.path.encode()}  # a URL of the client would be normalised
        return await client.request(
            self.method, "/", headers=self.headers, extensions=target, **body
        )


@dataclass(frozen=True)
class Outcome:
    """A response and the stored rows, without new keys and timestamps; equal on all paths."""

    fast: bool = field(compare=False)
    status: int
    headers: Sequence[tuple[str, str]]
    body: str
    rows: Sequence[str] = ()


class Paths:
    """An application on the fast path, on the fast path without coalescing, on the ORM path."""

    def __init__(self, app: FastAPI, url: str, metadata: MetaData) -> None:
        """Connect to nothing yet; *metadata* has the tables of the database at *url*."""
        self._app = app
        self._metadata = metadata
        self.fast = Database(url, fast_path=True)
        self.alone = Database(url, fast_path=True, coalesce=False)
        self.orm = Database(url, fast_path=False)

    async def fill(self, rows: Rows) -> None:
        """Replace all rows."""
        await remove_rows(self.orm, self._metadata)
        await insert_rows(self.orm, rows)

    def client(self, database: Database) -> AsyncClient:
        """Return a client of the application over *database*."""
        return client_of(self._app, {"database": database})

    async def outcomes(self, step: Step, rows: Rows) -> Sequence[Outcome]:
        """Return the outcomes of *step* over *rows* on each path."""
        found: list[Outcome] = []
        writes = step.method not in {"GET", "HEAD"}
        for database in (self.fast, self.alone, self.orm):
            if writes or not found:
                await self.fill(rows)
            async with self.client(database) as client:
                answer = await outcome(client, step)
            found.append(replace(answer, rows=await self._left()) if writes else answer)
        return found

    async def dispose(self) -> None:
        """Close all connections."""
        for database in (self.fast, self.alone, self.orm):
            await database.dispose()

    async def _left(self) -> Sequence[str]:
        async with self.orm.reader.connect() as connection:
            return [
                _DIGEST.sub("-DIGEST", _masked(str([_text(value) for value in row])))
                for table in self._metadata.sorted_tables
                for row in await connection.execute(select(table).order_by(*table.primary_key))
            ]


async def outcome(client: AsyncClient, step: Step) -> Outcome:
    """Send the request of *step*, and return its outcome without rows."""
    with record_fast_path() as taken:
        response = await step.send(client)
    headers = [(k.decode(), _masked(v.decode())) for k, v in response.headers.raw]
    if step.method not in {"GET", "HEAD"}:  # the digest covers new values, too
        headers = [(k, _DIGEST.sub("-DIGEST", v) if k == "etag" else v) for k, v in headers]
    length = ("content-length", str(len(response.content)))
    if length in headers:  # a timestamp with fewer digits makes it smaller
        headers[headers.index(length)] = ("content-length", "right")
    return Outcome(taken == [True], response.status_code, headers, _masked(response.text))


_DIGEST: Final = re.compile(r'(?<="\d)-[0-9a-f]{20}(?=")')
_KEY: Final = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_INSTANT: Final = re.compile(
    r"20(?:2[5-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)"
)


def _masked(text: str) -> str:
    """Return *text* without random UUIDs and timestamps since 2025, which a server generates."""
    return _INSTANT.sub("INSTANT", _KEY.sub("KEY", text))


def _text(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
