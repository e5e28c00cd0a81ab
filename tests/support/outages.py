"""Requests of each kind to a store, and what is said while its database is away."""

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
"""How many seconds an impatient database is waited for."""

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
"""The answers to a request of each kind while all is well."""

OUT: Final = dict.fromkeys(WELL, BUSY)


def _new() -> dict[str, str]:
    return {"code": uuid4().hex[:20]}


_ranks = count(1)


def _rank() -> int:
    """Return another rank than that of the last change, which is then no change."""
    return next(_ranks) % 97


def ignore_abandoned_connects() -> None:
    """Have the running loop ignore what asyncpg leaves of a connection that it gave up opening.

    That is the error of a future for which nobody waits any more.
    """
    loop = asyncio.get_running_loop()
    usual = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if usual and str(context.get("exception")) != "unexpected connection_lost() call":
            usual(loop, context)

    loop.set_exception_handler(handle)


async def store_url(databases: Databases, backend: str) -> str:
    """Return the URL of a new database, which has the store `a`."""
    database = Database(databases.empty(backend))
    await database.create_all(Base.metadata)
    await insert_rows(database, {Store: [{"code": "a", "name": "bread"}]})
    await database.dispose()
    return database.url.render_as_string(hide_password=False)


def impatient(url: str, *, fast: bool) -> Database:
    """Return a database that nobody waits long for."""
    return Database(url, fast_path=fast, pool_size=5, pool_timeout=TIMEOUT)


async def ask(client: AsyncClient, kind: str) -> Answer:
    """Return the status of an answer; of a 503 its `Retry-After` and its detail, too."""
    async with asyncio.timeout(DEADLINE):
        response = await _SEND[kind](client)
    if response.status_code != 503:
        return response.status_code
    return 503, response.headers.get("retry-after"), response.json()["detail"]


async def ask_all(client: AsyncClient) -> dict[str, Answer]:
    """Return the answers to a request of each kind, all sent at the same time."""
    answers = await asyncio.gather(*(ask(client, kind) for kind in WELL))
    return dict(zip(WELL, answers, strict=True))


async def all_well(client: AsyncClient) -> None:
    """Wait until requests of each kind are answered, as busy as the machine may be."""
    async with asyncio.timeout(DEADLINE):
        while await ask_all(client) != WELL:
            pass


async def driver_of(engine: AsyncEngine) -> Any:
    """Return the connection of the driver that *engine* lends next."""
    async with engine.connect() as connection:
        return (await connection.get_raw_connection()).driver_connection


def begin(url: str, what: str, cause: str, remedy: str) -> str:
    """Return the line of an outage that begins."""
    return f"ERROR The database {name(url)} {what}: {cause}. {remedy}"


def end(url: str, what: str) -> str:
    """Return the line of an outage that is over."""
    return f"WARNING The database {name(url)} {what}."
