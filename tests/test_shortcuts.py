"""The way to the fast path: the router would lead there too."""

from collections.abc import AsyncGenerator

import pytest
from fastapi import APIRouter, FastAPI

from brickwork import Database
from tests.support.calls import calling
from tests.support.databases import sqlite_only
from tests.support.recording import path_taken
from tests.support.shop import Store, app_of, stores
from tests.support.tables import insert_rows

pytestmark = [pytest.mark.anyio, pytest.mark.lanes, sqlite_only]


@pytest.fixture
async def database(shop_url: str) -> AsyncGenerator[Database]:
    """A database with the store `/stores/a`."""
    database = Database(shop_url)
    await insert_rows(database, {Store: [{"code": "a", "name": "Bread"}]})
    yield database
    await database.dispose()


def router_of(method: str, path: str) -> APIRouter:
    router = APIRouter()

    @router.api_route(path, methods=[method])
    async def answer() -> str:
        return "special"

    return router


@pytest.mark.parametrize(
    ("method", "path", "row", "rows"),
    [
        ("GET", "/stores/special", "200 ORM", "200 fast"),
        ("GET", "/stores/{name}", "200 ORM", "200 fast"),
        ("GET", "/{rest:path}", "200 ORM", "200 ORM"),
        ("POST", "/stores/{name}", "200 fast", "200 fast"),
        ("GET", "/others/{name}", "200 fast", "200 fast"),
    ],
)
async def test_route_before_a_resource_is_matched_first(
    database: Database, method: str, path: str, row: str, rows: str
) -> None:
    async with calling(app_of(database, router_of(method, path), stores())) as client:
        assert await path_taken(client.get("/stores/a")) == row
        assert await path_taken(client.get("/stores?limit=5")) == rows


async def test_route_after_a_resource_is_matched_last(database: Database) -> None:
    async with calling(app_of(database, stores(), router_of("GET", "/{rest:path}"))) as client:
        assert await path_taken(client.get("/stores/a")) == "200 fast"
        assert await path_taken(client.get("/stores?limit=5")) == "200 fast"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/stores", "200 fast"),
        ("/v1/stores/", "200 fast"),
        ("/v1/stores/a", "200 fast"),
        ("/v1/stores/a/", "200 fast"),
        ("/stores", "404 ORM"),
    ],
)
async def test_prefix_is_part_of_the_path(database: Database, path: str, expected: str) -> None:
    app = app_of(database)
    app.include_router(stores(), prefix="/v1")
    async with calling(app) as client:
        assert await path_taken(client.get(path)) == expected


async def test_router_is_found_once_it_is_included(database: Database) -> None:
    app = app_of(database)
    app.include_router(stores(), prefix="/v1")
    async with calling(app) as client:
        assert await path_taken(client.get("/v1/stores")) == "200 fast"
        app.include_router(stores(), prefix="/v2")
        assert await path_taken(client.get("/v1/stores")) == "200 fast"
        assert await path_taken(client.get("/v2/stores")) == "200 fast"


async def test_mounted_application_has_no_fast_path(database: Database) -> None:
    outer = app_of(database)
    outer.mount("/inner", app_of(database, stores()))
    outer.include_router(stores(), prefix="/outer")
    async with calling(outer) as client:
        assert await path_taken(client.get("/inner/stores")) == "200 ORM"
        assert await path_taken(client.get("/outer/stores")) == "200 fast"


async def test_path_in_a_mounted_application_is_the_rest(database: Database) -> None:
    inner, outer = app_of(database, stores()), app_of(database)
    inner.include_router(stores(), prefix="/inner")
    outer.mount("/inner", inner)
    async with calling(outer) as client:
        assert await path_taken(client.get("/inner/stores")) == "200 ORM"
        assert await path_taken(client.get("/inner/inner/stores")) == "200 ORM"


async def test_host_before_a_resource_is_matched_first(database: Database) -> None:
    app = app_of(database)
    app.host("other.example.org", FastAPI())
    app.include_router(stores())
    async with calling(app) as client:
        other = {"host": "other.example.org"}
        assert await path_taken(client.get("/stores", headers=other)) == "404 ORM"
        assert await path_taken(client.get("/stores")) == "200 ORM"
