"""The outermost layer: ids of requests, and requests that are too large."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, FastAPI, Query, Request
from httpx2 import AsyncClient

from brickwork import Limits, ListQuery, Route, install
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.server import serving
from tests.support.shop import City

pytestmark = pytest.mark.anyio

SMALL = Limits(body=100, url=50, headers=300, depth=3, page=5, offset=9)


def create_app(limits: Limits | None = None) -> FastAPI:
    app = FastAPI()
    install(app, limits=limits)
    router = APIRouter(route_class=Route)

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


async def test_an_answer_has_the_id_of_its_request(client: AsyncClient) -> None:
    for path in ("/", "/nowhere", "/bug", "/list?limit=0"):
        response = await client.get(path)
        name = response.headers["x-request-id"]
        assert UUID(name).version == 7
        if response.status_code >= 400:
            assert response.json()["instance"] == name


@pytest.mark.parametrize("name", ["a", "0189-x.y_z~", "a" * 128])
async def test_a_request_may_bring_its_id(client: AsyncClient, name: str) -> None:
    response = await client.get("/nowhere", headers={"x-request-id": name})
    assert response.headers["x-request-id"] == response.json()["instance"] == name


@pytest.mark.parametrize("name", ["", "a" * 129, "a b", "<b>", 'a"b', "é", "a/b", "a,b"])
async def test_an_id_that_could_do_harm_is_not_taken(client: AsyncClient, name: str) -> None:
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
async def test_a_url_has_its_limits(client: AsyncClient, path: str, answer: str) -> None:
    assert summary(await client.get(path)) == answer


async def test_headers_have_their_limit(client: AsyncClient) -> None:
    request = client.build_request("GET", "/")
    spare = 300 - sum(len(name) + len(value) for name, value in request.headers.raw) - len("x-a")
    assert summary(await client.get("/", headers={"x-a": "b" * spare})) == "200"
    assert summary(await client.get("/", headers={"x-a": "b" * (spare + 1)})) == "431"


@pytest.mark.parametrize("path", ["/strict", "/plain", "/raw"])
async def test_a_body_has_its_limit_whether_its_length_is_declared_or_not(
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


async def test_a_declared_length_is_refused_before_the_body_is_read() -> None:
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
    assert [each["status"] for each in sent if "status" in each] == [413, 413]


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
async def test_host_on_any_server(version: str, hosts: list[bytes], status: int) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", each) for each in hosts]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    await create_app()({**scope, "http_version": version}, receive, send)
    assert sent[0]["status"] == status


async def test_a_body_that_nobody_reads_is_of_no_concern(client: AsyncClient) -> None:
    assert summary(await client.post("/unread", content=b" " * 101)) == "200"


async def test_a_document_may_nest_as_deep_as_the_limit_says(client: AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    assert summary(await client.post("/strict", content=b"[[[]]]", headers=headers)) == "200"
    answer = summary(await client.post("/strict", content=b"[[[[]]]]", headers=headers))
    assert answer == "422 # too_deep"


async def test_two_applications_have_each_their_own_limits() -> None:
    async with calling(create_app(SMALL)) as small, calling(create_app()) as usual:
        for _ in range(2):
            assert summary(await small.get("/list?limit=6")) == "422 ?limit less_than_equal"
            assert summary(await usual.get("/list?limit=100")) == "200"
            assert summary(await usual.get("/list?limit=101")) == "422 ?limit less_than_equal"
