"""PUT: replaced rows, and defaults of omitted fields."""

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import (
    DEFAULTS,
    MISSING,
    Body,
    article,
    author,
    comment,
    create_article,
    create_one_of_each,
    create_row,
    get_json,
    send,
    summary,
    version_values,
)

pytestmark = pytest.mark.anyio

FULL: Body = {
    "body": "Text.",
    "status": "published",
    "views": 7,
    "rating": 0.5,
    "published_at": "2026-02-03T04:05:06Z",
    "meta": {"a": {"b": 1}, "c": 2},
}


async def test_a_put_replaces_the_row_and_resets_omitted_fields(
    client: AsyncClient,
) -> None:
    writer = await create_row(client, "/authors", author())
    path, row = await create_article(client, author_id=writer["id"], **FULL)
    body = article(title="Other", slug="other")
    response = await client.put(path, json=body)
    assert response.status_code == 200
    after = response.json()
    assert after == {
        **row,
        **DEFAULTS,
        "author_id": None,
        **body,
        **version_values(after),
    }
    assert after["updated_at"] != row["updated_at"]
    assert after["version"] == row["version"] + 1
    assert await get_json(client, path) == after
    assert await get_json(client, "/articles") == [after]


async def test_every_resource_supports_put(client: AsyncClient) -> None:
    rows = await create_one_of_each(client)
    other = await create_row(client, "/articles", article(slug="other"))
    bodies = {
        "/authors": author(name="Other", bio="Other."),
        "/articles": article(title="Other", author_id=rows["/authors"]["id"]),
        "/comments": comment(other["id"], body="Other."),
    }
    for path, body in bodies.items():
        item = f"{path}/{rows[path]['id']}"
        response = await client.put(item, json=body)
        after = response.json()
        assert after == {**rows[path], **body, **version_values(after)}
        assert after["updated_at"] != after["created_at"]
        assert await get_json(client, item) == after


async def test_a_put_of_a_fetched_row_changes_nothing(client: AsyncClient) -> None:
    for path, row in (await create_one_of_each(client)).items():
        item = f"{path}/{row['id']}"
        for target in (item, f"{item}/"):
            response = await send(client, "PUT", target, (await client.get(target)).content)
            assert (response.status_code, response.json()) == (200, row)
        assert await get_json(client, item) == row
    path, row = await create_article(client, slug="full", **FULL)
    assert (await client.put(path, json=row)).json() == row


async def test_a_put_replaces_meta_without_merging(client: AsyncClient) -> None:
    path, _ = await create_article(client, **FULL)
    for meta in ({"a": {"d": None}}, {}, {"a": 1}, {"a": True}, None):
        response = await client.put(path, json=article(meta=meta))
        assert repr(response.json()["meta"]) == repr(meta)
        assert repr((await get_json(client, path))["meta"]) == repr(meta)


async def test_a_put_accepts_unchanged_read_only_fields(client: AsyncClient) -> None:
    path, row = await create_article(client)
    same_instant = row["created_at"].replace("Z", "+00:00")
    for fields in (
        {"id": row["id"]},
        {"id": row["id"].upper()},
        {"created_at": row["created_at"]},
        {"version": row["version"]},
        {"created_at": same_instant, "updated_at": row["updated_at"]},
    ):
        response = await client.put(path, json=article(**fields))
        assert (response.status_code, response.json()) == (200, row)


async def test_a_put_rejects_changed_read_only_fields(client: AsyncClient) -> None:
    path, row = await create_article(client)
    other = "2020-02-03T04:05:06Z"
    cases = {
        "409 #/id key_differs": {"id": MISSING},
        "422 #/created_at read_only": {"created_at": other},
        "422 #/version read_only": {"version": row["version"] + 1},
        "422 #/updated_at read_only": {"updated_at": other, "created_at": row["created_at"]},
        "422 #/created_at read_only, #/updated_at read_only": {
            "created_at": other,
            "updated_at": other,
        },
        "422 #/id uuid_parsing": {"id": "abc"},
        "422 #/created_at timezone_required": {"created_at": "2020-02-03T04:05:06"},
    }
    answers = {
        answer: summary(await client.put(path, json=article(title="Other", **fields)))
        for answer, fields in cases.items()
    }
    assert answers == {answer: answer for answer in cases}
    assert await get_json(client, path) == row


async def test_a_put_needs_every_field_without_a_default(client: AsyncClient) -> None:
    missing = {
        "/authors": "#/email missing, #/name missing",
        "/articles": "#/slug missing, #/title missing",
        "/comments": "#/article_id missing, #/author_name missing, #/body missing",
    }
    for path, row in (await create_one_of_each(client)).items():
        item = f"{path}/{row['id']}"
        assert summary(await client.put(item, json={})) == f"422 {missing[path]}"
        assert summary(await client.put(item, json={"id": row["id"]})) == f"422 {missing[path]}"
        assert await get_json(client, item) == row


async def test_a_put_rejects_null_for_required_fields(client: AsyncClient) -> None:
    path, row = await create_article(client)
    names = ("body", "slug", "status", "title", "views")
    response = await client.put(path, json=dict.fromkeys(names))
    assert summary(response) == "422 " + ", ".join(f"#/{name} not_nullable" for name in names)
    assert await get_json(client, path) == row


async def test_a_put_of_a_missing_row_is_404(client: AsyncClient) -> None:
    body = article(id=MISSING)
    assert summary(await client.put(f"/articles/{MISSING}", json=body)) == "404"
    assert summary(await client.put(f"/articles/{MISSING}", json=article())) == "404"
    assert await get_json(client, "/articles") == []
