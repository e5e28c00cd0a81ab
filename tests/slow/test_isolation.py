"""Many writers whose transactions are serializable."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import func, select
from typing_extensions import override

from brickwork import Database, IsolationLevel, crud_router, install
from tests.support import shop
from tests.support.calls import calling
from tests.support.services import Service
from tests.support.shop import Cities, City


class Census(Cities):
    """Cities that store the number of cities, or of their own changes."""

    @override
    async def create(self, row: City, /) -> None:
        await super().create(row)
        with self.session.no_autoflush:
            row.people = await self.session.scalar(select(func.count(City.id))) or 0
        await asyncio.sleep(0)

    @override
    async def update(self, row: City, /, changes: object) -> None:
        row.visits += 1


class SerializableCensus(Census):
    """A `Census` whose transactions are always serializable."""

    isolation_level = "serializable"


def app_over(database: Database, cities: type[Cities]) -> FastAPI:
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    app.include_router(
        crud_router(
            "/cities", cities, read=shop.CityRead, create=shop.CityCreate, update=shop.CityUpdate
        )
    )
    return app


async def statuses_of(client: AsyncClient, method: str, path: str, times: int) -> Counter[int]:
    """Send *times* requests one after the other, and count their statuses."""
    statuses: Counter[int] = Counter()
    for _ in range(times):
        response = await client.request(method, path, json={"name": "A"})
        if response.status_code == 503:
            assert response.headers["retry-after"] == "1"
        statuses[response.status_code] += 1
    return statuses


@pytest.mark.parametrize(
    ("level", "cities"),
    [
        pytest.param("serializable", Census, id="by the database"),
        pytest.param("read committed", SerializableCensus, id="by the resource"),
    ],
)
async def test_12_serializable_writers_lose_no_update(
    shop_service: Service,
    backend: str,
    level: IsolationLevel,
    cities: type[Cities],
    record_property: Callable[[str, object], None],
) -> None:
    database = Database(shop_service.url, pool_size=12, isolation_level=level)
    async with calling(app_over(database, cities)) as client:
        await client.post("/cities", json={"name": "A"})
        before = database.retries
        writers = (statuses_of(client, "PATCH", "/cities/1", 10) for _ in range(12))
        statuses = sum(await asyncio.gather(*writers), Counter[int]())
        city = (await client.get("/cities/1")).json()

    assert statuses.keys() <= {200, 503}
    assert statuses[200] > 0
    assert city["visits"] == statuses[200]
    retries = database.retries - before
    assert bool(retries) == (backend == "postgresql")
    name = f"120 changes by 12 serializable writers, {cities.__name__}, on {backend}"
    record_property(name, f"{dict(statuses)}, tried again {retries} times")


async def test_12_serializable_writers_see_all_earlier_rows(
    shop_service: Service,
) -> None:
    database = Database(shop_service.url, pool_size=12)
    async with calling(app_over(database, SerializableCensus)) as client:
        writers = (statuses_of(client, "POST", "/cities", 3) for _ in range(12))
        statuses = sum(await asyncio.gather(*writers), Counter[int]())
        cities = (await client.get("/cities?limit=100")).json()

    assert statuses.keys() <= {201, 503}
    assert sorted(city["people"] for city in cities) == [*range(statuses[201])]
