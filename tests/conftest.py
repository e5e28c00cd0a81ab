"""The fixtures that tests share."""

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from httpx2 import AsyncClient
from sqlalchemy.orm import configure_mappers

from app.main import create_app
from app.migrations import migrate
from app.settings import Settings
from brickwork import Database
from tests.support import notes, shop
from tests.support.databases import BACKENDS, Databases
from tests.support.postgres import Postgres, running as running_postgres
from tests.support.running import Running
from tests.support.server import serving
from tests.support.services import Service, Services
from tests.support.tables import Tables

pytest_plugins = ["pytester"]

SLOW = Path(__file__).parent / "slow"
EXAMPLES = Path(__file__).parent / "examples"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options for the slow tests, the path of requests and the random applications."""
    parser.addoption("--all", action="store_true", help="Run tests/slow, too.")
    text = "The path of requests: the fast path where it is possible, or always the ORM path."
    parser.addoption("--path", choices=["fast", "orm"], default="fast", help=text)
    text = "The random applications to compare on both paths: a number, or a range (17:18)."
    parser.addoption("--applications", type=numbers, default=range(80), help=text)


def numbers(text: str) -> range:
    """Parse a range of numbers: `80` for the first 80, or `17:18` for one."""
    start, _, stop = text.rpartition(":")
    return range(int(start or 0), int(stop))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip tests/slow, unless `--all` or a path selects it, and tests/examples without a path."""
    if collection_path not in {SLOW, EXAMPLES}:
        return None
    is_all = config.getoption("--all") and collection_path == SLOW
    named = any(collection_path.name in argument for argument in config.args)
    return None if is_all or named else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that belong to a run with the other path.

    Tests that choose the ORM path run with that path alone. Tests that choose the fast path, and
    tests without a database, run without it.
    """
    is_orm = config.getoption("--path") == "orm"
    kept, others = list[pytest.Item](), list[pytest.Item]()
    for item in items:
        if _chooses_orm_path(item):
            belongs = is_orm
        else:
            is_same = not _has_database(item) or bool(item.get_closest_marker("both_paths"))
            belongs = not (is_orm and is_same)
        (kept if belongs else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = kept


def _chooses_orm_path(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return False
    chosen = {*item.callspec.id.split("-")} & {"ORM", "ORM path"}
    return bool(chosen) or item.callspec.params.get("fast") is False


def pytest_collection_finish() -> None:
    """Map all classes, and freeze the heap, so that no collection scans all test modules again.

    Collections are rare, since they took an eighth of the time of a run.

    The models of the tests share a registry: this fails if a relationship names two of them.
    """
    configure_mappers()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def _has_database(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "postgres" in item.fixturenames


@pytest.fixture(scope="session", autouse=True)
def default_path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Set the path of requests in tests that do not choose one."""
    chosen = str(request.config.getoption("--path"))
    with pytest.MonkeyPatch.context() as patch:
        defaults: dict[str, object] = Database.__init__.__kwdefaults__ or {}
        patch.setitem(defaults, "fast_path", chosen == "fast")
        yield chosen


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL server for the whole session."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def templates(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Make one migrated database on each backend, the template of the others."""
    databases = Databases(postgres, tmp_path_factory.mktemp("databases"))
    for backend in BACKENDS:
        migrate(url := databases.empty(backend))
        databases.templates[backend] = url.rpartition("/")[2]
    yield databases
    databases.drop()


@pytest.fixture
def databases(templates: Databases) -> Iterator[Databases]:
    """Return a factory of databases, and drop them after the test."""
    databases = templates.another()
    yield databases
    databases.drop()


@pytest.fixture
def applications(request: pytest.FixtureRequest) -> range:
    """Return the numbers of the random applications to compare."""
    chosen: Any = request.config.getoption("--applications")
    return range(chosen.start, chosen.stop)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Return the name of a supported database: the test runs on each."""
    name: str = request.param
    return name


@pytest.fixture
def empty_url(databases: Databases, backend: str) -> str:
    """Return the URL of a database without tables, for this test alone."""
    return databases.empty(backend)


@pytest.fixture
def migrated_url(databases: Databases, backend: str) -> str:
    """Return the URL of a database with the tables of the service, for this test alone."""
    return databases.migrated(backend)


@pytest.fixture(scope="session")
async def tables(templates: Databases) -> AsyncIterator[Tables]:
    """Return a cache of databases by their tables, one for each worker."""
    databases = templates.another()
    async with AsyncExitStack() as stack:
        yield Tables(databases, stack)
    databases.drop()


@pytest.fixture(scope="session")
async def running(tables: Tables) -> AsyncIterator[Running]:  # noqa: ARG001 — ends before them
    """Yield the applications that run on between the tests of a module."""
    running = Running()
    yield running
    await running.end()


@pytest.fixture
async def shop_url(tables: Tables, backend: str) -> str:
    """Return the URL of a shop database without rows."""
    return await tables.of(shop.Base.metadata, backend)


@pytest.fixture
async def notes_url(tables: Tables, backend: str) -> str:
    """Return the URL of a database with twenty notes."""
    return await tables.of(notes.Base.metadata, backend, notes.TWENTY)


@pytest.fixture(scope="session")
async def services(templates: Databases) -> AsyncIterator[Services]:
    """Return the applications that all tests of this worker share."""
    databases = templates.another()
    async with AsyncExitStack() as stack:
        yield Services(databases, stack)
    databases.drop()


@pytest.fixture
async def service(services: Services, backend: str) -> Service:
    """Return the reference service, without rows."""
    return await services.emptied(backend)


@pytest.fixture
def service_url(service: Service) -> str:
    """Return the URL of the database of the service, for tests that do not change its tables."""
    return service.url


@pytest.fixture
def database(service: Service) -> Database:
    """Return the database of the service, for access without HTTP."""
    return service.database


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncClient]:
    """Return a client of the service."""
    async with service.client() as client:
        yield client


@pytest.fixture
async def served(service_url: str) -> AsyncIterator[AsyncClient]:
    """Return a client of the service on a socket, for tests of bytes and connections."""
    async with serving(create_app(Settings(database_url=service_url))) as client:
        yield client


@pytest.fixture(params=["declared", "by hand"])
async def articles(
    request: pytest.FixtureRequest, services: Services, backend: str
) -> AsyncIterator[AsyncClient]:
    """Return a client of `/articles`, both as declared and as written by hand in the example."""
    service = await services.emptied(backend, request.param)
    async with service.client() as client:
        yield client


@pytest.fixture
async def blog_service(services: Services, backend: str) -> Service:
    """Return the blog, without rows."""
    return await services.emptied(backend, "blog")


@pytest.fixture
async def shop_service(services: Services, backend: str) -> Service:
    """Return the shop, without rows."""
    return await services.emptied(backend, "shop")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the properties that tests recorded, on all workers."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.line(f"{name}: {value}")
