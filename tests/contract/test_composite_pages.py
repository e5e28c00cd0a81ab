"""Pages of lists in the order of composite keys."""

import asyncio
from datetime import date, timedelta
from typing import Any, TypeAlias

import pytest
from httpx2 import AsyncClient
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.support.bodies import Body
from tests.support.memberships import Base, create_app
from tests.support.running import Running
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio

Rows: TypeAlias = list[Body]

FIRST = date(2026, 1, 1)

SORTS = (
    "",
    "room",
    "-room",
    "day",
    "-day",
    "title",
    "-title",
    "seats",
    "-seats",
    "seats,-day",
    "-seats,title",
    "-day,room",
    "title,-room,day",
    "-day,-room,title",
)

KEYS = st.tuples(st.integers(-2, 3), st.integers(0, 4))

SLOTS = st.lists(
    st.tuples(KEYS, st.sampled_from(["a", "B", "ä"]), st.none() | st.integers(0, 2)),
    max_size=14,
    unique_by=lambda slot: slot[0],
)


@pytest.fixture
async def client(running: Running, tables: Tables, backend: str) -> AsyncClient:
    return await running.client(create_app, await tables.of(Base.metadata, backend))


def slot_of(drawn: tuple[tuple[int, int], str, int | None]) -> Body:
    (room, days), title, seats = drawn
    day = (FIRST + timedelta(days=days)).isoformat()
    return {"room": room, "day": day, "title": title, "seats": seats}


def order(rows: Rows, sort: str) -> Rows:
    """Return *rows* as the contract orders them, by stable sorts from the last column."""
    names = [name for name in sort.split(",") if name]
    descending = bool(names) and names[-1].startswith("-")
    sign = "-" if descending else ""
    known = {name.lstrip("-") for name in names}
    for name in reversed([*names, *(sign + key for key in ("room", "day") if key not in known)]):
        column = name.lstrip("-")

        def value(row: Body, column: str = column) -> tuple[bool, Any]:
            return (row[column] is None, row[column] or 0 if column == "seats" else row[column])

        rows = sorted(rows, key=value, reverse=name.startswith("-"))
    return rows


async def walk(client: AsyncClient, url: str, rel: str) -> list[Rows]:
    """Return the pages from *url* on, in the direction of *rel*."""
    pages: list[Rows] = []
    while url:
        page = await client.get(url)
        assert page.status_code == 200, page.text
        pages.append(page.json())
        url = page.links.get(rel, {}).get("url", "")
    return pages


@pytest.mark.parametrize("sort", SORTS, ids=lambda sort: sort or "the key")
async def test_all_rows_are_on_the_pages(client: AsyncClient, sort: str) -> None:
    rows = [
        slot_of(((room, day), "aBä"[room * day % 3], [None, 0, 1][(room + day) % 3]))
        for room in range(3)
        for day in range(3)
    ]
    await client.post("/slots/batch", json=rows[::-1])
    expected = order(rows, sort)
    for limit in (1, 2, 4):
        pages = await walk(
            client, f"/slots?limit={limit}&sort={sort}".removesuffix("&sort="), "next"
        )
        assert [row for page in pages for row in page] == expected
        last = await client.get(f"/slots?limit={limit}&count=exact" + f"&sort={sort}" * bool(sort))
        back = await walk(client, last.links["last"]["url"], "prev")
        assert [row for page in back[::-1] for row in page] == expected


async def test_any_rows_are_on_the_pages(client: AsyncClient) -> None:
    loop = asyncio.get_running_loop()

    async def check(drawn: Any, sort: str, limit: int) -> None:
        for row in (await client.get("/slots?limit=100")).json():
            await client.delete(f"/slots/{row['room']}/{row['day']}")
        rows = [*map(slot_of, drawn)]
        if rows:
            assert (await client.post("/slots/batch", json=rows)).status_code == 201
        url = f"/slots?limit={limit}" + f"&sort={sort}" * bool(sort)
        pages = await walk(client, url, "next")
        assert [row for page in pages for row in page] == order(rows, sort)

    @settings(
        max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(SLOTS, st.sampled_from(SORTS), st.integers(1, 5))
    def law(drawn: Any, sort: str, limit: int) -> None:
        asyncio.run_coroutine_threadsafe(check(drawn, sort, limit), loop).result()

    await asyncio.to_thread(law)
