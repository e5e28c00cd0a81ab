"""A database that can be taken away, and what the service says meanwhile."""

from collections.abc import AsyncIterator

import pytest

from tests.support.databases import Databases
from tests.support.journal import Log
from tests.support.outages import ignore_abandoned_connects, store_url
from tests.support.proxy import Proxy


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
def fast(request: pytest.FixtureRequest) -> bool:
    """Whether requests may go past the session."""
    return bool(request.param)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    """What the service says."""
    return Log(caplog)


@pytest.fixture(autouse=True)
async def abandoned_connects() -> None:
    """Leave it to the pools what becomes of a connection that cannot be opened."""
    ignore_abandoned_connects()


@pytest.fixture
async def url(databases: Databases, backend: str) -> str:
    """The URL of a database of this test alone, which has the store `a`."""
    return await store_url(databases, backend)


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[Proxy]:
    """A way to the database that can be closed, frozen and cut."""
    async with Proxy(url) as proxy:
        yield proxy
