"""Concurrent requests with many idempotency keys."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest
from httpx2 import AsyncClient, Response

from app.main import create_app
from app.settings import Settings
from tests.support.bodies import article, get_json
from tests.support.calls import calling
from tests.support.replays import outcomes

pytestmark = pytest.mark.anyio

KEYS: Final = 100
REQUESTS: Final = 20
"""With each key."""


async def test_one_request_of_each_key_is_executed(
    client: AsyncClient, backend: str, record_property: Callable[[str, object], None]
) -> None:
    free = asyncio.Semaphore(40)  # each request gets a connection after a short wait

    async def send(number: int) -> Response:
        async with free:
            headers = {"idempotency-key": f"key-{number}"}
            body = article(slug=f"s-{number}")
            return await client.post("/articles", json=body, headers=headers)

    numbers = [number for number in range(KEYS) for _ in range(REQUESTS)]
    answers = await asyncio.gather(*(send(number) for number in numbers))

    of_keys = [outcomes(answers[at : at + REQUESTS]) for at in range(0, len(answers), REQUESTS)]
    assert [counts["created"] for counts in of_keys] == [1] * KEYS
    count = await client.get("/articles?count=exact&limit=1")
    assert count.headers["x-total-count"] == str(KEYS)
    total = dict(sum(of_keys, Counter[str]()))
    record_property(f"{KEYS} keys by {REQUESTS} requests each on {backend}", total)


async def test_two_processes_execute_one_request_of_each_key(service_url: str) -> None:
    apps = [create_app(Settings(database_url=service_url)) for _ in range(2)]
    async with calling(apps[0]) as one, calling(apps[1]) as other:
        for number in range(10):
            body, headers = article(slug=f"s-{number}"), {"idempotency-key": f"k{number}"}
            posts = [
                client.post("/articles", json=body, headers=headers) for client in (one, other) * 8
            ]
            assert outcomes(await asyncio.gather(*posts))["created"] == 1
        assert len(await get_json(one, "/articles")) == 10
