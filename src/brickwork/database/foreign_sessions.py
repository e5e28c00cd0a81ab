"""Sessions that an application creates itself, instead of `get_db`.

Brickwork commits them before the response, and translates their errors. The application sets up
their connections: read-only transactions, or foreign keys on SQLite.
"""

import asyncio
from contextlib import nullcontext, suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.exc import (
    CircularDependencyError,
    DBAPIError,
    SQLAlchemyError,
    TimeoutError as PoolTimeout,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError
from starlette.types import Scope

from brickwork.context import request_context
from brickwork.database.availability import (
    EXHAUSTED,
    UNREACHABLE,
    Availability,
    Outage,
    classify_outage,
    database_unavailable,
    driver_error,
    is_connection_lost,
    is_stale_plan,
)
from brickwork.database.diagnosis import problem_from_error
from brickwork.database.errors import circular_removal, original_error, serialization_conflict
from brickwork.database.flush_log import FlushLog
from brickwork.database.transactions import is_own_session
from brickwork.database.unit_of_work import unit_of_work
from brickwork.database.urls import url_without_password
from brickwork.problems import Problem, ServiceUnavailable
from brickwork.schemas.names import request_names
from brickwork.sqlalchemy_internals import is_driver_error

_GRACE: Final = 2.0
"""Seconds that closing a lost connection may take."""

_availabilities: Final = WeakKeyDictionary[Engine, Availability]()


class AdoptedSession:
    """A session of the application, for one request."""

    def __init__(self, session: AsyncSession, scope: Scope) -> None:
        """Record the rows that *session* flushes from now on."""
        self._session = session
        self._availability = _availability_of(session)
        self.written = FlushLog(names=request_names(scope))
        unit = unit_of_work(session)
        unit.database = self
        unit.writable = scope["method"] not in {"GET", "HEAD"}
        unit.adopted = True
        context = request_context(scope)
        unit.isolation_level = context.isolation_level
        unit.request_id = context.request_id or None
        unit.flush_log = self.written

    async def commit(self) -> None:
        """Commit the session."""
        await self._session.commit()
        unit = unit_of_work(self._session)
        if self._availability.outages and unit.begun:
            wrote = bool(self.written.mappers)
            self._availability.end(readonly=not unit.writable, wrote=wrote)

    async def rollback(self, error: BaseException) -> None:
        """Roll back because of *error*, or close the connection if it is lost."""
        if not is_connection_lost(driver_error(error), readonly=False):
            await self._session.rollback()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await self._session.invalidate()

    def outage_problem(
        self, error: BaseException, outage: Outage, *, retryable: bool = False
    ) -> ServiceUnavailable:
        """Log the *outage* that *error* indicates, and return its 503."""
        cause = error if str(error) else TimeoutError("no answer within the driver's timeout")
        readonly = not unit_of_work(self._session).writable
        self._availability.begin(outage, cause, readonly=readonly)
        return database_unavailable(retryable=retryable)

    async def translate_error(
        self, error: DBAPIError, written: FlushLog, session: AsyncSession | None = None
    ) -> Problem | None:
        """Translate *error* to the problem that the client receives. None if it is a bug.

        *session* queries the database about the error. The default is a new session.
        """
        error = original_error(error)
        cause = driver_error(error)
        if is_stale_plan(cause):
            return database_unavailable(retryable=True)
        outage = classify_outage(cause, readonly=False)
        if (lost := error.connection_invalidated) and not outage:
            outage = UNREACHABLE
        if outage:
            retryable = lost and outage is UNREACHABLE and error.statement is not None
            return self.outage_problem(cause, outage, retryable=retryable)
        context: Any = nullcontext(session) if session else AsyncSession(self._session.bind)
        async with context as lookup:
            return await problem_from_error(error, written, lookup)


def adopt_session(session: object, scope: Scope) -> None:
    """Register the *session* of a resource, to commit it with the request of *scope*.

    Raises `TypeError` for a session that is not asynchronous.
    """
    if not isinstance(session, AsyncSession):
        raise TypeError(f"The session is a {type(session).__name__}: make it an AsyncSession.")
    context = request_context(scope)
    if is_own_session(session):
        context.managed_sessions.append(session)
    elif unit_of_work(session).database not in context.sessions:
        context.sessions.append(AdoptedSession(session, scope))


async def commit_adopted(scope: Scope) -> None:
    """Commit the application's sessions of this request."""
    for session in request_context(scope).sessions:
        await session.commit()


async def commit_managed(scope: Scope) -> None:
    """Commit the sessions of a `Database` that end after the response.

    `Database.session` translates the error of a commit when it ends.
    """
    sessions: list[AsyncSession] = request_context(scope).managed_sessions
    for session in sessions:
        if session.in_transaction():
            await session.commit()


async def roll_back_adopted(scope: Scope, error: Exception) -> Problem | None:
    """Roll back the application's sessions of this request, and translate *error* to a problem.

    None if *error* is not theirs.
    """
    sessions: list[AdoptedSession] = request_context(scope).sessions
    for session in sessions:
        await session.rollback(error)
    return await _problem_from_exception(error, sessions[0]) if sessions else None


async def _problem_from_exception(error: Exception, session: AdoptedSession) -> Problem | None:
    match error:
        case DBAPIError():
            return await session.translate_error(error, session.written)
        case StaleDataError():
            return serialization_conflict()
        case CircularDependencyError():
            return circular_removal(session.written)
        case PoolTimeout():
            return session.outage_problem(error, EXHAUSTED)
        case OSError() if is_driver_error(error):  # SQLAlchemy does not wrap it
            return session.outage_problem(
                error, classify_outage(error, readonly=False) or UNREACHABLE
            )
        case _:
            return None


def _availability_of(session: AsyncSession) -> Availability:
    """Return the availability of the session's database. There is one for each engine."""
    try:
        engine = session.get_bind().engine
    except SQLAlchemyError:  # each model has an engine of its own
        return Availability("of the session", is_file=False)
    if engine not in _availabilities:
        is_file = engine.dialect.name == "sqlite"
        _availabilities[engine] = Availability(url_without_password(engine.url), is_file=is_file)
    return _availabilities[engine]
