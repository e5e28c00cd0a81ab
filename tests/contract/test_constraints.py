"""Constraints: taken values, missing and referenced rows."""

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import (
    MISSING,
    article,
    author,
    comment,
    create_one_of_each,
    create_row,
    get_json,
    patch_row,
    summary,
)

pytestmark = pytest.mark.anyio

TAKEN_SLUG = "409 #/slug not_unique"
TAKEN_EMAIL = "409 #/email not_unique"


async def test_a_slug_is_unique(articles: AsyncClient) -> None:
    first = await create_row(articles, "/articles", article(slug="a"))
    second = await create_row(articles, "/articles", article(slug="b"))
    response = await articles.post("/articles", json=article(slug="a"))
    assert summary(response) == TAKEN_SLUG
    assert response.json()["type"] == "/problems/conflict"
    path = f"/articles/{second['id']}"
    assert summary(await articles.patch(path, json={"slug": "a", "title": "Other"})) == TAKEN_SLUG
    assert await get_json(articles, "/articles") == [first, second]


async def test_a_released_slug_can_be_used_again(articles: AsyncClient) -> None:
    row = await create_row(articles, "/articles", article(slug="a"))
    await patch_row(articles, f"/articles/{row['id']}", {"slug": "b"})
    assert summary(await articles.post("/articles", json=article(slug="a"))) == "201"


async def test_a_put_of_a_taken_value_is_a_conflict(client: AsyncClient) -> None:
    rows = await create_one_of_each(client)
    other = await create_row(client, "/articles", article(slug="other"))
    another = await create_row(client, "/authors", author(email="other"))
    response = await client.put(f"/articles/{other['id']}", json=article())
    assert summary(response) == TAKEN_SLUG
    response = await client.put(f"/authors/{another['id']}", json=author())
    assert summary(response) == TAKEN_EMAIL
    assert await get_json(client, "/articles") == [rows["/articles"], other]
    assert await get_json(client, "/authors") == [rows["/authors"], another]


async def test_an_email_is_unique(client: AsyncClient) -> None:
    first = await create_row(client, "/authors", author(email="a"))
    second = await create_row(client, "/authors", author(email="b"))
    assert summary(await client.post("/authors", json=author(email="a"))) == TAKEN_EMAIL
    path = f"/authors/{second['id']}"
    assert summary(await client.patch(path, json={"email": "a"})) == TAKEN_EMAIL
    assert await get_json(client, "/authors") == [first, second]
    assert (await create_row(client, "/authors", author(email="A")))["email"] == "A"


async def test_a_reference_to_a_missing_row_is_rejected(client: AsyncClient) -> None:
    rows = await create_one_of_each(client)
    bodies = {
        "/articles": ("author_id", article(slug="b", author_id=MISSING)),
        "/comments": ("article_id", comment(MISSING)),
    }
    for path, (field, body) in bodies.items():
        item = f"{path}/{rows[path]['id']}"
        responses = [
            await client.post(path, json=body),
            await client.put(item, json=body),
            await client.patch(item, json={field: MISSING}),
            await client.patch(item, json={field: rows[path]["id"]}),
        ]
        answers = [summary(response) for response in responses]
        assert answers == [f"422 #/{field} reference_not_found"] * 4
        assert await get_json(client, path) == [rows[path]]


async def test_a_reference_may_be_set_and_cleared(client: AsyncClient) -> None:
    writer = await create_row(client, "/authors", author())
    row = await create_row(client, "/articles", article())
    path = f"/articles/{row['id']}"
    assert (await patch_row(client, path, {"author_id": writer["id"]}))["author_id"] == writer["id"]
    assert summary(await client.delete(f"/authors/{writer['id']}")) == "409"
    assert (await patch_row(client, path, {"author_id": None}))["author_id"] is None
    assert summary(await client.delete(f"/authors/{writer['id']}")) == "204"


async def test_a_referenced_row_is_not_deleted(client: AsyncClient) -> None:
    rows = await create_one_of_each(client)
    writer = f"/authors/{rows['/authors']['id']}"
    for target in (writer, f"{writer}?allow_missing=true"):
        response = await client.delete(target)
        assert summary(response) == "409"
        assert response.json()["type"] == "/problems/conflict"
    for path, row in rows.items():
        assert await get_json(client, path) == [row]


async def test_one_of_two_violated_constraints_is_reported(client: AsyncClient) -> None:
    row = await create_row(client, "/articles", article())
    response = await client.post("/articles", json=article(author_id=MISSING))
    assert summary(response) in {TAKEN_SLUG, "422 #/author_id reference_not_found"}
    assert await get_json(client, "/articles") == [row]


async def test_the_service_works_after_a_conflict(articles: AsyncClient) -> None:
    await create_row(articles, "/articles", article())
    for _ in range(15):  # more than a pool has connections
        assert summary(await articles.post("/articles", json=article())) == TAKEN_SLUG
    await create_row(articles, "/articles", article(slug="other"))
    assert len(await get_json(articles, "/articles")) == 2
