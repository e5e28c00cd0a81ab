"""Cancelled requests: all or nothing, and no leaked connection."""

import asyncio

import pytest
from httpx2 import AsyncClient

from brickwork import Database
from tests.support.bodies import create_article, get_json
from tests.support.contention import contention, halted
from tests.support.leaving import patch_of
from tests.support.recording import connections_in_use
from tests.support.replays import articles_app
from tests.support.server import serving
from tests.support.services import Service
from tests.support.waiting import until
from tests.support.wire import open_wire


@pytest.fixture
async def keys(client: AsyncClient) -> list[str]:
    """Return the keys of two articles without views."""
    rows = [await create_article(client, slug=slug) for slug in "ab"]
    return [row["id"] for _, row in rows]


async def views_and_versions(client: AsyncClient) -> list[tuple[int, int]]:
    return [(row["views"], row["version"]) for row in await get_json(client, "/articles")]


@pytest.mark.parametrize("attempt", [1, 2, 3])
async def test_cancelled_request_changes_nothing(
    client: AsyncClient, service: Service, keys: list[str], attempt: int
) -> None:
    with contention(attempt - 1), halted(1) as commit:
        patch = asyncio.create_task(client.patch(f"/articles/{keys[0]}", json={"views": 1}))
        await commit.reached()
        patch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await patch

    assert connections_in_use(service.own_database) == 0
    assert await views_and_versions(client) == [(0, 1), (0, 1)]


async def test_cancelled_request_releases_its_row(client: AsyncClient, keys: list[str]) -> None:
    with halted(1) as commit:
        patch = asyncio.create_task(client.patch(f"/articles/{keys[0]}", json={"views": 1}))
        await commit.reached()
        patch.cancel()
        await asyncio.wait([patch])

    response = await client.patch(f"/articles/{keys[0]}", json={"views": 1})
    assert (response.status_code, response.json()["version"]) == (200, 2)


@pytest.mark.parametrize("attempt", [1, 2])
async def test_disconnect_during_an_attempt_commits_all_or_nothing(
    client: AsyncClient, service: Service, keys: list[str], attempt: int
) -> None:
    database = Database(service.url, pool_size=1)
    async with serving(articles_app(database)) as served, open_wire(served.base_url) as wire:
        with contention(attempt - 1), halted(1) as commit:
            await wire.send(patch_of(keys, views=1))
            await commit.reached()
            await wire.close()
            commit.release()
            await until(lambda: connections_in_use(database) == 0)
        found = await views_and_versions(client)
        response = await served.patch(f"/articles/{keys[0]}", json={"views": 2})

    assert found in ([(0, 1), (0, 1)], [(1, 2), (1, 2)])
    assert response.status_code == 200
