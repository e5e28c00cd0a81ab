"""What tests share: a real PostgreSQL, a database of their own on each, and servers."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from httpx2 import AsyncClient

from app.main import create_app
from app.migrations import migrate
from app.settings import Settings
from brickwork import Database
from examples.by_hand import main as by_hand
from tests.postgres import Postgres, running
from tests.server import serving

BACKENDS = ("sqlite", "postgresql")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the lane be chosen that is open to requests."""
    text = "Whether databases let requests past the session (they do), or never."
    parser.addoption("--lane", choices=["fast", "ordinary"], default="fast", help=text)


@pytest.fixture(scope="session", autouse=True)
def lane(request: pytest.FixtureRequest) -> Iterator[str]:
    """The lane that is open where a test does not say it."""
    chosen = str(request.config.getoption("--lane"))
    with pytest.MonkeyPatch.context() as patch:
        defaults: dict[str, object] = Database.__init__.__kwdefaults__ or {}
        patch.setitem(defaults, "fast", chosen == "fast")
        yield chosen


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
    """Makes databases, empty or as the migrations leave them; copies of a template are quick."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        """Make nothing yet: SQLite's files go into *folder*, the others onto *postgres*."""
        self._postgres = postgres
        self._folder = folder
        self._made: list[str] = []
        self.templates: dict[str, str] = {}

    def empty(self, backend: str) -> str:
        """Return the URL of a new database without a table."""
        return self._new(backend, None)

    def migrated(self, backend: str) -> str:
        """Return the URL of a new database with the tables of the service."""
        return self._new(backend, self.templates[backend])

    def another(self) -> "Databases":
        """Return a maker of databases that has the same templates, and made nothing yet."""
        another = Databases(self._postgres, self._folder)
        another.templates = self.templates
        return another

    def drop(self) -> None:
        """Remove what was made on PostgreSQL; pytest removes files."""
        while self._made:
            self._postgres.drop(self._made.pop())

    def _new(self, backend: str, template: str | None) -> str:
        name = f"test_{uuid4().hex}"
        if backend == "postgresql":
            self._made.append(name)
            return self._postgres.create(name, template=template or "template1")
        file = self._folder / f"{name}.db"
        if template:
            shutil.copyfile(self._folder / template, file)
        return f"sqlite+aiosqlite:///{file}"


@pytest.fixture(scope="session")
def templates(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """One migrated database on each, from which the others are copied."""
    databases = Databases(postgres, tmp_path_factory.mktemp("databases"))
    for backend in BACKENDS:
        migrate(url := databases.empty(backend))
        databases.templates[backend] = url.rpartition("/")[2]
    yield databases
    databases.drop()


@pytest.fixture
def databases(templates: Databases) -> Iterator[Databases]:
    """Makes databases that are gone when the test is over."""
    databases = templates.another()
    yield databases
    databases.drop()


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what tests counted, wherever they ran."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.line(f"{name}: {value}")
