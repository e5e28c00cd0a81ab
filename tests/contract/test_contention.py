"""Many writers of one row: with If-Match each change counts, without it the last of a column."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from httpx2 import AsyncClient, Response

from tests.support.bodies import Body, article, changed, create_article, created, shown, summary

pytestmark = pytest.mark.anyio

WRITERS: Final = 64

INCREMENTS: Final = 128
"""How many increments there are in all; 2 000 take minutes."""


async def increment(client: AsyncClient, path: str, times: int) -> Counter[str]:
    """Add one to `views` *times*, each time to what was read; return what was answered."""
    answers: Counter[str] = Counter()
    for _ in range(times):
        failures = 0
        while True:
            row = await client.get(path)
            headers = {"if-match": row.headers["etag"]}
            body = {"views": row.json()["views"] + 1}
            response = await client.patch(path, json=body, headers=headers)
            answers[summary(response)] += 1
            if response.is_success:
                break
            assert summary(response) in {"412", "503"}
            # Others were quicker: who comes again at once is in the way of all.
            failures += 1
            longest = 0.02 * 2 ** min(failures, 6)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 — no secret
    return answers


async def test_of_the_increments_of_64_writers_with_if_match_all_count(
    client: AsyncClient, backend: str, record_property: Callable[[str, object], None]
) -> None:
    path, _ = await create_article(client)
    shares = [(INCREMENTS + number) // WRITERS for number in range(WRITERS)]
    writers = (increment(client, path, share) for share in shares)
    answers = sum(await asyncio.gather(*writers), Counter[str]())

    row = await shown(client, path)
    assert (row["views"], row["version"]) == (INCREMENTS, INCREMENTS + 1)
    assert answers["200"] == INCREMENTS
    record_property(f"{INCREMENTS} increments by {WRITERS} writers on {backend}", dict(answers))


async def test_without_if_match_the_last_writer_of_a_column_wins(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    patches = [client.patch(path, json={"views": number}) for number in range(1, WRITERS + 1)]
    answers = await asyncio.gather(*patches)

    assert {summary(each) for each in answers} == {"200"}
    versions = {each.json()["version"]: each.json()["views"] for each in answers}
    assert sorted(versions) == [*range(2, WRITERS + 2)]  # none was made on top of none
    assert sorted(versions.values()) == [*range(1, WRITERS + 1)]
    row = await shown(client, path)
    assert (row["version"], row["views"]) == (WRITERS + 1, versions[WRITERS + 1])


async def write(client: AsyncClient, path: str, name: str, values: Sequence[Any]) -> list[Response]:
    """Set the column *name* to each of *values*, one after the other."""
    return [await client.patch(path, json={name: value}) for value in values]


async def test_without_if_match_a_change_of_other_columns_is_not_undone(
    client: AsyncClient,
) -> None:
    path, row = await create_article(client)
    last = 12
    values: dict[str, Sequence[Any]] = {
        "views": range(1, last + 1),
        "title": [f"Title {n}" for n in range(1, last + 1)],
        "body": [f"Body {n}" for n in range(1, last + 1)],
        "slug": [f"slug-{n}" for n in range(1, last + 1)],
        "rating": [n / 2 for n in range(1, last + 1)],
        "meta": [{"n": n} for n in range(1, last + 1)],
    }
    writers = [write(client, path, name, sent) for name, sent in values.items()]
    answers = await asyncio.gather(*writers)

    for (name, sent), responses in zip(values.items(), answers, strict=True):
        assert [summary(each) for each in responses] == ["200"] * last
        assert [each.json()[name] for each in responses] == list(sent)
    ends = {name: sent[-1] for name, sent in values.items()}
    now = await shown(client, path)
    assert {name: now[name] for name in ends} == ends
    assert now["version"] == 1 + last * len(values)
    untouched = ("id", "status", "published_at", "author_id", "created_at")
    assert all(now[name] == row[name] for name in untouched)


async def test_members_that_many_merge_into_one_object_are_all_there(client: AsyncClient) -> None:
    path, _ = await create_article(client, meta={"kept": True})
    patches = [client.patch(path, json={"meta": {f"k{n}": n}}) for n in range(30)]

    assert {summary(each) for each in await asyncio.gather(*patches)} == {"200"}
    assert (await shown(client, path))["meta"] == {"kept": True} | {f"k{n}": n for n in range(30)}


async def test_a_row_without_versions_keeps_what_others_write_as_well(client: AsyncClient) -> None:
    writer = await created(client, "/authors", {"name": "Ada", "email": "a@example.org"})
    path = f"/authors/{writer['id']}"
    names = write(client, path, "name", [f"Ada {n}" for n in range(15)])
    bios = write(client, path, "bio", [f"Bio {n}" for n in range(15)])
    answers = await asyncio.gather(names, bios)

    assert {summary(each) for some in answers for each in some} == {"200"}
    now = await shown(client, path)
    assert (now["name"], now["bio"]) == ("Ada 14", "Bio 14")


async def test_batches_that_share_rows_are_each_made_as_a_whole(client: AsyncClient) -> None:
    rows = [await created(client, "/articles", article(slug=f"s-{n}")) for n in range(6)]

    async def stamp(number: int) -> Response:
        order = random.sample(rows, len(rows))  # which is how deadlocks come about
        items: list[Body] = [{"id": row["id"], "title": f"Batch {number}"} for row in order]
        return await client.patch("/articles/batch", json=items)

    answers = await asyncio.gather(*(stamp(number) for number in range(12)))

    assert {summary(each) for each in answers} <= {"200", "503"}
    made = sum(each.is_success for each in answers)
    now = await shown(client, "/articles")
    assert len({row["title"] for row in now}) == 1
    assert {row["version"] for row in now} == {made + 1}


async def test_a_change_and_a_deletion_at_once_are_one_after_the_other(client: AsyncClient) -> None:
    for _ in range(5):
        path, row = await create_article(client)
        patches = [client.patch(path, json={"views": number + 1}) for number in range(10)]
        *changes, deletion = await asyncio.gather(*patches, client.delete(path))

        assert summary(deletion) == "204"
        assert {summary(each) for each in changes} <= {"200", "404"}
        made = sum(each.is_success for each in changes)
        restored = await client.post(f"{path}/restore")
        assert restored.json()["version"] == row["version"] + made + 2
        await changed(client, path, {"slug": f"done-{row['id']}"})
