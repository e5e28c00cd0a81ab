"""POST: the row, where it is, and what a client may prefer not to be sent."""

import asyncio

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import article, shown, summary

pytestmark = pytest.mark.anyio


async def test_a_post_answers_201_with_the_row_and_where_it_is(articles: AsyncClient) -> None:
    for number, path in enumerate(("/articles", "/articles/")):
        response = await articles.post(path, json=article(slug=f"s-{number}"))
        assert response.status_code == 201
        assert response.headers["content-type"] == "application/json"
        assert response.headers["location"] == f"/articles/{response.json()['id']}"
        assert await shown(articles, response.headers["location"]) == response.json()


async def test_a_client_that_prefers_the_minimum_gets_no_body(client: AsyncClient) -> None:
    preferences = ("return=minimal", 'return="minimal"', "respond-async, return=minimal;x=1")
    for number, preference in enumerate(preferences):
        body = article(slug=f"s-{number}")
        response = await client.post("/articles", json=body, headers={"prefer": preference})
        assert (response.status_code, response.content) == (201, b"")
        assert response.headers["preference-applied"] == "return=minimal"
        assert (await shown(client, response.headers["location"]))["slug"] == body["slug"]


async def test_other_preferences_change_nothing(client: AsyncClient) -> None:
    for number, preference in enumerate(("return=representation", "wait=10", "minimal", "", "é")):
        body = article(slug=f"s-{number}")
        headers = {b"prefer": preference.encode()}
        response = await client.post("/articles", json=body, headers=headers)
        assert response.json()["slug"] == body["slug"]
        assert "preference-applied" not in response.headers


async def test_a_refused_post_is_a_problem_whatever_is_preferred(client: AsyncClient) -> None:
    headers = {"prefer": "return=minimal"}
    response = await client.post("/articles", json={"slug": "a"}, headers=headers)
    assert summary(response) == "422 #/title missing"
    assert "preference-applied" not in response.headers


async def test_of_equal_posts_at_once_one_makes_a_row_and_the_others_conflict(
    articles: AsyncClient,
) -> None:
    posts = [articles.post("/articles", json=article()) for _ in range(50)]
    answers = sorted([summary(response) for response in await asyncio.gather(*posts)])
    assert answers == ["201"] + ["409 #/slug not_unique"] * 49
    assert len(await shown(articles, "/articles")) == 1
