"""GET of a list: order, pages and links."""

import re

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import Body, article, create_row, get_json, summary

pytestmark = pytest.mark.anyio


async def create_articles(client: AsyncClient, count: int) -> list[Body]:
    """Create *count* articles, whose slugs have another order."""
    slugs = [f"s-{number * 7 % count}" for number in range(count)]
    return [await create_row(client, "/articles", article(slug=slug)) for slug in slugs]


async def follow_links(client: AsyncClient, path: str, rel: str) -> list[list[Body]]:
    """Return the pages from *path* along the *rel* links."""
    pages: list[list[Body]] = []
    while path:
        response = await client.get(path)
        assert response.status_code == 200, response.text
        pages.append(response.json())
        path = response.links.get(rel, {}).get("url", "")
        assert not path or path.startswith("/articles?"), path
    return pages


async def test_a_list_without_rows_is_an_empty_array(client: AsyncClient) -> None:
    response = await client.get("/articles")
    assert (response.status_code, response.json()) == (200, [])
    assert response.headers["content-type"] == "application/json"
    assert response.links.keys() == {"first"}


async def test_a_list_has_its_rows_in_the_order_of_creation(articles: AsyncClient) -> None:
    rows = await create_articles(articles, 12)
    last = rows.pop(3)
    assert (await articles.delete(f"/articles/{last['id']}")).status_code == 204
    assert await get_json(articles, "/articles") == rows
    assert await get_json(articles, "/articles?limit=3") == rows[:3]
    assert await get_json(articles, "/articles?limit=3&offset=4") == rows[4:7]


async def test_next_links_reach_every_row_once(articles: AsyncClient) -> None:
    rows = await create_articles(articles, 6)
    for path in ("/articles", "/articles/"):
        for limit, sizes in {1: [1] * 6, 2: [2, 2, 2], 4: [4, 2], 6: [6], 7: [6]}.items():
            pages = await follow_links(articles, f"{path}?limit={limit}", "next")
            assert [len(page) for page in pages] == sizes
            assert [row for page in pages for row in page] == rows


async def test_prev_links_lead_back(articles: AsyncClient) -> None:
    rows = await create_articles(articles, 6)
    pages = await follow_links(articles, "/articles?limit=2&offset=4", "prev")
    assert [row for page in reversed(pages) for row in page] == rows
    assert await follow_links(articles, "/articles?limit=4&offset=1", "prev") == [
        rows[1:5],
        rows[:4],
    ]


async def test_every_page_links_to_the_first(client: AsyncClient) -> None:
    rows = await create_articles(client, 3)
    for query in ("limit=2", "limit=2&offset=1", "offset=2&limit=2", "limit=2&offset=10000"):
        response = await client.get(f"/articles?{query}")
        assert await get_json(client, response.links["first"]["url"]) == rows[:2]


async def test_prev_link_exists_only_after_the_first_row(
    client: AsyncClient,
) -> None:
    await create_articles(client, 3)
    expected = {
        "limit=2": {"first", "next"},
        "limit=2&offset=0": {"first", "next"},
        "limit=2&offset=1": {"first", "prev"},
        "limit=1&offset=1": {"first", "prev", "next"},
        "limit=3": {"first"},
        "offset=3": {"first", "prev"},
        "offset=10000": {"first", "prev"},
    }
    found = {query: {*(await client.get(f"/articles?{query}")).links} for query in expected}
    assert found == expected


async def test_links_keep_the_other_parameters(client: AsyncClient) -> None:
    await create_articles(client, 5)
    for query in ("limit=2&offset=2", "offset=2&limit=2"):
        links = (await client.get(f"/articles?{query}")).links
        assert links.keys() == {"first", "prev", "next"}
        assert all("limit=2" in link["url"] for link in links.values())


async def test_a_page_past_the_end_is_empty(client: AsyncClient) -> None:
    await create_articles(client, 2)
    assert await get_json(client, "/articles?offset=2") == []
    assert await get_json(client, "/articles?offset=10000&limit=100") == []


async def test_page_size_is_20_by_default_and_at_most_100(
    client: AsyncClient,
) -> None:
    rows = await create_articles(client, 101)
    assert await get_json(client, "/articles") == rows[:20]
    assert await get_json(client, "/articles?limit=100") == rows[:100]
    assert await follow_links(client, "/articles?limit=100", "next") == [rows[:100], rows[100:]]


async def test_an_error_for_limit_or_offset_names_the_bound(
    articles: AsyncClient,
) -> None:
    expected = {
        "limit=0": ("422 ?limit greater_than_equal", "1"),
        "limit=-1": ("422 ?limit greater_than_equal", "1"),
        "limit=101": ("422 ?limit less_than_equal", "100"),
        "limit=9223372036854775807": ("422 ?limit less_than_equal", "100"),
        "offset=-1": ("422 ?offset greater_than_equal", "0"),
        "offset=10001": ("422 ?offset less_than_equal", "10000"),
    }
    for query, (answer, bound) in expected.items():
        response = await articles.get(f"/articles?{query}")
        assert summary(response) == answer
        detail = response.json()["errors"][0]["detail"].replace("\u202f", "")
        assert bound in re.findall(r"\d+", detail)
        assert ("cursor" in detail) is (query == "offset=10001")
