"""Existing routes of an application after `install`."""

from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from httpx2 import AsyncClient, Response as Answer
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Mount, Route as StarletteRoute

from brickwork import Database, NotFound, install
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.shop import stores

pytestmark = pytest.mark.anyio

MIB: Final = 1_048_576


# --- An application, with and without a resource --------------------------------------------------


class Thing(BaseModel):
    size: int


class Broken(Exception): ...


async def raw(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} {len(request.url.query)}")


router = APIRouter(prefix="/old")


@router.post("/things")
async def create(thing: Thing) -> Thing:
    return thing


@router.get("/things")
async def show(limit: int = 1) -> int:
    return limit


@router.get("/things/{number}")
async def show_one(number: int) -> Thing:
    raise HTTPException(404, {"number": number}, headers={"X-Why": "b"})


@router.get("/bug")
async def fail() -> None:
    raise RuntimeError


@router.get("/broken")
async def break_down() -> None:
    raise Broken


@router.get("/unfit", response_model=int)
async def answer_wrongly() -> str:
    return "text"


@router.get("/secret")
async def show_secret(_: Annotated[Any, Depends(HTTPBearer())]) -> None: ...


@router.post("/small", response_class=Response)
async def take_little(request: Request) -> Response:
    return await raw(request)


def add_routes(app: FastAPI) -> None:
    """Add the routes of an existing application."""
    app.include_router(router)
    app.include_router(router, prefix="/limited", max_body_size=100)
    app.add_api_route("/slash/", raw, methods=["GET"])
    app.add_exception_handler(Broken, handle_broken)
    inner = FastAPI()
    inner.add_api_route("/things", show)
    app.mount("/inner", inner)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent))
    app.router.routes += [
        StarletteRoute("/starlette", raw, methods=["GET", "POST"]),
        Mount("/plain", routes=[StarletteRoute("/things", raw)]),
    ]

    app.add_api_websocket_route("/socket", talk)


async def talk(socket: WebSocket, number: int) -> None:
    await socket.accept()
    await socket.send_json(number)


async def handle_broken(_: Request, _error: Exception) -> JSONResponse:
    return JSONResponse("broken", status_code=418)


REQUESTS: Final[list[tuple[str, str, Mapping[str, Any]]]] = [
    ("POST", "/old/things", {"json": {"size": 1}}),
    ("POST", "/old/things", {"json": {"size": "x"}}),
    ("POST", "/old/things", {"json": {"size": "1", "other": 2}}),
    ("POST", "/old/things", {"content": b"{"}),
    ("POST", "/old/things", {"content": b'{"size": 1}', "headers": {"content-type": "text/plain"}}),
    ("POST", "/old/things", {"json": {"size": 1, "other": "x" * MIB}}),
    ("GET", "/old/things?limit=x", {}),
    ("GET", "/old/things?limit=1&limit=2&other=3", {}),
    ("GET", "/old/things?other=%FF", {}),
    ("GET", f"/old/things?other={'x' * 9_000}", {}),
    ("GET", "/old/things", {"headers": {"x-long": "x" * 40_000}}),
    ("GET", "/old/things", {"headers": {"accept": "text/html"}}),
    ("GET", "/old/things/", {"follow_redirects": False}),
    ("GET", "/old/things/5", {}),
    ("GET", "/old/things/x", {}),
    ("HEAD", "/old/things", {}),
    ("HEAD", "/starlette", {}),
    ("HEAD", "/static/test_existing.py", {}),
    ("OPTIONS", "/old/things", {}),
    ("OPTIONS", "/starlette", {}),
    ("DELETE", "/old/things", {}),
    ("DELETE", "/plain/things", {}),
    ("GET", "/old/bug", {}),
    ("GET", "/old/broken", {}),
    ("GET", "/old/unfit", {}),
    ("GET", "/old/secret", {}),
    ("POST", "/old/small", {"content": b"x" * 2 * MIB}),
    ("POST", "/limited/old/small", {"content": b"x" * 100}),
    ("POST", "/limited/old/small", {"content": b"x" * 101}),
    ("POST", "/limited/old/things", {"json": {"size": 1, "other": "x" * 100}}),
    ("POST", "/starlette", {"content": b"x" * 2 * MIB}),
    ("GET", "/slash", {"follow_redirects": False}),
    ("GET", "/slash/", {}),
    ("GET", "/inner/things?limit=x", {}),
    ("GET", "/inner/nothing", {}),
    ("GET", "/static/nothing", {}),
    ("GET", "/static/test_existing.py", {}),
    ("POST", "/static/test_existing.py", {}),
]


async def in_text(_: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"own {type(error).__name__}", status_code=400)


def in_a_thread(_: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"own {type(error).__name__}", status_code=400)


HANDLERS: Final[Mapping[str, tuple[Any, Callable[..., Any]]]] = {
    "none": (Broken, handle_broken),
    "starlette.HTTPException": (StarletteHTTPException, in_text),
    "fastapi.HTTPException": (HTTPException, in_text),
    "RequestValidationError": (RequestValidationError, in_a_thread),
    "404": (404, in_text),
    "405": (405, in_a_thread),
    "500": (500, in_text),
    "Exception": (Exception, in_a_thread),
}


def describe(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """Return the status, the headers and the content of *answer*, without its id."""
    volatile = {"x-request-id", "date"}
    headers = {name: value for name, value in answer.headers.items() if name not in volatile}
    return answer.status_code, headers, answer.content


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("first", [True, False])
async def test_existing_routes_are_unchanged(handler: str, *, first: bool) -> None:
    plain, app = FastAPI(), FastAPI()
    for application in (plain, app):
        add_routes(application)
        if first or application is plain:
            application.add_exception_handler(*HANDLERS[handler])
    app.include_router(stores())
    install(app)
    if not first:
        app.add_exception_handler(*HANDLERS[handler])
    async with calling(plain) as before, calling(app) as after:
        for method, path, options in REQUESTS:
            expected = describe(await before.request(method, path, **options))
            assert describe(await after.request(method, path, **options)) == expected, path


@pytest.mark.parametrize("limit", [50, 200, 2_000_000])
async def test_max_body_size_is_unchanged(limit: int) -> None:
    plain, app = FastAPI(max_body_size=limit), FastAPI(max_body_size=limit)
    for application in (plain, app):
        add_routes(application)
    install(app)
    async with calling(plain) as before, calling(app) as after:
        for path in ("/old/small", "/limited/old/small", "/starlette", "/old/things"):
            for size in (10, 60, 150, 300, 2 * MIB):
                body = b'"' + b"x" * (size - 2) + b'"'
                expected = describe(await before.post(path, content=body))
                assert describe(await after.post(path, content=body)) == expected, (path, size)


async def test_openapi_of_existing_routes_is_unchanged() -> None:
    plain, app = FastAPI(), FastAPI()
    for application in (plain, app):
        add_routes(application)
    app.include_router(stores())
    install(app)
    before, after = plain.openapi(), app.openapi()
    for path, item in before["paths"].items():
        assert after["paths"][path] == item
    assert after["components"]["schemas"].items() >= before["components"]["schemas"].items()


async def test_explicit_head_route_is_kept() -> None:
    app = FastAPI()
    install(app)
    add_later(app)
    for methods in (["HEAD"], ["HEAD", "POST"]):

        @app.api_route(f"/{len(methods)}", methods=methods)
        async def head() -> Response:
            return Response(headers={"X-Own": "yes"})

        app.add_api_route(f"/{len(methods)}", show, methods=["GET"])
    async with calling(app) as client:
        for path, own in [("/1", "yes"), ("/2", "yes"), ("/new/things", None)]:
            answer = await client.head(path)
            assert (answer.status_code, answer.headers.get("x-own")) == (200, own)


def test_websocket_is_unchanged() -> None:
    app = FastAPI()
    add_routes(app)
    install(app)
    client = TestClient(app)
    with client.websocket_connect("/socket?number=5") as socket:
        assert socket.receive_json() == 5


# --- The resource beside it -----------------------------------------------------------------------


@pytest.fixture(params=HANDLERS)
async def client(shop_url: str, request: pytest.FixtureRequest) -> AsyncGenerator[AsyncClient]:
    """Yield a client of an application with its own routes and handlers."""
    app = FastAPI(lifespan=Database(shop_url).lifespan, max_body_size=2 * MIB)
    add_routes(app)
    app.add_exception_handler(*HANDLERS[request.param])
    install(app)
    app.include_router(stores())
    async with calling(app) as client:
        yield client


async def test_resource_keeps_the_contract(client: AsyncClient) -> None:
    store = {"code": "aa", "name": "bread"}
    assert (await client.post("/stores", json=store)).status_code == 201
    assert (await client.get("/stores/aa/")).json()["code"] == "aa"
    assert (await client.head("/stores")).status_code == 200
    assert (await client.options("/stores/aa")).status_code == 204
    for request, answer in [
        (client.post("/stores", json=store), "409 #/code not_unique"),
        (client.post("/stores", json={"code": 5}), "422 #/code string_type"),
        (client.post("/stores", json=store | {"name": "x" * MIB}), "413"),
        (client.get("/stores?limit=x"), "422 ?limit int_parsing"),
        (client.get("/stores?other=%FF"), "400"),
        (client.get(f"/stores?other={'x' * 9_000}"), "414"),
        (client.get("/stores", headers={"x-long": "x" * 40_000}), "431"),
        (client.get("/stores/zz"), "404"),
        (client.put("/stores"), "405"),
    ]:
        assert summary(await request) == answer


# --- Routes that are added later ------------------------------------------------------------------


def add_later(app: FastAPI) -> None:
    @app.get("/new/things")
    async def show(limit: int = 1) -> int:
        return limit

    @app.get("/new/bug")
    async def fail() -> None:
        raise RuntimeError

    @app.get("/new/missing")
    async def miss() -> None:
        raise NotFound("None.")


async def test_routes_added_later_keep_the_contract() -> None:
    app = FastAPI()
    add_routes(app)
    install(app)
    add_later(app)
    async with calling(app) as client:
        for path, answer in [
            ("/new/things?limit=x", "422 ?limit int_parsing"),
            ("/new/things?other=%FF", "400"),
            ("/new/bug", "500"),
            ("/nowhere", "404"),
        ]:
            assert summary(await client.get(path)) == answer
        assert (await client.head("/new/things")).status_code == 200
        assert (await client.options("/new/things")).status_code == 204


@pytest.mark.parametrize(
    ("handler", "path", "answer"),
    [
        ("starlette.HTTPException", "/nowhere", "own HTTPException"),
        ("404", "/nowhere", "own HTTPException"),
        ("RequestValidationError", "/new/things?limit=x", "own RequestValidationError"),
        ("500", "/new/bug", "own RuntimeError"),
        ("Exception", "/new/bug", "own RuntimeError"),
    ],
)
async def test_exception_handler_applies_to_later_routes(
    handler: str, path: str, answer: str
) -> None:
    app = FastAPI()
    install(app)
    add_later(app)
    app.add_exception_handler(*HANDLERS[handler])
    async with calling(app) as client:
        assert (await client.get(path)).text == answer
        assert summary(await client.get("/new/missing")) == "404"


async def test_debug_shows_the_traceback_of_starlette() -> None:
    app = FastAPI(debug=True)
    install(app)
    add_later(app)
    async with calling(app) as client:
        answer = await client.get("/new/bug")
    assert answer.status_code == 500
    assert answer.text.startswith("Traceback")


async def test_handler_of_a_problem_applies_to_resources(shop_url: str) -> None:
    app = FastAPI(lifespan=Database(shop_url).lifespan)
    install(app)
    app.include_router(stores())
    app.add_exception_handler(NotFound, in_text)
    async with calling(app) as client:
        assert (await client.get("/stores/zz")).text == "own NotFound"


async def test_openapi_omits_problems_of_a_custom_handler() -> None:
    app = FastAPI()
    install(app)
    add_later(app)
    app.add_exception_handler(RequestValidationError, in_text)
    responses = app.openapi()["paths"]["/new/things"]["get"]["responses"]
    assert responses["422"]["content"].keys() == {"application/json"}


async def test_route_may_share_the_path_of_a_resource(shop_url: str) -> None:
    app = FastAPI(lifespan=Database(shop_url).lifespan)

    @app.put("/stores")
    async def replace_all() -> str:
        return "own"

    install(app)
    app.include_router(stores())
    async with calling(app) as client:
        assert (await client.put("/stores")).json() == "own"
        assert (await client.get("/stores")).json() == []
        assert (await client.delete("/stores")).headers["allow"] == "GET, HEAD, OPTIONS, POST, PUT"
        assert (await client.options("/stores")).status_code == 204
