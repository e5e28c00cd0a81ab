"""Lifespans: the database they start, and errors without one."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import ASGITransport, AsyncClient

from brickwork import Database, SessionDep, install
from tests.support.recording import path_taken
from tests.support.shop import app_of, stores

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

STORE = {"code": "aa", "name": "bread"}


def transport_client(app: FastAPI) -> AsyncClient:
    """Return a client that passes no lifespan state to *app*."""
    return AsyncClient(transport=ASGITransport(app), base_url="http://test")


@pytest.fixture
def database(shop_url: str) -> Database:
    """Return a database with the tables of the shop."""
    return Database(shop_url)


async def test_test_client_runs_the_lifespan(database: Database) -> None:
    app = app_of(database, stores())
    for status in (201, 409, 409):  # each in its own event loop
        with TestClient(app) as client:
            assert client.post("/stores", json=STORE).status_code == status
            assert len(client.get("/stores").json()) == 1


async def test_transport_within_the_lifespan_has_the_database(database: Database) -> None:
    app = app_of(database, stores())
    async with app.router.lifespan_context(app), transport_client(app) as client:
        assert await path_taken(client.post("/stores", json=STORE)) == "201 fast"
        assert await path_taken(client.get("/stores/aa")) == "200 fast"
        assert await path_taken(client.get("/stores?count=exact")) == "200 ORM"


async def test_lifespan_may_yield_nothing(database: Database) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with database.lifespan(app):
            yield

    app = FastAPI(lifespan=lifespan)
    install(app)
    app.include_router(stores())
    async with app.router.lifespan_context(app), transport_client(app) as client:
        assert await path_taken(client.get("/stores")) == "200 fast"


async def test_mounted_application_uses_the_outer_lifespan(
    database: Database,
) -> None:
    outer = FastAPI(lifespan=database.lifespan)
    outer.mount("/inner", app_of(database, stores()))
    async with outer.router.lifespan_context(outer), transport_client(outer) as client:
        assert await path_taken(client.get("/inner/stores")) == "200 fast"


async def test_mounted_application_uses_its_own_lifespan(database: Database) -> None:
    inner, outer = app_of(database, stores()), FastAPI()
    outer.mount("/inner", inner)
    async with inner.router.lifespan_context(inner), transport_client(outer) as client:
        assert await path_taken(client.get("/inner/stores")) == "200 fast"


# --- No database ----------------------------------------------------------------------------------


async def test_test_client_without_with_is_an_error(database: Database) -> None:
    client = TestClient(app_of(database, stores()))
    with pytest.raises(TypeError, match="because TestClient runs it"):
        client.get("/stores")


async def test_transport_without_the_lifespan_is_an_error(database: Database) -> None:
    async with transport_client(app_of(database, stores())) as client:
        with pytest.raises(TypeError, match="because ASGITransport does not run it"):
            await client.post("/stores", json=STORE)


async def test_transport_after_the_lifespan_is_an_error(database: Database) -> None:
    app = app_of(database, stores())
    async with app.router.lifespan_context(app):
        pass
    async with transport_client(app) as client:
        with pytest.raises(TypeError, match="the lifespan did not run"):
            await client.get("/stores")


async def test_mounted_application_without_a_lifespan_is_an_error(database: Database) -> None:
    outer = FastAPI()
    outer.mount("/inner", app_of(database, stores()))
    async with outer.router.lifespan_context(outer), transport_client(outer) as client:
        with pytest.raises(TypeError, match="to the outer application"):
            await client.get("/inner/stores")


async def test_fastapi_without_a_lifespan_is_an_error() -> None:
    app = FastAPI()
    install(app)
    app.include_router(stores())
    with TestClient(app) as client, pytest.raises(TypeError, match=r"FastAPI\(\) has no lifespan"):
        client.get("/stores")


async def test_lifespan_without_the_database_is_an_error(database: Database) -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        async with database.lifespan(object()) as state:  # for another application
            yield {"other": state}

    app = FastAPI(lifespan=lifespan)
    install(app, development=True)
    app.include_router(stores())
    with TestClient(app) as client, pytest.raises(TypeError, match="its lifespan runs, and enters"):
        client.get("/stores")


@pytest.mark.parametrize("runs", [True, False])
async def test_lifespan_without_its_state_is_an_error(database: Database, *, runs: bool) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with database.lifespan(app):
            yield

    app = FastAPI(lifespan=lifespan)  # without install, which would find the database

    @app.get("/names")
    async def names(_: SessionDep) -> None: ...

    client = TestClient(app)
    expected = "does not yield the state"
    with client if runs else nullcontext(), pytest.raises(TypeError, match=expected) as raised:
        client.get("/names")
    assert ("the lifespan did not run" in str(raised.value)) is not runs


async def test_server_without_the_lifespan_is_an_error(database: Database) -> None:
    app = app_of(database, stores())
    transport = ASGITransport(app, client=("192.0.2.1", 5000))
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(TypeError, match="uvicorn --lifespan on"):
            await client.get("/stores")


# --- No install -----------------------------------------------------------------------------------


async def test_application_without_install_does_not_start(database: Database) -> None:
    app = FastAPI(lifespan=database.lifespan)
    app.include_router(stores(), prefix="/v1")
    with (
        pytest.raises(TypeError, match=r"brickwork\.install\(app\) was not called"),
        TestClient(app),
    ):
        pass


async def test_mounted_application_without_install_is_an_error(database: Database) -> None:
    inner, outer = FastAPI(), app_of(database)
    inner.include_router(stores())
    outer.mount("/inner", inner)
    async with outer.router.lifespan_context(outer), transport_client(outer) as client:
        with pytest.raises(TypeError, match="a mounted application needs a call of its own"):
            await client.get("/inner/stores")


async def test_mounted_router_needs_no_install(database: Database) -> None:
    app = app_of(database)
    app.mount("/inner", stores())
    async with app.router.lifespan_context(app), transport_client(app) as client:
        assert (await client.get("/inner/stores")).json() == []


# --- Several databases ----------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [True, False])
async def test_lifespan_chooses_one_of_several_databases(
    database: Database, *, chosen: bool
) -> None:
    other = Database("sqlite:///unused.db")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        async with database.lifespan(app) as state, other.lifespan(app):
            yield state if chosen else {}

    app = FastAPI(lifespan=lifespan)
    install(app)
    app.include_router(stores())
    with TestClient(app) as client:
        if chosen:
            assert client.get("/stores").json() == []
            return
        with pytest.raises(TypeError, match="yield the state of one of them"):
            client.get("/stores")
