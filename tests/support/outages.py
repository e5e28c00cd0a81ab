"""Requests of each kind, and the log of outages."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final
from uuid import uuid4

from httpx2 import AsyncClient, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from brickwork import Database
from tests.support.databases import Databases
from tests.support.journal import name
from tests.support.shop import Base, Store
from tests.support.tables import insert_rows
from tests.support.waiting import DEADLINE

Answer = int | tuple[int, str | None, str]

BUSY: Final = (503, "1", "The database is busy or away.")
TIMEOUT: Final = 0.3
"""The deadline of an impatient database in seconds."""

_SEND: Final[dict[str, Callable[[AsyncClient], Awaitable[Response]]]] = {
    "row": lambda client: client.get("/stores/a"),
    "list": lambda client: client.get("/stores"),
    "count": lambda client: client.get("/stores?count=exact"),
    "export": lambda client: client.get("/stores", headers={"accept": "application/x-ndjson"}),
    "create": lambda client: client.post("/stores", json=_new()),
    "batch": lambda client: client.post("/stores/batch", json=[_new(), _new()]),
    "change": lambda client: client.patch("/stores/a", json={"rank": _rank()}),
    "replace": lambda client: client.put("/stores/a", json={"code": "a", "rank": _rank()}),
    "remove": lambda client: client.delete("/stores/x"),
}
READ: Final = {"row": 200, "list": 200, "count": 200, "export": 200}
WRITTEN: Final = {"create": 201, "batch": 201, "change": 200, "replace": 200, "remove": 404}
WELL: Final = READ | WRITTEN
"""The responses to a request of each kind without an outage."""

OUT: Final = dict.fromkeys(WELL, BUSY)


def _new() -> dict[str, str]:
    return {"code": uuid4().hex[:20]}


_ranks = count(2)


def _rank() -> int:
    """Return a rank that differs from the last one, so that a PATCH is a change."""
    return next(_ranks) % 97


def ignore_abandoned_connects() -> None:
    """Ignore errors of abandoned futures in the running loop.

    asyncpg leaves one behind when it gives up opening a connection.
    """
    loop = asyncio.get_running_loop()
    usual = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if usual and str(context.get("exception")) != "unexpected connection_lost() call":
            usual(loop, context)

    loop.set_exception_handler(handle)


async def store_url(databases: Databases, backend: str) -> str:
    """Return the URL of a new database with the store `a`."""
    database = Database(databases.empty(backend))
    await database.create_all(Base.metadata)
    await insert_rows(database, {Store: [{"code": "a", "name": "bread"}]})
    await database.dispose()
    return database.url.render_as_string(hide_password=False)


def impatient(url: str, *, fast: bool) -> Database:
    """Return a database with a short deadline."""
    return Database(url, fast_path=fast, pool_size=5, pool_timeout=TIMEOUT)


async def ask(client: AsyncClient, kind: str) -> Answer:
    """Send a request, and return its status. A 503 includes its `Retry-After` and its detail."""
    async with asyncio.timeout(DEADLINE):
        response = await _SEND[kind](client)
    if response.status_code != 503:
        return response.status_code
    return 503, response.headers.get("retry-after"), response.json()["detail"]


async def ask_all(client: AsyncClient) -> dict[str, Answer]:
    """Send a request of each kind concurrently, and return the responses."""
    answers = await asyncio.gather(*(ask(client, kind) for kind in WELL))
    return dict(zip(WELL, answers, strict=True))


async def wait_until_well(client: AsyncClient) -> None:
    """Wait until requests of each kind succeed, even on a busy machine."""
    async with asyncio.timeout(DEADLINE):
        while await ask_all(client) != WELL:
            pass


async def wait_until_answered(client: AsyncClient, path: str) -> Response:
    """Send a GET until it is not a 503, and return the response.

    On a busy machine, a new connection can take longer than a short deadline.
    """
    async with asyncio.timeout(DEADLINE):
        while (response := await client.get(path)).status_code == 503:
            pass
    return response


async def driver_of(engine: AsyncEngine) -> Any:
    """Return the driver connection that the pool of *engine* returns next."""
    async with engine.connect() as connection:
        return (await connection.get_raw_connection()).driver_connection


def begin_line(url: str, what: str, cause: str, remedy: str) -> str:
    """Return the log line of the beginning of an outage."""
    return f"ERROR The database {name(url)} {what}: {cause}. {remedy}"


def end_line(url: str, what: str) -> str:
    """Return the log line of the end of an outage."""
    return f"WARNING The database {name(url)} {what}."
