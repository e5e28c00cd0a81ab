"""Equal responses on both databases and paths."""

import json
import re
from typing import Any, NamedTuple

import pytest
from httpx2 import AsyncClient, Response
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.strategies import SearchStrategy

from app.main import create_app
from app.settings import Settings
from brickwork import Database
from tests.support.bodies import JSON, MISSING, get_json, summary
from tests.support.databases import BACKENDS, Databases
from tests.support.server import serving
from tests.support.values import law

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

# One request per line: method, target, JSON body. $1 is the id of the first created row, $2 of the
# second, $0 of no row.
SCRIPT = r"""
GET /authors
POST /authors {"name": "Ada", "email": "ada@example.org"}
POST /authors {"name": "Bob", "email": "bob@example.org", "bio": "Ünï😀\n"}
POST /authors {"name": "Eve", "email": "ada@example.org"}
POST /authors {"name": "", "email": 1, "zzz": 1}
POST /articles {"title": "One", "slug": "one", "author_id": "$1"}
POST /articles {"title": "Two", "slug": "two", "rating": -0.0, "views": 9223372036854775807}
POST /articles/ {"title": "Three", "slug": "three", "rating": 5e-324, "meta": {"b": 1, "a": 1.0}}
POST /articles {"title": "Four", "slug": "four", "rating": 1.7976931348623157e308}
POST /articles {"title": "One", "slug": "one"}
POST /articles {"title": "One", "slug": "one", "author_id": "$0"}
POST /articles {"title": "Five", "slug": "five", "author_id": "$0"}
POST /articles {"title": "Five", "slug": "five", "author_id": "$3"}
POST /articles {"title": "a\u0000", "slug": "five", "meta": {"a": "\u0000", "b": ["\ud800"]}}
POST /articles {"title": "\ud800", "slug": "a\u0000", "body": "\udfff"}
POST /articles {"title": "Five", "slug": "five", "views": 9223372036854775808, "rating": 1e999}
POST /articles {"title": "Five", "slug": "five", "published_at": "0001-01-01T00:00:00+01:00"}
POST /articles {"title": "Five", "slug": "five", "published_at": "2026-02-03T04:05:06"}
POST /articles {"title": "Five", "slug": "five", "views": NaN}
POST /articles {"title": "Five", "slug": "five", "slug": "five"}
POST /articles {"title": "Five"
POST /articles []
POST /articles {}
POST /articles?foo=1 {"title": "Five", "slug": "five"}
POST /comments {"article_id": "$3", "author_name": "Eve", "body": "Yes."}
POST /comments {"article_id": "$1", "author_name": "Eve", "body": "No."}
GET /articles
GET /articles?limit=2
GET /articles?limit=2&offset=1
GET /articles/?limit=2&offset=4
GET /articles?limit=0&offset=10001
GET /articles?limit=%00
GET /articles/$3
GET /articles/$3/
GET /articles/$1
GET /articles/abc
GET /articles/%00
GET /articles/$3?foo=1
HEAD /articles
HEAD /articles/$3
HEAD /articles/$1
OPTIONS /articles
OPTIONS /articles/$3
PATCH /articles/$3 {}
PATCH /articles/$3 {"title": "Eins", "published_at": "2026-02-03T04:05:06.789012+05:30"}
PATCH /articles/$3 {"published_at": "0001-01-01T00:00:00Z"}
PATCH /articles/$3 {"published_at": "9999-12-31T23:59:59.999999Z", "meta": {"a": {"b": null}}}
PATCH /articles/$5 {"meta": {"b": true, "a": null, "c": [null, 1.0, 1, -0.0]}}
PATCH /articles/$3 {"slug": "two"}
PATCH /articles/$3 {"author_id": "$3"}
PATCH /articles/$3 {"author_id": "$1", "views": 1.0, "status": null, "id": "$3"}
PATCH /articles/$1 {"title": "Eins"}
PATCH /articles {"title": "Eins"}
PUT /articles/$3 {"title": "Uno", "slug": "uno", "id": "$3"}
PUT /articles/$3 {"title": "Uno", "slug": "uno", "id": "$4"}
PUT /articles/$3 {"title": "Uno", "slug": "two"}
PUT /articles/$3 {"title": "Uno", "slug": "uno", "author_id": "$4"}
PUT /articles/$3 {"title": "Uno", "slug": "uno", "updated_at": "2020-01-01T00:00:00Z"}
PUT /articles/$1 {"title": "Uno", "slug": "uno"}
PUT /authors/$2 {"name": "Bob", "email": "ada@example.org"}
PUT /comments/$7 {"article_id": "$4", "author_name": "Eve", "body": "Well."}
PATCH /articles/$3 {"author_id": "$2"}
DELETE /authors/$2
DELETE /articles/$4
DELETE /comments/$7
DELETE /comments/$7
DELETE /comments/$7?allow_missing=true
DELETE /articles/$4
DELETE /articles/$3?allow_missing=maybe
DELETE /authors/$2
POST /articles/$3
GET /articles?deleted=include
GET /articles?deleted=only&sort=-slug
GET /articles?deleted=maybe
POST /articles/$4/restore
POST /articles/$4/restore
POST /articles/$0/restore
DELETE /articles/$5
POST /articles {"title": "Six", "slug": "three"}
POST /articles/$5/restore
POST /comments {"article_id": "$5", "author_name": "Eve", "body": "Gone."}
POST /articles/batch [{"title": "Seven", "slug": "seven", "meta": {"a": 1.0}}]
POST /articles/batch [{"title": "Eight", "slug": "seven"}, {"slug": "B"}, {"title": "Nine"}]
POST /articles/batch [{"title": "Eight", "slug": "seven"}, {"title": "Nine", "slug": "two"}]
POST /articles/batch [{"title": "Eight", "slug": "eight", "author_id": "$0"}]
POST /articles/batch []
POST /articles/batch {"title": "Eight", "slug": "eight"}
PATCH /articles/batch [{"id": "$9", "title": "7"}, {"id": "$4", "slug": "vier", "version": 1}]
PATCH /articles/batch [{"id": "$9", "slug": "vier"}, {"id": "$4", "slug": "seven"}]
PATCH /articles/batch [{"id": "$9"}, {"id": "$0"}, {"id": "$5"}]
PATCH /articles/batch [{"id": "$9"}, {"id": "$9"}]
PATCH /authors/batch [{"id": "$1", "version": 1}]
GET /articles/batch
DELETE /articles/batch?id=$9&id=$0
DELETE /articles/batch?id=$9&id=$9
DELETE /articles/batch?id=$9&id=$4
DELETE /articles/batch
DELETE /articles/$9?purge=true
DELETE /articles/$9?purge=true
DELETE /comments/$7?purge=true
OPTIONS /articles/batch
OPTIONS /articles/$4/restore
GET /nothing
GET /articles
GET /authors
GET /comments
"""
HEADERS = ("content-type", "location", "link", "allow", "accept", "accept-patch")


class Exchange(NamedTuple):
    """A line of the script, and its response without the values that differ between runs."""

    line: str
    status: int
    headers: dict[str, str]
    body: str


async def played(client: AsyncClient, script: str = SCRIPT) -> list[Exchange]:
    """Send the requests of the *script*, and return the responses."""
    ids = [MISSING]
    exchanges: list[Exchange] = []
    for line in script.strip().splitlines():
        filled = line
        for number, key in enumerate(ids):
            filled = filled.replace(f"${number}", key)
        method, target, *body = filled.split(" ", 2)
        headers = {"content-type": JSON} if body else {}
        response = await client.request(method, target, content="".join(body), headers=headers)
        summary(response) if method != "HEAD" else None
        if response.status_code == 201:
            ids += re.findall(r'"id":"([^"]+)"', response.text)
        exchanges.append(_exchange(line, response, ids))
    return exchanges


def _exchange(line: str, response: Response, ids: list[str]) -> Exchange:
    def without_run_values(text: str) -> str:
        for number, key in enumerate(ids):
            text = text.replace(key, f"${number}")
        return re.sub(r'("(created_at|updated_at|deleted_at|instance)": ?)"[^"]*"', r"\1…", text)

    def without_cursor(text: str) -> str:
        return re.sub(r"(cursor=)[\w-]+", r"\1…", without_run_values(text))

    headers = {
        name: without_cursor(response.headers[name]) for name in HEADERS if name in response.headers
    }
    return Exchange(line, response.status_code, headers, without_run_values(response.text))


@pytest.fixture
def urls(databases: Databases) -> list[str]:
    """Return the URLs of one database on each backend."""
    return [databases.migrated(backend) for backend in BACKENDS]


async def test_both_databases_give_the_same_responses(urls: list[str]) -> None:
    found: list[list[Exchange]] = []
    for url in urls:
        async with serving(create_app(Settings(database_url=url))) as client:
            found.append(await played(client))
    for one, other in zip(*found, strict=True):
        assert one == other


# The requests to both paths in random order: valid, invalid and unusual bodies, for existing and
# missing rows.
_ROWS = st.integers(0, 4)
_FIELDS: dict[str, SearchStrategy[Any]] = {
    "title": st.sampled_from(["a", "B", "é😀", "x" * 200, "", "x" * 201, "\0", None, 1]),
    "slug": st.sampled_from(["a", "b", "c", "d", "No", "", None]),
    "status": st.sampled_from(["draft", "published", "odd", None]),
    "views": st.sampled_from([0, 1, 2**63 - 1, 2**63, -1, 1.0, "1", None]),
    "rating": st.sampled_from([0, -0.0, 1.5, 5e-324, 1.7976931348623157e308, "1", None]),
    "published_at": st.sampled_from(
        ["2026-02-03T04:05:06Z", "0001-01-01T00:00:00Z", "2026-02-03T04:05:06", "x", None]
    ),
    "meta": st.sampled_from([{}, {"a": 1.0, "b": None}, {"a": {"b": [1, "x"]}}, [], None]),
    "author_id": _ROWS.map(lambda row: f"${row}") | st.sampled_from([None, "x"]),
    "odd": st.just(1),
}
_RIGHT = st.fixed_dictionaries(
    {"title": st.sampled_from(["a", "B", "é"]), "slug": st.sampled_from(["a", "b", "c", "d", "e"])},
    optional={name: _FIELDS[name] for name in ("status", "views", "rating", "meta")},
)
_ANY = st.fixed_dictionaries({}, optional=_FIELDS)
_QUERIES = st.lists(
    st.sampled_from(
        [
            *("limit=1", "limit=2", "limit=0", "limit=x", "offset=1", "offset=0", "zzz=1", "q=a"),
            *("sort=-title", "sort=rating,-views", "sort=published_at", "sort=x", "count=exact"),
            *("status=draft", "status=odd", "views__gte=1", "rating__isnull=true", "deleted=only"),
            *("slug__in=a,b", "title__contains=%C3%A9", "slug=", "author_id__isnull=false"),
        ]
    ),
    max_size=3,
).map("&".join)


def _line(method: str, target: str, body: object = ...) -> str:
    return f"{method} {target}" + ("" if body is ... else f" {json.dumps(body)}")


_LINES = st.one_of(
    _RIGHT.map(lambda body: _line("POST", "/articles", body)),
    _ANY.map(lambda body: _line("POST", "/articles", body)),
    st.tuples(_ROWS, _ANY).map(lambda change: _line("PATCH", f"/articles/${change[0]}", change[1])),
    _ROWS.map(lambda row: _line("DELETE", f"/articles/${row}")),
    _ROWS.map(lambda row: _line("GET", f"/articles/${row}")),
    _ROWS.map(lambda row: _line("POST", f"/articles/${row}/restore")),
    _QUERIES.map(lambda query: _line("GET", f"/articles?{query}")),
)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(law, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(_LINES, min_size=4, max_size=16))
async def test_both_paths_give_the_same_responses(
    databases: Databases, backend: str, lines: list[str]
) -> None:
    found: list[list[Exchange]] = []
    for fast, coalesce in ((True, True), (True, False), (False, True)):
        url = databases.migrated(backend)
        app = create_app(Settings(database_url=url))
        app.router.lifespan_context = Database(url, fast_path=fast, coalesce=coalesce).lifespan
        async with serving(app) as client:
            found.append(await played(client, "\n".join([*_BEGINNING, *lines])))
    databases.drop()
    for together, alone, orm in zip(*found, strict=True):
        assert together == alone == orm


_BEGINNING = [
    'POST /authors {"name": "Ada", "email": "ada@example.org"}',
    'POST /articles {"title": "One", "slug": "one", "author_id": "$1"}',
    'POST /articles {"title": "Two", "slug": "two", "rating": 0.5}',
    'POST /articles {"title": "Three", "slug": "three", "views": 3}',
]


async def test_openapi_declares_the_status_of_every_response(client: AsyncClient) -> None:
    paths = (await get_json(client, "/openapi.json"))["paths"]
    for exchange in await played(client):
        method, target = exchange.line.split(" ")[:2]
        path = re.sub(r"(?<=s/)(?!batch)[^/]+", "{id}", target.partition("?")[0]).rstrip("/")
        operation = paths.get(path, {}).get(method.lower().replace("head", "get"))
        assert operation is None or str(exchange.status) in operation["responses"], exchange
