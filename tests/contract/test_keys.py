"""Ids in a path: invalid and unknown ids are 404."""

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import MISSING, article, ask, create_row, get_json, send, summary

pytestmark = pytest.mark.anyio

MODELS = {"/authors": "Author", "/articles": "Article", "/comments": "Comment"}


def invalid_ids(key: str) -> list[str]:
    """Return invalid ids and other spellings of *key*, encoded for a path."""
    return [
        "abc",
        "0",
        "-1",
        "null",
        "None",
        "5" * 5000,
        "9223372036854775808",
        "%00",
        f"{key}%00",
        f"{key}%0A",
        f"%20{key}",
        f"{key}%20",
        f"{key[:-1]}",
        f"{key}0",
        f"{key[:-1]}g",
        f"{key[:-1]}%D9%A1",
        f"%7B{key}%7D",
        f"urn:uuid:{key}",
        key.replace("-", ""),
        f"{key[:8]}{key[9:]}",
        f"{key},{key}",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        MISSING,
        "%20",
        "%FF",
        "%ED%A0%80",
        "%F0%9F%98%80",
        "%",
        "..",
        ".",
        "%2e%2e",
        "..%5C",
        "*",
        "'--",
        ";",
        "%25",
        "batch.json",
    ]


async def test_an_invalid_id_is_404(articles: AsyncClient) -> None:
    row = await create_row(articles, "/articles", article())
    keys = invalid_ids(row["id"])
    for method in ("GET", "DELETE"):
        responses = {key: await ask(articles, method, f"/articles/{key}") for key in keys}
        answers = {key: summary(response) for key, response in responses.items()}
        assert answers == dict.fromkeys(keys, "404")
        details = {key: response.json()["detail"] for key, response in responses.items()}
        assert details == dict.fromkeys(keys, "Article not found")
    assert await get_json(articles, "/articles") == [row]


async def test_a_write_to_an_invalid_id_is_404(client: AsyncClient) -> None:
    row = await create_row(client, "/articles", article())
    for key in invalid_ids(row["id"]):
        assert summary(await ask(client, "PATCH", f"/articles/{key}", {})) == "404", key
        assert summary(await ask(client, "PUT", f"/articles/{key}", article())) == "404", key
    assert await get_json(client, "/articles") == [row]


async def test_an_id_with_a_slash_is_404(client: AsyncClient) -> None:
    row = await create_row(client, "/articles", article())
    for key in ("%2F", "a%2Fb", f"{row['id']}%2F..", f"..%2F{row['id']}", f"%2F{row['id']}"):
        for method in ("GET", "DELETE"):
            assert summary(await ask(client, method, f"/articles/{key}")) == "404", key
    assert await get_json(client, "/articles") == [row]


async def test_an_id_is_case_insensitive(articles: AsyncClient) -> None:
    row = await create_row(articles, "/articles", article())
    path = f"/articles/{row['id'].upper()}"
    assert await get_json(articles, path) == row
    assert (await articles.patch(path, json={})).json() == row
    assert summary(await articles.delete(path)) == "204"


async def test_a_404_names_the_model(client: AsyncClient) -> None:
    bodies = {
        "/authors": '{"name": "a", "email": "b"}',
        "/articles": '{"title": "a", "slug": "b"}',
        "/comments": f'{{"article_id": "{MISSING}", "author_name": "a", "body": "b"}}',
    }
    for path, model in MODELS.items():
        responses = [
            await client.get(f"{path}/{MISSING}"),
            await client.delete(f"{path}/{MISSING}"),
            await send(client, "PATCH", f"{path}/{MISSING}", "{}"),
            await send(client, "PUT", f"{path}/{MISSING}", bodies[path]),
        ]
        assert [summary(response) for response in responses] == ["404"] * 4
        assert {response.json()["detail"] for response in responses} == {f"{model} not found"}
