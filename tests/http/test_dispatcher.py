"""The dispatcher: other code sees the same as behind FastAPI's router."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from brickwork import Database, NotFound, StrictRoute, install
from brickwork.http.dispatcher import RouteTable
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import sqlite_only
from tests.support.recording import path_taken
from tests.support.shop import Store, app_of, stores
from tests.support.tables import insert_rows

pytestmark = [pytest.mark.anyio, sqlite_only]


@pytest.fixture
async def database(shop_url: str) -> AsyncGenerator[Database]:
    """Yield a database with one store."""
    database = Database(shop_url, fast_path=True)
    await insert_rows(database, {Store: [{"code": "a", "name": "A"}]})
    yield database
    await database.dispose()


class ScopeRecorder:
    """A middleware that records the route of each request after its response."""

    seen: list[Any]

    def __init__(self, app: ASGIApp, seen: list[Any]) -> None:
        """Wrap *app*, and record into *seen*."""
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, and record the route."""
        await self._app(scope, receive, send)
        if scope["type"] == "http":
            route = scope["fastapi"]["effective_route_context"]
            self._seen.append((route.path, scope["path_params"], scope["endpoint"]))


async def test_middleware_sees_the_route_after_the_response(database: Database) -> None:
    seen: list[Any] = []
    app = app_of(database, stores())
    app.add_middleware(ScopeRecorder, seen=seen)
    async with calling(app) as client:
        for path in ("/stores/a", "/stores/zz", "/stores/a/"):
            await client.get(path)
        await client.head("/stores/a")  # by FastAPI's router
    assert [(path, params) for path, params, _ in seen] == [
        ("/stores/{id:key}", {"id": key}) for key in ("a", "zz", "a", "a")
    ]
    assert len({id(endpoint) for *_, endpoint in seen}) == 1


async def test_router_with_its_own_matching_is_asked(database: Database) -> None:
    asked: list[str] = []

    class Asking(APIRouter):
        @override
        def matches(self, scope: Scope) -> Any:
            asked.append(scope["path"])
            return super().matches(scope)

    outer = Asking()
    outer.include_router(stores())
    async with calling(app_of(database, outer)) as client:
        assert await path_taken(client.get("/stores/a")) == "200 fast"
    assert "/stores/a" in asked


async def test_route_with_its_own_handling_is_called(database: Database) -> None:
    handled: list[str] = []
    router = stores()
    for route in router.routes:
        assert isinstance(route, StrictRoute)

        async def handle(
            scope: Scope, receive: Receive, send: Send, route: StrictRoute = route
        ) -> None:
            handled.append(route.path)
            await StrictRoute.handle(route, scope, receive, send)

        route.handle = handle  # type: ignore[method-assign]
    async with calling(app_of(database, router)) as client:
        assert await path_taken(client.get("/stores/a")) == "200 fast"
    assert handled == ["/stores/{id:key}"]


async def test_route_that_is_added_later_comes_first(database: Database) -> None:
    async def first(key: str) -> str:
        return key

    app, router = FastAPI(lifespan=database.lifespan), APIRouter()
    install(app)
    app.include_router(router)
    app.include_router(stores())
    async with calling(app) as client:
        assert (await client.get("/stores/a")).json()["code"] == "a"
        router.add_api_route("/stores/{key}", first)
        assert (await client.get("/stores/a")).json() == "a"
        app.router.routes.pop(-2)  # the router
        assert (await client.get("/stores/a")).json()["code"] == "a"


async def test_router_that_is_removed_from_another_is_not_found(database: Database) -> None:
    outer = APIRouter()
    outer.include_router(stores())
    async with calling(app_of(database, outer)) as client:
        assert (await client.get("/stores/a")).status_code == 200
        del outer.routes[:]
        assert (await client.get("/stores/a")).status_code == 404


async def test_table_ends_before_an_unknown_route(database: Database) -> None:
    class Own(StrictRoute):
        @override
        def matches(self, scope: Scope) -> Any:
            return super().matches(scope)

    own = APIRouter(route_class=Own)
    own.add_api_route("/other", lambda: None)
    app = app_of(database, stores())
    assert RouteTable(app).find("GET", "/stores/a")
    app.include_router(own)
    app.include_router(stores(), prefix="/again")
    table = RouteTable(app)
    assert table.find("GET", "/stores/a")
    assert table.find("GET", "/again/stores/a") is None


async def test_suppressed_error_is_an_internal_error(database: Database) -> None:
    async def suppressing() -> AsyncIterator[None]:
        with suppress(NotFound):
            yield

    router = APIRouter(dependencies=[Depends(suppressing)])
    router.include_router(stores())
    async with calling(app_of(database, router)) as client:
        assert summary(await client.get("/stores/zz")) == "500"
        assert summary(await client.get("/stores/a")) == "200"


@pytest.mark.parametrize(
    ("key", "value"), [("method", "PURGE"), ("path", "/elsewhere"), ("root_path", "/stores")]
)
async def test_error_is_answered_for_the_route_of_the_request(
    database: Database, key: str, value: str
) -> None:
    async def changing(request: Request) -> None:
        request.scope[key] = value

    router = APIRouter(dependencies=[Depends(changing)])
    router.include_router(stores())
    async with calling(app_of(database, router)) as client:
        response = await client.get("/stores/zz")
        assert response.json()["detail"] == "Store not found"


async def test_development_names_the_path_of_a_request(database: Database) -> None:
    app = FastAPI(lifespan=database.lifespan)
    install(app, development=True)
    app.include_router(stores())
    async with calling(app) as client:
        get = await client.get("/stores/a")
        put = await client.put("/stores/a", json=get.json())
        page = await client.get("/problems")
    assert get.headers["x-brickwork-path"] == "fast path"
    assert put.headers["x-brickwork-path"] == "ORM path: it has no fast operation"
    assert "x-brickwork-path" not in page.headers
