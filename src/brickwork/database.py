"""The database of an application: its engines, and the transaction each request runs in."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

from fastapi import Depends
from fastapi.requests import HTTPConnection
from pydantic_core import to_json
from sqlalchemy import (
    URL,
    Connection,
    Dialect,
    MetaData,
    Table,
    event,
    exists,
    func,
    make_url,
    select,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session as SyncSession
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.pool import ConnectionPoolEntry
from typing_extensions import override

from brickwork import faults
from brickwork.answers import request_id
from brickwork.availability import Availability
from brickwork.coalescing import Coalescer, Sharing
from brickwork.connections import begin_reading, begin_writing, prepare, roll_back
from brickwork.pools import FairPool
from brickwork.problems import Problem
from brickwork.reads import stand_alone

_DRIVERS: Final = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}


Isolation: TypeAlias = Literal["read committed", "repeatable read", "serializable"]
"""How far transactions of PostgreSQL are kept apart."""

_CREATE_ATTEMPTS: Final = 10
_CREATE_PAUSE: Final = 0.1  # seconds
_CREATE_LOCK: Final = 0x6272_6963_6B74  # one that no other advisory lock is likely to be

ISOLATION: Final = "brickwork.isolation"
"""Where in a request's scope stands how far its transaction is kept apart from others."""


class Database:
    """One database, PostgreSQL or SQLite, with a pool for writing and one for reading.

    Give its `lifespan` to the application, `FastAPI(lifespan=Database(url).lifespan)`, and
    `Session` to whatever needs a transaction. In a script, use `session` itself.
    """

    def __init__(  # noqa: PLR0913 — each has a default that is right for most
        self,
        url: str | URL,
        *,
        pool_size: int = 10,
        pool_timeout: float = 10,
        isolation: Isolation = "read committed",
        fast: bool = True,
        coalesce: bool = True,
    ) -> None:
        """Open nothing yet; *url* is as SQLAlchemy has it.

        Each pool opens *pool_size* connections at most, and a request waits *pool_timeout*
        seconds for one before it is refused. *isolation* is that of PostgreSQL's transactions; on
        SQLite they are serializable always. *fast* lets what is not overridden past the session,
        and *coalesce* has what waits there carried out together: answers are the same without.
        Raises `ValueError` for a database on which the promises cannot be kept.
        """
        self.url = _supported(make_url(url))
        self.retries = 0
        self.fast = fast and not _overridden(type(self))
        self.coalesce = coalesce
        self.coalescers: dict[object, Coalescer[Any, Any]] = {}
        self.shared = Sharing()
        self.availability = Availability(self.url)
        self.tables: set[Table[Any]] = set()
        """The tables that requests to the application use; the check at its start-up adds them."""
        self._isolation = isolation
        self.writer = self._engine(pool_size, pool_timeout, readonly=False)
        self.reader = self._engine(pool_size, pool_timeout, readonly=True)
        self._exports = asyncio.Semaphore(max(1, pool_size // 2))

    @asynccontextmanager
    async def session(self, *, readonly: bool = False) -> AsyncGenerator[AsyncSession]:
        """Run a transaction: committed at the end of the block, rolled back on any error.

        With *readonly* the database itself refuses to write. What the database refuses of the
        data is raised as the `Problem` it is to a client.
        """
        engine = self.reader if readonly else self.writer
        written = faults.Written()
        info = {"written": written, "writes": not readonly}
        try:
            async with _session(bind=engine, info=info) as session:
                yield session
                await session.commit()
        except DBAPIError as error:
            if (problem := await self.explain(error, written)) is None:
                raise
            raise problem from error
        except StaleDataError as error:  # changed since it was read, without a lock
            raise faults.contended() from error
        except PoolTimeout as error:
            raise faults.away() from error

    @asynccontextmanager
    async def export(self) -> AsyncGenerator[AsyncSession]:
        """Run a transaction that only reads, and may last; raises `Unavailable` while many do.

        What it reads is as it was at the first statement. It takes as long as the client reads, so
        half the connections are kept from them.
        """
        if self._exports.locked():
            raise faults.away()
        async with self._exports, self.session(readonly=True) as session:
            if session.get_bind().dialect.name == "postgresql":
                options = {"isolation_level": "REPEATABLE READ"}
                _ = await session.connection(execution_options=options)
            yield session

    @asynccontextmanager
    async def lifespan(self, _: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        """Serve an application while it runs, and close all connections when it stops."""
        try:
            yield {"database": self}
        finally:
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
                if not attempts or not faults.is_locked(error.driver_exception):
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

    async def explain(self, error: DBAPIError, written: faults.Written) -> Problem | None:
        """Return what *error* is to the client who sent what was *written*, if it is to blame."""
        if absent := faults.absent_tables(error, self.tables):
            self.availability.log_missing(absent)
            return faults.away()
        if (found := faults.violation(error)) is None:
            return None
        verb = (error.statement or "").partition(" ")[0].upper()
        fields: Collection[str] = faults.blamed(found, written)
        if found.kind == "reference" and found.table is None and verb != "DELETE":
            fields = await self._missing(written)
        problem = faults.problem(found, fields, verb=verb)
        return replace(problem, again=problem.again or faults.is_second(found, written))

    async def _missing(self, written: faults.Written) -> Collection[str]:
        """Return the fields that refer to no row; SQLite says only that there is one."""
        missing: set[str] = set()
        async with self.session(readonly=True) as session:
            for key, values in written.references:
                wanted = [*zip((each.column for each in key.elements), values, strict=True)]
                there = exists().where(*(column == value for column, value in wanted))
                if not (written.values.issuperset(wanted) or await session.scalar(select(there))):
                    for column in key.columns:
                        missing |= faults.attributes(column, written.mappers)
        return sorted(missing)

    def _engine(self, pool_size: int, pool_timeout: float, *, readonly: bool) -> AsyncEngine:
        sqlite = self.url.get_backend_name() == "sqlite"
        # SQLite has one writer at a time: the others wait here in line, not in its busy loop.
        size = 1 if sqlite and not readonly else pool_size
        settings = {
            "default_transaction_read_only": "on" if readonly else "off",
            "default_transaction_isolation": self._isolation,
        }
        engine = create_async_engine(
            self.url,
            poolclass=FairPool,
            pool_size=size,
            max_overflow=0,
            pool_timeout=pool_timeout,
            pool_reset_on_return=None,  # `roll_back` does it, and only where there is something
            hide_parameters=True,
            json_serializer=_to_json,
            connect_args={} if sqlite else {"server_settings": settings},
        )
        event.listen(engine.sync_engine, "do_connect", self._connect)
        event.listen(engine.sync_engine, "connect", partial(self._prepare, readonly=readonly))
        event.listen(engine.sync_engine, "reset", roll_back)
        if sqlite:
            begin = begin_reading if readonly else begin_writing
            event.listen(engine.sync_engine, "begin", begin)
        elif readonly and self._isolation == "read committed":
            stand_alone(engine)
        return engine

    def _connect(
        self,
        dialect: Dialect,
        _: ConnectionPoolEntry,
        args: list[Any],
        options: dict[str, Any],
    ) -> DBAPIConnection:
        """Open a connection; log the cause and raise `Unavailable` where that fails."""
        with self._connecting():
            return dialect.connect(*args, **options)

    def _prepare(self, connection: Any, _: ConnectionPoolEntry, *, readonly: bool) -> None:
        """Set up a new *connection*; log the cause and raise `Unavailable` where that fails."""
        with self._connecting():
            prepare(connection, readonly=readonly)
        self.availability.log_reachable()

    @contextmanager
    def _connecting(self) -> Generator[None]:
        try:
            yield
        except (OSError, self.writer.dialect.loaded_dbapi.Error) as error:
            if faults.is_locked(error):
                raise
            self.availability.log_unreachable(error)
            raise faults.away() from error


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


@event.listens_for(_Session, "before_flush")
def _note(session: SyncSession, *_: object) -> None:
    session.info["written"].add((*session.new, *session.dirty))


@event.listens_for(_Session, "after_begin")
def _isolate(session: SyncSession, _: object, connection: Connection) -> None:
    isolation = session.info.get("isolation")
    if isolation and connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET TRANSACTION ISOLATION LEVEL {isolation}")


def strongest(levels: Iterable[Isolation | None]) -> Isolation | None:
    """Return that of *levels* which keeps transactions apart the most; None if none is said."""
    wanted: list[Isolation] = [each for each in levels if each]
    return max(wanted, key=get_args(Isolation).index, default=None)


async def get_db(connection: HTTPConnection) -> AsyncGenerator[AsyncSession]:
    """Yield the transaction of this request, read-only for GET and HEAD.

    Depend on it with `scope="function"`, as `Session` does: then it is committed before the
    answer is sent. FastAPI's default commits after the client has its answer.
    """
    readonly = connection.scope.get("method") in {"GET", "HEAD"}
    async with database_of(connection).session(readonly=readonly) as session:
        session.info["request_id"] = request_id(connection.scope) or None
        session.info["isolation"] = connection.scope.get(ISOLATION)
        yield session


def database_of(connection: HTTPConnection) -> Database:
    """Return the database of the application that serves *connection*."""
    database = getattr(connection.state, "database", None)
    if not isinstance(database, Database):
        raise TypeError("No database: start the app with FastAPI(lifespan=Database(url).lifespan).")
    return database


Session = Annotated[AsyncSession, Depends(get_db, scope="function")]
"""The transaction of this request: committed before the answer is sent, or not at all."""


def _supported(url: URL) -> URL:
    if (driver := _DRIVERS.get(url.drivername)) is None:
        known = "postgresql+asyncpg:// or sqlite+aiosqlite://"
        raise ValueError(f"{url.drivername}:// is not supported: use {known}.")
    if driver.startswith("sqlite") and (url.database or ":memory:") == ":memory:":
        raise ValueError(
            "A database in memory belongs to one connection, and readers and writers have their "
            "own: give it a file, sqlite+aiosqlite:///app.db."
        )
    return url.set(drivername=driver)


def _to_json(document: object) -> str:
    return to_json(document).decode()
