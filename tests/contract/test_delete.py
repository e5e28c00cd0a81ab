"""DELETE: removal, and allow_missing."""

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import MISSING, article, create_one_of_each, create_row, get_json, summary

pytestmark = pytest.mark.anyio


async def test_a_deleted_row_is_gone_from_every_route(articles: AsyncClient) -> None:
    first = await create_row(articles, "/articles", article(slug="a"))
    second = await create_row(articles, "/articles", article(slug="b"))
    path = f"/articles/{first['id']}"
    response = await articles.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert summary(await articles.get(path)) == "404"
    assert summary(await articles.patch(path, json={})) == "404"
    assert summary(await articles.delete(path)) == "404"
    assert (await articles.head(path)).status_code == 404
    assert await get_json(articles, "/articles") == [second]


async def test_a_deleted_row_releases_its_unique_value(articles: AsyncClient) -> None:
    first = await create_row(articles, "/articles", article())
    assert summary(await articles.delete(f"/articles/{first['id']}")) == "204"
    second = await create_row(articles, "/articles", article())
    assert second["id"] > first["id"]
    assert await get_json(articles, "/articles") == [second]


async def test_every_resource_supports_delete(client: AsyncClient) -> None:
    for path, row in reversed((await create_one_of_each(client)).items()):
        item = f"{path}/{row['id']}"
        assert summary(await client.delete(item)) == "204"
        assert summary(await client.put(item, json=row)) == "404"
        assert summary(await client.delete(item)) == "404"
        assert await get_json(client, path) == []
        if path == "/articles":  # a deleted article still has its author
            assert summary(await client.delete(f"{item}?purge=true")) == "204"


async def test_allow_missing_accepts_a_missing_row(client: AsyncClient) -> None:
    row = await create_row(client, "/articles", article())
    path = f"/articles/{row['id']}"
    assert summary(await client.delete(f"{path}?allow_missing=false")) == "204"
    assert summary(await client.delete(f"{path}?allow_missing=false")) == "404"
    there = await create_row(client, "/articles", article())
    for key in (row["id"], MISSING, "abc", there["id"]):
        response = await client.delete(f"/articles/{key}?allow_missing=true")
        assert (response.status_code, response.content) == (204, b"")
    assert await get_json(client, "/articles") == []
