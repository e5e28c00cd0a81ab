"""Exports: lists as lines of JSON."""

import json
from typing import Final

import pytest
from httpx2 import AsyncClient

from app.articles.models import Article
from brickwork import Database
from brickwork.http.negotiation import NDJSON
from tests.support.bodies import JSON, MISSING, Body, create_article, summary
from tests.support.leaving import ARTICLES, LENGTH, begin_three_exports
from tests.support.recording import statements
from tests.support.replays import articles_app
from tests.support.rows import fill_articles, insert_many, pages
from tests.support.server import serving

LINES: Final = {"accept": NDJSON}
ROWS: Final = 450
ODD: Final = 'a\nb\r\u2028\u2029\x85\x1e\v"\\é🧱'


@pytest.fixture
async def filled(client: AsyncClient, service_url: str) -> AsyncClient:
    """Return a client of the service with articles for three reads."""
    rows = [
        {
            "title": f"{ODD} {number * 7 % 100}",
            "slug": f"a-{number}",
            "body": "brick" if number % 3 else "wool",
            "status": "draft" if number % 2 else "published",
            "rating": None if number % 5 else number / 10,
            "meta": {"z": [number], "a": ODD} if number % 7 else None,
        }
        for number in range(ROWS)
    ]
    await insert_many(service_url, Article, rows)
    return client


async def exported_rows(client: AsyncClient, path: str) -> list[Body]:
    """Return the rows in the export of *path*."""
    response = await client.get(path, headers=LINES)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == NDJSON
    assert response.content.endswith(b"\n") or not response.content
    # Not splitlines(): JSON may have other line ends in it.
    return [json.loads(line) for line in response.content.split(b"\n")[:-1]]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", ROWS),
        ("?", ROWS),
        ("?sort=-title", ROWS),
        ("?sort=rating", ROWS),
        ("?sort=-rating,title", ROWS),
        ("?sort=-status,title", ROWS),
        ("?status=draft", 225),
        ("?rating__isnull=false&sort=-rating", 90),
        ("?q=BRICK", 300),
        ("?q=brick&status=published&sort=-created_at", 150),
        ("?slug__in=a-2,a-1", 2),
        ("?slug=none", 0),
    ],
)
async def test_export_has_the_rows_of_all_pages_in_their_order(
    filled: AsyncClient, query: str, count: int
) -> None:
    exported = await exported_rows(filled, f"/articles{query}")
    listed: list[Body] = []
    page = f"/articles{query}{'&' if '?' in query else '?'}limit=100"
    async for response in pages(filled, page, "next"):
        listed += response.json()
    assert exported == listed
    assert len(exported) == count


@pytest.mark.parametrize("path", ["/authors", "/articles", "/articles/", "/comments"])
async def test_export_without_rows_is_empty(client: AsyncClient, path: str) -> None:
    response = await client.get(path, headers=LINES)

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == NDJSON


async def test_row_with_line_breaks_is_one_line(filled: AsyncClient) -> None:
    (only,) = await exported_rows(filled, "/articles?slug=a-1")
    assert (only["title"], only["meta"]) == (f"{ODD} 7", {"z": [1], "a": ODD})


async def test_export_has_a_request_id_and_varies_with_accept(filled: AsyncClient) -> None:
    response = await filled.get("/articles", headers=LINES | {"x-request-id": "mine"})
    assert response.headers["x-request-id"] == "mine"
    assert response.headers["vary"] == "Accept"
    assert "link" not in response.headers


async def test_export_sends_one_statement(filled: AsyncClient) -> None:
    with statements() as sent:
        await exported_rows(filled, "/articles?status=draft&sort=title")
    assert len(sent) == 1


# --- Parameters and types ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("limit=20", "422 ?limit no_pages"),
        ("offset=0", "422 ?offset no_pages"),
        ("count=exact", "422 ?count no_pages"),
        ("count=estimated", "422 ?count no_pages"),
        ("cursor=W3RydWUsbnVsbF0", "422 ?cursor no_pages"),
        ("limit=1&offset=1&status=draft", "422 ?limit no_pages, ?offset no_pages"),
        ("limit=0", "422 ?limit greater_than_equal"),
        ("nothing=1", "422 ?nothing unknown_parameter"),
        ("nothing=1&views=x", "422 ?nothing unknown_parameter, ?views int_parsing"),
        ("status=odd", "422 ?status literal_error"),
        ("status=draft&status=draft", "422 ?status repeated"),
        ("q=%00", "422 ?q null_character"),
        ("q=%ff", "400"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_export_rejects_paging_and_unknown_parameters(
    client: AsyncClient, method: str, query: str, answer: str
) -> None:
    with statements() as sent:
        response = await client.request(method, f"/articles?{query}", headers=LINES)
    assert sent == []
    assert str(response.status_code) == answer[:3]
    assert method == "HEAD" or summary(response) == answer


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (f"{JSON}, {NDJSON}", JSON),
        (f"{NDJSON}, {JSON}", JSON),
        (f"{NDJSON}, */*", JSON),
        (f"{NDJSON};q=0.5, {JSON}", JSON),
        (f"{NDJSON};q=0, */*", JSON),
        (f"{NDJSON};q=0.5, text/html", NDJSON),
        (f"{NDJSON}, {JSON};q=0.9", NDJSON),
        (f"{NDJSON}, */*;q=0.1", NDJSON),
        (f"{NDJSON}, {JSON};q=0", NDJSON),
        (f"{JSON};q=0, application/*", NDJSON),
        (f"{JSON};q=0, */*", NDJSON),
        ("Application/X-NDJSON", NDJSON),
        (f"{NDJSON}; charset=utf-8", NDJSON),
        ("text/html", None),
        ("application/ndjson", None),
        (f"{NDJSON};q=0", None),
        (f"{NDJSON};q=0, {JSON};q=0, */*", None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_list_has_the_preferred_media_type(
    client: AsyncClient, method: str, accept: str | None, kind: str | None
) -> None:
    del client.headers["accept"]
    headers = {} if accept is None else {"accept": accept}
    response = await client.request(method, "/articles", headers=headers)

    if kind is None:
        assert response.status_code == 406
        assert method == "HEAD" or summary(response) == "406"
    else:
        assert (response.status_code, response.headers["content-type"]) == (200, kind)
        assert response.headers["vary"] == "Accept"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/articles/{MISSING}"),
        ("PATCH", f"/articles/{MISSING}"),
        ("POST", "/articles"),
    ],
)
async def test_row_as_ndjson_is_a_406(client: AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, path, headers=LINES, json={})

    assert summary(response) == "406"


async def test_existing_row_as_ndjson_is_a_406(client: AsyncClient) -> None:
    path, _ = await create_article(client)

    assert summary(await client.get(path, headers=LINES)) == "406"


async def test_delete_ignores_the_accept_header(client: AsyncClient) -> None:
    path, _ = await create_article(client)

    assert (await client.delete(path, headers=LINES)).status_code == 204


async def test_head_of_an_export_reads_nothing(filled: AsyncClient) -> None:
    get = await filled.get("/articles?sort=title", headers=LINES)
    with statements() as sent:
        head = await filled.head("/articles?sort=title", headers=LINES)
    assert sent == []
    assert head.content == b""
    passing = {"date", "x-request-id", "transfer-encoding"}
    assert {k: v for k, v in head.headers.items() if k not in passing} == {
        k: v for k, v in get.headers.items() if k not in passing
    }


# --- Disconnects -------------------------------------------------------------------------------


async def test_disconnected_clients_return_their_connections(
    service_url: str,
) -> None:
    await fill_articles(service_url, ARTICLES, LENGTH)
    database = Database(service_url, pool_size=4)
    async with serving(articles_app(database)) as client:
        for _ in range(2):
            await begin_three_exports(client, database)
        assert len(await exported_rows(client, "/articles")) == ARTICLES
