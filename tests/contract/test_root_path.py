"""Root paths: URLs behind proxies and mounts."""

from collections.abc import AsyncGenerator
from typing import Any, Final

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import FastAPIDeprecationWarning
from httpx2 import AsyncClient
from sqlalchemy import select

from brickwork import Database, NotFound, StrictRoute, install, item_path, link_header
from brickwork.query.pagination import Page
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.recording import path_taken
from tests.support.server import serving
from tests.support.shop import Store, app_of, stores
from tests.support.tables import Rows, insert_rows

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

ROWS: Final[Rows] = {Store: [{"code": code, "name": code} for code in ("aa", "bb", "cc")]}

API: Final = "/api/v1"
"""The prefix of all paths of clients."""


UNUSED: Final = Database("sqlite:///unused.db")


class Place:
    """A place of an application: below mounts, the root path of a server, or both."""

    def __init__(self, root_path: str, *mounts: str, sent: str) -> None:
        """Prefix the paths of requests with *sent*."""
        self.root_path = root_path
        self.mounts = mounts
        self.sent = sent

    def app(self, database: Database) -> FastAPI:
        """Return the application at this place."""
        app = app_of(database, stores())
        for path in reversed(self.mounts):
            inner, app = app, FastAPI(lifespan=database.lifespan)
            app.mount(path, inner)
        return app


PLACES: Final = {
    "the root path of the server": Place(API, sent=API),
    "a proxy that strips": Place(API, sent=""),
    "a root path with a slash": Place("/api/v1/", sent=""),
    "a mount": Place("", API, sent=API),
    "two mounts": Place("", "/api", "/v1", sent=API),
    "a mount below a root path": Place("/api", "/v1", sent=API),
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    """Return each place of an application."""
    return PLACES[request.param]


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
async def database(shop_url: str, request: pytest.FixtureRequest) -> AsyncGenerator[Database]:
    """Yield a database with three stores, on each path."""
    database = Database(shop_url, fast_path=request.param)
    await insert_rows(database, ROWS)
    yield database
    await database.dispose()


@pytest.fixture
async def client(database: Database, place: Place) -> AsyncGenerator[AsyncClient]:
    """Yield a client of the application at its place."""
    app = place.app(database)
    async with calling(app, root_path=place.root_path) as client:
        client.base_url = f"http://test{place.sent}"
        yield client


async def test_location_has_the_root_path(client: AsyncClient, database: Database) -> None:
    for path, key in (("/stores", "dd"), ("/stores/", "ee")):
        response = await client.post(path, json={"code": key})
        assert response.headers["location"] == f"/api/v1/stores/{key}"
    async with database.session(readonly=True) as session:
        assert [*await session.scalars(select(Store.code))] == ["aa", "bb", "cc", "dd", "ee"]


async def test_link_header_has_the_root_path(client: AsyncClient) -> None:
    for path in ("/stores", "/stores/"):
        response = await client.get(path, params={"limit": 1, "offset": 1})
        assert response.headers["link"] == (
            '</api/v1/stores?limit=1>; rel="first", '
            '</api/v1/stores?limit=1&offset=0>; rel="prev", '
            '</api/v1/stores?limit=1&offset=2>; rel="next"'
        )


async def test_next_link_leads_to_the_next_page(client: AsyncClient) -> None:
    first = await client.get("/stores", params={"limit": 2})
    following = first.links["next"]["url"].removeprefix(API)
    second = await client.get(following)
    assert [row["code"] for row in second.json()] == ["cc"]


async def test_problem_type_has_the_root_path(client: AsyncClient) -> None:
    response = await client.get("/stores/zz")
    assert response.json()["type"] == "/api/v1/problems/not_found"


async def test_trailing_slash_is_accepted(client: AsyncClient) -> None:
    for path in ("/stores/aa", "/stores/aa/"):
        assert (await client.get(path)).json()["code"] == "aa"
        assert (await client.head(path)).status_code == 200


async def test_fast_path_serves_every_place(shop_url: str, place: Place) -> None:
    database = Database(shop_url)
    await insert_rows(database, ROWS)
    async with calling(place.app(database), root_path=place.root_path) as client:
        for path in ("/stores", "/stores/aa", "/stores/aa/"):
            assert await path_taken(client.get(place.sent + path)) == "200 fast"


async def test_problem_type_leads_to_its_page(place: Place) -> None:
    async with calling(place.app(UNUSED), root_path=place.root_path) as client:
        for path in ("/nowhere", "/stores?limit=0", "/stores?%FF"):
            problem = (await client.get(place.sent + path)).json()
            page = await client.get(problem["type"].replace(API, place.sent))
            assert problem["type"].startswith("/api/v1/problems/")
            assert page.status_code == 200
            assert f"<dd>{problem['type']}</dd>" in page.text


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/stores", "GET, HEAD, OPTIONS, POST"),
        ("/stores/", "GET, HEAD, OPTIONS, POST"),
        ("/stores/aa", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/stores/aa/", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/stores/batch", "DELETE, OPTIONS, PATCH, POST"),
    ],
)
async def test_allow_header_lists_the_methods(place: Place, path: str, methods: str) -> None:
    async with calling(place.app(UNUSED), root_path=place.root_path) as client:
        options = await client.options(place.sent + path)
        refused = await client.request("TRACE", place.sent + path)
    assert (options.status_code, options.headers["allow"]) == (204, methods)
    assert summary(refused, root_path=API) == "405"
    assert refused.headers["allow"] == methods


async def test_idempotency_key_ignores_root_path_and_slash(
    database: Database,
) -> None:
    async with calling(app_of(database, stores()), root_path="/api") as client:
        for path in ("/stores", "/stores/", "/api/stores", "/api/stores/"):
            response = await client.post(
                path, json={"code": "dd"}, headers={"Idempotency-Key": "one"}
            )
            assert response.status_code == 201
            assert response.headers["location"] == "/api/stores/dd"


async def test_root_path_of_fastapi_applies(database: Database) -> None:
    with pytest.warns(FastAPIDeprecationWarning, match="root_path"):
        app = app_of(database, stores(), root_path="/api")
    async with calling(app) as client:
        for path in ("/stores", "/api/stores"):  # whether the proxy strips the path, or leaves it
            assert (await client.get(path)).headers["link"] == '</api/stores>; rel="first"'
        assert (await client.get("/nowhere")).json()["type"] == "/api/problems/not_found"


async def test_forwarded_headers_of_a_client_are_ignored(database: Database) -> None:
    claims = {
        "x-forwarded-prefix": "/evil",
        "x-forwarded-host": "evil.example",
        "x-original-url": "/evil",
        "x-script-name": "/evil",
        "forwarded": "host=evil.example",
        "host": "evil.example",
    }
    async with calling(app_of(database, stores())) as client:
        response = await client.post("/stores", json={"code": "dd"}, headers=claims)
        assert response.headers["location"] == "/stores/dd"
        response = await client.get("/stores", headers=claims)
        assert response.headers["link"] == '</stores>; rel="first"'
        response = await client.get("/stores/zz", headers=claims)
        assert summary(response) == "404"


async def test_path_with_two_slashes_leads_to_no_other_host(database: Database) -> None:
    app = app_of(database)
    app.include_router(stores(), prefix="/{rest:path}")
    async with calling(app) as client:
        target = {"target": b"//evil.example/stores"}
        response = await client.post("/", json={"code": "dd"}, extensions=target)
        assert response.headers["location"] == "/.//evil.example/stores/dd"
        response = await client.get("/", extensions=target)
        assert response.headers["link"] == '</.//evil.example/stores>; rel="first"'


async def test_collection_may_be_at_the_root_of_a_mount() -> None:
    router = APIRouter(route_class=StrictRoute)

    @router.get("/")
    async def show(request: Request) -> list[str]:
        return [item_path(request, "a"), link_header(request, Page[Any]([]))]

    inner, app = FastAPI(), FastAPI()
    install(inner)
    inner.include_router(router)
    app.mount("/inner", inner)
    async with calling(app) as client:
        assert (await client.get("/inner/")).json() == ["/inner/a", '</inner/>; rel="first"']
    async with calling(inner) as client:
        assert (await client.get("/")).json() == ["/a", '</>; rel="first"']


async def test_problem_type_of_a_mounted_router_leads_to_the_application() -> None:
    router = APIRouter()

    @router.get("/rows")
    async def show() -> None:
        raise NotFound("None.")

    app = FastAPI()
    install(app)
    app.mount("/inner", router)
    async with calling(app) as client:
        problem = (await client.get("/inner/rows")).json()
        assert problem["type"] == "/problems/not_found"
        assert (await client.get(problem["type"])).status_code == 200


async def test_application_may_be_mounted_in_another(database: Database) -> None:
    app = app_of(database)
    app.mount("/inner", app_of(database, stores()))
    async with calling(app) as client:
        inner, outer = await client.get("/inner/stores/zz"), await client.get("/zz")
        assert summary(inner, root_path="/inner") == "404"
        assert summary(outer) == "404"
        assert [inner.json()["instance"]] == inner.headers.get_list("x-request-id")


async def test_root_path_of_the_server_applies(database: Database) -> None:
    async with serving(app_of(database, stores()), root_path="/api") as client:
        created = await client.post("/stores", json={"code": "dd"})  # uvicorn adds the root path
        refused = await client.get("/", extensions={"target": b"/" + b"a" * 80_000})
    assert created.headers["location"] == "/api/stores/dd"
    assert summary(refused, root_path="/api") == "414"
