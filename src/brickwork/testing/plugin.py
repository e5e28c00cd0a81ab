"""The fixtures and options of the pytest plugin."""

import os
import zlib
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from starlette.types import Receive, Scope, Send

from brickwork.database.database import Database, running_databases
from brickwork.database.urls import url_without_password
from brickwork.testing.bodies import seed_bodies
from brickwork.testing.databases import (
    NoTestDatabase,
    empty_tables,
    new_postgresql_database,
    sqlite_url,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--database-url`."""
    parser.getgroup("brickwork").addoption(
        "--database-url",
        metavar="URL",
        help="A PostgreSQL server on which the tests create their databases (default: "
        "TEST_DATABASE_URL, else SQLite).",
    )


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, in one event loop for the session."""
    return "asyncio"


@pytest.fixture(scope="session")
def database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return the URL of an empty database of this test process.

    It is a SQLite file in a temporary folder. With `TEST_DATABASE_URL` or `--database-url`, it is a
    new database on that PostgreSQL server, dropped at the end.
    """
    server = request.config.getoption("--database-url") or os.environ.get("TEST_DATABASE_URL")
    if not server:
        yield sqlite_url(tmp_path_factory.mktemp("database"))
        return
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    try:
        with new_postgresql_database(str(server), worker) as url:
            yield url
    except NoTestDatabase as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def app() -> FastAPI:
    """Fail: a project has its own fixture of this name."""
    pytest.fail(_NO_APP, pytrace=False)


_NO_APP = """The tests have no application. Add a fixture to conftest.py:

@pytest.fixture(scope="session")
def app(database_url: str) -> FastAPI:
    migrate(database_url)
    return create_app(Settings(database_url=database_url))"""


@pytest.fixture(scope="session")
def kept_tables() -> Collection[str]:
    """Return the names of tables whose rows stay, such as reference data of a migration.

    A project that has such rows overrides this fixture. Its tests leave these tables unchanged.
    """
    return ()


@dataclass(frozen=True)
class _Running:
    """An application whose lifespan runs, and its database."""

    app: FastAPI
    state: Mapping[str, Any]
    database: Database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with the state of its lifespan, as a server does."""
        scope["state"] = dict(self.state)
        await self.app(scope, receive, send)


class _Lifespan:
    """Runs the lifespan of one application at a time."""

    def __init__(self) -> None:
        self._running: _Running | None = None
        self._of: tuple[FastAPI, str] | None = None
        self._stack = AsyncExitStack()

    async def enter(self, app: FastAPI, database_url: str) -> _Running:
        """Return the running *app*. Another application that runs is ended before."""
        if self._running is None or self._of != (app, database_url):
            await self.exit()
            database = Database(database_url)
            self._stack.push_async_callback(database.dispose)
            state = await self._stack.enter_async_context(app.router.lifespan_context(app))
            self._running, self._of = _Running(app, state or {}, database), (app, database_url)
        _require_database(app, self._running.database)
        return self._running

    async def exit(self) -> None:
        """End the application that runs, if any."""
        self._running = None
        await self._stack.aclose()


@pytest.fixture(scope="session")
async def brickwork_lifespan(
    anyio_backend: object,  # noqa: ARG001 — AnyIO runs this fixture because of it
) -> AsyncGenerator[Any]:
    """Run the lifespan of the application until a test uses another, or the session ends."""
    lifespan = _Lifespan()
    yield lifespan
    await lifespan.exit()


def _require_database(app: FastAPI, expected: Database) -> None:
    """Fail unless *app* uses the *expected* database: the tables of another are not emptied."""
    used = [database.url for database in running_databases(app)]
    wanted = expected.url
    if used and not any(
        (url.host, url.port, url.database) == (wanted.host, wanted.port, wanted.database)
        for url in used
    ):
        names = ", ".join(map(url_without_password, used))
        pytest.fail(
            f"The application uses {names}, and not the database of the tests. Each test empties "
            "that database, so create the application with the fixture `database_url`.",
            pytrace=False,
        )


@pytest.fixture
async def client(
    anyio_backend: object,  # noqa: ARG001 — as above
    app: FastAPI,
    database_url: str,
    brickwork_lifespan: Any,  # the last, so that it ends before a database is dropped
    kept_tables: Collection[str],
) -> AsyncGenerator[AsyncClient]:
    """Return a client of the application, with empty tables.

    It calls the application over ASGI, without a server. The lifespan of the application runs
    until a test uses another application. An unexpected error of the application is raised in the
    test. The base URL is `http://test`.
    """
    running: _Running = await brickwork_lifespan.enter(app, database_url)
    try:
        await empty_tables(running.database, kept_tables)
    except NoTestDatabase as error:
        pytest.fail(str(error), pytrace=False)
    async with AsyncClient(transport=ASGITransport(running), base_url="http://test") as client:
        yield client


@pytest.fixture(autouse=True)
def brickwork_seed(request: pytest.FixtureRequest) -> None:
    """Let `build` give the same values each time that this test runs."""
    seed_bodies(zlib.crc32(request.node.nodeid.encode()))
