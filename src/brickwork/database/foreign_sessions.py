"""Sessions that an application makes itself, in the place of `get_db`.

They are committed before the answer, and their errors are explained to clients. What depends on the
connection is for the application to set up: transactions that only read, foreign keys of SQLite.
"""

import asyncio
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext, suppress
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

from brickwork.context import request_id
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
from brickwork.database.database import ISOLATION_SCOPE_KEY, is_own_session, problem_from_error
from brickwork.database.errors import (
    FlushLog,
    circular_removal,
    original_error,
    serialization_conflict,
)
from brickwork.database.urls import url_without_password
from brickwork.problems import Problem, ServiceUnavailable
from brickwork.schemas.names import request_names

_ADOPTED: Final = "brickwork.sessions"
"""The key in a request's scope of the sessions that are not ours."""

_BELOW: Final = "sqlalchemy.util.concurrency"
"""The module of SQLAlchemy that waits for drivers."""

_GRACE: Final = 2.0
"""The seconds in which a connection that is lost has to be closed."""

_availabilities: Final = WeakKeyDictionary[Engine, Availability]()


class Adopted:
    """A session of the application's, for one request."""

    def __init__(self, session: AsyncSession, scope: Scope) -> None:
        """Note from now on what *session* writes."""
        self._session = session
        self._availability = _availability_of(session)
        self.written = FlushLog(names=request_names(scope))
        session.info.update(
            database=self,
            written=self.written,
            writes=scope["method"] not in {"GET", "HEAD"},
            isolation=scope.get(ISOLATION_SCOPE_KEY),
            request_id=request_id(scope) or None,
            adopted=True,
        )

    async def commit(self) -> None:
        """Commit what the session has written."""
        await self._session.commit()
        if self._availability.outages and "begun" in self._session.info:
            readonly = not self._session.info["writes"]
            self._availability.end(readonly=readonly, wrote=bool(self.written.mappers))

    async def rollback(self, error: BaseException) -> None:
        """Undo what is not committed, since *error* was raised; close a connection that is lost."""
        if not is_connection_lost(driver_error(error), readonly=False):
            await self._session.rollback()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await self._session.invalidate()

    def refusal(
        self, error: BaseException, outage: Outage, *, again: bool = False
    ) -> ServiceUnavailable:
        """Return what to tell a client who is refused for *error*; log that the *outage* began."""
        cause = error if str(error) else TimeoutError("no answer in the time of the driver")
        readonly = not self._session.info["writes"]
        self._availability.begin(outage, cause, readonly=readonly)
        return database_unavailable(again=again)

    async def explain(
        self, error: DBAPIError, written: FlushLog, session: AsyncSession | None = None
    ) -> Problem | None:
        """Return what *error* is to the client who sent what was *written*; None if it is a bug.

        *session* is one whose transaction goes on after the error; without it, a new one is used.
        """
        error = original_error(error)
        cause = driver_error(error)
        if is_stale_plan(cause):
            return database_unavailable(again=True)
        outage = classify_outage(cause, readonly=False)
        if (lost := error.connection_invalidated) and not outage:
            outage = UNREACHABLE
        if outage:
            again = lost and outage is UNREACHABLE and error.statement is not None
            return self.refusal(cause, outage, again=again)
        other: Any = nullcontext(session) if session else AsyncSession(self._session.bind)
        async with other as looking:
            return await problem_from_error(error, written, looking)


def adopt_session(session: object, scope: Scope) -> None:
    """Have a *session* that is not ours committed with the request of *scope*.

    Raises `TypeError` for a session that is not asynchronous.
    """
    if not isinstance(session, AsyncSession):
        raise TypeError(f"The session is a {type(session).__name__}: make it an AsyncSession.")
    known: list[Adopted] = scope.setdefault(_ADOPTED, [])
    if not is_own_session(session) and session.info.get("database") not in known:
        known.append(Adopted(session, scope))


@asynccontextmanager
async def commit_adopted(scope: Scope) -> AsyncGenerator[None]:
    """Commit the sessions of the request of *scope* that are not ours at the end of the block."""
    yield
    for adopted in scope.get(_ADOPTED, ()):
        await adopted.commit()


@asynccontextmanager
async def translate_errors(scope: Scope) -> AsyncGenerator[None]:
    """Raise an error of a session that is not ours as the `Problem` it is to a client."""
    scope.pop(_ADOPTED, None)
    try:
        yield
    except Exception as error:
        known: list[Adopted] = scope.get(_ADOPTED, [])
        for adopted in known:
            await adopted.rollback(error)
        if known and (problem := await _problem(error, known[0])):
            raise problem from error
        raise


async def _problem(error: Exception, adopted: Adopted) -> Problem | None:
    match error:
        case DBAPIError():
            return await adopted.explain(error, adopted.written)
        case StaleDataError():
            return serialization_conflict()
        case CircularDependencyError():
            return circular_removal(adopted.written)
        case PoolTimeout():
            return adopted.refusal(error, EXHAUSTED)
        case OSError() if _is_of_driver(error):  # which SQLAlchemy passes on as it is
            return adopted.refusal(error, classify_outage(error, readonly=False) or UNREACHABLE)
        case _:
            return None


def _is_of_driver(error: BaseException) -> bool:
    """Tell whether *error* was raised below SQLAlchemy, and not by the application's own work."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") == _BELOW for frame, _ in frames)


def _availability_of(session: AsyncSession) -> Availability:
    """Return the availability of the database of *session*, one for each engine."""
    try:
        engine = session.get_bind().engine
    except SQLAlchemyError:  # the models have engines of their own
        return Availability("of the session", is_file=False)
    if engine not in _availabilities:
        is_file = engine.dialect.name == "sqlite"
        _availabilities[engine] = Availability(url_without_password(engine.url), is_file=is_file)
    return _availabilities[engine]
