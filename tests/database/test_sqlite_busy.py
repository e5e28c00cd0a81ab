"""Locked SQLite databases."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import pytest
from httpx2 import AsyncClient
from sqlalchemy import event

from brickwork import Database
from tests.support.bodies import summary
from tests.support.calls import client_of
from tests.support.contention import ATTEMPTS
from tests.support.services import Service
from tests.support.waiting import until


@pytest.fixture
def backend() -> str:
    """Return the kind of the database."""
    return "sqlite"


@pytest.fixture
async def database(shop_service: Service) -> AsyncIterator[Database]:
    """Return the shop's database, with connections that do not wait for a lock."""
    database = Database(shop_service.url)

    @event.listens_for(database.writer.sync_engine, "connect")
    def do_not_wait(connection: Any, _: object) -> None:
        connection.cursor().execute("PRAGMA busy_timeout = 0")

    async with database.lifespan(None):
        yield database


@pytest.fixture
async def client(shop_service: Service, database: Database) -> AsyncIterator[AsyncClient]:
    """Return a client of the shop, which has one city."""
    async with client_of(shop_service.app, {"database": database}) as client:
        await client.post("/cities", json={"name": "Lisbon"})
        yield client


@pytest.fixture
def other(
    shop_service: Service,
    client: AsyncClient,  # noqa: ARG001 — writes before the lock is held
) -> Iterator[sqlite3.Connection]:
    """Return a connection to the same file that holds the lock."""
    file = shop_service.database.url.database or ""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


async def test_request_waits_for_the_lock(
    client: AsyncClient, database: Database, other: sqlite3.Connection
) -> None:
    other.execute("UPDATE cities SET visits = 100")
    patch = asyncio.create_task(client.patch("/cities/1", json={"people": 1}))
    await until(lambda: database.retries > 0)
    other.execute("COMMIT")

    city = (await patch).json()
    assert (city["people"], city["visits"]) == (1, 100)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("PATCH", "/cities/1", {"people": 1}, id="PATCH"),
        pytest.param("POST", "/cities/batch", [{"name": "Porto"}], id="POST batch"),
    ],
)
@pytest.mark.usefixtures("other")
async def test_request_without_the_lock_is_unavailable(  # noqa: PLR0913, PLR0917 — a case
    client: AsyncClient,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    body: object,
) -> None:
    monkeypatch.setattr("brickwork.database.retry._PAUSE", 0)
    response = await client.request(method, path, json=body)

    assert (summary(response), response.headers["retry-after"]) == ("503", "1")
    assert database.retries == ATTEMPTS - 1


@pytest.mark.usefixtures("other")
async def test_locked_database_can_be_read(client: AsyncClient) -> None:
    assert (await client.get("/cities/1")).json()["name"] == "Lisbon"


async def test_database_can_be_written_after_the_lock_is_released(
    client: AsyncClient, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brickwork.database.retry._PAUSE", 0)
    await client.patch("/cities/1", json={"people": 1})
    other.execute("ROLLBACK")

    assert (await client.patch("/cities/1", json={"people": 1})).status_code == 200
