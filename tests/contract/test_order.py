"""Order of checks."""

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import JSON, MISSING, article, create_row, get_json, send, summary

pytestmark = pytest.mark.anyio


async def test_the_first_failing_check_is_reported(articles: AsyncClient) -> None:
    row = await create_row(articles, "/articles", article(slug="a"))
    await create_row(articles, "/articles", article(slug="b"))
    path, missing = f"/articles/{row['id']}", f"/articles/{MISSING}"
    expected = [
        ("PATCH", "/nothing?foo=1", "{", "text/plain", "404"),
        ("PATCH", "/articles?foo=1", "{", "text/plain", "405"),
        ("PATCH", f"{missing}?foo=1", "{", "text/plain", "415"),
        ("PATCH", f"{missing}?foo=1", "{", JSON, "400"),
        ("PATCH", f"{missing}?foo=1", '{"slug": "b"}', JSON, "422 ?foo unknown_parameter"),
        ("PATCH", missing, '{"slug": "B"}', JSON, "422 #/slug string_pattern_mismatch"),
        ("PATCH", "/articles/abc", '{"slug": "B"}', JSON, "422 #/slug string_pattern_mismatch"),
        ("PATCH", missing, '{"slug": "b"}', JSON, "404"),
        ("PATCH", "/articles/abc", '{"slug": "b"}', JSON, "404"),
        ("PATCH", path, '{"slug": "b"}', JSON, "409 #/slug not_unique"),
        ("PATCH", path, '{"slug": "c"}', JSON, "200"),
        ("GET", "/articles/abc?foo=1", "", "text/plain", "422 ?foo unknown_parameter"),
        ("DELETE", "/articles/abc?foo=1", "", "text/plain", "422 ?foo unknown_parameter"),
    ]
    for method, target, content, kind, answer in expected:
        assert summary(await send(articles, method, target, content, kind)) == answer


async def test_a_put_is_checked_in_the_same_order(client: AsyncClient) -> None:
    row = await create_row(client, "/articles", article(slug="a"))
    await create_row(client, "/articles", article(slug="b"))
    path, missing = f"/articles/{row['id']}", f"/articles/{MISSING}"
    expected = [
        (missing, "{", "text/plain", "415"),
        (missing, "{", JSON, "400"),
        (missing, '{"title": "a", "slug": "B"}', JSON, "422 #/slug string_pattern_mismatch"),
        (missing, f'{{"title": "a", "slug": "b", "id": "{row["id"]}"}}', JSON, "404"),
        (path, f'{{"title": "a", "slug": "b", "id": "{MISSING}"}}', JSON, "409 #/id key_differs"),
        (path, '{"title": "a", "slug": "b"}', JSON, "409 #/slug not_unique"),
    ]
    for target, content, kind, answer in expected:
        assert summary(await send(client, "PUT", target, content, kind)) == answer
    assert await get_json(client, path) == row
