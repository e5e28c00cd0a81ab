"""What tests share: a real PostgreSQL, a database of their own on each, and servers."""

import shutil
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
from httpx2 import AsyncClient

from app.main import create_app
from app.migrations import migrate
from app.settings import Settings
from examples.by_hand import main as by_hand
from tests.postgres import Postgres, running
from tests.server import serving

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the whole run."""
    with running() as server:
        yield server


class Databases:
    """Makes databases, empty or as the migrations leave them, and copies them by the file."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        """Migrate one of each: SQLite's files go into *folder*, the others onto *postgres*."""
        self._postgres = postgres
        self._folder = folder
        self._numbers = count()
        self._templates: dict[str, str] = {}
        for backend in BACKENDS:
            migrate(url := self.empty(backend))
            self._templates[backend] = url.rpartition("/")[2]

    def empty(self, backend: str) -> str:
        """Return the URL of a new database without a table."""
        return self._new(backend, None)

    def migrated(self, backend: str) -> str:
        """Return the URL of a new database with the tables of the service."""
        return self._new(backend, self._templates[backend])

    def _new(self, backend: str, template: str | None) -> str:
        name = f"test_{next(self._numbers)}"
        if backend == "postgresql":
            return self._postgres.create(name, template=template or "template1")
        file = self._folder / f"{name}.db"
        if template:
            shutil.copyfile(self._folder / template, file)
        return f"sqlite+aiosqlite:///{file}"


@pytest.fixture(scope="session")
def databases(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """Makes databases for the whole run."""
    return Databases(postgres, tmp_path_factory.mktemp("databases"))


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each of the databases that are supported, one after the other."""
    name: str = request.param
    return name


@pytest.fixture
def empty_url(databases: Databases, backend: str) -> str:
    """The URL of a database without tables, of this test alone."""
    return databases.empty(backend)


@pytest.fixture
def service_url(databases: Databases, backend: str) -> str:
    """The URL of a database with the tables of the service, of this test alone."""
    return databases.migrated(backend)


@pytest.fixture
async def client(service_url: str) -> AsyncIterator[AsyncClient]:
    """A client of the service, which runs on a database of its own."""
    async with serving(create_app(Settings(database_url=service_url))) as client:
        yield client


@pytest.fixture(params=["declared", "by hand"])
async def articles(
    request: pytest.FixtureRequest, databases: Databases, backend: str
) -> AsyncIterator[AsyncClient]:
    """A client of `/articles`, as the service declares it and as the example writes it."""
    if request.param == "declared":
        app = create_app(Settings(database_url=databases.migrated(backend)))
    else:
        app = by_hand.create_app(databases.empty(backend))
    async with serving(app) as client:
        yield client
