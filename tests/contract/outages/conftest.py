"""Fixtures for outages: a proxied database and its log."""

from collections.abc import AsyncIterator

import pytest

from tests.support.databases import Databases
from tests.support.journal import Log
from tests.support.outages import ignore_abandoned_connects, store_url
from tests.support.proxy import Proxy


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
def fast(request: pytest.FixtureRequest) -> bool:
    """Return whether the fast path is enabled."""
    return bool(request.param)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    """Return the log of the service."""
    return Log(caplog)


@pytest.fixture(autouse=True)
async def abandoned_connects() -> None:
    """Ignore connections that the pools abandon."""
    ignore_abandoned_connects()


@pytest.fixture
async def url(databases: Databases, backend: str) -> str:
    """Return the URL of a new database with the store `a`."""
    return await store_url(databases, backend)


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[Proxy]:
    """Yield a proxy of the database that can be closed, frozen and cut."""
    async with Proxy(url) as proxy:
        yield proxy
