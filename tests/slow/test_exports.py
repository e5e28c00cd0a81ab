"""Many clients that disconnect during an export."""

import asyncio

import pytest

from brickwork import Database
from tests.support.exporting import LINES, ROWS, SPECS, Download, fill
from tests.support.leaving import ARTICLES, LENGTH, begin_three_exports
from tests.support.recording import connections_in_use
from tests.support.replays import articles_app
from tests.support.rows import fill_articles
from tests.support.server import serving
from tests.support.services import Service


@pytest.mark.parametrize("spec", SPECS)
async def test_144_disconnected_exports_return_their_connections(
    shop_service: Service, spec: str
) -> None:
    database = Database(shop_service.url, pool_size=4)
    async with database.lifespan(None):
        await fill(database)
        for turn in range(48):
            downloads = [Download(database, spec=spec) for _ in range(3)]  # one is rejected
            for _ in range(turn % 3):
                await asyncio.gather(*(download.next() for download in downloads))
            await asyncio.gather(*(download.leave() for download in downloads))
            assert connections_in_use(database) == 0

        assert len(await Download(database).rest()) == ROWS


async def test_30_disconnects_in_mid_export_return_their_connections(
    service_url: str,
) -> None:
    await fill_articles(service_url, ARTICLES, LENGTH)
    database = Database(service_url, pool_size=4)
    async with serving(articles_app(database)) as client:
        for _ in range(10):
            await begin_three_exports(client, database)
        response = await client.get("/articles", headers=LINES)

    assert response.content.count(b"\n") == ARTICLES
