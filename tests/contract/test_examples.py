"""Example bodies in openapi.json."""

from typing import Any

import pytest
from httpx2 import AsyncClient

MISSING = "3fa85f64-5717-4562-b3fc-2c963f66afa6"  # Swagger UI's example of a UUID


async def suggested(client: AsyncClient, schema: str) -> dict[str, Any]:
    """Return the body that Swagger UI makes of *schema*."""
    document = (await client.get("/openapi.json")).json()
    fields: dict[str, Any] = document["components"]["schemas"][schema]["properties"]
    return {name: example(field) for name, field in fields.items() if "readOnly" not in field}


def example(field: dict[str, Any]) -> Any:
    match field:
        case {"examples": [first, *_]} | {"default": first} | {"enum": [first, *_]}:
            return first
        case {"type": "integer", "minimum": lowest}:
            return lowest
        case {"format": "uuid"}:
            return MISSING
        case _:
            pytest.fail(f"Swagger UI makes up a value of {field}.")


@pytest.mark.parametrize(
    ("path", "schema"), [("/authors", "AuthorCreate"), ("/articles", "ArticleCreate")]
)
async def test_the_example_body_creates_a_row(client: AsyncClient, path: str, schema: str) -> None:
    body = await suggested(client, schema)
    response = await client.post(path, json=body)
    assert response.status_code == 201
    assert response.json().items() >= body.items()


async def test_the_example_comment_is_created_on_an_article(client: AsyncClient) -> None:
    article = await client.post("/articles", json=await suggested(client, "ArticleCreate"))
    body = await suggested(client, "CommentCreate")
    assert body["article_id"] == MISSING

    response = await client.post("/comments", json=body | {"article_id": article.json()["id"]})
    assert response.status_code == 201


@pytest.mark.parametrize("schema", ["ArticleUpdate", "ArticleReplace"])
async def test_the_example_change_leaves_the_example_article(
    client: AsyncClient, schema: str
) -> None:
    created = await client.post("/articles", json=await suggested(client, "ArticleCreate"))
    method = "PUT" if schema == "ArticleReplace" else "PATCH"
    body = await suggested(client, schema)
    response = await client.request(method, created.headers["location"], json=body)
    assert (response.status_code, response.json()) == (200, created.json())
