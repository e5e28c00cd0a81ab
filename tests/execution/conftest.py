"""The paths to the applications of these tests, each of which starts once a worker."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from sqlalchemy import MetaData

from app.main import create_app
from app.models import Model
from app.settings import Settings
from tests.support import library, notes
from tests.support.paths import Paths
from tests.support.tables import Tables

UNUSED = "sqlite:///unused.db"
"""The database of an application that is given another with each request."""


class AllPaths:
    """The paths that were asked for, which are kept."""

    def __init__(self, tables: Tables) -> None:
        """Make nothing yet."""
        self._tables = tables
        self._known: dict[tuple[str, MetaData], Paths] = {}

    async def to(self, backend: str, app: FastAPI, metadata: MetaData) -> Paths:
        """Return the paths by *app* to a database with the tables of *metadata*."""
        if (backend, metadata) not in self._known:
            url = await self._tables.of(metadata, backend)
            self._known[backend, metadata] = Paths(app, url, metadata)
        return self._known[backend, metadata]

    async def dispose(self) -> None:
        """Close all connections."""
        for each in self._known.values():
            await each.dispose()


@pytest.fixture(scope="session")
async def all_paths(tables: Tables) -> AsyncIterator[AllPaths]:
    """The paths that were asked for."""
    paths = AllPaths(tables)
    yield paths
    await paths.dispose()


@pytest.fixture(scope="session")
def articles_app() -> FastAPI:
    """The reference service."""
    keys = ["a secret that is known to these tests alone"]
    return create_app(Settings(database_url=UNUSED, cursor_keys=keys))


@pytest.fixture
async def paths(all_paths: AllPaths, articles_app: FastAPI, backend: str) -> Paths:
    """The paths to the reference service; a test fills its tables."""
    return await all_paths.to(backend, articles_app, Model.metadata)


@pytest.fixture
async def notes_paths(all_paths: AllPaths, backend: str) -> Paths:
    """The paths to the notes; a test fills their tables."""
    return await all_paths.to(backend, notes.plain_notes, notes.Base.metadata)


@pytest.fixture(scope="session")
def library_app() -> FastAPI:
    """The library."""
    return library.create_app(UNUSED)


@pytest.fixture
async def library_paths(all_paths: AllPaths, library_app: FastAPI, backend: str) -> Paths:
    """The paths to the library; a test fills its tables."""
    return await all_paths.to(backend, library_app, library.Base.metadata)
