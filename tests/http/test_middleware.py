"""Request ids and request limits."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from httpx2 import AsyncClient
from starlette.types import Message, Receive

from brickwork import Limits, ListQuery, StrictRoute, install
from brickwork.problems import ContentTooLarge
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.server import serving
from tests.support.shop import City

pytestmark = pytest.mark.anyio

CallNext: TypeAlias = Callable[[Request], Awaitable[Response]]
Dispatch: TypeAlias = Callable[[Request, CallNext], Awaitable[Response]]

SMALL = Limits(body=100, url=50, headers=300, depth=3, page=5, offset=9)


def create_app(limits: Limits | None = None) -> FastAPI:
    app = FastAPI()
    install(app, limits=limits)
    router = APIRouter(route_class=StrictRoute)

    @router.get("/")
    async def show() -> str:
        return "ok"

    @router.get("/list")
    async def show_list(at: Annotated[ListQuery[City], Query()]) -> int:
        return at.limit

    @router.get("/bug")
    async def bug() -> None:
        raise RuntimeError

    @router.post("/strict")
    async def strict(body: list[Any]) -> int:
        return len(body)

    @app.post("/plain")
    async def plain(body: list[Any]) -> int:
        return len(body)

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @app.post("/unread")
    async def unread() -> str:
        return "ok"

    app.include_router(router)
    return app


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[AsyncClient]:
    async with serving(create_app(SMALL)) as client:
        yield client


async def test_response_has_the_id_of_its_request(client: AsyncClient) -> None:
    for path in ("/", "/nowhere", "/bug", "/list?limit=0"):
        response = await client.get(path)
        name = response.headers["x-request-id"]
        assert UUID(name).version == 7
        if response.status_code >= 400:
            assert response.json()["instance"] == name


@pytest.mark.parametrize("name", ["a", "0189-x.y_z~", "a" * 128])
async def test_client_can_set_the_request_id(client: AsyncClient, name: str) -> None:
    response = await client.get("/nowhere", headers={"x-request-id": name})
    assert response.headers["x-request-id"] == response.json()["instance"] == name


@pytest.mark.parametrize("name", ["", "a" * 129, "a b", "<b>", 'a"b', "é", "a/b", "a,b"])
async def test_unsafe_request_id_is_replaced(client: AsyncClient, name: str) -> None:
    response = await client.get("/", headers=[(b"x-request-id", name.encode())])
    assert UUID(response.headers["x-request-id"]).version == 7


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", "200"),
        ("/list?limit=5&offset=9", "200"),
        ("/list?limit=6&offset=10", "422 ?limit less_than_equal, ?offset less_than_equal"),
        ("/" + "a" * 49, "404"),
        ("/" + "a" * 50, "414"),
        ("/?" + "a" * 48, f"422 ?{'a' * 48} unknown_parameter"),
        ("/?" + "a" * 49, "414"),
        ("/" + "%61" * 17, "414"),
        ("/?a=%C3%A9", "422 ?a unknown_parameter"),
        ("/?a=%C3", "400"),
        ("/?%FF", "400"),
    ],
)
async def test_url_has_limits(client: AsyncClient, path: str, answer: str) -> None:
    assert summary(await client.get(path)) == answer


async def test_headers_have_a_limit(client: AsyncClient) -> None:
    request = client.build_request("GET", "/")
    spare = 300 - sum(len(name) + len(value) for name, value in request.headers.raw) - len("x-a")
    assert summary(await client.get("/", headers={"x-a": "b" * spare})) == "200"
    assert summary(await client.get("/", headers={"x-a": "b" * (spare + 1)})) == "431"


async def test_backslashes_in_a_cookie_have_a_limit() -> None:
    async with calling(create_app()) as default_client:
        for number, answer in ((1_000, "200"), (1_001, "431")):
            cookie = 'a="' + "\\" * number + '"'
            assert summary(await default_client.get("/", headers={"cookie": cookie})) == answer


@pytest.mark.parametrize("path", ["/strict", "/plain", "/raw"])
async def test_body_has_a_limit_with_or_without_content_length(
    client: AsyncClient, path: str
) -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        for _ in range(size - 2):
            yield b" "
        yield b"[]"

    for size, status in ((98, 200), (102, 413)):
        headers = {"content-type": "application/json"}
        for content in (b" " * (size - 2) + b"[]", chunks(size)):
            response = await client.post(path, content=content, headers=headers)
            assert response.status_code == status


async def test_excessive_content_length_is_rejected_before_the_body() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("The body was read.")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-length", b"101"), (b"content-type", b"application/json")]
    for path in ("/strict", "/plain"):
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": headers,
        }
        await create_app(SMALL)(scope, receive, send)
    assert [message["status"] for message in sent if "status" in message] == [413, 413]


def limited_app(
    limits: Limits, part: int | None = None, whole: int | None = None, *middleware: Dispatch
) -> FastAPI:
    """Return an application with *middleware* before `install`, and FastAPI's own limits."""
    app = FastAPI(max_body_size=whole)
    for dispatch in middleware:
        app.middleware("http")(dispatch)
    install(app, limits=limits)
    strict, plain = APIRouter(route_class=StrictRoute), APIRouter()

    @strict.post("/strict")
    @plain.post("/plain")
    async def read(body: list[Any]) -> int:
        return len(body)

    @strict.post("/dependency")
    async def depend(size: Annotated[int, Depends(read_size)]) -> int:
        return size

    @strict.post("/closed", dependencies=[Depends(require_login)])
    async def closed(body: list[Any]) -> int:
        return len(body)

    app.include_router(strict, max_body_size=part)
    app.include_router(plain, max_body_size=part)
    return app


async def read_size(request: Request) -> int:
    return len(await request.body())


async def require_login() -> None:
    raise HTTPException(401)


async def pass_on(request: Request, call_next: CallNext) -> Response:
    return await call_next(request)


async def read_and_pass_on(request: Request, call_next: CallNext) -> Response:
    await request.body()
    return await call_next(request)


OK, TOO_LARGE = "200 application/json", "413 application/problem+json"
PATHS = ["/strict", "/plain", "/dependency"]


async def responses_to_body(app: FastAPI, size: int) -> list[str]:
    """Return the responses to a body of *size*, with and without a content length."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"[]".ljust(size - 1)
        yield b" "

    headers = {"content-type": "application/json"}
    async with calling(app) as client:
        responses = [
            await client.post(path, content=content, headers=headers)
            for path in PATHS
            for content in (b"[]".ljust(size), chunks())
        ]
    return [f"{response.status_code} {response.headers['content-type']}" for response in responses]


@pytest.mark.parametrize("dispatch", [pass_on, read_and_pass_on])
@pytest.mark.parametrize("place", ["before install", "after install"])
async def test_body_has_a_limit_behind_a_middleware(
    dispatch: Dispatch, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = limited_app(SMALL, None, None, *([dispatch] if place == "before install" else []))
    if place == "after install":
        app.middleware("http")(dispatch)
    assert await responses_to_body(app, 100) == [OK] * 6
    assert await responses_to_body(app, 101) == [TOO_LARGE] * 6
    assert not caplog.records


@pytest.mark.parametrize("middleware", [[], [pass_on], [read_and_pass_on]])
@pytest.mark.parametrize(
    ("part", "whole", "limit"),
    [(50, None, 50), (None, 50, 50), (50, 70, 50), (200, 200, 100)],
)
async def test_body_limits_of_fastapi_return_problems(
    middleware: list[Dispatch], part: int | None, whole: int | None, limit: int
) -> None:
    assert await responses_to_body(limited_app(SMALL, part, whole, *middleware), limit) == [OK] * 6
    assert (
        await responses_to_body(limited_app(SMALL, part, whole, *middleware), limit + 1)
        == [TOO_LARGE] * 6
    )


@pytest.mark.parametrize("middleware", [[], [pass_on]])
@pytest.mark.parametrize(("part", "whole"), [(70, 50), (200, None), (200, 50)])
async def test_limit_of_a_router_may_exceed_that_of_the_application(
    middleware: list[Dispatch], part: int, whole: int | None
) -> None:
    app = limited_app(SMALL, part, whole, *middleware)
    assert await responses_to_body(app, part) == [OK] * 6
    assert await responses_to_body(app, part + 1) == [TOO_LARGE] * 6


async def test_middleware_reads_no_more_than_the_limit_of_the_application() -> None:
    app = limited_app(SMALL, 200, None, read_and_pass_on)
    assert await responses_to_body(app, 101) == [TOO_LARGE] * 6


async def test_router_limit_applies_after_authentication() -> None:
    async with calling(limited_app(SMALL, 50)) as client:
        assert summary(await client.post("/closed", json=[1] * 40)) == "401"


async def test_group_of_errors_is_a_500() -> None:
    async def fail(_: Request, __: CallNext) -> Response:
        raise ExceptionGroup("two", [ContentTooLarge("a"), RuntimeError("b")])

    async with calling(limited_app(SMALL, None, None, fail)) as client:
        assert summary(await client.post("/strict", json=[])) == "500"


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        ("1.1", [b"a"], 200),
        ("1.1", [], 400),
        ("1.1", [b"a", b"a"], 400),
        ("1.0", [], 200),
        ("2", [], 200),
        ("2", [b"a", b"b"], 400),
        ("2", [b"a b"], 400),
    ],
)
async def test_host_header_is_validated_on_any_server(
    version: str, hosts: list[bytes], status: int
) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", host) for host in hosts]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    await create_app()({**scope, "http_version": version}, receive, send)
    assert sent[0]["status"] == status


async def test_unread_body_has_no_limit(client: AsyncClient) -> None:
    assert summary(await client.post("/unread", content=b" " * 101)) == "200"


async def test_nesting_depth_has_a_limit(client: AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    assert summary(await client.post("/strict", content=b"[[[]]]", headers=headers)) == "200"
    answer = summary(await client.post("/strict", content=b"[[[[]]]]", headers=headers))
    assert answer == "422 # too_deep"


async def test_applications_have_separate_limits() -> None:
    async with calling(create_app(SMALL)) as small, calling(create_app()) as default_client:
        for _ in range(2):
            assert summary(await small.get("/list?limit=6")) == "422 ?limit less_than_equal"
            assert summary(await default_client.get("/list?limit=100")) == "200"
            assert (
                summary(await default_client.get("/list?limit=101")) == "422 ?limit less_than_equal"
            )


# --- Memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/nowhere"])
async def test_a_request_leaves_no_cycle_to_the_garbage_collector(path: str) -> None:
    async def call(app: FastAPI) -> "weakref.ref[Receive]":
        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        async def send(_: Message) -> None: ...

        headers = [(b"host", b"test")]
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b""}
        await app({**scope, "headers": headers}, receive, send)
        return weakref.ref(receive)

    app = create_app()
    await call(app)
    gc.disable()
    try:
        reference = await asyncio.create_task(call(app))  # as a server calls it
        await asyncio.sleep(0)  # the loop frees the task
        assert reference() is None
    finally:
        gc.enable()
