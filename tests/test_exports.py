"""An export is read while it is sent: one snapshot, one connection, given back in any case."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from typing import Any, Final
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import field_validator
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError
from starlette.types import Message

from app.main import create_app as create_service
from app.settings import Settings
from brickwork import Database, Unavailable, crud_router, install
from brickwork.negotiation import NDJSON
from tests.support import library, shop
from tests.support.databases import Databases
from tests.support.library import Book, Writer
from tests.support.recording import connections_in_use
from tests.support.server import serving
from tests.support.shop import Cities, City, CityCreate, CityRead, CityUpdate, Shop
from tests.support.wire import wired

pytestmark = pytest.mark.anyio

LINES: Final = {"accept": NDJSON}
ROWS: Final = 450
STEP: Final = 50  # rows that are read at a time
BROKEN: Final = "Broken"
SPECS: Final = ("2.3", "2.4")  # of ASGI: a client that went away is a message, or an error


class Sound(CityRead):
    """A city that cannot be shown if it has a certain name."""

    @field_validator("name")
    @classmethod
    def check(cls, name: str) -> str:
        """Refuse the name."""
        if name == BROKEN:
            raise ValueError
        return name


def app_of(database: Database) -> FastAPI:
    """Return the shop over *database*; at /sound, with rows that may be impossible to show."""
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    app.include_router(shop.cities)
    app.include_router(
        crud_router("/sound", Cities, read=Sound, create=CityCreate, update=CityUpdate)
    )
    return app


@pytest.fixture
async def database(empty_url: str) -> AsyncGenerator[Database]:
    """A database with cities enough for three steps, and with four connections to read by."""
    database = Shop(empty_url, pool_size=4, pool_timeout=5)
    async with database.lifespan(None):
        rows = [{"name": f"City {n}", "people": n, "tenant": ""} for n in range(ROWS)]
        async with database.session() as session:
            await session.execute(insert(City), rows)
        yield database


async def write(database: Database, *statements: str) -> None:
    async with database.session() as session:
        for each in statements:
            await session.execute(text(each))


class Reading:
    """An export whose messages are taken one by one: the next is made when it is asked for."""

    def __init__(
        self, app: FastAPI, database: Database, path: str = "/cities", *, spec: str = SPECS[0]
    ) -> None:
        """Ask for the export at *path*, as a server of ASGI's *spec*."""
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": spec},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"accept", NDJSON.encode())],
            "state": {"database": database},
        }
        self._spec = spec
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._asked = False
        self.task = asyncio.create_task(self._run(app))

    async def _run(self, app: FastAPI) -> None:
        await app(self._scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if not self._gone.is_set():
            self._messages.put_nowait(message)
            await self._messages.join()
        elif self._spec >= SPECS[1]:
            raise OSError

    async def next(self) -> Message:
        """Return the next message, and have the application go on with that after it."""
        message = asyncio.create_task(self._messages.get())
        async with asyncio.timeout(10):
            await asyncio.wait((message, self.task), return_when=asyncio.FIRST_COMPLETED)
        if not message.done():
            message.cancel()
            await self.task
        self._messages.task_done()
        return await message

    async def lines(self) -> list[bytes]:
        """Return the lines in the next message that has any, or none at the end."""
        while True:
            message = await self.next()
            if message.get("body") or not message.get("more_body", True):
                body: bytes = message["body"]
                return body.splitlines()

    async def rest(self) -> list[bytes]:
        """Return all lines that are still to come."""
        found: list[bytes] = []
        while lines := await self.lines():
            found += lines
        await self.task
        return found

    async def go_away(self) -> None:
        """Leave as a client does, and wait until the application has noticed."""
        self._gone.set()
        if not self._messages.empty():
            self._messages.get_nowait()
            self._messages.task_done()
        async with asyncio.timeout(10):
            await asyncio.wait((self.task,))
        with suppress(Exception):  # a server would log it
            await self.task


def people(lines: list[bytes]) -> list[int]:
    return [json.loads(line)["people"] for line in lines]


# --- A snapshot --------------------------------------------------------------------------------


async def test_rows_are_sent_as_they_are_read(database: Database) -> None:
    reading = Reading(app_of(database), database)
    assert (await reading.next())["type"] == "http.response.start"
    assert people(await reading.lines()) == [*range(STEP)]
    assert not reading.task.done()
    assert connections_in_use(database) == 1
    assert people(await reading.rest()) == [*range(STEP, ROWS)]
    assert connections_in_use(database) == 0


async def test_an_export_shows_the_rows_as_they_were_when_it_began(database: Database) -> None:
    reading = Reading(app_of(database), database)
    first = await reading.lines()
    await write(
        database,
        "DELETE FROM cities WHERE people > 440",
        "UPDATE cities SET people = 0 WHERE people > 400",
        "INSERT INTO cities (name, people, tenant) VALUES ('New', 1, '')",
    )
    assert people([*first, *await reading.rest()]) == [*range(ROWS)]


async def test_what_is_embedded_is_as_it_was_when_the_export_began(empty_url: str) -> None:
    database = library.Library(empty_url)
    async with database.lifespan(None):
        async with database.session() as session:
            writers = [{"id": UUID(int=n), "name": f"w{n}"} for n in range(ROWS)]
            await session.execute(insert(Writer), writers)
        reading = Reading(library.create_app(empty_url), database, "/writers")
        first = await reading.lines()
        async with database.session() as session:
            books = [{"title": "New", "writer_id": UUID(int=n)} for n in range(ROWS)]
            await session.execute(insert(Book), books)
        shown = [json.loads(line) for line in [*first, *await reading.rest()]]
    assert [each["name"] for each in shown if each["books"]] == []


async def test_an_export_cannot_write(database: Database) -> None:
    async with database.export() as session:
        with pytest.raises(DBAPIError, match=r"read-?only"):
            await session.execute(insert(City), [{"name": "Lisbon"}])
        await session.rollback()
    assert connections_in_use(database) == 0


async def test_an_export_is_narrowed_like_the_list(database: Database) -> None:
    await write(database, "UPDATE cities SET tenant = 'ours' WHERE people < 2")
    async with serving(app_of(database)) as client:
        for tenant, count in (("ours", 2), ("", ROWS - 2), ("theirs", 0)):
            response = await client.get("/cities", headers=LINES | {"tenant": tenant})
            assert len(response.content.splitlines()) == count


# --- Connections -------------------------------------------------------------------------------


async def test_exports_take_half_of_the_connections_and_others_are_answered(
    database: Database,
) -> None:
    app = app_of(database)
    async with serving(app) as client:
        readings = [Reading(app, database) for _ in range(2)]
        for each in readings:
            assert len(await each.lines()) == STEP
        for _ in range(3):
            refused = await client.get("/cities", headers=LINES)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.headers["content-type"] == "application/problem+json"
        assert (await client.head("/cities", headers=LINES)).status_code == 200
        assert (await client.get("/cities")).status_code == 200
        assert (await client.post("/cities", json={"name": "Rome"})).status_code == 201
        assert connections_in_use(database) == 2
        assert len(await readings[0].rest()) == ROWS - STEP
        assert (await client.get("/cities", headers=LINES)).status_code == 200
        await readings[1].rest()


async def test_a_single_connection_is_enough_for_an_export(empty_url: str) -> None:
    database = Shop(empty_url, pool_size=1, pool_timeout=0.2)
    async with serving(app_of(database)) as client:
        for _ in range(3):
            assert (await client.get("/cities", headers=LINES)).status_code == 200


async def test_an_export_that_gets_no_connection_is_unavailable(empty_url: str) -> None:
    database = Shop(empty_url, pool_size=2, pool_timeout=0.1)
    async with serving(app_of(database)) as client, AsyncExitStack() as stack:
        for _ in range(2):
            session = await stack.enter_async_context(database.session(readonly=True))
            await session.execute(text("SELECT 1"))
        response = await client.get("/cities", headers=LINES)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_more_than_half_the_connections_are_refused_to_a_script_too(
    database: Database,
) -> None:
    async with database.export(), database.export():
        with pytest.raises(Unavailable):
            async with database.export():
                pass
    async with database.export():
        pass


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("steps", range(4))
async def test_a_client_that_goes_away_gives_its_connection_back(
    database: Database, spec: str, steps: int
) -> None:
    app = app_of(database)
    for _ in range(5):
        reading = Reading(app, database, spec=spec)
        for _ in range(steps):
            await reading.next()
        await reading.go_away()
        assert connections_in_use(database) == 0
    assert len(await Reading(app, database).rest()) == ROWS


@pytest.mark.parametrize("spec", SPECS)
async def test_many_clients_that_go_away_take_nothing_with_them(
    database: Database, spec: str
) -> None:
    app = app_of(database)
    for steps in range(48):
        readings = [Reading(app, database, spec=spec) for _ in range(3)]  # one is refused
        for _ in range(steps % 3):
            await asyncio.gather(*(each.next() for each in readings))
        await asyncio.gather(*(each.go_away() for each in readings))
        assert connections_in_use(database) == 0
    assert len(await Reading(app, database).rest()) == ROWS


async def test_an_export_that_is_cancelled_gives_its_connection_back(database: Database) -> None:
    for steps in range(4):
        reading = Reading(app_of(database), database)
        for _ in range(steps):
            await reading.next()
        reading.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading.task
        assert connections_in_use(database) == 0
    assert len(await Reading(app_of(database), database).rest()) == ROWS


# --- Failures ----------------------------------------------------------------------------------


async def test_a_row_that_cannot_be_shown_breaks_the_connection(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await write(database, f"UPDATE cities SET name = '{BROKEN}' WHERE people = 430")  # noqa: S608
    async with serving(app_of(database)) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/sound", headers=LINES | {"x-request-id": "mine"})
        assert connections_in_use(database) == 0
        assert caplog.text.count("Traceback") == caplog.text.count("GET /sound failed") == 1
        assert "\nGET /sound failed, request mine\n" in caplog.text
        assert (await client.get("/cities", headers=LINES)).status_code == 200


async def test_a_row_that_cannot_be_shown_at_once_is_a_500(database: Database) -> None:
    await write(database, f"UPDATE cities SET name = '{BROKEN}' WHERE people = 30")  # noqa: S608
    async with serving(app_of(database)) as client:
        response = await client.get("/sound", headers=LINES)
        assert (response.status_code, response.json()["status"]) == (500, 500)
        assert BROKEN not in response.text
        assert connections_in_use(database) == 0


async def test_a_table_that_is_not_there_is_a_503(empty_url: str) -> None:
    async with serving(app_of(Database(empty_url))) as client:
        response = await client.get("/cities", headers=LINES)
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == 503


async def test_a_database_that_is_away_is_a_503_and_other_routes_still_answer() -> None:
    service = create_service(Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing"))
    async with serving(service) as client:
        response = await client.get("/articles", headers=LINES)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert response.headers["content-type"] == "application/problem+json"
        assert (await client.get("/openapi.json")).status_code == 200


async def test_a_database_that_goes_away_breaks_the_connection(databases: Databases) -> None:
    database = Shop(databases.empty("postgresql"))
    async with database.lifespan(None):
        async with database.session() as session:
            await session.execute(insert(City), [{"name": "City", "people": 1}] * ROWS)
        reading = Reading(app_of(database), database)
        await reading.next()
        await write(
            database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        with pytest.raises(Exception, match=r"response already started|busy or away"):
            await reading.rest()
        assert connections_in_use(database) == 0
        assert len(await Reading(app_of(database), database).rest()) == ROWS


@pytest.mark.parametrize("length", [5, 70_000])
async def test_what_a_client_sends_besides_does_not_cut_the_export(
    database: Database, length: int
) -> None:
    head = (
        f"GET /cities HTTP/1.1\r\nhost: a\r\naccept: {NDJSON}\r\ncontent-length: {length}\r\n\r\n"
    )
    async with serving(app_of(database)) as client, wired(client.base_url) as wire:
        response = await wire.raw(head.encode() + b" " * length)
    assert response.status_code in {200, 413}
    assert response.status_code == 413 or len(response.content.splitlines()) == ROWS
