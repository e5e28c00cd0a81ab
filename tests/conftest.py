"""What tests share: a real PostgreSQL, a database of their own on each, and servers."""

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from httpx2 import AsyncClient

from app.main import create_app
from app.migrations import migrate
from app.settings import Settings
from brickwork import Database
from tests.support import notes, shop
from tests.support.databases import BACKENDS, Databases
from tests.support.postgres import Postgres, running
from tests.support.server import serving
from tests.support.services import Service, Services
from tests.support.tables import Tables

SLOW = Path(__file__).parent / "slow"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of tests, and of the path that requests take."""
    parser.addoption("--all", action="store_true", help="Run the tests in tests/slow too.")
    text = "Whether databases have the fast path (they do), or never."
    parser.addoption("--path", choices=["fast", "orm"], default="fast", help=text)
    text = (
        "How many random applications are compared on both paths, or from which to which (17:18)."
    )
    parser.addoption("--applications", type=numbers, default=range(80), help=text)


def numbers(text: str) -> range:
    """Return the numbers that are meant by `80`, which are the first 80, or by `17:18`."""
    start, _, stop = text.rpartition(":")
    return range(int(start or 0), int(stop))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out tests/slow, unless it is wanted or named."""
    named = config.getoption("--all") or any("slow" in argument for argument in config.args)
    return True if collection_path == SLOW and not named else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that are the same on both paths, when the ORM path is chosen."""
    if config.getoption("--path") == "orm":
        kept, same = list[pytest.Item](), list[pytest.Item]()
        for each in items:
            is_same = not _has_database(each) or each.get_closest_marker("both_paths")
            (same if is_same else kept).append(each)
        config.hook.pytest_deselected(items=same)
        items[:] = kept


def pytest_collection_finish() -> None:
    """Keep the collector from looking through all test modules again and again."""
    gc.collect()
    gc.freeze()


def _has_database(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "postgres" in item.fixturenames


@pytest.fixture(scope="session", autouse=True)
def default_path(request: pytest.FixtureRequest) -> Iterator[str]:
    """The path of requests whose test does not choose one."""
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
    """A PostgreSQL server for the whole run."""
    with running() as server:
        yield server


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


@pytest.fixture
def applications(request: pytest.FixtureRequest) -> range:
    """The numbers of the random applications to compare."""
    chosen: Any = request.config.getoption("--applications")
    return range(chosen.start, chosen.stop)


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
def migrated_url(databases: Databases, backend: str) -> str:
    """The URL of a database with the tables of the service, of this test alone."""
    return databases.migrated(backend)


@pytest.fixture(scope="session")
async def tables(templates: Databases) -> AsyncIterator[Tables]:
    """Makes databases with the tables that tests ask for, each once a worker."""
    databases = templates.another()
    async with AsyncExitStack() as stack:
        yield Tables(databases, stack)
    databases.drop()


@pytest.fixture
async def shop_url(tables: Tables, backend: str) -> str:
    """The URL of a shop's database, which has no row."""
    return await tables.of(shop.Base.metadata, backend)


@pytest.fixture
async def notes_url(tables: Tables, backend: str) -> str:
    """The URL of a database with twenty notes."""
    return await tables.of(notes.Base.metadata, backend, notes.TWENTY)


@pytest.fixture(scope="session")
async def services(templates: Databases) -> AsyncIterator[Services]:
    """The applications that all tests of this worker share."""
    databases = templates.another()
    async with AsyncExitStack() as stack:
        yield Services(databases, stack)
    databases.drop()


@pytest.fixture
async def service(services: Services, backend: str) -> Service:
    """The reference service, which has no row."""
    return await services.emptied(backend)


@pytest.fixture
def service_url(service: Service) -> str:
    """The URL of the service's database, for tests that leave its tables as they are."""
    return service.url


@pytest.fixture
def database(service: Service) -> Database:
    """The service's database, to look into past HTTP."""
    return service.database


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncClient]:
    """A client of the service."""
    async with service.client() as client:
        yield client


@pytest.fixture
async def served(service_url: str) -> AsyncIterator[AsyncClient]:
    """A client of the service on a socket, for what is about bytes and connections."""
    async with serving(create_app(Settings(database_url=service_url))) as client:
        yield client


@pytest.fixture(params=["declared", "by hand"])
async def articles(
    request: pytest.FixtureRequest, services: Services, backend: str
) -> AsyncIterator[AsyncClient]:
    """A client of `/articles`, as the service declares it and as the example writes it."""
    service = await services.emptied(backend, request.param)
    async with service.client() as client:
        yield client


@pytest.fixture
async def blog_service(services: Services, backend: str) -> Service:
    """The blog, which has no row."""
    return await services.emptied(backend, "blog")


@pytest.fixture
async def shop_service(services: Services, backend: str) -> Service:
    """The shop, which has no row."""
    return await services.emptied(backend, "shop")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what tests counted, wherever they ran."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.line(f"{name}: {value}")
