"""Many concurrent writers of one row."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import article, create_article, create_row, get_json, summary
from tests.support.writers import increment, patch_in_turn, retitle

pytestmark = pytest.mark.anyio


async def test_no_increment_of_64_writers_is_lost(
    client: AsyncClient, backend: str, record_property: Callable[[str, object], None]
) -> None:
    path, _ = await create_article(client)
    writers = await asyncio.gather(*(increment(client, path, 2) for _ in range(64)))

    row = await get_json(client, path)
    assert (row["views"], row["version"]) == (128, 129)
    answers = sum(writers, Counter[str]())
    assert answers.keys() <= {"200", "412", "503"}
    record_property(f"128 increments by 64 writers on {backend}", dict(answers))


async def test_the_last_of_64_writers_of_a_column_wins(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    answers = await asyncio.gather(
        *(client.patch(path, json={"views": number}) for number in range(1, 65))
    )

    assert {summary(answer) for answer in answers} == {"200"}
    versions = {answer.json()["version"]: answer.json()["views"] for answer in answers}
    assert sorted(versions) == [*range(2, 66)]
    assert sorted(versions.values()) == [*range(1, 65)]
    row = await get_json(client, path)
    assert (row["version"], row["views"]) == (65, versions[65])


async def test_concurrent_changes_of_columns_are_all_kept(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    values: dict[str, Sequence[Any]] = {
        "views": range(1, 13),
        "title": [f"Title {n}" for n in range(12)],
        "body": [f"Body {n}" for n in range(12)],
        "slug": [f"slug-{n}" for n in range(12)],
        "rating": [n / 2 for n in range(12)],
        "meta": [{"n": n} for n in range(12)],
    }
    answers = await asyncio.gather(
        *(patch_in_turn(client, path, name, sent) for name, sent in values.items())
    )

    for (name, sent), responses in zip(values.items(), answers, strict=True):
        assert [summary(response) for response in responses] == ["200"] * 12
        assert [response.json()[name] for response in responses] == list(sent)
    after = await get_json(client, path)
    assert {name: after[name] for name in values} == {
        name: sent[-1] for name, sent in values.items()
    }
    assert after["version"] == 1 + 12 * 6


async def test_members_merged_by_30_writers_are_all_kept(client: AsyncClient) -> None:
    path, _ = await create_article(client, meta={"kept": True})
    patches = [client.patch(path, json={"meta": {f"k{n}": n}}) for n in range(30)]

    assert {summary(answer) for answer in await asyncio.gather(*patches)} == {"200"}
    assert (await get_json(client, path))["meta"] == {"kept": True} | {
        f"k{n}": n for n in range(30)
    }


async def test_12_concurrent_batches_are_atomic(client: AsyncClient) -> None:
    rows = [await create_row(client, "/articles", article(slug=f"s-{n}")) for n in range(6)]
    answers = await asyncio.gather(*(retitle(client, rows, number) for number in range(12)))

    assert {summary(answer) for answer in answers} <= {"200", "503"}
    made = sum(answer.is_success for answer in answers)
    after = await get_json(client, "/articles")
    assert len({row["title"] for row in after}) == 1
    assert {row["version"] for row in after} == {made + 1}


@pytest.mark.parametrize("number", range(5))
async def test_concurrent_changes_precede_the_deletion_or_fail(
    client: AsyncClient, number: int
) -> None:
    path, _ = await create_article(client)
    requests = [client.patch(path, json={"views": n + 1}) for n in range(10)]
    requests.insert(2 * number, client.delete(path))
    answers = await asyncio.gather(*requests)
    deletion = answers.pop(2 * number)

    assert summary(deletion) == "204"
    assert {summary(answer) for answer in answers} <= {"200", "404"}
    made = sum(answer.is_success for answer in answers)
    restored = await client.post(f"{path}/restore")
    assert restored.json()["version"] == 1 + made + 2
