"""Errors in the middleware of an application."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

import pytest
from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import StreamingResponse
from httpx2 import AsyncClient, RemoteProtocolError
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from brickwork import Database, NotFound, Resource, ServiceUnavailable, install
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.server import serving
from tests.support.shop import Store, app_of, stores

pytestmark = pytest.mark.anyio

ORIGIN: Final = "https://example.org"

CallNext = Callable[[Request], Awaitable[Response]]


class Fragile(Resource[Store]):
    @override
    async def delete(self, row: Store, /) -> None:
        raise ServiceUnavailable("Not now.") if row.code == "aa" else RuntimeError


def add_cors(app: FastAPI) -> None:
    app.add_middleware(CORSMiddleware, allow_origins=[ORIGIN])


async def fail() -> None:
    raise RuntimeError


def app_with_cors(database: Database, *, first: bool = True) -> FastAPI:
    app = FastAPI(lifespan=database.lifespan)
    if first:
        add_cors(app)
    install(app)
    if not first:
        add_cors(app)
    app.include_router(stores(Fragile))
    app.add_api_route("/bug", fail)
    return app


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
async def database(shop_url: str, request: pytest.FixtureRequest) -> Database:
    """Return a database on each path."""
    return Database(shop_url, fast_path=request.param)


@pytest.fixture(params=[True, False], ids=["before install", "after install"])
async def client(database: Database, request: pytest.FixtureRequest) -> AsyncGenerator[AsyncClient]:
    """Yield a client of another origin for an application with CORS."""
    async with calling(app_with_cors(database, first=request.param)) as client:
        client.headers["origin"] = ORIGIN
        yield client


async def test_every_response_has_cors_headers(client: AsyncClient) -> None:
    store = {"code": "aa", "name": "bread"}
    requests: list[tuple[str, str, str, Any]] = [
        ("201", "POST", "/stores", {"json": store}),
        ("201", "POST", "/stores", {"json": {"code": "bb", "name": "tea"}}),
        ("200", "GET", "/stores/aa", {}),
        ("204", "OPTIONS", "/stores/aa", {}),
        ("409 #/code not_unique", "POST", "/stores", {"json": store}),
        ("422 #/code missing", "POST", "/stores", {"json": {}}),
        (
            "400",
            "POST",
            "/stores",
            {"content": b"{", "headers": {"content-type": "application/json"}},
        ),
        ("413", "POST", "/stores", {"json": store | {"name": "x" * 1_048_576}}),
        ("422 ?limit int_parsing", "GET", "/stores?limit=x", {}),
        ("400", "GET", "/stores?x=%FF", {}),
        ("404", "GET", "/stores/zz", {}),
        ("404", "GET", "/nowhere", {}),
        ("405", "PUT", "/stores", {}),
        ("406", "GET", "/stores", {"headers": {"accept": "text/html"}}),
        ("414", "GET", f"/stores?x={'x' * 9_000}", {}),
        ("431", "GET", "/stores", {"headers": {"x-long": "x" * 40_000}}),
        ("431", "GET", "/stores", {"headers": {"cookie": "\\" * 1_001}}),
        ("500", "DELETE", "/stores/bb", {}),
        ("500", "GET", "/bug", {}),
        ("503", "DELETE", "/stores/aa", {}),
    ]
    for expected, method, path, options in requests:
        answer = await client.request(method, path, **options)
        assert answer.headers["access-control-allow-origin"] == ORIGIN, expected
        assert "x-request-id" in answer.headers
        assert summary(answer) == expected


async def test_failed_request_stores_nothing(client: AsyncClient) -> None:
    await client.post("/stores", json={"code": "bb", "name": "tea"})
    assert summary(await client.delete("/stores/bb")) == "500"
    assert (await client.get("/stores/bb")).status_code == 200


# --- Middleware functions -------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
async def test_middleware_sees_errors_and_each_is_logged_once(
    database: Database, caplog: pytest.LogCaptureFixture, *, first: bool
) -> None:
    seen: list[int] = []

    async def note(request: Request, call_next: CallNext) -> Response:
        answer = await call_next(request)
        seen.append(answer.status_code)
        return answer

    app = FastAPI(lifespan=database.lifespan)
    if first:
        app.middleware("http")(note)
    install(app)
    if not first:
        app.middleware("http")(note)
    app.include_router(stores(Fragile))
    async with serving(app) as client:
        await client.post("/stores", json={"code": "bb", "name": "tea"})
        assert summary(await client.get("/stores", params={"x": "x" * 9_000})) == "414"
        answer = await client.delete("/stores/bb")
    assert summary(answer) == "500"
    assert seen == [201, 414, 500]
    (error,) = (record.exc_info[1] for record in caplog.records if record.exc_info)
    (note_of_it,) = getattr(error, "__notes__", [])
    assert note_of_it.endswith(f"failed, request {answer.json()['instance']}")


@pytest.mark.parametrize("inner", [True, False])
async def test_error_response_is_complete_behind_middleware(
    database: Database, *, inner: bool
) -> None:
    async def pass_on(request: Request, call_next: CallNext) -> Response:
        return await call_next(request)

    app = outer = app_of(database)
    app.add_api_route("/bug", fail)
    if inner:
        outer = app_of(database)
        outer.mount("/inner", app)
    for application in {app, outer}:
        application.middleware("http")(pass_on)
        application.add_middleware(GZipMiddleware)
    async with serving(outer) as client:
        answer = await client.get("/inner/bug" if inner else "/bug")
    assert summary(answer, root_path="/inner" if inner else "") == "500"
    assert answer.headers["content-encoding"] == "gzip"


async def test_outer_middleware_can_record_an_error(database: Database) -> None:
    recorded: list[str] = []

    def recording(app: ASGIApp) -> ASGIApp:
        async def record(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await app(scope, receive, send)
            except RuntimeError as error:
                recorded.append(type(error).__name__)
                raise

        return record

    async def pass_on(request: Request, call_next: CallNext) -> Response:
        return await call_next(request)

    app = app_of(database)
    app.add_api_route("/bug", fail)
    app.middleware("http")(pass_on)
    app.add_middleware(recording)
    async with calling(app) as client:
        assert summary(await client.get("/bug")) == "500"
    assert recorded == ["RuntimeError"]


@pytest.mark.parametrize(("error", "answer"), [(RuntimeError(), "500"), (NotFound("No."), "404")])
async def test_error_in_middleware_passes_through_outer_middleware(
    database: Database, error: Exception, answer: str
) -> None:
    app = app_of(database, stores())

    async def fail(_: Request, _call_next: CallNext) -> Response:
        raise error

    app.middleware("http")(fail)
    add_cors(app)
    async with calling(app) as client:
        found = await client.get("/stores", headers={"origin": ORIGIN})
    assert summary(found) == answer
    assert found.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("first", [True, False])
async def test_exception_handler_keeps_the_headers_of_a_resource(
    database: Database, *, first: bool
) -> None:
    async def handle(_: Request, _error: Exception) -> Response:
        return Response("own", status_code=500)

    app = app_with_cors(database, first=first)
    app.add_exception_handler(Exception, handle)
    async with calling(app) as client:
        client.headers["origin"] = ORIGIN
        await client.post("/stores", json={"code": "bb", "name": "tea"})
        answer = await client.delete("/stores/bb")
        assert summary(answer) == "500"
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert (await client.get("/bug")).text == "own"


async def test_no_middleware_reads_a_rejected_cookie() -> None:
    seen: list[dict[str, str]] = []

    async def read_cookies(request: Request, call_next: CallNext) -> Response:
        seen.append(request.cookies)
        return await call_next(request)

    app = FastAPI()
    install(app)
    app.middleware("http")(read_cookies)
    async with calling(app) as client:
        for size, answer in ((1_000, "404"), (1_001, "431")):
            cookie = "a=" + "\\" * size
            assert summary(await client.get("/", headers={"cookie": cookie})) == answer
    assert [bool(cookies) for cookies in seen] == [True, False]


async def test_error_aborts_a_started_response(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def stream() -> AsyncGenerator[bytes]:
        yield b"begun"
        raise LookupError

    app = app_with_cors(database)
    app.add_api_route("/stream", lambda: StreamingResponse(stream()))
    async with serving(app) as client:
        with pytest.raises(RemoteProtocolError):
            await client.get("/stream")
    (error,) = (record.exc_info[1] for record in caplog.records if record.exc_info)
    assert isinstance(error, LookupError)
