"""Lists, filters and pages, compared with plain Python."""

from collections.abc import AsyncIterator
from random import Random
from typing import NamedTuple

import pytest
from httpx2 import AsyncClient

from app.main import create_app
from app.settings import Settings
from tests.support.calls import calling
from tests.support.databases import BACKENDS, Databases
from tests.support.oracle import (
    PARAMETERS,
    Query,
    faults_of_pages,
    ids,
    load_articles,
    random_query,
    wanted_of,
)
from tests.support.rows import Row, get_ok, pages

pytestmark = pytest.mark.anyio


class Listed(NamedTuple):
    """The articles of a database, and a client of the service over it."""

    client: AsyncClient
    rows: list[Row]


@pytest.fixture(scope="module", params=BACKENDS)
async def listed(request: pytest.FixtureRequest, templates: Databases) -> AsyncIterator[Listed]:
    """Yield articles for reading only."""
    databases = templates.another()
    url = databases.migrated(request.param)
    rows = await load_articles(url)
    async with calling(create_app(Settings(database_url=url))) as client:
        yield Listed(client, rows)
    databases.drop()


FILTERS = [name for name in dict.fromkeys(PARAMETERS) if name != "q"]


def selective_query(parameter: str, rows: list[Row], rng: Random) -> Query:
    """Return a query with *parameter* that finds some of *rows*, but not all."""
    queries = (Query({parameter: wanted_of(rng, parameter, rows)}, [], []) for _ in range(100))
    return next(query for query in queries if 0 < len(query.rows(rows)) < len(rows))


@pytest.mark.parametrize("parameter", FILTERS)
async def test_a_filter_finds_the_matching_rows(listed: Listed, parameter: str) -> None:
    rng = Random(parameter)  # noqa: S311 — the same in each run
    query = selective_query(parameter, listed.rows, rng)
    response = await get_ok(listed.client, query.url(rng, limit=100))
    assert ids(response) == [row["id"] for row in query.rows(listed.rows)][:100]


SORTS = (
    *("title", "-title", "slug", "-slug", "status", "-status", "views", "-views"),
    *("rating", "-rating", "published_at", "-published_at", "created_at", "-created_at"),
    *("-status,title", "rating,-views", "-published_at,status,-title", "views,views,-views"),
)


@pytest.mark.parametrize("sort", SORTS)
async def test_a_sorted_list_has_every_row_once(listed: Listed, sort: str) -> None:
    query, rng = Query({}, [], sort.split(",")), Random(sort)  # noqa: S311 — as above
    expected = [row["id"] for row in query.rows(listed.rows)]
    forward = [page async for page in pages(listed.client, query.url(rng, limit=50), "next")]
    end = str(forward[-1].request.url)
    backward = [page async for page in pages(listed.client, end, "prev")]
    assert [key for page in forward for key in ids(page)] == expected
    assert [key for page in reversed(backward) for key in ids(page)] == expected


@pytest.mark.parametrize("seed", range(12))
async def test_pages_of_a_random_query_have_its_rows(listed: Listed, seed: int) -> None:
    rng = Random(seed)  # noqa: S311 — as above
    query = random_query(rng, listed.rows, seed)
    assert await faults_of_pages(listed.client, query, listed.rows, rng) == []


@pytest.mark.parametrize(
    "text", ["100 % w", "_", "\\", "\\%", "'", " a", "É", "e\u0301", "ß", "🧱"]
)
@pytest.mark.parametrize("operator", ["contains", "icontains", "startswith", "q"])
async def test_special_characters_in_text_are_literal(
    listed: Listed, operator: str, text: str
) -> None:
    words, filters = (text.split(), {}) if operator == "q" else ([], {f"title__{operator}": text})
    query, rng = Query(filters, words, []), Random(text)  # noqa: S311 — as above
    response = await get_ok(listed.client, query.url(rng, limit=100))
    assert ids(response) == [row["id"] for row in query.rows(listed.rows)][:100]
