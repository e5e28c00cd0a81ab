"""Applications that tests call on all paths."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from sqlalchemy import MetaData

from app.main import create_app
from app.settings import Settings
from brickwork import Model
from tests.support import library, notes
from tests.support.paths import Paths
from tests.support.tables import Tables

UNUSED = "sqlite:///unused.db"
"""The URL for an application that gets its database with each request."""


class PathCache:
    """A cache of paths, one per database and metadata."""

    def __init__(self, tables: Tables) -> None:
        """Begin with an empty cache."""
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
        for known in self._known.values():
            await known.dispose()


@pytest.fixture(scope="session")
async def all_paths(tables: Tables) -> AsyncIterator[PathCache]:
    """Return the cache of paths."""
    paths = PathCache(tables)
    yield paths
    await paths.dispose()


@pytest.fixture(scope="session")
def articles_app() -> FastAPI:
    """Return the reference service."""
    keys = ["a secret that is known to these tests alone"]
    return create_app(Settings(database_url=UNUSED, cursor_keys=keys))


@pytest.fixture
async def paths(all_paths: PathCache, articles_app: FastAPI, backend: str) -> Paths:
    """Return the paths to the reference service. A test fills its tables."""
    return await all_paths.to(backend, articles_app, Model.metadata)


@pytest.fixture
async def notes_paths(all_paths: PathCache, backend: str) -> Paths:
    """Return the paths to the notes. A test fills their tables."""
    return await all_paths.to(backend, notes.plain_notes, notes.Base.metadata)


@pytest.fixture(scope="session")
def library_app() -> FastAPI:
    """Return the library application."""
    return library.create_app(UNUSED)


@pytest.fixture
async def library_paths(all_paths: PathCache, library_app: FastAPI, backend: str) -> Paths:
    """Return the paths to the library. A test fills its tables."""
    return await all_paths.to(backend, library_app, library.Base.metadata)
