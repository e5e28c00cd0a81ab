"""What is about HTTP itself, in bytes on a socket: sizes, targets, clients that go away."""

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request
from httpx2 import AsyncClient, Response

from app.articles.resource import router as articles_router
from app.main import create_app
from app.settings import Settings
from brickwork import Database, Limits, Route, install
from brickwork.problems import Problem, family
from tests.support.bodies import JSON, Body, article, author, created, shown, summary
from tests.support.databases import Databases
from tests.support.server import serving
from tests.support.wire import HOST, Wire, request, wired

pytestmark = pytest.mark.anyio

USUAL = Limits()


@pytest.fixture(scope="module")
async def client(templates: Databases) -> AsyncIterator[AsyncClient]:
    """A client of the service, for all tests here that leave nothing behind."""
    url = templates.another().migrated("sqlite")
    async with serving(create_app(Settings(database_url=url))) as client:
        yield client


@pytest.fixture
async def wire(client: AsyncClient) -> AsyncIterator[Wire]:
    """A connection to that service."""
    async with wired(client.base_url) as wire:
        yield wire


def chunked(*chunks: bytes) -> bytes:
    """Return *chunks* as a body of no known length."""
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in (*chunks, b""))


def posted(content: bytes, length: int | None = None) -> bytes:
    """Return a POST that says it has *length* bytes, else that it does not know."""
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    body = chunked(content) if length is None else content
    return request("POST", "/authors", f"content-type: {JSON}", size, body=body)


CHUNKED = request("POST", "/authors", f"content-type: {JSON}", "transfer-encoding: chunked")


def padded(size: int, **fields: object) -> bytes:
    """Return a good author in *size* bytes of JSON."""
    email, name = author(**fields)["email"], "a"
    return f'{{"name": "{name}", "email": "{email}"}}'.encode().ljust(size)


# --- Sizes -------------------------------------------------------------------------------------


async def test_a_body_may_have_the_limit_and_not_a_byte_more(served: AsyncClient) -> None:
    limit = USUAL.body
    async with wired(served.base_url) as wire:
        answers = [
            summary(await wire.raw(posted(padded(size, email=f"{size}{length}@a.example"), length)))
            for size in (limit, limit + 1)
            for length in (size, None)
        ]
    assert answers == ["201", "201", "413", "413"]
    assert len(await shown(served, "/authors")) == 2


async def test_a_body_that_is_said_to_be_too_large_is_not_waited_for(wire: Wire) -> None:
    for length in (USUAL.body + 1, 2**31, 2**63, 2**64 - 1):
        assert summary(await wire.raw(posted(b"", length))) == "413"
    expect = posted(b"", USUAL.body + 1).replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n")
    assert summary(await wire.raw(expect)) == "413"


async def test_a_chunked_body_is_refused_before_its_end(wire: Wire) -> None:
    endless = b"%x\r\n" % 2**40 + b" " * (USUAL.body + 1)
    assert summary(await wire.raw(CHUNKED + endless)) == "413"


async def test_a_client_that_waits_is_told_to_go_on(served: AsyncClient) -> None:
    content = padded(100)
    async with wired(served.base_url) as wire:
        head = posted(b"", len(content)).removesuffix(b"\r\n") + b"expect: 100-continue\r\n\r\n"
        assert (await wire.raw(head)).status_code == 100
        assert summary(await wire.raw(content)) == "201"


async def test_a_length_that_is_shorter_than_the_body_cuts_it(client: AsyncClient) -> None:
    async with wired(client.base_url) as wire:
        assert (await wire.raw(posted(padded(100), 20))).status_code == 400
    assert await shown(client, "/authors") == []


async def test_a_url_may_have_the_limit_and_not_a_byte_more(wire: Wire) -> None:
    limit = USUAL.url
    targets = {
        "/" + "a" * (limit - 1): "404",
        "/" + "a" * limit: "414",
        "/articles/" + "%61" * ((limit - 10) // 3): "404",
        "/articles/" + "%61" * (limit // 3): "414",
        "/nothing?" + "a" * (limit - 9): "404",
        "/nothing?" + "a" * (limit - 8): "414",
        "/" + "a" * 60_000: "414",
        "/" + "a" * 70_000: "414",
    }
    for target, answer in targets.items():
        response = await wire.raw(request("GET", target))
        expected = (answer, "application/problem+json")
        found = (str(response.status_code), response.headers["content-type"])
        assert found == expected, f"{target[:20]}, {len(target)} bytes"


async def test_headers_may_have_the_limit_and_not_a_byte_more(wire: Wire) -> None:
    spare = USUAL.headers - len("host") - len(HOST) - len("x-a")
    cases = {
        f"x-a: {'b' * spare}": "404",
        f"x-a: {'b' * (spare + 1)}": "431",
        f"x-a: {'b' * 1_000_000}": "431",
        "\r\n".join(["a: b"] * 20_000): "431",
    }
    answers = {each: summary(await wire.raw(request("GET", "/nothing", each))) for each in cases}
    assert answers == cases


# --- Targets, methods, versions ----------------------------------------------------------------


async def test_a_target_is_never_redirected_and_the_host_never_repeated(wire: Wire) -> None:
    targets = {
        "/articles": "200",
        "/articles/": "200",
        "/articles//": "404",
        "//articles": "404",
        "//evil.example/articles": "404",
        "/articles/%ff": "404",
        "/articles/%00": "404",
        "/%ff": "404",
        "/articles?a=%ff": "400",
        "/articles?%ff=a": "400",
        "/nothing?%c0": "400",
        "/articles/../authors": "404",
        "/articles/%2e%2e/authors": "404",
        "http://evil.example/articles": "200",
        "http://a:b@evil.example:99/articles/": "200",
        "/": "200",
        "/docs": "200",
        "/docs/": "200",
        "/redoc": "200",
        "/openapi.json": "200",
        "/openapi.json/": "404",
        "/problems": "200",
        "*": "404",
    }
    for target, answer in targets.items():
        response = await wire.raw(request("GET", target))
        assert summary(response) == answer, target
        assert not response.is_redirect
        assert HOST.decode() not in str(response.headers)
        assert HOST.decode() not in response.text
    others = ("x-forwarded-host: evil.example", "forwarded: host=evil.example")
    for each in others:
        response = await wire.raw(request("GET", "/articles?limit=1", each))
        assert (summary(response), HOST.decode() in str(response.headers)) == ("200", False)


async def test_a_page_for_people_has_no_other_form_and_takes_head(wire: Wire) -> None:
    for target in ("/problems", "/problems/conflict", "/docs", "/openapi.json"):
        got = await wire.raw(request("GET", target))
        headed = await wire.raw(request("HEAD", target), method="HEAD")
        assert (got.status_code, headed.status_code) == (200, 200), target


async def test_a_method_that_there_is_not_is_405(wire: Wire) -> None:
    for method in ("PROPFIND", "TRACE", "PURGE", "SEARCH", "M-SEARCH", "LOCK"):
        response = await wire.raw(request(method, "/articles"))
        assert summary(response) == "405", method
        assert "GET" in response.headers["allow"]


async def test_what_is_no_http_is_400_and_the_connection_closed(wire: Wire) -> None:
    broken: dict[str, bytes] = {
        "a method nobody knows": request("BREW", "/articles"),
        "a byte beyond ASCII in the path": request("GET", "/articles/\xe9"),
        "a byte beyond ASCII in the query": request("GET", "/articles?a=\xff"),
        "a null byte": request("GET", "/articles/\0"),
        "a space": request("GET", "/articles/a b"),
        "a header with a null byte": request("GET", "/articles", "x-a: \0"),
        "a header of two lines": request("GET", "/articles", "x-a: b", " c"),
        "a space in a name": request("GET", "/articles", "x a: b"),
        "two lengths": posted(b"{}", 2).replace(b"\r\n\r\n", b"\r\ncontent-length: 3\r\n\r\n"),
        "a negative length": posted(b"", -1),
        "a length of 100 digits": posted(b"", int("9" * 100)),
        "a length and chunks": posted(b"{}").replace(b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\n"),
        "a chunk of no size": CHUNKED + b"zz\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    }
    for name, raw in broken.items():
        response = await wire.raw(raw)
        assert response.status_code == 400, name
        assert response.headers["connection"] == "close", name
        assert HOST.decode() not in response.text
        with pytest.raises(EOFError):
            await wire.answer()


async def test_http_1_0_is_answered_and_closed(wire: Wire) -> None:
    response = await wire.raw(request("GET", "/articles", version="HTTP/1.0"))
    assert (summary(response), response.json()) == ("200", [])
    with pytest.raises(EOFError):
        await wire.answer()


async def test_requests_that_come_at_once_are_answered_in_turn(served: AsyncClient) -> None:
    requests = [
        posted(padded(100), 100),
        request("GET", "/authors"),
        posted(padded(100), 100),
        request("GET", "/nothing"),
        request("GET", "/authors?limit=0"),
        request("GET", "/authors"),
    ]
    async with wired(served.base_url) as wire:
        await wire.send(b"".join(requests))
        answers = [await wire.answer() for _ in requests]
    expected = ["201", "200", "409 #/email not_unique", "404", "422 ?limit greater_than_equal"]
    assert [summary(each) for each in answers] == [*expected, "200"]
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


async def test_json_is_sent_to_those_alone_who_accept_it(client: AsyncClient, wire: Wire) -> None:
    row = await created(client, "/authors", author(email="accepted@example.org"))
    for answer, values in (("200", ACCEPTED), ("406", NOT_ACCEPTED)):
        for value in values:
            response = await wire.raw(request("GET", f"/authors/{row['id']}", f"accept: {value}"))
            assert summary(response) == answer, value
    assert (await client.delete(f"/authors/{row['id']}")).status_code == 204


LINES = ("application/json;q=0, */*", "*/*\r\naccept: application/json;q=0")
"""Not accepted where there is JSON alone, and taken for a wish for lines where they are offered."""


async def test_a_list_is_sent_to_those_alone_who_accept_it_as_json_or_as_lines(wire: Wire) -> None:
    kinds = {JSON: ACCEPTED, "application/x-ndjson": LINES, "406": {*NOT_ACCEPTED} - {*LINES}}
    for kind, values in kinds.items():
        for value in values:
            response = await wire.raw(request("GET", "/articles", f"accept: {value}"))
            answer = response.headers["content-type"] if summary(response) == "200" else "406"
            assert answer == kind, value


async def test_who_does_not_accept_the_row_makes_none(served: AsyncClient) -> None:
    body = author()
    row = await created(served, "/authors", body)
    for method, path in (("POST", "/authors"), ("PATCH", f"/authors/{row['id']}")):
        headers = {"accept": "text/html"}
        sent = {"name": "b", "email": "b@b.example"}
        assert summary(await served.request(method, path, json=sent, headers=headers)) == "406"
    assert await shown(served, "/authors") == [row]


# --- Clients that go away ----------------------------------------------------------------------


def complaints(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was logged as an error."""
    return [each for each in caplog.records if each.levelno >= logging.ERROR]


async def test_a_client_that_goes_away_in_its_body_leaves_nothing(
    served: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    row = await created(served, "/authors", author())
    path = f"/authors/{row['id']}"
    halves = [
        posted(padded(100, email="a@b.example")[:50], 100),
        posted(padded(100, email="b@b.example"))[:-10],
        request("PATCH", path, f"content-type: {JSON}", "content-length: 9", body=b'{"nam'),
        request("PUT", path, f"content-type: {JSON}", "content-length: 99", body=padded(98)),
    ]
    for raw in halves * 6:  # more of them than connections to the database
        async with wired(served.base_url) as wire:
            await wire.send(raw)
            await shown(served, "/comments")  # the server has read it by now
    assert await shown(served, "/authors") == [row]
    await created(served, "/authors", author(email="c@b.example"))
    assert not complaints(caplog)


async def test_a_client_that_goes_away_in_the_answer_keeps_no_connection(
    served: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(30):
        await created(served, "/articles", article(slug=f"a-{number}", body="b" * 100_000))
    for _ in range(25):
        async with wired(served.base_url) as wire:
            await wire.send(request("GET", "/articles?limit=100"))
            await shown(served, "/authors")
    path = f"/articles/{(await shown(served, '/articles?limit=1'))[0]['id']}"
    for number in range(25):
        body = f'{{"views": {number}}}'.encode()
        headers = (f"content-type: {JSON}", f"content-length: {len(body)}")
        async with wired(served.base_url) as wire:
            await wire.send(request("PATCH", path, *headers, body=body))
            await shown(served, "/authors")
    assert summary(await served.patch(path, json={"views": 99})) == "200"
    assert len(await shown(served, "/articles?limit=100")) == 30
    assert not complaints(caplog)


# --- The id of a request, the log, the pages ---------------------------------------------------

SECRET = "hunter2"  # noqa: S105 — of nothing


@asynccontextmanager
async def failing(limits: Limits | None = None) -> AsyncGenerator[AsyncClient]:
    """Serve routes that fail, and routes that are FastAPI's own."""
    app = FastAPI()
    install(app, limits=limits)
    router = APIRouter(route_class=Route)

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
        return sum([len(each) async for each in request.stream()])

    app.include_router(router)
    async with serving(app) as client:
        yield client


async def test_a_500_tells_its_id_and_the_log_all_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with failing() as client:
        response = await client.get("/bugs/17", headers={"x-request-id": "my-request.1"})
    assert summary(response) == "500"
    assert response.json()["instance"] == response.headers["x-request-id"] == "my-request.1"
    assert SECRET not in response.text + str(response.headers)
    (record,) = complaints(caplog)
    assert record.exc_info
    assert isinstance(record.exc_info[1], RuntimeError)
    assert record.exc_info[1].__notes__ == ["GET /bugs/{id} failed, request my-request.1"]


SANE = ("a", "A-1_b.~", "0" * 128, "01890000-0000-7000-8000-000000000000")
NOT_SANE = ("", " ", "a" * 129, "a b", "a\tb", "\xe9", "<a>", '"', "%0a")


async def test_a_request_is_named_by_the_client_or_by_the_server(wire: Wire) -> None:
    for target in ("/articles", "/articles?limit=0", "/nothing", "/?%ff", "/" + "a" * 9_000):
        for name in (*SANE, *NOT_SANE):
            response = await wire.raw(request("GET", target, f"x-request-id: {name}"))
            found = response.headers["x-request-id"]
            assert (found == name) == (name in SANE)
            assert name in SANE or UUID(found).version == 7
            assert response.status_code < 400 or response.json()["instance"] == found


def readable(response: Response, problem: type[Problem]) -> bool:
    """Tell whether an answer is a page on *problem* that a person can read."""
    page = re.sub("<[^>]+>", " ", response.text)
    return (
        response.status_code == 200
        and response.headers["content-type"].startswith("text/html")
        and response.text.startswith("<!doctype html>")
        and all(word in page for word in (problem.title, str(int(problem.status))))
        and len(page.split()) > 20
    )


async def test_every_problem_has_a_page_and_a_place_in_the_list(client: AsyncClient) -> None:
    problems = [each for each in family() if each.__module__.startswith("brickwork")]
    assert len({each.code for each in problems}) == len(problems) >= 12
    listed = await client.get("/problems")
    for problem in problems:
        assert readable(await client.get(f"/problems/{problem.code}"), problem), problem.code
        assert f'href="/problems/{problem.code}"' in listed.text
    for code in ("nothing", "Conflict", "a/b", "%00", "%3Cscript%3E"):
        response = await client.get(f"/problems/{code}")
        assert summary(response) == "404", code


async def test_the_type_of_every_status_leads_to_a_page() -> None:
    async with failing() as client:
        for status in (*range(400, 432), 451, 499, *range(500, 512), 599):
            problem = (await client.get(f"/raise/{status}")).json()
            page = await client.get(problem["type"])
            assert (page.status_code, problem["title"] in unescape(page.text)) == (200, True)


# --- Limits ------------------------------------------------------------------------------------

SMALL = Limits(body=120, url=60, headers=400, depth=3, page=5, offset=9)
LARGE = Limits(body=2_097_152, url=16_384, headers=65_536, depth=70, page=200, offset=20_000)


@asynccontextmanager
async def limited(url: str, limits: Limits) -> AsyncGenerator[AsyncClient]:
    """Serve the articles within *limits*."""
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app, limits=limits)
    app.include_router(articles_router)
    async with serving(app) as client:
        yield client


def article_of(size: int, number: int) -> bytes:
    return f'{{"title": "a", "slug": "a-{number}"}}'.encode().ljust(size)


def deep(depth: int, number: int) -> bytes:
    nested = '{"a":' * (depth - 1) + "1" + "}" * (depth - 1)
    return f'{{"title":"a","slug":"b-{number}","meta":{nested}}}'.encode()


async def answers_at(wire: Wire, limits: Limits) -> list[str]:
    """Return what is answered at each of the limits, and one beyond it."""
    kind = f"content-type: {JSON}"
    spare = limits.headers - len("host") - len(HOST) - len("x-a")
    requests: list[bytes] = []
    for more in (0, 1):
        body, nested = article_of(limits.body + more, more), deep(limits.depth + more, more)
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
    return [summary(await wire.raw(each)) for each in requests]


async def test_two_applications_have_each_their_limits(databases: Databases) -> None:
    at = ["201", "409 #/slug not_unique", "201", "404", "404", "404", "200"]
    beyond = ["413", "413", "422 # too_deep", "414", "414", "431"]
    beyond.append("422 ?limit less_than_equal, ?offset less_than_equal")
    urls = [databases.migrated("sqlite") for _ in range(2)]
    async with limited(urls[0], SMALL) as small, limited(urls[1], LARGE) as large:
        for client, limits in ((small, SMALL), (large, LARGE)):
            async with wired(client.base_url) as wire:
                assert await answers_at(wire, limits) == at + beyond
        for client, limits in ((small, SMALL), (large, LARGE)):
            parameters = (await shown(client, "/openapi.json"))["paths"]["/articles"]["get"]
            schemas = {each["name"]: each["schema"] for each in parameters["parameters"]}
            assert schemas["limit"]["maximum"] == limits.page
            assert schemas["offset"]["maximum"] == limits.offset


async def test_the_routes_of_others_are_bounded_as_well() -> None:
    async with failing(SMALL) as client, wired(client.base_url) as wire:
        for path in ("/dict", "/stream"):
            for size, answer in ((SMALL.body, "200"), (SMALL.body + 1, "413")):
                body = b"{}".ljust(size)
                for head, content in (
                    (f"content-length: {size}", body),
                    ("transfer-encoding: chunked", chunked(*(b"%c" % each for each in body))),
                ):
                    raw = request("POST", path, f"content-type: {JSON}", head, body=content)
                    assert summary(await wire.raw(raw)) == answer, (path, size, head)


def test_the_limits_are_those_of_the_contract() -> None:
    expected: Body = {
        "body": 2**20,
        "url": 8 * 2**10,
        "headers": 32 * 2**10,
        "depth": 64,
        "page": 100,
        "batch": 100,
        "offset": 10_000,
    }
    assert vars(USUAL) == expected
