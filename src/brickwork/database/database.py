"""The database of an application: its engines, and the transaction each request runs in."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args
from weakref import WeakValueDictionary

from fastapi import Depends
from fastapi.requests import HTTPConnection
from sqlalchemy import URL, Column, Connection, Engine, MetaData, Table, event, exists, func, select
from sqlalchemy.exc import CircularDependencyError, DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session as SyncSession, SessionTransaction
from sqlalchemy.orm.exc import StaleDataError
from starlette.types import Scope
from typing_extensions import override

from brickwork.context import request_id
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
from brickwork.database.connections import begin_foreign_transaction, close_all
from brickwork.database.constraints import look_up_constraint
from brickwork.database.engines import EngineSettings, connect_engines
from brickwork.problems import Problem
from brickwork.schemas.names import request_names

IsolationLevel: TypeAlias = Literal["read committed", "repeatable read", "serializable"]
"""How far transactions of PostgreSQL are kept apart."""

SNAPSHOT_LEVEL: Final[IsolationLevel] = "repeatable read"
"""The level at which all statements of a transaction read the same rows."""

_CREATE_ATTEMPTS: Final = 10
_CREATE_PAUSE: Final = 0.1  # seconds
_CREATE_LOCK: Final = 0x6272_6963_6B74  # one that no other advisory lock is likely to be

ISOLATION_SCOPE_KEY: Final = "brickwork.isolation"
"""Where in a request's scope stands how far its transaction is kept apart from others."""


class Database:
    """One database, PostgreSQL or SQLite, with a pool for writing and one for reading.

    Give its `lifespan` to the application, `FastAPI(lifespan=Database(url).lifespan)`, and
    `SessionDep` to whatever needs a transaction. In a script, use `session` itself.
    """

    def __init__(  # noqa: PLR0913 — each has a default that is right for most
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
        """Open nothing yet.

        Args:
            url: The database, as SQLAlchemy or libpq writes it, or an engine of your own. The
                pool, the arguments and the listeners of an engine stay as they are.
            reader: The engine of requests that only read, where *url* is an engine, too.
            pool_size: How many connections each pool opens at most.
            pool_timeout: How many seconds a request waits for the database: for a connection, be it
                a free or a new one, and for each answer. Then it is refused.
            connect_args: Further arguments of `asyncpg.connect` or `aiosqlite.connect`.
            pooler: Whether PgBouncer or the like lends a connection for each transaction. Nothing
                then relies on what a connection remembers.
            isolation_level: The isolation level of PostgreSQL's transactions. The default is the
                engine's, else "read committed". SQLite's are always serializable.
            fast_path: Whether operations without overridden methods bypass the session; no answer
                depends on it.
            coalesce: Whether what waits there is carried out together; answers are the same.

        Raises:
            ValueError: The promises cannot be kept on this database, or something of the URL or the
                arguments would have no effect.

        """
        settings = EngineSettings(
            pool_size=pool_size,
            timeout=pool_timeout,
            connect_args=connect_args,
            pooler=pooler,
            isolation_level=isolation_level,
        )
        made = connect_engines(url, reader, settings)
        self.url = made.target.url
        self.timeout = pool_timeout
        self.availability = made.availability
        self.writers, self.readers = made.writers, made.readers
        self.writer, self.reader = made.writers.engine, made.readers.engine
        self.retries = 0
        self.fast_path = fast_path and made.may_be_fast and not _overridden(type(self))
        self.coalesce = coalesce
        self.coalescers: WeakValueDictionary[object, CallBatcher[Any, Any]] = WeakValueDictionary()
        """The coalescers that carry something out now, by the statement."""
        self.shared = SingleFlight(pool_timeout)
        self.tables: set[Table[Any]] = set()
        """The tables that requests to the application use; the check at its start-up adds them."""
        self._target = made.target
        self._is_own = not isinstance(url, AsyncEngine)

    @asynccontextmanager
    async def session(self, *, readonly: bool = False) -> AsyncGenerator[AsyncSession]:
        """Run a transaction: committed at the end of the block, rolled back on any error.

        With *readonly* the database itself refuses to write. What the database refuses of the
        data is raised as the `Problem` it is to a client.
        """
        engine = self.reader if readonly else self.writer
        written = errors.FlushLog()
        info = {"database": self, "written": written, "writes": not readonly}
        try:
            async with _session(bind=engine, info=info) as session:
                yield session
                await session.commit()
        except DBAPIError as error:
            if (problem := await self.explain(error, written, readonly=readonly)) is None:
                raise
            raise problem from error
        except StaleDataError as error:  # changed since it was read, without a lock
            raise errors.serialization_conflict() from error
        except CircularDependencyError as error:
            if problem := errors.circular_removal(written):
                raise problem from error
            raise
        if self.availability.outages and "begun" in session.info:
            self.availability.end(readonly=readonly, wrote=bool(written.mappers))

    @asynccontextmanager
    async def lifespan(self, app: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        """Serve *app* while it runs, and close all connections when it stops."""
        running = getattr(app, "router", None), self
        _running.append(running)
        try:
            yield {"database": self}
        finally:
            _running[:] = [each for each in _running if each is not running]
            await self.dispose()

    async def create_all(self, metadata: MetaData) -> None:
        """Create the tables of *metadata* that do not exist, in one transaction.

        Call it before `lifespan` in development, tests and first programs. Several processes may
        call it at the same time. It never alters an existing table: use migrations for that.
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
        """Let statements take as long as they do, where nobody waits for an answer."""
        self.writers.command_timeout = self.readers.command_timeout = None
        await self.dispose()  # connections that are open have the limit

    def create_engine(self, **options: Any) -> AsyncEngine:
        """Return another engine of the same database with *options* of SQLAlchemy.

        It has nothing of this one but the address and the driver's arguments: migrations, for
        example, need no deadline, and no foreign keys on SQLite. Raises `TypeError` if the engine
        of this one was given.
        """
        if not self._is_own:
            raise TypeError("The arguments of the engine are yours: make another one with them.")
        return create_async_engine(self.url, connect_args={**self._target.connect_args}, **options)

    async def explain(
        self,
        error: DBAPIError,
        written: errors.FlushLog,
        session: AsyncSession | None = None,
        *,
        readonly: bool = False,
    ) -> Problem | None:
        """Return what *error* is to the client who sent what was *written*; None if it is a bug.

        *session* is one whose transaction goes on after the error; without it, a new one is used.
        *readonly* tells that the session only reads.
        """
        error = errors.original_error(error)
        if absent := errors.absent_tables(error, self.tables):
            self.availability.log_missing(absent)
            return database_unavailable()
        cause = driver_error(error)
        if is_stale_plan(cause):
            return database_unavailable(again=True)
        outage = classify_outage(cause, readonly=readonly)
        if (lost := error.connection_invalidated) and not outage:  # which the driver noticed itself
            outage, cause = UNREACHABLE, ConnectionError("the connection was closed")
        if outage:
            lender = self.readers if readonly else self.writers
            # A transaction is lost with its connection; of a commit, nobody knows.
            again = lost and outage is UNREACHABLE and error.statement is not None
            return lender.refusal(cause, outage, again=again)
        async with nullcontext(session) if session else self.session(readonly=True) as asked:
            return await problem_from_error(error, written, asked)


async def problem_from_error(
    error: DBAPIError, written: errors.FlushLog, session: AsyncSession
) -> Problem | None:
    """Return what *error* is to the client who sent what was *written*; None if it is a bug.

    *session* is asked for what the error does not tell.
    """
    error = errors.original_error(error)
    if (found := errors.classify(error)) is None:
        return None
    verb = (error.statement or "").partition(" ")[0].upper()
    is_placed = errors.is_placed(found, verb)
    columns = await _columns(found, written, session) if is_placed else ()
    kind = errors.kind_of(found, columns, written, verb)
    problem = errors.problem_of_kind(kind, errors.affected_places(columns, written))
    return replace(problem, again=problem.again or errors.lost_race(found, written))


async def _columns(
    found: errors.Violation, written: errors.FlushLog, session: AsyncSession
) -> Collection[Column[Any]]:
    """Return the columns that *found* is about, of those that were *written*."""
    if not (tables := errors.tables_of(written)):
        return ()
    if found.kind == "reference" and found.table is None:
        return await _missing(written, session)
    if (columns := errors.columns_of(found, tables)) is not None:
        return columns
    names = [found.table] if found.table else [each.name for each in tables]
    source = await look_up_constraint(session, names, found.schema, found.constraint)
    return replace(source, texts=[*source.texts, found.columns]).columns(tables)


async def _missing(written: errors.FlushLog, session: AsyncSession) -> Collection[Column[Any]]:
    """Return the columns that refer to no row; SQLite says only that there is one."""
    missing: set[Column[Any]] = set()
    for key, values in written.references:
        wanted = [*zip((each.column for each in key.elements), values, strict=True)]
        there = exists().where(*(column == value for column, value in wanted))
        if not (written.values.issuperset(wanted) or await session.scalar(select(there))):
            missing |= {*key.columns}
    return missing


class _Session(SyncSession):
    """A session that notes what it sends, so that a refusal can be laid at a field."""


class _AsyncSession(AsyncSession):
    """The same for those who wait; where nothing is open, it is closed without waiting."""

    @override
    async def __aexit__(self, *error: object) -> None:
        if self.in_transaction():
            await super().__aexit__(*error)
        else:
            self.sync_session.close()


_session: Final = async_sessionmaker(
    class_=_AsyncSession, expire_on_commit=False, sync_session_class=_Session
)
"""Makes the session of a transaction; once for all, since each maker makes a class."""


_HARMLESS: Final = {"__init__", "__doc__", "__module__", "create_all", "dispose", "lifespan"}
"""The attributes of a database that have no part in the answer to a request."""


def _overridden(kind: type[Database]) -> Collection[str]:
    """Return the attributes of `Database`, and of every object, that *kind* has of its own."""
    classes = kind.__mro__[: kind.__mro__.index(Database)]
    return {name for each in classes for name in vars(each) if hasattr(Database, name)} - _HARMLESS


def transaction_session() -> SyncSession:
    """Return a session as those of transactions are, bound to nothing."""
    return _Session()


def is_own_session(session: AsyncSession) -> bool:
    """Tell whether `Database.session` has made *session*."""
    return isinstance(session.sync_session, _Session)


@event.listens_for(SyncSession, "before_flush")
def _note(session: SyncSession, *_: object) -> None:
    if written := session.info.get("written"):
        written.add((*session.new, *session.dirty))
        written.remove(session.deleted)


@event.listens_for(SyncSession, "after_begin")
def _set_up(session: SyncSession, transaction: SessionTransaction, connection: Connection) -> None:
    if "written" not in session.info or transaction.nested:
        return
    session.info["begun"] = True
    if session.info.get("adopted") and connection.dialect.name == "sqlite":
        begin_foreign_transaction(connection, writes=session.info["writes"])
    isolation = session.info.get("isolation")
    if not isolation or connection.dialect.name != "postgresql":
        return
    known = connection.get_execution_options().get("isolation_level")
    # A transaction that the session joins has begun with a level of its own.
    if known != isolation.upper() and not isinstance(session.bind, Connection):
        connection.exec_driver_sql(f"SET TRANSACTION ISOLATION LEVEL {isolation}")


async def begin_snapshot(session: AsyncSession) -> None:
    """Begin the transaction of *session* such that all its statements read the same snapshot.

    A transaction that has begun stays as it is. SQLite has no other transactions.
    """
    bind = session.get_bind()
    if session.in_transaction() or not isinstance(bind, Engine) or bind.name != "postgresql":
        return
    isolation = (
        strictest_isolation((session.info.get("isolation"), SNAPSHOT_LEVEL)) or SNAPSHOT_LEVEL
    )
    options: Any = {"isolation_level": isolation.upper()}
    _ = await session.connection(execution_options=options)


def strictest_isolation(levels: Iterable[IsolationLevel | None]) -> IsolationLevel | None:
    """Return that of *levels* which keeps transactions apart the most; None if none is said."""
    wanted: list[IsolationLevel] = [each for each in levels if each]
    return max(wanted, key=get_args(IsolationLevel).index, default=None)


async def get_db(connection: HTTPConnection) -> AsyncGenerator[AsyncSession]:
    """Yield the transaction of this request, read-only for GET and HEAD.

    Depend on it with `scope="function"`, as `SessionDep` does: then it is committed before the
    answer is sent. FastAPI's default commits after the client has its answer.
    """
    readonly = connection.scope.get("method") in {"GET", "HEAD"}
    async with database_of(connection).session(readonly=readonly) as session:
        session.info["request_id"] = request_id(connection.scope) or None
        session.info["isolation"] = connection.scope.get(ISOLATION_SCOPE_KEY)
        session.info["written"].names = request_names(connection.scope)
        yield session


def database_of(connection: HTTPConnection) -> Database:
    """Return the database of the application that serves *connection*.

    Raises `TypeError` with the remedy where no lifespan has started one.
    """
    database = getattr(connection.state, "database", None)
    if isinstance(database, Database):
        return database
    if len(_started(connection.scope)) > 1:
        raise TypeError(_SEVERAL)
    raise TypeError(_MOUNTED if "app_root_path" in connection.scope else _NOT_STARTED)


def running_database(scope: Scope) -> Database | None:
    """Return the database that a lifespan has started for *scope*; None for none and for several.

    A server hands the state of a lifespan to each request. httpx's `ASGITransport` does not, and
    neither does a lifespan that yields nothing.
    """
    databases = _started(scope)
    return databases[0] if len(databases) == 1 else None


def _started(scope: Scope) -> Sequence[Database]:
    """Return the databases of the application, else those of the one that it is mounted in."""
    own, outer = scope["app"].router, scope.get("router")
    started = [database for router, database in _running if router is own]
    return started or [database for router, database in _running if router is outer is not None]


_running: Final[list[tuple[object, Database]]] = []
"""The databases whose lifespan goes on, each with the router of the application."""

_NOT_STARTED: Final = (
    "The application has no database. Start it with FastAPI(lifespan=Database(url).lifespan). If "
    "it has that lifespan, the lifespan did not run: write `with TestClient(app) as client:` in a "
    "test, and `async with app.router.lifespan_context(app):` around an ASGITransport."
)
_MOUNTED: Final = (
    "The application has no database. It is mounted, and the lifespan of a mounted application "
    "does not run: give FastAPI(lifespan=Database(url).lifespan) to the outer application."
)
_SEVERAL: Final = (
    "The application has several databases. Let its lifespan yield the state of one of them: "
    "`async with first.lifespan(app) as state, second.lifespan(app): yield state`."
)


SessionDep = Annotated[AsyncSession, Depends(get_db, scope="function")]
"""The transaction of this request: committed before the answer is sent, or not at all."""
