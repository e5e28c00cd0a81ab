"""POST: the row, its location, and the Prefer header."""

import asyncio

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import article, get_json, summary

pytestmark = pytest.mark.anyio


async def test_a_post_returns_201_with_row_and_location(articles: AsyncClient) -> None:
    for number, path in enumerate(("/articles", "/articles/")):
        response = await articles.post(path, json=article(slug=f"s-{number}"))
        assert response.status_code == 201
        assert response.headers["content-type"] == "application/json"
        assert response.headers["location"] == f"/articles/{response.json()['id']}"
        assert await get_json(articles, response.headers["location"]) == response.json()


async def test_prefer_return_minimal_omits_the_body(client: AsyncClient) -> None:
    preferences = ("return=minimal", 'return="minimal"', "respond-async, return=minimal;x=1")
    for number, preference in enumerate(preferences):
        body = article(slug=f"s-{number}")
        response = await client.post("/articles", json=body, headers={"prefer": preference})
        assert (response.status_code, response.content) == (201, b"")
        assert response.headers["preference-applied"] == "return=minimal"
        assert (await get_json(client, response.headers["location"]))["slug"] == body["slug"]


async def test_other_preferences_change_nothing(client: AsyncClient) -> None:
    for number, preference in enumerate(("return=representation", "wait=10", "minimal", "", "é")):
        body = article(slug=f"s-{number}")
        headers = {b"prefer": preference.encode()}
        response = await client.post("/articles", json=body, headers=headers)
        assert response.json()["slug"] == body["slug"]
        assert "preference-applied" not in response.headers


async def test_a_rejected_post_ignores_preferences(client: AsyncClient) -> None:
    headers = {"prefer": "return=minimal"}
    response = await client.post("/articles", json={"slug": "a"}, headers=headers)
    assert summary(response) == "422 #/title missing"
    assert "preference-applied" not in response.headers


async def test_one_of_several_equal_posts_succeeds(
    articles: AsyncClient,
) -> None:
    posts = [articles.post("/articles", json=article()) for _ in range(50)]
    answers = sorted([summary(response) for response in await asyncio.gather(*posts)])
    assert answers == ["201"] + ["409 #/slug not_unique"] * 49
    assert len(await get_json(articles, "/articles")) == 1
