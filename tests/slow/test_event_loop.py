"""Heavy requests: their answers, and that none takes long.

`python -m benchmarks.event_loop` measures the 0.2 seconds of the contract.
"""

import pytest

from brickwork import Database
from tests.support import heavy, heavy_calls
from tests.support.databases import Databases

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

ENDLESS = 2.0
"""Seconds. Only work that grows faster than its body takes so long."""


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "ORM"])
async def test_no_body_blocks_the_event_loop(
    databases: Databases, backend: str, fast: object
) -> None:
    assert len(heavy.BODIES) >= 50
    assert max(map(len, heavy.BODIES.values())) == heavy.SIZE
    database = Database(databases.empty(backend), fast_path=bool(fast))
    async with heavy.calling_records(database) as client:
        held = await heavy_calls.holds(client, heavy_calls.body_calls())
    assert {name: seconds for name, seconds in held.items() if seconds > ENDLESS} == {}


async def test_no_head_blocks_the_event_loop(databases: Databases, backend: str) -> None:
    async with heavy.calling_records(Database(databases.empty(backend))) as client:
        held = await heavy_calls.holds(client, heavy_calls.head_calls())
    assert {name: seconds for name, seconds in held.items() if seconds > ENDLESS} == {}
