"""Large rejected batches, and many equal batches."""

import asyncio

import pytest
from httpx2 import AsyncClient

from tests.support.batches import BATCH, create_many, faults_at, new_articles, post_until_answered
from tests.support.bodies import MISSING, create_article, get_json, summary

pytestmark = pytest.mark.anyio


async def test_every_rejected_new_row_is_named(client: AsyncClient) -> None:
    rows = await create_many(client, 100)
    taken = new_articles(100)
    fresh = [item | {"slug": f"new-{item['slug']}"} for item in taken]
    lost = [item | {"author_id": MISSING} for item in fresh]
    for batch, answer in (
        (taken, f"409 {faults_at(range(100), 'slug not_unique')}"),
        (lost, f"422 {faults_at(range(100), 'author_id reference_not_found')}"),
        ([*fresh[:-1], taken[-1]], "409 #/99/slug not_unique"),
        ([*fresh[:-1], lost[-1]], "422 #/99/author_id reference_not_found"),
    ):
        assert summary(await client.post(BATCH, json=batch)) == answer
        assert await get_json(client, "/articles?deleted=include&limit=100") == [
            {**row, "deleted_at": None} for row in rows
        ]


async def test_every_rejected_change_is_named(client: AsyncClient) -> None:
    await create_article(client, slug="taken")
    rows = await create_many(client, 100)
    taken = [{"id": row["id"], "views": 1, "slug": "taken"} for row in rows]
    lost = [{"id": row["id"], "views": 1, "author_id": MISSING} for row in rows]
    fine = [{"id": row["id"], "views": 1} for row in rows]
    for batch, answer in (
        (taken, f"409 {faults_at(range(100), 'slug not_unique')}"),
        (lost, f"422 {faults_at(range(100), 'author_id reference_not_found')}"),
        ([*fine[:-1], taken[-1]], "409 #/99/slug not_unique"),
        ([*fine[:-1], lost[-1]], "422 #/99/author_id reference_not_found"),
    ):
        assert summary(await client.patch(BATCH, json=batch)) == answer
        assert await get_json(client, "/articles?slug__ne=taken&limit=100") == rows


async def test_one_of_20_equal_batches_is_created(client: AsyncClient) -> None:
    batches = [new_articles(20)[:: -1 if number % 2 else 1] for number in range(20)]
    posts = [post_until_answered(client, batch) for batch in batches]
    assert sorted(await asyncio.gather(*posts)) == [201] + [409] * 19
    assert len(await get_json(client, "/articles?limit=100")) == 20
