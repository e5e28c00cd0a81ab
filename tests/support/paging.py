"""Articles for pages, and cursors of their lists."""

from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from httpx2 import AsyncClient

from tests.support.bodies import Body, article, create_row, summary
from tests.support.rows import get_ok, link_target

INVALID: Final = "400 ?cursor invalid_cursor"


QUERIES: Final = (
    "",
    "sort=title",
    "sort=-title",
    "sort=title,views",
    "sort=slug",
    "sort=created_at",
    "title=a",
    "title=b",
    "title__ne=b",
    "title__in=a",
    "title__in=a,b",
    "title__contains=a",
    "title__icontains=a",
    "title__startswith=a",
    "title__gte=a",
    "title=a&sort=title",
    "slug__ne=a",
    "views=0",
    "views__gte=0",
    "rating__isnull=true",
    "rating__isnull=false",
    "author_id__ne=01890000-0000-7000-8000-000000000000",
    "created_at__gt=2020-01-01T00:00:00Z",
    "created_at__gt=2021-01-01T00:00:00Z",
    "q=a",
    "q=b",
)
"""Queries of lists, each with different cursors."""


async def create_articles(client: AsyncClient, count: int = 9) -> list[Body]:
    """Create *count* articles with ties and NULLs in the sortable fields, and return them."""
    return [
        await create_row(
            client,
            "/articles",
            article(
                title="ab"[number % 2],
                slug=f"s-{number}",
                rating=(None, 1.5, 0.1)[number % 3],
                published_at=(None, "2024-02-29T12:00:00.000001Z")[number % 2],
            ),
        )
        for number in range(count)
    ]


async def cursor(client: AsyncClient, path: str, rel: str = "next") -> str:
    """Return the cursor in the link *rel* of the page at *path*."""
    url = link_target(await get_ok(client, path), rel)
    assert url
    return parse_qs(urlsplit(url).query)["cursor"][0]


async def summary_with(client: AsyncClient, path: str, text: str) -> str:
    """Return the summary of the list at *path* with *text* as its cursor."""
    response = await client.get(f"{path}&{urlencode({'cursor': text})}")
    if response.status_code == 400:
        assert response.json()["type"] == "/problems/invalid_cursor"
    return summary(response)
