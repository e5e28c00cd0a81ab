"""PATCH: JSON merge patches (RFC 7396)."""

import json
from datetime import datetime
from typing import Any

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import (
    JSON,
    MERGE_PATCH,
    Body,
    article,
    author,
    comment,
    create_article,
    create_one_of_each,
    create_row,
    get_json,
    patch_row,
    send,
    summary,
    version_values,
)

pytestmark = pytest.mark.anyio

READ_ONLY = {"id", "created_at", "updated_at", "version"}
CHANGES: Body = {
    "title": "Other",
    "slug": "other",
    "body": "Other.",
    "status": "published",
    "views": 1,
    "rating": 0.5,
    "published_at": "2026-02-03T04:05:06Z",
    "meta": {"a": 1},
}
# The stored value, the patch and the result: appendix A of RFC 7396, and deeper cases.
MERGED: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"a": ["a", "b"]}, {"a": ["c", "d"]}, {"a": ["c", "d"]}),
    ({"a": "foo"}, {"a": {"b": "c"}}, {"a": {"b": "c"}}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    (None, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
    ({"a": 1}, None, None),
    ({"a": 1}, {}, {"a": 1}),
    ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
    ({"a": 1}, {"a": [None, {"b": None}]}, {"a": [None, {"b": None}]}),
    (
        {"a": {"b": {"c": 1, "d": 2}}},
        {"a": {"b": {"c": None}, "e": 3}},
        {"a": {"b": {"d": 2}, "e": 3}},
    ),
]


async def test_a_patch_changes_its_fields_and_updated_at(
    articles: AsyncClient,
) -> None:
    path, row = await create_article(articles)
    for name, value in CHANGES.items():
        after = await patch_row(articles, path, {name: value})
        assert datetime.fromisoformat(after["updated_at"]) > datetime.fromisoformat(
            row["updated_at"]
        )
        assert after == {**row, name: value, **version_values(after)}
        assert await get_json(articles, path) == after
        row = after
    assert await get_json(articles, "/articles") == [row]


async def test_every_resource_supports_patch(client: AsyncClient) -> None:
    rows = await create_one_of_each(client)
    other = await create_row(client, "/articles", article(slug="other"))
    patches = {
        "/authors": author(name="Other", email="other", bio="Other."),
        "/articles": CHANGES | {"slug": "another", "author_id": None},
        "/comments": comment(other["id"], author_name="Other", body="Other."),
    }
    for path, patch in patches.items():
        item = f"{path}/{rows[path]['id']}"
        after = await patch_row(client, item, patch)
        assert after == {**rows[path], **patch, **version_values(after)}
        assert after["updated_at"] != after["created_at"]
        assert await get_json(client, item) == after


async def test_a_patch_may_be_json_or_a_merge_patch(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    for number, kind in enumerate((JSON, MERGE_PATCH, f"{MERGE_PATCH}; charset=utf-8")):
        response = await send(client, "PATCH", path, f'{{"title": "{number}"}}', kind)
        assert (response.status_code, response.json()["title"]) == (200, str(number))
        assert response.headers["content-type"] == JSON


async def test_a_patch_of_equal_values_leaves_the_row(
    articles: AsyncClient,
) -> None:
    path, row = await create_article(articles, **CHANGES)
    values = {name: value for name, value in row.items() if name not in READ_ONLY}
    same_instant = {"published_at": "2026-02-03T05:05:06.000+01:00"}
    same_meta: Body = {"meta": {}}
    for patch in ({}, values, same_instant, same_meta, {"meta": {"b": None}}, {"rating": 5e-1}):
        assert await patch_row(articles, path, patch) == row
    assert await get_json(articles, path) == row


async def test_every_resource_ignores_a_patch_of_equal_values(
    client: AsyncClient,
) -> None:
    for path, row in (await create_one_of_each(client)).items():
        values = {name: value for name, value in row.items() if name not in READ_ONLY}
        assert await patch_row(client, f"{path}/{row['id']}", values) == row
        assert await patch_row(client, f"{path}/{row['id']}", {}) == row


async def test_meta_is_merged_per_rfc_7396(articles: AsyncClient) -> None:
    for number, (stored, patch, expected) in enumerate(MERGED):
        path, row = await create_article(articles, slug=f"s-{number}", meta=stored)
        after = await patch_row(articles, path, {"meta": patch})
        assert after["meta"] == expected, (stored, patch)
        assert (after["updated_at"] != row["updated_at"]) == (stored != expected)
        assert await get_json(articles, path) == after


async def test_values_of_another_json_type_change_meta(
    articles: AsyncClient,
) -> None:
    path, row = await create_article(articles, meta={"a": 1, "b": [0]})
    for patch in ({"a": True}, {"a": 1.0}, {"a": 1}, {"b": [False]}, {"b": [0.0]}):
        after = await patch_row(articles, path, {"meta": patch})
        assert json.dumps(after["meta"]) == json.dumps(row["meta"] | patch)
        assert after["updated_at"] != row["updated_at"]
        assert json.dumps(await get_json(articles, path)) == json.dumps(after)
        row = after


async def test_null_clears_a_nullable_field(articles: AsyncClient) -> None:
    path, row = await create_article(articles, **CHANGES)
    nulls: Body = dict.fromkeys(("rating", "published_at", "meta"))
    after = await patch_row(articles, path, nulls)
    assert after == {**row, **nulls, **version_values(after)}
    assert await get_json(articles, path) == after
    assert await patch_row(articles, path, nulls) == after


async def test_null_is_rejected_for_a_required_field(articles: AsyncClient) -> None:
    path, row = await create_article(articles)
    names = ("body", "slug", "status", "title", "views")
    response = await articles.patch(path, json=dict.fromkeys(names))
    assert summary(response) == "422 " + ", ".join(f"#/{name} not_nullable" for name in names)
    assert await get_json(articles, path) == row


async def test_every_resource_rejects_null_for_required_fields(
    client: AsyncClient,
) -> None:
    rows = await create_one_of_each(client)
    required = {"/authors": ("email", "name"), "/comments": ("article_id", "author_name", "body")}
    for path, names in required.items():
        item = f"{path}/{rows[path]['id']}"
        response = await client.patch(item, json=dict.fromkeys(names))
        assert summary(response) == "422 " + ", ".join(f"#/{name} not_nullable" for name in names)
    item = f"/articles/{rows['/articles']['id']}"
    assert (await patch_row(client, item, {"author_id": None}))["author_id"] is None
    item = f"/authors/{rows['/authors']['id']}"
    assert (await patch_row(client, item, {"bio": None}))["bio"] is None


async def test_a_patch_rejects_read_only_fields(client: AsyncClient) -> None:
    path, row = await create_article(client)
    values = {name: row[name] for name in READ_ONLY}
    names = ("created_at", "id", "updated_at", "version")
    expected = "422 " + ", ".join(f"#/{name} read_only" for name in names)
    assert summary(await client.patch(path, json=values)) == expected
    assert await get_json(client, path) == row


async def test_a_rejected_patch_changes_nothing(client: AsyncClient) -> None:
    path, row = await create_article(client)
    await create_article(client, slug="taken")
    for patch, answer in (
        ({"title": "Other", "views": -1}, "422 #/views greater_than_equal"),
        ({"title": "Other", "slug": "taken"}, "409 #/slug not_unique"),
        ({"title": "Other", "zzz": 1}, "422 #/zzz unknown_field"),
    ):
        assert summary(await client.patch(path, json=patch)) == answer
        assert await get_json(client, path) == row
