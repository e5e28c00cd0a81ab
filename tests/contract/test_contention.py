"""Concurrent writers of one row."""

import asyncio

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import article, create_article, create_row, get_json, summary
from tests.support.writers import increment, patch_in_turn, retitle

pytestmark = pytest.mark.anyio


async def test_if_match_loses_no_increment(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    await asyncio.gather(*(increment(client, path, 2) for _ in range(5)))

    row = await get_json(client, path)
    assert (row["views"], row["version"]) == (10, 11)


async def test_the_last_writer_of_a_column_wins(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    patches = [client.patch(path, json={"views": number}) for number in range(1, 9)]
    answers = await asyncio.gather(*patches)

    assert {summary(answer) for answer in answers} == {"200"}
    versions = {answer.json()["version"]: answer.json()["views"] for answer in answers}
    assert sorted(versions) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert sorted(versions.values()) == [1, 2, 3, 4, 5, 6, 7, 8]
    row = await get_json(client, path)
    assert (row["version"], row["views"]) == (9, versions[9])


async def test_a_patch_keeps_changes_of_other_columns(client: AsyncClient) -> None:
    path, row = await create_article(client)
    answers = await asyncio.gather(
        patch_in_turn(client, path, "views", [1, 2, 3]),
        patch_in_turn(client, path, "title", ["Title 1", "Title 2", "Title 3"]),
        patch_in_turn(client, path, "body", ["Body 1", "Body 2", "Body 3"]),
        patch_in_turn(client, path, "slug", ["slug-1", "slug-2", "slug-3"]),
        patch_in_turn(client, path, "rating", [0.5, 1.0, 1.5]),
        patch_in_turn(client, path, "meta", [{"n": 1}, {"n": 2}, {"n": 3}]),
    )

    assert {summary(answer) for some in answers for answer in some} == {"200"}
    assert [answer.json()["views"] for answer in answers[0]] == [1, 2, 3]
    assert [answer.json()["meta"] for answer in answers[5]] == [{"n": 1}, {"n": 2}, {"n": 3}]
    after = await get_json(client, path)
    assert after == {
        **row,
        "views": 3,
        "title": "Title 3",
        "body": "Body 3",
        "slug": "slug-3",
        "rating": 1.5,
        "meta": {"n": 3},
        "version": 19,
        "updated_at": after["updated_at"],
    }


async def test_concurrent_merges_keep_all_members(client: AsyncClient) -> None:
    path, _ = await create_article(client, meta={"kept": True})
    patches = [client.patch(path, json={"meta": {key: 1}}) for key in "abcdef"]

    assert {summary(answer) for answer in await asyncio.gather(*patches)} == {"200"}
    expected = {"kept": True, "a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1}
    assert (await get_json(client, path))["meta"] == expected


async def test_an_unversioned_row_keeps_changes_of_other_columns(client: AsyncClient) -> None:
    writer = await create_row(client, "/authors", {"name": "Ada", "email": "a@example.org"})
    path = f"/authors/{writer['id']}"
    answers = await asyncio.gather(
        patch_in_turn(client, path, "name", ["Ada 1", "Ada 2", "Ada 3", "Ada 4"]),
        patch_in_turn(client, path, "bio", ["Bio 1", "Bio 2", "Bio 3", "Bio 4"]),
    )

    assert {summary(answer) for some in answers for answer in some} == {"200"}
    after = await get_json(client, path)
    assert (after["name"], after["bio"]) == ("Ada 4", "Bio 4")


async def test_concurrent_batches_of_the_same_rows_are_atomic(client: AsyncClient) -> None:
    rows = [await create_row(client, "/articles", article(slug=slug)) for slug in "abcd"]
    answers = await asyncio.gather(*(retitle(client, rows, number) for number in range(5)))

    assert {summary(answer) for answer in answers} <= {"200", "503"}
    made = sum(answer.is_success for answer in answers)
    after = await get_json(client, "/articles")
    assert len({row["title"] for row in after}) == 1
    assert {row["version"] for row in after} == {made + 1}


async def test_concurrent_changes_precede_or_follow_a_deletion(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    patches = [client.patch(path, json={"views": number + 1}) for number in range(8)]
    *changes, deletion = await asyncio.gather(*patches, client.delete(path))

    assert summary(deletion) == "204"
    assert {summary(answer) for answer in changes} <= {"200", "404"}
    made = sum(answer.is_success for answer in changes)
    restored = await client.post(f"{path}/restore")
    assert restored.json()["version"] == 1 + made + 2
