"""The fixtures of the examples."""

from collections.abc import AsyncGenerator, Iterator

import pytest
from fastapi import FastAPI

from brickwork import Database
from brickwork.testing import brickwork_lifespan, client, kept_tables
from tests.support.calls import CreateApp
from tests.support.databases import BACKENDS, Databases

__all__ = ["brickwork_lifespan", "client", "kept_tables"]


@pytest.fixture(scope="session", autouse=True)
def example_databases(templates: Databases) -> Iterator[Databases]:
    """Yield a factory of databases, which are dropped after the last lifespan has ended."""
    databases = templates.another()
    yield databases
    databases.drop()


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Return the name of a supported database: the tests of a module run on each."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def create_app() -> CreateApp:
    """Return the function that creates the application: each module has its own."""
    raise NotImplementedError


@pytest.fixture(scope="module")
def database_url(
    example_databases: Databases,
    backend: str,
    create_app: CreateApp,  # noqa: ARG001 — each application has a database
) -> str:
    """Return the URL of a database for one application."""
    return example_databases.empty(backend)


@pytest.fixture(scope="module")
def app(create_app: CreateApp, database_url: str) -> FastAPI:
    """Return the application. Its lifespan creates the tables."""
    return create_app(database_url)


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    """Yield the database, with connections that no application uses."""
    database = Database(database_url)
    yield database
    await database.dispose()
