"""The database of an application, and the transactions of its requests."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Annotated, Any, Final
from weakref import WeakValueDictionary

from fastapi import Depends
from fastapi.requests import HTTPConnection
from sqlalchemy import URL, MetaData, Table, func, select
from sqlalchemy.exc import CircularDependencyError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm.exc import StaleDataError
from starlette.types import Scope

from brickwork.context import request_context
from brickwork.database import errors
from brickwork.database.availability import (
    UNREACHABLE,
    classify_outage,
    database_unavailable,
    driver_error,
    is_sqlite_locked,
    is_stale_plan,
)
from brickwork.database.coalescing import CallBatcher, SingleFlight
from brickwork.database.connections import close_all
from brickwork.database.diagnosis import problem_from_error
from brickwork.database.engines import EngineSettings, connect_engines
from brickwork.database.flush_log import FlushLog
from brickwork.database.isolation import IsolationLevel
from brickwork.database.lifespans import explain_absence
from brickwork.database.transactions import make_session
from brickwork.database.unit_of_work import UnitOfWork, session_info, unit_of_work
from brickwork.problems import Problem
from brickwork.schemas.names import request_names

_CREATE_ATTEMPTS: Final = 10

_CREATE_PAUSE: Final = 0.1  # seconds

_CREATE_LOCK: Final = 0x6272_6963_6B74  # one that no other advisory lock is likely to be


class Database:
    """A PostgreSQL or SQLite database, with one pool for writers and one for readers.

    Pass its `lifespan` to the application: `FastAPI(lifespan=Database(url).lifespan)`. Endpoints
    that need a transaction depend on `SessionDep`; scripts call `session`.
    """

    def __init__(  # noqa: PLR0913 — every default suits most applications
        self,
        url: str | URL | AsyncEngine,
        *,
        reader: AsyncEngine | None = None,
        pool_size: int = 10,
        pool_timeout: float = 10,
        connect_args: Mapping[str, Any] | None = None,
        pooler: bool = False,
        isolation_level: IsolationLevel | None = None,
        fast_path: bool = True,
        coalesce: bool = True,
    ) -> None:
        """Configure the engines. No connection is opened yet.

        Args:
            url: The URL of the database, as SQLAlchemy or libpq writes it, or an engine. Brickwork
                keeps the pool, arguments and listeners of an engine.
            reader: The engine of read-only requests. Requires an engine as *url*.
            pool_size: Maximum number of connections of each pool.
            pool_timeout: Seconds that a request waits for a connection, and then for each result.
                After that it fails with 503.
            connect_args: Further arguments of `asyncpg.connect` or `aiosqlite.connect`.
            pooler: Whether a transaction pooler such as PgBouncer is in between. Brickwork then
                uses no session state.
            isolation_level: Isolation level of PostgreSQL transactions. The default is the
                engine's, else "read committed". SQLite is always serializable.
            fast_path: Whether operations without overridden methods bypass the ORM session. It
                does not change a response.
            coalesce: Whether concurrent operations on the fast path are batched. It does not
                change a response.

        Raises:
            ValueError: The database is not supported, or a part of the URL or an argument would
                have no effect.

        """
        settings = EngineSettings(
            pool_size=pool_size,
            timeout=pool_timeout,
            connect_args=connect_args,
            pooler=pooler,
            isolation_level=isolation_level,
        )
        engines = connect_engines(url, reader, settings)
        self.url = engines.target.url
        self.timeout = pool_timeout
        self.availability = engines.availability
        self.writers, self.readers = engines.writers, engines.readers
        self.writer, self.reader = engines.writers.engine, engines.readers.engine
        self.retries = 0
        may_bypass = engines.may_bypass_session and not _find_overrides(type(self))
        self.fast_path = fast_path and may_bypass
        self.coalesce = coalesce
        self.batchers: WeakValueDictionary[object, CallBatcher[Any, Any]] = WeakValueDictionary()
        """The batchers with calls in flight, by statement."""
        self.shared = SingleFlight(pool_timeout)
        self.tables: set[Table[Any]] = set()
        """The tables that the application uses, added by its start-up check."""
        self._target = engines.target
        self._is_own = not isinstance(url, AsyncEngine)

    @asynccontextmanager
    async def session(self, *, readonly: bool = False) -> AsyncGenerator[AsyncSession]:
        """Run the block in a transaction: commit at its end, roll back on any error.

        Args:
            readonly: Whether the database rejects every write.

        Raises:
            Problem: The database rejected the data, is unavailable, or lost a conflict.

        """
        engine = self.reader if readonly else self.writer
        unit = UnitOfWork(self, writable=not readonly)
        written = unit.flush_log
        try:
            async with make_session(bind=engine, info=session_info(unit)) as session:
                yield session
                await session.commit()
        except DBAPIError as error:
            if (problem := await self.translate_error(error, written, readonly=readonly)) is None:
                raise
            raise problem from error
        except StaleDataError as error:  # changed since it was read, without a lock
            raise errors.serialization_conflict() from error
        except CircularDependencyError as error:
            if problem := errors.circular_removal(written):
                raise problem from error
            raise
        if self.availability.outages and unit.begun:
            self.availability.end(readonly=readonly, wrote=bool(written.mappers))

    @asynccontextmanager
    async def lifespan(self, app: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        """Serve *app* while it runs, and close all connections when it stops."""
        running = getattr(app, "router", None), self
        _running_databases.append(running)
        try:
            yield {"database": self}
        finally:
            _running_databases[:] = [entry for entry in _running_databases if entry is not running]
            await self.dispose()

    async def use(self, connection: HTTPConnection) -> None:
        """Serve *connection* from this database, instead of the one of the lifespan.

        It is a dependency of routes, `include_router(router, dependencies=[Depends(archive.use)])`,
        and a dependency of your own may call it.
        """
        connection.state.database = self

    async def create_all(self, metadata: MetaData) -> None:
        """Create the tables of *metadata* that do not exist, in one transaction.

        Call it before `lifespan` in development and tests. Several processes may call it
        concurrently. It never alters an existing table: use migrations for that.
        """
        attempts = _CREATE_ATTEMPTS
        while True:
            attempts -= 1
            try:
                return await self._create_all(metadata)
            except DBAPIError as error:
                # SQLite does not wait for a lock where another process switches the file to WAL.
                if not attempts or not is_sqlite_locked(error):
                    raise
            await asyncio.sleep(_CREATE_PAUSE)

    async def _create_all(self, metadata: MetaData) -> None:
        async with self.writer.begin() as connection:
            if connection.dialect.name == "postgresql":
                # A stricter level would not see tables that were committed while this waits.
                await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
                await connection.execute(select(func.pg_advisory_xact_lock(_CREATE_LOCK)))
            await connection.run_sync(metadata.create_all)

    async def dispose(self) -> None:
        """Close every connection that is not in use."""
        await self.writer.dispose()
        await self.reader.dispose()
        await close_all()

    async def unbound(self) -> None:
        """Remove the time limit of statements, for work without a waiting client."""
        self.writers.command_timeout = self.readers.command_timeout = None
        await self.dispose()  # open connections keep the limit

    def create_engine(self, **options: Any) -> AsyncEngine:
        """Create another engine for the same database, for migrations, for example.

        It shares the URL and the driver's arguments only: it has no timeouts, and does not enforce
        foreign keys on SQLite.

        Args:
            **options: Options of `sqlalchemy.ext.asyncio.create_async_engine`.

        Raises:
            TypeError: This database was created from an engine.

        """
        if not self._is_own:
            raise TypeError(
                "Database was created from an engine: call create_async_engine with its arguments."
            )
        return create_async_engine(self.url, connect_args={**self._target.connect_args}, **options)

    async def translate_error(
        self,
        error: DBAPIError,
        written: FlushLog,
        session: AsyncSession | None = None,
        *,
        readonly: bool = False,
    ) -> Problem | None:
        """Translate *error* to the problem that the client receives. None if it is a bug.

        *session* queries the database about the error. The default is a new session.
        """
        error = errors.original_error(error)
        if absent := errors.absent_tables(error, self.tables):
            self.availability.log_missing(absent)
            return database_unavailable()
        cause = driver_error(error)
        if is_stale_plan(cause):
            return database_unavailable(retryable=True)
        outage = classify_outage(cause, readonly=readonly)
        if (lost := error.connection_invalidated) and not outage:  # the driver noticed the loss
            outage, cause = UNREACHABLE, ConnectionError("the connection was closed")
        if outage:
            lender = self.readers if readonly else self.writers
            # A transaction is lost with its connection, but a commit may have succeeded.
            retryable = lost and outage is UNREACHABLE and error.statement is not None
            return lender.outage_problem(cause, outage, retryable=retryable)
        async with nullcontext(session) if session else self.session(readonly=True) as lookup:
            return await problem_from_error(error, written, lookup)


_UNRELATED_ATTRIBUTES: Final = {
    "__init__",
    "__doc__",
    "__module__",
    "create_all",
    "dispose",
    "lifespan",
    "use",
}
"""Attributes of `Database` that do not affect the response to a request."""


def _find_overrides(kind: type[Database]) -> Collection[str]:
    """Return the attributes of `Database` and `object` that subclasses up to *kind* override."""
    classes = kind.__mro__[: kind.__mro__.index(Database)]
    names = {name for base in classes for name in vars(base) if hasattr(Database, name)}
    return names - _UNRELATED_ATTRIBUTES


async def get_db(connection: HTTPConnection) -> AsyncGenerator[AsyncSession]:
    """Yield the transaction of this request, read-only for GET and HEAD.

    Depend on it with `scope="function"`, as `SessionDep` does, to commit before the response is
    sent. FastAPI's default scope commits after the response.
    """
    readonly = connection.scope.get("method") in {"GET", "HEAD"}
    async with database_of(connection).session(readonly=readonly) as session:
        unit = unit_of_work(session)
        context = request_context(connection.scope)
        unit.request_id = context.request_id or None
        unit.isolation_level = context.isolation_level
        unit.flush_log.names = request_names(connection.scope)
        yield session


def database_of(connection: HTTPConnection) -> Database:
    """Return the database of the application that serves *connection*.

    Raises `TypeError` with the remedy if no lifespan started one.
    """
    database = getattr(connection.state, "database", None)
    if isinstance(database, Database):
        return database
    raise TypeError(explain_absence(connection.scope, len(_find_databases(connection.scope))))


def running_database(scope: Scope) -> Database | None:
    """Return the database that a lifespan started for *scope*. None without one, or with several.

    It replaces the lifespan state, which a server passes to each request. httpx's `ASGITransport`
    passes none, and a lifespan that yields nothing has none.
    """
    databases = _find_databases(scope)
    return databases[0] if len(databases) == 1 else None


def running_databases(app: Any) -> Sequence[Database]:
    """Return the databases that a lifespan started for *app*."""
    return [database for router, database in _running_databases if router is app.router]


def _find_databases(scope: Scope) -> Sequence[Database]:
    """Return the databases of the application, else of the application that mounts it."""
    own, outer = scope["app"].router, scope.get("router")
    databases = [database for router, database in _running_databases if router is own]
    return databases or [
        database for router, database in _running_databases if router is outer is not None
    ]


_running_databases: Final[list[tuple[object, Database]]] = []
"""The databases with a running lifespan, each with the router of its application."""

SessionDep = Annotated[AsyncSession, Depends(get_db, scope="function")]
"""The transaction of this request, committed before the response is sent."""
