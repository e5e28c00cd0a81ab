"""GET of rows and lists on each path."""

from itertools import cycle
from typing import Final

import pytest

from tests.support.articles import ROWS, A, B, C, D
from tests.support.bodies import MISSING, summary
from tests.support.paths import Paths, Step
from tests.support.recording import path_taken

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


def fast(path: str, status: int = 200, **headers: str) -> Step:
    return Step("GET", path, headers=headers, status=status)


def declined(path: str, status: int, **headers: str) -> Step:
    return Step("GET", path, headers=headers, status=status, fast=False)


STEPS: Final = [
    fast("/articles"),
    fast("/articles/"),
    fast("/articles?limit=1"),
    fast("/articles?limit=3"),
    fast("/articles?limit=4"),
    fast("/articles?limit=100"),
    fast("/articles?limit=007"),
    fast("/articles?offset=1&limit=1"),
    fast("/articles?offset=2"),
    fast("/articles?sort=-title"),
    fast("/articles?sort=rating,-created_at&limit=2"),
    fast("/articles?status=draft"),
    fast("/articles?status=published&views__gte=1"),
    fast("/articles?slug=a&limit=1"),
    fast("/articles?q=a%20title"),
    fast("/authors"),
    fast("/comments"),
    declined("/articles?status__in=draft,published", 200),
    declined("/articles?count=exact", 200),
    declined("/articles?deleted=include", 200),
    declined("/articles?status=odd", 422),
    declined("/articles?status=", 422),
    declined("/articles?sort=odd", 422),
    declined("/articles?limit=0", 422),
    declined("/articles?limit=101", 422),
    declined("/articles?limit=2&limit=3", 422),
    declined("/articles?limit=", 422),
    declined("/articles?cursor=abc&offset=1", 422),
    declined("/articles?zzz=1", 422),
    fast("/articles?cursor=abc", 400),
    fast(f"/articles/{A}"),
    fast(f"/articles/{B}/"),
    fast(f"/articles/{C}"),
    fast(f"/articles/{A.upper()}"),
    declined(f"/articles/{A}?zzz=1", 422),
    fast(f"/articles/{D}", 404),
    fast(f"/articles/{MISSING}", 404),
    fast(f"/authors/{A}", 404),
    fast("/articles/abc", 404),
    fast("/articles/%00", 404),
    declined("/articles/batch", 405),
    declined("/articles//", 404),
    declined(f"/articles//{A}", 404),
    declined(f"/articles/{A}//", 404),
    declined("/", 200),
    declined("//", 200),
    fast(f"/articles/{A}", 200, **{"if-none-match": '"1"'}),
    fast(f"/articles/{A}", 200, **{"if-none-match": '"1-aaaaaaaaaaaaaaaaaaaa"'}),
    fast(f"/articles/{A}", 304, **{"if-none-match": "*"}),
    declined(f"/articles/{A}", 400, **{"if-none-match": "1"}),
    fast(f"/articles/{A}", 412, **{"if-match": '"2"'}),
    declined(f"/articles/{A}", 406, accept="text/html"),
    fast(f"/articles/{A}", 200, accept="text/html, */*;q=0.1"),
    fast(f"/articles/{A}", 200, accept="application/json"),
    Step("HEAD", "/articles"),
    Step("HEAD", f"/articles/{A}"),
]


@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_get_is_the_same_on_each_path(paths: Paths, step: Step) -> None:
    together, alone, orm = await paths.outcomes(step, ROWS)
    assert together.status == step.status
    assert together == alone == orm
    assert [together.fast, alone.fast, orm.fast] == [step.fast, step.fast, False]


@pytest.mark.parametrize("tags", ["{}", "W/{}", '"2", {}'], ids=str)
async def test_matching_if_none_match_is_a_304_on_each_path(paths: Paths, tags: str) -> None:
    await paths.fill(ROWS)
    async with paths.client(paths.orm) as client:
        tag = (await client.get(f"/articles/{A}")).headers["etag"]
    known = {"if-none-match": tags.format(tag)}
    together, alone, orm = await paths.outcomes(Step("GET", f"/articles/{A}", headers=known), ROWS)
    assert together == alone == orm
    assert (together.status, together.fast, alone.fast) == (304, True, True)


async def test_page_links_work_across_both_paths(paths: Paths) -> None:
    await paths.fill(ROWS)
    clients = cycle(paths.client(database) for database in (paths.fast, paths.orm))
    target, found = "/articles?limit=1", list[str]()
    while target:
        page = await next(clients).get(target)
        found += [row["id"] for row in page.json()]
        target = page.links.get("next", {}).get("url", "")
    assert found == [A, B, C]


async def test_get_sees_the_write_before_it(paths: Paths) -> None:
    await paths.fill(ROWS)
    async with paths.client(paths.fast) as client:
        for views in range(5):
            changed = await client.patch(f"/articles/{A}", json={"views": views})
            assert (await client.get(f"/articles/{A}")).content == changed.content
        assert summary(await client.delete(f"/articles/{A}")) == "204"
        assert await path_taken(client.get(f"/articles/{A}")) == "404 fast"
        assert [row["id"] for row in (await client.get("/articles")).json()] == [B, C]
