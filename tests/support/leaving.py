"""Clients that disconnect before the end of the response."""

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
"""A number of articles and a length that exceed the buffers of the sockets."""


def patch_of(keys: Sequence[str], *, views: int) -> bytes:
    """Return a request that sets the views of the articles with these *keys*."""
    body = json.dumps([{"id": key, "views": views} for key in keys]).encode()
    headers = ("content-type: application/json", f"content-length: {len(body)}")
    return request("PATCH", "/articles/batch", *headers, body=body)


async def begin_three_exports(client: AsyncClient, database: Database) -> None:
    """Begin exports, disconnect, and wait until all connections of *database* are returned."""

    async def begin() -> int:
        async with client.stream("GET", "/articles", headers={"accept": NDJSON}) as response:
            if response.status_code == 200:
                assert await anext(response.aiter_raw())
                assert connections_in_use(database) in {1, 2}  # the export is not complete
            return response.status_code

    statuses = {*await asyncio.gather(begin(), begin(), begin())}
    assert {200} <= statuses <= {200, 503}
    await until(lambda: connections_in_use(database) == 0)
