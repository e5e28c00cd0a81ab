"""Engines of a database, and their connections and errors."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast
from weakref import WeakSet

from pydantic_core import to_json
from sqlalchemy import URL, Connection, Dialect, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext, ExecutionContext
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn
from sqlalchemy.util.concurrency import await_

from brickwork.database.autocommit import autocommit_plain_selects
from brickwork.database.availability import (
    EXHAUSTED,
    SILENT,
    UNREACHABLE,
    Availability,
    Outage,
    database_unavailable,
    driver_error,
    is_connection_lost,
    is_sqlite_locked,
    is_stale_plan,
    sqlstate_of,
)
from brickwork.database.connections import (
    Hosts,
    PostgresConnection,
    begin_read,
    begin_write,
    open_file,
    prepare_connection,
    require_settings,
    roll_back_connection,
    statement_deadline,
)
from brickwork.database.pool import ConnectTimeout, FairPool
from brickwork.database.postgresql_types import keep_whole_numbers
from brickwork.database.row_counts import confirm_writes
from brickwork.database.sqlite_types import keep_exact_types
from brickwork.database.urls import (
    Target,
    driver_url,
    parse_target,
    require_file_database,
    url_without_password,
)
from brickwork.problems import ServiceUnavailable
from brickwork.sqlalchemy_internals import (
    connect_isolation_level,
    forget_types,
    intercept_connections,
)

_NO_CACHES: Final[Mapping[str, Any]] = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": str,  # no name, because another server would not know it
}
"""Arguments of the driver behind a transaction pooler."""

_READ_ONLY: Final = "default_transaction_read_only"
_ISOLATION: Final = "default_transaction_isolation"

_READING: Final = "brickwork_reading"
"""Execution option of SQLite engines: whether the engine is read-only."""

_listened_engines: Final = WeakSet[Engine]()
"""Engines of the application that have Brickwork's event listeners."""


@dataclass(eq=False, kw_only=True)
class EngineLender:
    """Lends the connections of an engine within a deadline, and classifies their errors."""

    engine: AsyncEngine
    availability: Availability
    readonly: bool
    timeout: float
    """Seconds to get a connection."""
    command_timeout: float | None
    """Seconds for a statement. None sets no limit."""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """PostgreSQL settings that a connection sends at its start."""
    begin: Mapping[str, Any] | None = None
    """Arguments of asyncpg for BEGIN. None if connection settings or SQLAlchemy set the mode."""

    def __post_init__(self) -> None:
        """Route the engine's connections and errors through this lender."""
        engine = self.engine.sync_engine
        self._connect = intercept_connections(engine, self._lend)
        event.listen(engine, "handle_error", self.handle_error)

    @property
    def is_sqlite(self) -> bool:
        """Return whether the database is SQLite."""
        return self.engine.dialect.name == "sqlite"

    @property
    def pool(self) -> FairPool:
        """Return the pool of an engine that Brickwork created."""
        return cast("FairPool", self.engine.sync_engine.pool)

    async def lend(self) -> PoolProxiedConnection:
        """Return a connection. Raises `ServiceUnavailable` if none is free in time."""
        if self.pool.is_ready():
            return self.pool.lend_now()
        connection: PoolProxiedConnection = await greenlet_spawn(self._lend)
        return connection

    def outage_problem(
        self, error: BaseException, outage: Outage, *, retryable: bool = False
    ) -> ServiceUnavailable:
        """Log the *outage* that *error* indicates, and return its 503."""
        cause = driver_error(error)
        if outage is SILENT and (sqlstate_of(cause) == "SQLITE_INTERRUPT" or not str(cause)):
            cause = TimeoutError(f"no answer in {self.command_timeout:g} s")
        self.availability.begin(outage, cause, readonly=self.readonly)
        return database_unavailable(retryable=retryable)

    def handle_error(self, context: ExceptionContext) -> ServiceUnavailable | None:
        """Mark lost connections for SQLAlchemy to close. Return the 503 of a statement timeout.

        Listener of `handle_error`. None lets SQLAlchemy raise its own error.
        """
        connection = context.connection
        if (
            context.engine is not self.engine.sync_engine
            or not connection
            or connection.invalidated
        ):
            return None
        cause = driver_error(context.original_exception)
        if isinstance(cause, TimeoutError):
            context.is_disconnect = True
            driver: Any = connection.connection.driver_connection
            driver.terminate()
            return self.outage_problem(cause, SILENT)
        if is_connection_lost(cause, readonly=self.readonly):
            context.is_disconnect = True
            context.invalidate_pool_on_disconnect = not is_stale_plan(cause)
        return None

    def set_timeouts(
        self, _dialect: Dialect, _entry: ConnectionPoolEntry, _: list[Any], options: dict[str, Any]
    ) -> None:
        """Set the connection class and the statement timeout of a new PostgreSQL connection."""
        options.setdefault("connection_class", PostgresConnection)
        options.setdefault("command_timeout", self.command_timeout)

    def prepare(self, connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        """Set up a new *connection*."""
        if self.is_sqlite:
            prepare_connection(connection, readonly=self.readonly, timeout=self.timeout)
        elif self.settings:
            require_settings(connection, self.settings)
        elif self.begin:
            connection.readonly = self.readonly  # BEGIN of an ORM session then says so
        self.availability.mark_reachable()

    def execute(self, cursor: Any, sql: str, parameters: Any, context: ExecutionContext) -> bool:
        """Execute a SQLite statement, and interrupt it after the timeout."""
        driver = context.root_connection.connection.driver_connection
        with statement_deadline(driver, self.command_timeout):
            cursor.execute(sql, parameters)
        return True

    def execute_many(
        self, cursor: Any, sql: str, parameters: Any, context: ExecutionContext
    ) -> bool:
        """Execute a SQLite statement several times, within the timeout of one."""
        driver = context.root_connection.connection.driver_connection
        with statement_deadline(driver, self.command_timeout):
            cursor.executemany(sql, parameters)
        return True

    def _lend(self) -> PoolProxiedConnection:
        try:
            if isinstance(self.engine.sync_engine.pool, FairPool):
                return self._connect()
            return await_(self._lend_in_time())
        except ConnectTimeout as error:
            raise self.outage_problem(error, SILENT) from error
        except PoolTimeout as error:
            raise self.outage_problem(error, EXHAUSTED) from error
        except Exception as error:
            if is_sqlite_locked(error):
                raise
            raise self.outage_problem(error, UNREACHABLE) from error

    async def _lend_in_time(self) -> PoolProxiedConnection:
        try:
            async with asyncio.timeout(self.timeout):
                connection: PoolProxiedConnection = await greenlet_spawn(self._connect)
        except TimeoutError as error:
            raise ConnectTimeout(f"no connection in {self.timeout:g} s") from error
        return connection


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The options of `Database` for its engines."""

    pool_size: int
    timeout: float
    connect_args: Mapping[str, Any] | None
    pooler: bool
    isolation_level: str | None


@dataclass(frozen=True)
class ConnectedDatabase:
    """A database, and the lenders of its connections."""

    target: Target
    availability: Availability
    writers: EngineLender
    readers: EngineLender
    may_bypass_session: bool = True
    """Whether statements may bypass the ORM session, because Brickwork created the engines."""


def connect_engines(
    url: str | URL | AsyncEngine, reader: AsyncEngine | None, settings: EngineSettings
) -> ConnectedDatabase:
    """Create the engines for a URL, or configure those of the application.

    Raises `ValueError` for an unsupported database, or a setting that would have no effect.
    """
    if isinstance(url, AsyncEngine):
        if settings.connect_args or settings.pooler:
            raise ValueError(
                "connect_args and pooler have no effect on an engine: pass them to "
                "create_async_engine."
            )
        return _connect_foreign_engines(url, reader or url, settings)
    if reader:
        raise ValueError("reader needs an engine as url: pass both engines.")
    target = parse_target(url, settings.connect_args)
    if settings.pooler or target.pooler:
        target = _with_pooler(target)
    if _is_sqlite(target.url):
        arguments = {"async_creator_fn": open_file, **target.connect_args}
        target = replace(target, connect_args=arguments)
    availability = Availability(target.name, is_file=_is_sqlite(target.url))
    writers, readers = (
        _create_lender(target, availability, settings, readonly=readonly)
        for readonly in (False, True)
    )
    return ConnectedDatabase(target, availability, writers, readers)


def _with_pooler(target: Target) -> Target:
    if _is_sqlite(target.url):
        raise ValueError("SQLite has no pooler: leave out pooler.")
    if caches := [name for name in _NO_CACHES if target.connect_args.get(name)]:
        raise ValueError(f"Behind a pooler, statements are not cached: leave out {caches[0]}.")
    return replace(target, pooler=True, connect_args={**target.connect_args, **_NO_CACHES})


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


# --- Engines of Brickwork -------------------------------------------------------------------------


def _create_lender(
    target: Target, availability: Availability, settings: EngineSettings, *, readonly: bool
) -> EngineLender:
    is_sqlite = _is_sqlite(target.url)
    isolation = settings.isolation_level or "read committed"
    options = dict(target.connect_args)
    command_timeout = options.pop("command_timeout", settings.timeout)
    level: dict[str, Any] = {}
    begin: Mapping[str, Any] | None = None
    session = {_ISOLATION: isolation} | ({_READ_ONLY: "on"} if readonly else {})
    if target.pooler:
        level = {"isolation_level": isolation.upper()}
        begin = {"isolation": isolation.replace(" ", "_"), "readonly": readonly}
    if is_sqlite or target.pooler:
        session = {}
    if not is_sqlite:
        options["server_settings"] = {**options.get("server_settings", {}), **session}
    if len(options.get("host", ())) > 1:
        options.setdefault("async_creator_fn", Hosts(settings.timeout))
    if readonly and options.get("target_session_attrs") == "read-write":
        options["target_session_attrs"] = "primary"  # "read-write" rejects a read-only session
    engine = create_async_engine(
        target.url,
        poolclass=FairPool,
        # SQLite has one writer at a time. The others wait in the pool's queue, not in a busy loop.
        pool_size=1 if is_sqlite and not readonly else settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.timeout,
        pool_reset_on_return=None,  # `roll_back_connection` rolls back open transactions
        hide_parameters=True,
        json_serializer=_to_json,
        connect_args=options,
        **level,
    )
    lender = EngineLender(
        engine=engine,
        availability=availability,
        readonly=readonly,
        timeout=settings.timeout,
        command_timeout=command_timeout,
        settings=session,
        begin=begin,
    )
    _listen(engine, lender, begin_read if readonly else begin_write)
    if readonly and isolation == "read committed" and session:
        autocommit_plain_selects(engine)
    return lender


def _to_json(document: object) -> str:
    return to_json(document).decode()


# --- Engines of the application -------------------------------------------------------------------


def _connect_foreign_engines(
    engine: AsyncEngine, reader: AsyncEngine, settings: EngineSettings
) -> ConnectedDatabase:
    """Return the database of *engine*, with *reader* for read-only requests.

    Both may be the same engine. BEGIN sets the transaction mode, not connection settings.
    """
    target = Target(engine.url, {}, url_without_password(engine.url))
    availability = Availability(target.name, is_file=_is_sqlite(target.url))
    for candidate in (engine, reader):
        _require_usable(candidate)
    writers = _wrap_engine(engine, availability, settings, readonly=False)
    readers = _wrap_engine(reader, availability, settings, readonly=True)
    return ConnectedDatabase(target, availability, writers, readers, may_bypass_session=False)


def _wrap_engine(
    engine: AsyncEngine, availability: Availability, settings: EngineSettings, *, readonly: bool
) -> EngineLender:
    is_sqlite = _is_sqlite(engine.url)
    isolation = settings.isolation_level
    options: dict[str, Any] = {_READING if is_sqlite else "postgresql_readonly": readonly}
    if isolation and not is_sqlite:
        options["isolation_level"] = isolation.upper()
    lender = EngineLender(
        engine=engine.execution_options(**options),
        availability=availability,
        readonly=readonly,
        timeout=settings.timeout,
        command_timeout=settings.timeout,
    )
    if engine.sync_engine not in _listened_engines:
        _listened_engines.add(engine.sync_engine)
        _listen(engine, lender, _begin_transaction)
    return lender


def _require_usable(engine: AsyncEngine) -> None:
    """Raise `ValueError` for an engine that Brickwork cannot use."""
    _ = driver_url(engine.url)
    level = connect_isolation_level(engine.dialect)
    if "AUTOCOMMIT" in {engine.get_execution_options().get("isolation_level"), level}:
        raise ValueError("The engine commits each statement: create it without AUTOCOMMIT.")
    if _is_sqlite(engine.url):
        require_file_database(engine.url)
        count = getattr(engine.sync_engine.pool, "checkedin", int)
        if engine.sync_engine not in _listened_engines and count():
            raise ValueError("The engine is in use: pass it to Database before it connects.")


def _begin_transaction(connection: Connection) -> None:
    """Begin a SQLite transaction on a connection that readers and writers share."""
    readonly = connection.get_execution_options().get(_READING, False)
    driver: Any = connection.connection.driver_connection
    await_(driver.execute(f"PRAGMA query_only = {'ON' if readonly else 'OFF'}"))
    (begin_read if readonly else begin_write)(connection)


# --- Both -----------------------------------------------------------------------------------------


def _listen(engine: AsyncEngine, lender: EngineLender, begin: Callable[[Connection], None]) -> None:
    """Register the event listeners of *engine*. *begin* starts SQLite transactions."""
    target = engine.sync_engine
    event.listen(target, "connect", lender.prepare)
    event.listen(target, "reset", roll_back_connection)
    if not lender.readonly:
        confirm_writes(target)
    if lender.is_sqlite:
        keep_exact_types(target.dialect)
        event.listen(target, "begin", begin)
        event.listen(target, "do_execute", lender.execute)
        event.listen(target, "do_executemany", lender.execute_many)
    else:
        keep_whole_numbers(target.dialect)
        event.listen(target, "do_connect", lender.set_timeouts)
    forget_types(target)
