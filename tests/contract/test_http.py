"""HTTP in bytes: sizes, targets and disconnects."""

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any, Final
from uuid import UUID

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request
from httpx2 import AsyncClient, Response

from app.articles.endpoints import router as articles_router
from app.authors.endpoints import router as authors_router
from app.comments.endpoints import router as comments_router
from app.main import create_app
from app.settings import Settings
from brickwork import Database, Limits, StrictRoute, install
from brickwork.problems import Problem, problem_types
from tests.support.bodies import (
    JSON,
    MISSING,
    Body,
    author,
    create_article,
    create_row,
    get_json,
    summary,
)
from tests.support.databases import Databases
from tests.support.rows import fill_articles
from tests.support.server import serving
from tests.support.wire import HOST, Wire, open_wire, request

pytestmark = pytest.mark.anyio

DEFAULTS: Final = Limits()


@pytest.fixture(scope="module")
async def client(templates: Databases) -> AsyncIterator[AsyncClient]:
    """Yield a client of the service, shared by the tests that write nothing."""
    url = templates.another().migrated("sqlite")
    async with serving(create_app(Settings(database_url=url))) as client:
        yield client


@pytest.fixture
async def wire(client: AsyncClient) -> AsyncIterator[Wire]:
    """Yield a connection to the service."""
    async with open_wire(client.base_url) as wire:
        yield wire


def chunked(*chunks: bytes) -> bytes:
    """Return *chunks* in chunked encoding."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def post_request(content: bytes, length: int | None = None) -> bytes:
    """Return a POST with a Content-Length of *length*. None is chunked encoding."""
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    body = chunked(content) if length is None else content
    return request("POST", "/authors", f"content-type: {JSON}", size, body=body)


CHUNKED = request("POST", "/authors", f"content-type: {JSON}", "transfer-encoding: chunked")


def padded_author(size: int, **fields: object) -> bytes:
    """Return a valid author in *size* bytes of JSON."""
    email, name = author(**fields)["email"], "a"
    return f'{{"name": "{name}", "email": "{email}"}}'.encode().ljust(size)


# --- Sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "answer"), [(0, "201"), (1, "413")])
async def test_the_size_of_a_body_is_limited(served: AsyncClient, more: int, answer: str) -> None:
    size = DEFAULTS.body + more
    async with open_wire(served.base_url) as wire:
        assert summary(await wire.raw(post_request(padded_author(size), size))) == answer
    assert len(await get_json(served, "/authors")) == 1 - more


@pytest.mark.parametrize(("more", "answer"), [(0, "201"), (1, "413")])
async def test_the_size_of_a_chunked_body_is_limited(
    served: AsyncClient, more: int, answer: str
) -> None:
    async with open_wire(served.base_url) as wire:
        assert summary(await wire.raw(post_request(padded_author(DEFAULTS.body + more)))) == answer
    assert len(await get_json(served, "/authors")) == 1 - more


@pytest.mark.parametrize("length", [DEFAULTS.body + 1, 2**31, 2**63, 2**64 - 1])
async def test_a_body_with_an_excessive_length_is_not_read(wire: Wire, length: int) -> None:
    assert summary(await wire.raw(post_request(b"", length))) == "413"


async def test_expect_continue_with_an_excessive_length_is_413(wire: Wire) -> None:
    expect = post_request(b"", DEFAULTS.body + 1).replace(
        b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n"
    )
    assert summary(await wire.raw(expect)) == "413"


async def test_a_chunked_body_is_rejected_before_its_end(wire: Wire) -> None:
    endless = b"%x\r\n" % 2**40 + b" " * (DEFAULTS.body + 1)
    assert summary(await wire.raw(CHUNKED + endless)) == "413"


async def test_expect_continue_is_answered_with_100(served: AsyncClient) -> None:
    content = padded_author(100)
    async with open_wire(served.base_url) as wire:
        head = (
            post_request(b"", len(content)).removesuffix(b"\r\n") + b"expect: 100-continue\r\n\r\n"
        )
        assert (await wire.raw(head)).status_code == 100
        assert summary(await wire.raw(content)) == "201"


async def test_a_short_content_length_truncates_the_body(client: AsyncClient) -> None:
    async with open_wire(client.base_url) as wire:
        assert (await wire.raw(post_request(padded_author(100), 20))).status_code == 400
    assert await get_json(client, "/authors") == []


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        pytest.param("/" + "a" * (DEFAULTS.url - 1), 404, id="a path of the limit"),
        pytest.param("/" + "a" * DEFAULTS.url, 414, id="a path beyond the limit"),
        pytest.param("/articles/" + "%61" * ((DEFAULTS.url - 10) // 3), 404, id="an encoded path"),
        pytest.param(
            "/articles/" + "%61" * (DEFAULTS.url // 3), 414, id="too long an encoded path"
        ),
        pytest.param("/nothing?" + "a" * (DEFAULTS.url - 9), 404, id="a query of the limit"),
        pytest.param("/nothing?" + "a" * (DEFAULTS.url - 8), 414, id="a query beyond the limit"),
        pytest.param("/" + "a" * 60_000, 414, id="60 000 letters"),
        pytest.param("/" + "a" * 70_000, 414, id="70 000 letters"),
    ],
)
async def test_the_length_of_a_url_is_limited(wire: Wire, target: str, answer: int) -> None:
    response = await wire.raw(request("GET", target))
    assert response.status_code == answer
    assert response.headers["content-type"] == "application/problem+json"


SPARE: Final = DEFAULTS.headers - len("host") - len(HOST) - len("x-a")


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        pytest.param(f"x-a: {'b' * SPARE}", "404", id="the limit"),
        pytest.param(f"x-a: {'b' * (SPARE + 1)}", "431", id="a byte beyond the limit"),
        pytest.param(f"x-a: {'b' * 1_000_000}", "431", id="a megabyte"),
        pytest.param("\r\n".join(["a: b"] * 20_000), "431", id="20 000 headers"),
    ],
)
async def test_the_size_of_headers_is_limited(wire: Wire, header: str, answer: str) -> None:
    assert summary(await wire.raw(request("GET", "/nothing", header))) == answer


# --- Targets, methods, versions ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/articles", "200"),
        ("/articles/", "200"),
        ("/articles//", "404"),
        ("//articles", "404"),
        ("//evil.example/articles", "404"),
        ("/articles/%ff", "404"),
        ("/articles/%00", "404"),
        ("/%ff", "404"),
        ("/articles?a=%ff", "400"),
        ("/articles?%ff=a", "400"),
        ("/nothing?%c0", "400"),
        ("/articles/../authors", "404"),
        ("/articles/%2e%2e/authors", "404"),
        ("http://evil.example/articles", "200"),
        ("http://a:b@evil.example:99/articles/", "200"),
        ("/", "200"),
        ("/docs", "200"),
        ("/docs/", "200"),
        ("/redoc", "200"),
        ("/openapi.json", "200"),
        ("/openapi.json/", "404"),
        ("/problems", "200"),
        ("*", "404"),
    ],
)
async def test_a_target_is_never_redirected(wire: Wire, target: str, answer: str) -> None:
    response = await wire.raw(request("GET", target))
    assert summary(response) == answer
    assert not response.is_redirect
    assert HOST.decode() not in str(response.headers)
    assert HOST.decode() not in response.text


@pytest.mark.parametrize(
    "header", ["x-forwarded-host: evil.example", "forwarded: host=evil.example"]
)
async def test_a_forwarded_host_is_not_echoed(wire: Wire, header: str) -> None:
    response = await wire.raw(request("GET", "/articles?limit=1", header))
    assert summary(response) == "200"
    assert HOST.decode() not in str(response.headers)


@pytest.mark.parametrize("target", ["/problems", "/problems/conflict", "/docs", "/openapi.json"])
async def test_documentation_supports_head(wire: Wire, target: str) -> None:
    assert (await wire.raw(request("GET", target))).status_code == 200
    assert (await wire.raw(request("HEAD", target), method="HEAD")).status_code == 200


@pytest.mark.parametrize("method", ["PROPFIND", "TRACE", "PURGE", "SEARCH", "M-SEARCH", "LOCK"])
async def test_an_unsupported_method_is_405(wire: Wire, method: str) -> None:
    response = await wire.raw(request(method, "/articles"))
    assert summary(response) == "405"
    assert "GET" in response.headers["allow"]


BROKEN: Final = {
    "a method nobody knows": request("BREW", "/articles"),
    "a byte beyond ASCII in the path": request("GET", "/articles/\xe9"),
    "a byte beyond ASCII in the query": request("GET", "/articles?a=\xff"),
    "a null byte": request("GET", "/articles/\0"),
    "a space": request("GET", "/articles/a b"),
    "a header with a null byte": request("GET", "/articles", "x-a: \0"),
    "a header of two lines": request("GET", "/articles", "x-a: b", " c"),
    "a space in a name": request("GET", "/articles", "x a: b"),
    "two lengths": post_request(b"{}", 2).replace(b"\r\n\r\n", b"\r\ncontent-length: 3\r\n\r\n"),
    "a negative length": post_request(b"", -1),
    "a length of 100 digits": post_request(b"", int("9" * 100)),
    "a length and chunks": post_request(b"{}").replace(
        b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\n"
    ),
    "a chunk of no size": CHUNKED + b"zz\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
async def test_malformed_http_is_400_and_closes_the_connection(wire: Wire, raw: bytes) -> None:
    response = await wire.raw(raw)
    assert response.status_code == 400
    assert response.headers["connection"] == "close"
    assert HOST.decode() not in response.text
    with pytest.raises(EOFError):
        await wire.answer()


HOSTS: Final = (
    "host: a",
    "Host: a.example",
    "HOST: a:80",
    "host:a",
    "host: a:",
    "host: 127.0.0.1:8000",
    "host: [::1]",
    "host: [::1]:8000",
    "host: my_service",
    "host: xn--bcher-kva.example",
)
NO_HOSTS: Final = {
    "none": "x-a: b",
    "an empty one": "host:",
    "two": "host: a\r\nhost: b",
    "the same twice": "host: a\r\nHost: a",
    "two, one empty": "host: a\r\nHOST:",
    "a list": "host: a, b",
    "a list without a space": "host: a,b",
    "a user": "host: a@b",
    "a path": "host: a/b",
    "a query": "host: a?b",
    "a space": "host: a b",
    "a port of letters": "host: a:b",
    "two ports": "host: a:1:2",
    "half an address": "host: [::1",
    "a byte beyond ASCII": "host: \xe9",
    "a quote": 'host: "a"',
}


def get_request(*lines: str, version: str = "HTTP/1.1") -> bytes:
    """Return a GET with the header *lines* only."""
    return "\r\n".join([f"GET /articles {version}", *lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize("line", HOSTS)
async def test_a_valid_host_header_is_accepted(wire: Wire, line: str) -> None:
    assert summary(await wire.raw(get_request(line))) == "200"


@pytest.mark.parametrize("lines", NO_HOSTS.values(), ids=NO_HOSTS)
async def test_an_invalid_host_header_is_400(wire: Wire, lines: str) -> None:
    assert summary(await wire.raw(get_request(lines))) == "400 Host host"


async def test_http_1_0_may_omit_the_host(wire: Wire) -> None:
    assert summary(await wire.raw(get_request(version="HTTP/1.0"))) == "200"
    two = get_request("host: a", "host: b", version="HTTP/1.0")
    assert summary(await wire.raw(two)) == "400 Host host"


async def test_http_1_0_closes_the_connection(wire: Wire) -> None:
    response = await wire.raw(request("GET", "/articles", version="HTTP/1.0"))
    assert (summary(response), response.json()) == ("200", [])
    with pytest.raises(EOFError):
        await wire.answer()


async def test_pipelined_requests_are_answered_in_order(served: AsyncClient) -> None:
    requests = [
        post_request(padded_author(100), 100),
        request("GET", "/authors"),
        post_request(padded_author(100), 100),
        request("GET", "/nothing"),
        request("GET", "/authors?limit=0"),
        request("GET", "/authors"),
    ]
    async with open_wire(served.base_url) as wire:
        await wire.send(b"".join(requests))
        answers = [await wire.answer() for _ in requests]
    expected = ["201", "200", "409 #/email not_unique", "404", "422 ?limit greater_than_equal"]
    assert [summary(answer) for answer in answers] == [*expected, "200"]
    assert answers[1].json() == answers[-1].json()


ACCEPTED = (
    "",
    "*/*",
    "application/*",
    "application/json",
    "APPLICATION/JSON",
    "text/html, */*;q=0.1",
    "text/html;q=1, application/json;q=0.001",
    "application/*;q=0, application/json",
    "*/*;q=0, application/json;q=0.5",
    "application/json; q=1.000",
    "text/html\r\naccept: application/json",
    "application/json\r\naccept: text/html",
)
NOT_ACCEPTED = (
    "text/html",
    "application/xml, text/*",
    "application/problem+json",
    "application/json;q=0",
    "application/json;q=0.000",
    "*/*;q=0",
    "application/json;q=0, */*",
    "application/*;q=0, */*",
    "application/json ; Q=0",
    "text/html\r\naccept: text/plain",
    "*/*\r\naccept: application/json;q=0",
)


LINES = ("application/json;q=0, */*", "*/*\r\naccept: application/json;q=0")
"""Values that exclude JSON and accept NDJSON."""


async def negotiated(wire: Wire, target: str, value: str) -> str:
    """Return the media type of a GET with *value* in Accept, or the summary of its error."""
    response = await wire.raw(request("GET", target, f"accept: {value}"))
    return response.headers["content-type"] if response.is_success else summary(response)


@pytest.mark.parametrize("value", ACCEPTED)
async def test_accept_header_allows_json(wire: Wire, value: str) -> None:
    assert await negotiated(wire, "/articles", value) == JSON
    assert await negotiated(wire, f"/articles/{MISSING}", value) == "404"


@pytest.mark.parametrize("value", NOT_ACCEPTED)
async def test_accept_header_excludes_json(wire: Wire, value: str) -> None:
    assert await negotiated(wire, f"/articles/{MISSING}", value) == "406"
    lines = "application/x-ndjson" if value in LINES else "406"
    assert await negotiated(wire, "/articles", value) == lines


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_406_writes_nothing(served: AsyncClient, method: str) -> None:
    row = await create_row(served, "/authors", author())
    path = "/authors" if method == "POST" else f"/authors/{row['id']}"
    body, headers = {"name": "b", "email": "b@b.example"}, {"accept": "text/html"}
    assert summary(await served.request(method, path, json=body, headers=headers)) == "406"
    assert await get_json(served, "/authors") == [row]


# --- Disconnects -------------------------------------------------------------------------------


def logged_errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the records of errors in the log."""
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


CONNECTIONS: Final = 2


@pytest.fixture
async def pooled(service_url: str) -> AsyncIterator[AsyncClient]:
    """Yield a client of a service with few connections to its database."""
    app = FastAPI(lifespan=Database(service_url, pool_size=CONNECTIONS).lifespan)
    install(app)
    for router in (authors_router, articles_router, comments_router):
        app.include_router(router)
    async with serving(app) as client:
        yield client


async def test_disconnect_during_the_body_writes_nothing(
    pooled: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    row = await create_row(pooled, "/authors", author())
    path = f"/authors/{row['id']}"
    halves = [
        post_request(padded_author(100, email="a@b.example")[:50], 100),
        post_request(padded_author(100, email="b@b.example"))[:-10],
        request("PATCH", path, f"content-type: {JSON}", "content-length: 9", body=b'{"nam'),
        request("PUT", path, f"content-type: {JSON}", "content-length: 99", body=padded_author(98)),
    ]
    for raw in halves * CONNECTIONS:
        async with open_wire(pooled.base_url) as wire:
            await wire.send(raw)
            await get_json(pooled, "/comments")  # the server has read it by now
    assert await get_json(pooled, "/authors") == [row]
    await create_row(pooled, "/authors", author(email="c@b.example"))
    assert not logged_errors(caplog)


async def test_disconnect_during_the_response_releases_the_connection(
    pooled: AsyncClient, service_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await fill_articles(service_url, 30, 100_000)  # more than the buffers of a socket
    for _ in range(2 * CONNECTIONS):
        async with open_wire(pooled.base_url) as wire:
            await wire.send(request("GET", "/articles?limit=100"))
            await get_json(pooled, "/authors")
    assert len(await get_json(pooled, "/articles?limit=100")) == 30
    assert not logged_errors(caplog)


async def test_disconnect_before_the_response_releases_the_connection(
    pooled: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = await create_article(pooled)
    for number in range(2 * CONNECTIONS):
        body = f'{{"views": {number}}}'.encode()
        headers = (f"content-type: {JSON}", f"content-length: {len(body)}")
        async with open_wire(pooled.base_url) as wire:
            await wire.send(request("PATCH", path, *headers, body=body))
            await get_json(pooled, "/authors")
    assert summary(await pooled.patch(path, json={"views": 99})) == "200"
    assert not logged_errors(caplog)


# --- The id of a request, the log, the pages ---------------------------------------------------

SECRET = "hunter2"  # noqa: S105 — of nothing


@asynccontextmanager
async def serving_failing_routes(limits: Limits | None = None) -> AsyncGenerator[AsyncClient]:
    """Serve failing routes, and plain routes of FastAPI."""
    app = FastAPI()
    install(app, limits=limits)
    router = APIRouter(route_class=StrictRoute)

    @router.get("/bugs/{id}")
    async def bug(id: str) -> None:  # noqa: A002 — as in all paths
        raise RuntimeError(SECRET + id)

    @router.get("/raise/{status}")
    async def fail(status: int) -> None:
        raise HTTPException(status)

    @app.post("/dict")
    async def take(body: dict[str, Any]) -> int:
        return len(body)

    @app.post("/stream")
    async def stream(request: Request) -> int:
        return sum([len(chunk) async for chunk in request.stream()])

    app.include_router(router)
    async with serving(app) as client:
        yield client


async def test_a_500_has_the_request_id_and_logs_the_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving_failing_routes() as client:
        response = await client.get("/bugs/17", headers={"x-request-id": "my-request.1"})
    assert summary(response) == "500"
    assert response.json()["instance"] == response.headers["x-request-id"] == "my-request.1"
    assert SECRET not in response.text + str(response.headers)
    (record,) = logged_errors(caplog)
    assert record.exc_info
    assert isinstance(record.exc_info[1], RuntimeError)
    assert record.exc_info[1].__notes__ == ["GET /bugs/{id} failed, request my-request.1"]


VALID_IDS = ("a", "A-1_b.~", "0" * 128, "01890000-0000-7000-8000-000000000000")
INVALID_IDS = ("", " ", "a" * 129, "a b", "a\tb", "\xe9", "<a>", '"', "%0a")


TARGETS = ("/articles", "/articles?limit=0", "/nothing", "/?%ff", "/" + "a" * 9_000)

every_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:20])


@every_target
@pytest.mark.parametrize("name", VALID_IDS)
async def test_the_request_id_of_the_client_is_kept(wire: Wire, target: str, name: str) -> None:
    response = await wire.raw(request("GET", target, f"x-request-id: {name}"))
    assert response.headers["x-request-id"] == name
    assert response.status_code < 400 or response.json()["instance"] == name


@every_target
@pytest.mark.parametrize("name", INVALID_IDS)
async def test_an_invalid_request_id_is_replaced(wire: Wire, target: str, name: str) -> None:
    response = await wire.raw(request("GET", target, f"x-request-id: {name}"))
    found = response.headers["x-request-id"]
    assert UUID(found).version == 7
    assert response.status_code < 400 or response.json()["instance"] == found


def is_readable_page(response: Response, problem: type[Problem]) -> bool:
    """Return whether *response* is a readable page about *problem*."""
    page = re.sub("<[^>]+>", " ", response.text)
    return (
        response.status_code == 200
        and response.headers["content-type"].startswith("text/html")
        and response.text.startswith("<!doctype html>")
        and all(word in page for word in (problem.title, str(int(problem.status))))
        and len(page.split()) > 20
    )


async def test_every_problem_has_a_page_and_a_link(client: AsyncClient) -> None:
    problems = [
        problem for problem in problem_types() if problem.__module__.startswith("brickwork")
    ]
    assert len({problem.code for problem in problems}) == len(problems) >= 12
    listed = await client.get("/problems")
    for problem in problems:
        assert is_readable_page(await client.get(f"/problems/{problem.code}"), problem), (
            problem.code
        )
        assert f'href="/problems/{problem.code}"' in listed.text
    for code in ("nothing", "Conflict", "a/b", "%00", "%3Cscript%3E"):
        response = await client.get(f"/problems/{code}")
        assert summary(response) == "404", code


async def test_the_type_of_every_status_leads_to_a_page() -> None:
    async with serving_failing_routes() as client:
        for status in (*range(400, 432), 451, 499, *range(500, 512), 599):
            problem = (await client.get(f"/raise/{status}")).json()
            page = await client.get(problem["type"])
            assert (page.status_code, problem["title"] in unescape(page.text)) == (200, True)


# --- Limits ------------------------------------------------------------------------------------

SMALL = Limits(body=120, url=60, headers=400, depth=3, page=5, offset=9)
LARGE = Limits(body=2_097_152, url=16_384, headers=65_536, depth=70, page=200, offset=20_000)


@asynccontextmanager
async def serving_within(url: str, limits: Limits) -> AsyncGenerator[AsyncClient]:
    """Serve the articles within *limits*."""
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app, limits=limits)
    app.include_router(articles_router)
    async with serving(app) as client:
        yield client


def article_of(size: int, number: int) -> bytes:
    return f'{{"title": "a", "slug": "a-{number}"}}'.encode().ljust(size)


def nested_article(depth: int, number: int) -> bytes:
    nested = '{"a":' * (depth - 1) + "1" + "}" * (depth - 1)
    return f'{{"title":"a","slug":"b-{number}","meta":{nested}}}'.encode()


async def answers_at(wire: Wire, limits: Limits) -> list[str]:
    """Return the responses at each of the limits, and one beyond it."""
    kind = f"content-type: {JSON}"
    spare = limits.headers - len("host") - len(HOST) - len("x-a")
    requests: list[bytes] = []
    for more in (0, 1):
        body, nested = (
            article_of(limits.body + more, more),
            nested_article(limits.depth + more, more),
        )
        known = f"content-length: {len(body)}"
        requests += [
            request("POST", "/articles", kind, known, body=body),
            request("POST", "/articles", kind, "transfer-encoding: chunked", body=chunked(body)),
            request("POST", "/articles", kind, f"content-length: {len(nested)}", body=nested),
            request("GET", "/" + "a" * (limits.url - 1 + more)),
            request("GET", "/?" + "a" * (limits.url - 2 + more)),
            request("GET", "/", f"x-a: {'b' * (spare + more)}"),
            request("GET", f"/articles?limit={limits.page + more}&offset={limits.offset + more}"),
        ]
    return [summary(await wire.raw(raw)) for raw in requests]


async def test_two_applications_have_their_own_limits(databases: Databases) -> None:
    at = ["201", "409 #/slug not_unique", "201", "404", "404", "404", "200"]
    beyond = ["413", "413", "422 # too_deep", "414", "414", "431"]
    beyond.append("422 ?limit less_than_equal, ?offset less_than_equal")
    urls = [databases.migrated("sqlite") for _ in range(2)]
    async with serving_within(urls[0], SMALL) as small, serving_within(urls[1], LARGE) as large:
        for client, limits in ((small, SMALL), (large, LARGE)):
            async with open_wire(client.base_url) as wire:
                assert await answers_at(wire, limits) == at + beyond
        for client, limits in ((small, SMALL), (large, LARGE)):
            parameters = (await get_json(client, "/openapi.json"))["paths"]["/articles"]["get"]
            schemas = {
                parameter["name"]: parameter["schema"] for parameter in parameters["parameters"]
            }
            assert schemas["limit"]["maximum"] == limits.page
            assert schemas["offset"]["maximum"] == limits.offset


async def test_plain_fastapi_routes_are_limited() -> None:
    async with serving_failing_routes(SMALL) as client, open_wire(client.base_url) as wire:
        for path in ("/dict", "/stream"):
            for size, answer in ((SMALL.body, "200"), (SMALL.body + 1, "413")):
                body = b"{}".ljust(size)
                for head, content in (
                    (f"content-length: {size}", body),
                    ("transfer-encoding: chunked", chunked(*(b"%c" % byte for byte in body))),
                ):
                    raw = request("POST", path, f"content-type: {JSON}", head, body=content)
                    assert summary(await wire.raw(raw)) == answer, (path, size, head)


def test_the_default_limits_match_the_contract() -> None:
    expected: Body = {
        "body": 2**20,
        "url": 8 * 2**10,
        "headers": 32 * 2**10,
        "depth": 64,
        "values": 50_000,
        "page": 100,
        "batch": 100,
        "related": 100,
        "offset": 10_000,
    }
    assert vars(DEFAULTS) == expected
