"""Fixtures of the shop."""

from collections.abc import AsyncGenerator

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from brickwork import Database
from examples.shop.main import create_app
from examples.shop.models import Base
from tests.support.calls import calling
from tests.support.tables import Tables


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    """Return the URL of a database without rows."""
    create_app("sqlite:///unused.db")  # its routers complete the tables
    return await tables.of(Base.metadata, backend)


@pytest.fixture
def app(url: str) -> FastAPI:
    """Return the application."""
    return create_app(url)


@pytest.fixture
async def client(app: FastAPI) -> AsyncGenerator[AsyncClient]:
    """Yield a client of the application."""
    async with calling(app) as client:
        yield client


@pytest.fixture
async def database(url: str) -> AsyncGenerator[Database]:
    """Yield the database, with connections that no application uses."""
    database = Database(url)
    yield database
    await database.dispose()
