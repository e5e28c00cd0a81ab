"""Filters of related rows, across references and lists."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import Select
from typing_extensions import override

from brickwork import Database, Resource, crud_router
from tests.support.bodies import get_json
from tests.support.orders import ROWS, Base, Order, OrderQuery, OrderRead, Orders, Tagging
from tests.support.rows import pages
from tests.support.running import Running
from tests.support.shop import app_of
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio


class ImportantOrders(Resource[Order]):
    """The orders of a priority."""

    @override
    def query(self) -> Select[Order]:
        return super().query().where(Order.priority >= 1)


ROUTERS = [
    crud_router(path, resource, read=OrderRead, query=OrderQuery)
    for path, resource in {"/orders": Orders, "/important": ImportantOrders}.items()
]


def create_app(url: str) -> FastAPI:
    """Create an application of the orders."""
    return app_of(Database(url), *ROUTERS)


@pytest.fixture
async def client(running: Running, tables: Tables, backend: str) -> AsyncClient:
    """Return a client of the orders."""
    return await running.client(create_app, await tables.of(Base.metadata, backend, ROWS))


async def found(client: AsyncClient, query: str, path: str = "/orders") -> list[int]:
    return [row["id"] for row in await get_json(client, f"{path}?{query}")]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("lines__product=brick", [1, 2]),
        ("lines__product=tile", [1, 2]),
        ("lines__quantity__gte=20", [1, 2]),
        ("lines__quantity__in=1,7", [1, 2, 5]),
        ("lines__product__startswith=s", [5]),
        ("lines__product=nothing", []),
        ("lines__note__isnull=false", [1]),
        ("lines__note__isnull=true", [1, 2, 5]),
        ("tags__name=red", [1, 2]),
        ("tags__name__in=red,blue", [1, 2]),
        ("tags__name__contains=re", [1, 2, 4]),
        ("parts__number=A-1-1", [1]),
        ("parts__parts__number=A-1-1-1", [1]),
        ("parts__lines__product=sand", [1]),
        ("whole__tags__name=blue", [5]),
        ("tags__orders__number=A-2", [1, 2]),
        ("customer__orders__number=A-2", [1, 2]),
        ("customer__name=Gone", []),
        ("customer__orders__number=C-1", []),
    ],
)
async def test_filter_finds_rows_with_a_related_row(
    client: AsyncClient, query: str, ids: list[int]
) -> None:
    assert await found(client, query) == ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("lines__product=brick&lines__quantity__gte=20", [1]),
        ("lines__product=brick&lines__quantity__gte=30", []),
        ("lines__product=tile&lines__quantity__gte=30", [2]),
        ("lines__quantity__gt=1&lines__quantity__lt=8", [5]),
        ("lines__quantity__gt=10&lines__quantity__lt=30&lines__note=late", [1]),
        ("tags__name__gte=blue&tags__name__lt=green", [1]),
        ("tags__name=red&tags__orders__number=A-2", [1, 2]),
        ("tags__name=blue&tags__orders__number=A-2", []),
        ("customer__name=Ada&customer__orders__number=A-2", [1, 2]),
        ("parts__number=A-1-1&parts__lines__product=sand&parts__parts__number=A-1-1-1", [1]),
        ("lines__product=brick&tags__name=blue", [1]),
    ],
)
async def test_one_related_row_matches_all_filters_across_a_relationship(
    client: AsyncClient, query: str, ids: list[int]
) -> None:
    assert await found(client, query) == ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("tags__name__ne=red", [3, 4, 5, 6]),
        ("lines__product__ne=brick", [3, 4, 5, 6]),
        ("lines__product__ne=tile", [3, 4, 5, 6]),
        ("lines__product__ne=brick&lines__product=sand", [5]),
        ("lines__note__ne=late", [2, 3, 4, 5, 6]),
        ("customer__name__ne=Ada", [3, 4, 5, 6]),
    ],
)
async def test_ne_finds_rows_without_such_a_related_row(
    client: AsyncClient, query: str, ids: list[int]
) -> None:
    assert await found(client, query) == ids


async def test_deleted_related_row_does_not_count(client: AsyncClient) -> None:
    assert await found(client, "lines__quantity=5") == []
    assert 3 in await found(client, "lines__quantity__ne=5")


async def test_list_and_count_have_each_row_once(client: AsyncClient) -> None:
    response = await client.get("/orders?lines__quantity__gte=1&count=exact&sort=-number")
    assert [row["id"] for row in response.json()] == [2, 5, 1]
    assert response.headers["X-Total-Count"] == "3"


async def test_cursor_leads_through_the_matching_rows(client: AsyncClient) -> None:
    url = "/orders?limit=1&lines__quantity__gte=1&tags__name=red&sort=-priority"
    forward = [page.json() async for page in pages(client, url, "next")]
    assert [row["id"] for rows in forward for row in rows] == [2, 1]
    response = await client.get(url)
    other = response.links["next"]["url"].replace("tags__name=red", "tags__name=blue")
    assert (await client.get(other)).json()["type"] == "/problems/invalid_cursor"


async def test_filter_stays_within_the_scope(client: AsyncClient) -> None:
    assert await found(client, "lines__quantity__gte=1", "/important") == [1, 2]


async def test_export_has_the_matching_rows(client: AsyncClient) -> None:
    accept = {"Accept": "application/x-ndjson"}
    response = await client.get("/orders?tags__name__ne=red&sort=-number", headers=accept)
    assert [line.split(",")[0] for line in response.text.splitlines()] == [
        f'{{"id":{key}' for key in (4, 3, 6, 5)
    ]


@pytest.mark.parametrize("parameter", ["lines__product__near", "lines", "tags__nam", "lines__id"])
async def test_undeclared_filter_is_rejected(client: AsyncClient, parameter: str) -> None:
    response = await client.get(f"/orders?{parameter}=1")
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == parameter


async def test_invalid_value_is_rejected(client: AsyncClient) -> None:
    response = await client.get("/orders?lines__quantity__in=1,x")
    assert response.json()["errors"][0]["parameter"] == "lines__quantity__in"


LINES = [
    row for rows in [ROWS[model] for model in ROWS if model.__name__ == "Line"] for row in rows
]
TAGS = {1: "red", 2: "blue", 3: "green"}
TESTS: dict[str, Callable[[Any], bool]] = {
    "lines__product=brick": lambda line: line["product"] == "brick",
    "lines__product__gt=brick": lambda line: line["product"] > "brick",
    "lines__quantity__lte=10": lambda line: line["quantity"] <= 10,
    "lines__quantity__in=1,20": lambda line: line["quantity"] in {1, 20},
    "lines__note__isnull=true": lambda line: line["note"] is None,
}


async def test_lists_equal_those_of_plain_python(client: AsyncClient) -> None:
    live = [line for line in LINES if line["deleted_at"] is None]
    subsets = [names for size in range(4) for names in combinations(TESTS, size)]
    for names in subsets:
        expected = {line["order_id"] for line in live if all(TESTS[name](line) for name in names)}
        for tag in (None, *TAGS):
            tagged = {row["order_id"] for row in ROWS[Tagging] if row["tag_id"] == tag}
            filters = [*names, *([f"tags__name={TAGS[tag]}"] if tag else [])]
            wanted = (expected if names else {*range(1, 7)}) & (tagged or {*range(1, 7)})
            assert await found(client, "&".join(filters)) == sorted(wanted), filters
