"""The state that Brickwork keeps on a session."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from brickwork.database.flush_log import FlushLog
from brickwork.database.isolation import IsolationLevel
from brickwork.problems import Problem

P = TypeVar("P")

_UNIT_KEY: Final = "brickwork"
"""Key of the unit of work in `Session.info`."""

_ACTOR_KEY: Final = "actor"
"""Key of the actor in `Session.info`. It is public: scripts set it."""


class ErrorTranslator(Protocol):
    """The interface of a `Database`, or of a session of the application, for errors."""

    async def translate_error(
        self, error: DBAPIError, written: FlushLog, session: AsyncSession | None = None
    ) -> Problem | None:
        """Translate *error* to the problem that the client receives. None if it is a bug."""
        ...


@dataclass(eq=False)
class UnitOfWork:
    """The state that Brickwork keeps on a session, in one place.

    Only the actor is elsewhere, in `session.info["actor"]`: applications set it, too.
    """

    database: ErrorTranslator | None = None
    """The database that made the session, or the request that adopted it. Else None."""
    writable: bool | None = None
    """Whether the session may write. None: a session of the application, not adopted."""
    adopted: bool = False
    """Whether the application made the session, and a request adopted it."""
    begun: bool = False
    """Whether a transaction has begun since Brickwork manages the session."""
    isolation_level: IsolationLevel | None = None
    """The level of the next transaction. None: the level of the engine."""
    request_id: str | None = None
    """The id of the request. None in a script, or without `install`."""
    flush_log: FlushLog = field(default_factory=FlushLog)
    """The rows that a managed session flushed. It attributes errors to fields."""
    leaves_references: bool = False
    """Whether the database decides about references to removed rows."""
    _parts: dict[type[Any], Any] = field(default_factory=dict[type[Any], Any])

    @property
    def is_managed(self) -> bool:
        """Return whether `Database.session` made the session, or a request adopted it."""
        return self.database is not None

    def part(self, kind: type[P]) -> P:
        """Return the one instance of *kind*, made on first use.

        A package above this one keeps its state of the session there.
        """
        if kind not in self._parts:
            self._parts[kind] = kind()
        part: P = self._parts[kind]
        return part

    def existing_part(self, kind: type[P]) -> P | None:
        """Return the one instance of *kind*. None if it was never used."""
        part: P | None = self._parts.get(kind)
        return part

    @contextmanager
    def fork_flush_log(self) -> Generator[FlushLog]:
        """Record the flushes of the block in a log of its own, and yield that log.

        The caller merges it into the log of the session if the block succeeds.
        """
        log = self.flush_log
        self.flush_log = log.fork()
        try:
            yield self.flush_log
        finally:
            self.flush_log = log

    async def translate_error(
        self, error: DBAPIError, written: FlushLog, session: AsyncSession
    ) -> Problem | None:
        """Translate *error* with a query of *session*. None if it is a bug."""
        if self.database is None:
            return None
        return await self.database.translate_error(error, written, session)


def unit_of_work(session: AsyncSession | Session) -> UnitOfWork:
    """Return the unit of work of *session*.

    A session that Brickwork did not make gets one on first use. It is not managed.
    """
    info = session.info
    if _UNIT_KEY not in info:
        info[_UNIT_KEY] = UnitOfWork()
    unit: UnitOfWork = info[_UNIT_KEY]
    return unit


def session_info(unit: UnitOfWork) -> dict[str, Any]:
    """Return the `info` of a new session with *unit*."""
    return {_UNIT_KEY: unit}


def set_actor(session: AsyncSession | Session, actor: str) -> None:
    """Store the *actor* of the changes that *session* writes."""
    session.info[_ACTOR_KEY] = actor


def actor_of(session: AsyncSession | Session) -> str | None:
    """Return the actor of *session*: the last that a resource or the application stored."""
    actor: str | None = session.info.get(_ACTOR_KEY)
    return actor
