"""Sessions that an application makes itself, in the place of `get_db`.

They are committed before the answer, and their errors are explained to clients. What depends on the
connection is for the application to set up: transactions that only read, foreign keys of SQLite.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final

from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError
from starlette.types import Scope

from brickwork.answers import request_id
from brickwork.availability import away, cause_of, is_stale, outage_of
from brickwork.database import ISOLATION, blamed, is_ours
from brickwork.faults import Written, contended
from brickwork.problems import Problem

_ADOPTED: Final = "brickwork.sessions"
"""The key in a request's scope of the sessions that are not ours."""


class Adopted:
    """A session of the application's, for one request."""

    def __init__(self, session: AsyncSession, scope: Scope) -> None:
        """Note from now on what *session* writes."""
        self._session = session
        self.written = Written()
        session.info.update(
            database=self,
            written=self.written,
            writes=scope["method"] not in {"GET", "HEAD"},
            isolation=scope.get(ISOLATION),
            request_id=request_id(scope) or None,
            adopted=True,
        )

    async def commit(self) -> None:
        """Commit what the session has written."""
        await self._session.commit()

    async def rollback(self) -> None:
        """Undo what is not committed."""
        await self._session.rollback()

    async def explain(
        self, error: DBAPIError, written: Written, session: AsyncSession | None = None
    ) -> Problem | None:
        """Return what *error* is to the client who sent what was *written*; None if it is a bug.

        *session* is one whose transaction goes on after the error; without it, a new one is used.
        """
        cause = cause_of(error)
        if is_stale(cause):
            return away(again=True)
        if error.connection_invalidated or outage_of(cause, readonly=False):
            return away()
        other: Any = nullcontext(session) if session else AsyncSession(self._session.bind)
        async with other as looking:
            return await blamed(error, written, looking)


def adopt(session: object, scope: Scope) -> None:
    """Have a *session* that is not ours committed with the request of *scope*.

    Raises `TypeError` for a session that is not asynchronous.
    """
    if not isinstance(session, AsyncSession):
        raise TypeError(f"The session is a {type(session).__name__}: make it an AsyncSession.")
    known: list[Adopted] = scope.setdefault(_ADOPTED, [])
    if not is_ours(session) and session.info.get("database") not in known:
        known.append(Adopted(session, scope))


@asynccontextmanager
async def committed(scope: Scope) -> AsyncGenerator[None]:
    """Commit the sessions of the request of *scope* that are not ours at the end of the block."""
    yield
    for adopted in scope.get(_ADOPTED, ()):
        await adopted.commit()


@asynccontextmanager
async def explained(scope: Scope) -> AsyncGenerator[None]:
    """Raise an error of a session that is not ours as the `Problem` it is to a client."""
    scope.pop(_ADOPTED, None)
    try:
        yield
    except Exception as error:
        known: list[Adopted] = scope.get(_ADOPTED, [])
        for adopted in known:
            await adopted.rollback()
        if known and (problem := await _problem(error, known[0])):
            raise problem from error
        raise


async def _problem(error: Exception, adopted: Adopted) -> Problem | None:
    match error:
        case DBAPIError():
            return await adopted.explain(error, adopted.written)
        case StaleDataError():
            return contended()
        case PoolTimeout():
            return away()
        case _:
            return None
