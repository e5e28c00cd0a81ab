"""Requests of clients that do not wait for the answer, or for all of it."""

import asyncio
import json
from collections.abc import Sequence

from httpx2 import AsyncClient

from brickwork import Database
from brickwork.http.negotiation import NDJSON
from tests.support.recording import connections_in_use
from tests.support.waiting import until
from tests.support.wire import request

ARTICLES, LENGTH = 300, 100_000
"""How many articles, and how long ones, are more than the sockets hold."""


def patch_of(keys: Sequence[str], *, views: int) -> bytes:
    """Return a request that sets the views of the articles with these *keys*."""
    body = json.dumps([{"id": key, "views": views} for key in keys]).encode()
    headers = ("content-type: application/json", f"content-length: {len(body)}")
    return request("PATCH", "/articles/batch", *headers, body=body)


async def begin_three_exports(client: AsyncClient, database: Database) -> None:
    """Begin exports and leave; return when all connections of *database* are back."""

    async def begin() -> int:
        async with client.stream("GET", "/articles", headers={"accept": NDJSON}) as response:
            if response.status_code == 200:
                assert await anext(response.aiter_raw())
                assert connections_in_use(database) in {1, 2}  # the rest is still to come
            return response.status_code

    statuses = {*await asyncio.gather(begin(), begin(), begin())}
    assert {200} <= statuses <= {200, 503}
    await until(lambda: connections_in_use(database) == 0)
