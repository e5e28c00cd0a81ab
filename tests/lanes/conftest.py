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
    """The paths to each database."""

    def __init__(self) -> None:
        """Know none yet."""
        self._known: dict[str, Paths] = {}

    def to(self, url: str, app: FastAPI, metadata: MetaData) -> Paths:
        """Return the paths to the database at *url* by *app*."""
        if url not in self._known:
            self._known[url] = Paths(app, url, metadata)
        return self._known[url]

    async def dispose(self) -> None:
        """Close all connections."""
        for each in self._known.values():
            await each.dispose()


@pytest.fixture(scope="session")
async def all_paths() -> AsyncIterator[AllPaths]:
    """The paths to each database."""
    paths = AllPaths()
    yield paths
    await paths.dispose()


@pytest.fixture(scope="session")
def articles_app() -> FastAPI:
    """The reference service."""
    keys = ["a secret that is known to these tests alone"]
    return create_app(Settings(database_url=UNUSED, cursor_keys=keys))


@pytest.fixture
def paths(all_paths: AllPaths, articles_app: FastAPI, service_url: str) -> Paths:
    """The paths to the rows of the reference service."""
    return all_paths.to(service_url, articles_app, Model.metadata)


@pytest.fixture
def notes_paths(all_paths: AllPaths, notes_url: str) -> Paths:
    """The paths to twenty notes."""
    return all_paths.to(notes_url, notes.plain_notes, notes.Base.metadata)


@pytest.fixture(scope="session")
def library_app() -> FastAPI:
    """The library."""
    return library.create_app(UNUSED)


@pytest.fixture
async def library_paths(
    all_paths: AllPaths, library_app: FastAPI, tables: Tables, backend: str
) -> Paths:
    """The paths to a library."""
    url = await tables.of(library.Base.metadata, backend)
    return all_paths.to(url, library_app, library.Base.metadata)
