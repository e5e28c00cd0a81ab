"""Clients that leave at any moment, on a socket."""

import asyncio
import random

from httpx2 import AsyncClient

from brickwork import Database
from tests.support.bodies import create_article, get_json
from tests.support.contention import contention
from tests.support.leaving import patch_of
from tests.support.recording import connections_in_use
from tests.support.replays import articles_app
from tests.support.server import serving
from tests.support.services import Service
from tests.support.waiting import until
from tests.support.wire import open_wire


async def test_disconnected_clients_change_all_rows_or_none(
    client: AsyncClient, service: Service
) -> None:
    rows = [await create_article(client, slug=slug) for slug in "ab"]
    keys = [row["id"] for _, row in rows]
    database = Database(service.url, pool_size=2)

    async def leave(views: int) -> None:
        async with open_wire(served.base_url) as wire:
            await wire.send(patch_of(keys, views=views))
            for _ in range(random.randrange(200)):  # noqa: S311 — no secret
                await asyncio.sleep(0)

    async with serving(articles_app(database)) as served:
        for number in range(20):
            with contention(1):
                await asyncio.gather(leave(2 * number + 1), leave(2 * number + 2))
                await until(lambda: connections_in_use(database) == 0)
    one, other = await get_json(client, "/articles")

    assert (one["views"], one["version"]) == (other["views"], other["version"])
    assert 1 <= one["version"] <= 41
