"""Many concurrent increments of one column."""

import asyncio
from collections import Counter

from tests.support import shop
from tests.support.calls import calling
from tests.support.services import Service


async def test_none_of_100_updates_is_lost(shop_service: Service) -> None:
    async with shop_service.client() as client:
        await client.post("/cities", json={"name": "Lisbon"})
        answers = await asyncio.gather(*(client.post("/cities/1/visit") for _ in range(100)))

        assert Counter(answer.status_code for answer in answers) == {200: 100}
        assert (await client.get("/cities/1")).json()["visits"] == 100


async def test_no_update_of_two_processes_is_lost(shop_service: Service) -> None:
    # Two databases share neither a pool nor a queue.
    async with shop_service.client() as one, calling(shop.create_app(shop_service.url)) as other:
        await one.post("/cities", json={"name": "Lisbon"})
        visits = [client.post("/cities/1/visit") for client in (one, other) for _ in range(50)]
        done = Counter(answer.status_code for answer in await asyncio.gather(*visits))

        assert done.keys() <= {200, 503}
        assert (await one.get("/cities/1")).json()["visits"] == done[200]
