"""Exports: one snapshot and one connection."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import httpx2
import pytest
from httpx2 import AsyncClient
from sqlalchemy import insert, text

from app.main import create_app as create_service
from app.settings import Settings
from brickwork import Database
from brickwork.http.negotiation import NDJSON
from tests.support import library, shop
from tests.support.bodies import summary
from tests.support.calls import calling, client_of
from tests.support.databases import Databases
from tests.support.exporting import (
    APP,
    BROKEN,
    LINES,
    ROWS,
    SPECS,
    STEP,
    Download,
    app_over,
    fill,
    people,
    write,
)
from tests.support.library import Book, Writer
from tests.support.recording import connections_in_use
from tests.support.server import serving
from tests.support.services import Service
from tests.support.tables import Tables
from tests.support.waiting import DEADLINE
from tests.support.wire import open_wire


@pytest.fixture
async def database(shop_service: Service) -> AsyncIterator[Database]:
    """Return the shop's database, with many cities and four connections for reads."""
    database = Database(shop_service.url, pool_size=4)
    async with database.lifespan(None):
        await fill(database)
        yield database


@pytest.fixture
async def client(database: Database) -> AsyncIterator[AsyncClient]:
    """Return a client of the cities."""
    async with client_of(APP, {"database": database}) as client:
        yield client


# --- A snapshot --------------------------------------------------------------------------------


async def test_rows_are_streamed(database: Database) -> None:
    download = Download(database)

    assert (await download.next())["type"] == "http.response.start"
    assert people(await download.lines()) == [*range(STEP)]
    assert not download.task.done()
    assert people(await download.rest()) == [*range(STEP, ROWS)]


async def test_export_uses_one_connection(database: Database) -> None:
    download = Download(database)
    await download.lines()
    assert connections_in_use(database) == 1

    await download.rest()
    assert connections_in_use(database) == 0


async def test_export_reads_one_snapshot(database: Database) -> None:
    download = Download(database)
    first = await download.lines()
    await write(
        database,
        "DELETE FROM cities WHERE people > 440",
        "UPDATE cities SET people = 0 WHERE people > 400",
        "INSERT INTO cities (name, people, tenant) VALUES ('New', 1, '')",
    )

    assert people([*first, *await download.rest()]) == [*range(ROWS)]


async def test_export_reads_embedded_rows_in_the_same_snapshot(
    tables: Tables, backend: str
) -> None:
    writers = [{"id": UUID(int=n), "name": f"w{n}"} for n in range(ROWS)]
    url = await tables.of(library.Base.metadata, backend, {Writer: writers})
    database = Database(url)
    async with database.lifespan(None):
        download = Download(database, app=library.create_app(url), path="/writers")
        first = await download.lines()
        async with database.session() as session:
            books = [{"title": "New", "writer_id": UUID(int=n)} for n in range(ROWS)]
            await session.execute(insert(Book), books)
        shown = [json.loads(line) for line in [*first, *await download.rest()]]

    assert [writer["name"] for writer in shown if writer["books"]] == []
    assert len(shown) == ROWS


@pytest.mark.parametrize(("tenant", "count"), [("ours", 2), ("", ROWS - 2), ("theirs", 0)])
async def test_export_applies_the_scope(
    client: AsyncClient, database: Database, tenant: str, count: int
) -> None:
    await write(database, "UPDATE cities SET tenant = 'ours' WHERE people < 2")
    response = await client.get("/cities", headers=LINES | {"tenant": tenant})

    assert len(response.content.splitlines()) == count


# --- Connections -------------------------------------------------------------------------------


async def test_third_export_on_four_connections_is_rejected(
    client: AsyncClient, database: Database
) -> None:
    downloads = [Download(database) for _ in range(2)]
    for download in downloads:
        await download.lines()
    async with asyncio.timeout(DEADLINE):
        rejected = await client.get("/cities", headers=LINES)
    for download in downloads:
        await download.rest()

    assert (summary(rejected), rejected.headers["retry-after"]) == ("503", "1")
    assert (await client.get("/cities", headers=LINES)).status_code == 200


async def test_other_requests_succeed_during_exports(
    client: AsyncClient, database: Database
) -> None:
    downloads = [Download(database) for _ in range(2)]
    for download in downloads:
        await download.lines()

    assert (await client.head("/cities", headers=LINES)).status_code == 200
    assert (await client.get("/cities")).status_code == 200
    assert (await client.post("/cities", json={"name": "Rome"})).status_code == 201
    assert connections_in_use(database) == 2
    for download in downloads:
        await download.rest()


async def test_single_connection_is_enough_for_an_export(shop_service: Service) -> None:
    database = Database(shop_service.url, pool_size=1)
    async with database.lifespan(None), client_of(APP, {"database": database}) as client:
        for _ in range(3):
            assert (await client.get("/cities", headers=LINES)).status_code == 200


async def test_export_without_a_connection_is_unavailable(shop_service: Service) -> None:
    database = Database(shop_service.url, pool_size=2, pool_timeout=0.5)
    async with (
        database.lifespan(None),
        client_of(APP, {"database": database}) as client,
        AsyncExitStack() as stack,
    ):
        for _ in range(2):
            session = await stack.enter_async_context(database.session(readonly=True))
            await session.execute(text("SELECT 1"))
        response = await client.get("/cities", headers=LINES)

    assert (summary(response), response.headers["retry-after"]) == ("503", "1")


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("messages", range(4))
async def test_disconnected_client_returns_its_connection(
    database: Database, spec: str, messages: int
) -> None:
    download = Download(database, spec=spec)
    for _ in range(messages):
        await download.next()
    await download.leave()

    assert connections_in_use(database) == 0
    assert len(await Download(database).rest()) == ROWS


@pytest.mark.parametrize("spec", SPECS)
async def test_clients_that_disconnect_together_return_their_connections(
    database: Database, spec: str
) -> None:
    for messages in range(3):
        downloads = [Download(database, spec=spec) for _ in range(3)]  # one is rejected
        for _ in range(messages):
            await asyncio.gather(*(download.next() for download in downloads))
        await asyncio.gather(*(download.leave() for download in downloads))
        assert connections_in_use(database) == 0

    assert len(await Download(database).rest()) == ROWS


@pytest.mark.parametrize("messages", range(4))
async def test_cancelled_export_returns_its_connection(database: Database, messages: int) -> None:
    download = Download(database)
    for _ in range(messages):
        await download.next()
    download.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await download.task

    assert connections_in_use(database) == 0
    assert len(await Download(database).rest()) == ROWS


# --- Failures ----------------------------------------------------------------------------------


async def test_unserialisable_row_aborts_the_response(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await write(database, f"UPDATE cities SET name = '{BROKEN}' WHERE people = 430")  # noqa: S608
    async with serving(app_over(database)) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/checked", headers=LINES | {"x-request-id": "mine"})
        assert connections_in_use(database) == 0
        assert (await client.get("/cities", headers=LINES)).status_code == 200

    assert caplog.text.count("Traceback") == caplog.text.count("GET /checked failed") == 1
    assert "\nGET /checked failed, request mine\n" in caplog.text


async def test_unserialisable_row_before_the_response_is_a_500(
    client: AsyncClient, database: Database
) -> None:
    await write(database, f"UPDATE cities SET name = '{BROKEN}' WHERE people = 30")  # noqa: S608
    response = await client.get("/checked", headers=LINES)

    assert summary(response) == "500"
    assert BROKEN not in response.text
    assert connections_in_use(database) == 0


async def test_missing_table_is_a_503(empty_url: str) -> None:
    async with serving(app_over(Database(empty_url))) as client:
        assert summary(await client.get("/cities", headers=LINES)) == "503"


async def test_unreachable_database_is_a_503() -> None:
    service = create_service(Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing"))
    async with calling(service) as client:
        response = await client.get("/articles", headers=LINES)
        assert (summary(response), response.headers["retry-after"]) == ("503", "1")
        assert (await client.get("/openapi.json")).status_code == 200


async def test_lost_database_connection_aborts_the_response(databases: Databases) -> None:
    database = shop.Shop(databases.empty("postgresql"))
    async with database.lifespan(None):
        await fill(database)
        download = Download(database)
        await download.next()
        await write(
            database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        with pytest.raises(Exception, match=r"response already started|busy or away"):
            await download.rest()
        assert connections_in_use(database) == 0
        assert len(await Download(database).rest()) == ROWS


@pytest.mark.parametrize("length", [5, 70_000])
async def test_request_body_does_not_cut_off_the_export(database: Database, length: int) -> None:
    head = (
        f"GET /cities HTTP/1.1\r\nhost: a\r\naccept: {NDJSON}\r\ncontent-length: {length}\r\n\r\n"
    )
    async with serving(app_over(database)) as client, open_wire(client.base_url) as wire:
        response = await wire.raw(head.encode() + b" " * length)

    assert response.status_code == 200
    assert len(response.content.splitlines()) == ROWS
