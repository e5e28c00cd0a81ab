"""Work on a resource without a request: transactions tried again, and in halves."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from math import inf
from typing import Any, Final, Generic, TypeVar, cast

from sqlalchemy import Table, inspect
from sqlalchemy.orm import DeclarativeBase

from brickwork.cli.errors import UsageError
from brickwork.database.database import Database
from brickwork.database.retry import with_retries
from brickwork.problems import Problem
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource
from brickwork.schemas.names import row_names

M = TypeVar("M", bound=DeclarativeBase)
T = TypeVar("T")

ACTOR: Final = "brickwork"
"""Who an audit names, unless the resource says."""

_SERVER_ERROR: Final = 500  # the first of the statuses for which a row is not to blame


@dataclass(frozen=True)
class JobRunner(Generic[M]):
    """A resource of an application that runs, used by a command and not by a request."""

    database: Database
    path: str
    shape: ResourceDefinition[M]

    def __post_init__(self) -> None:
        """Raise `UsageError` for a resource that needs more than a session."""
        rows = self.shape.resource
        if wanted := [each.name for each in fields(rows) if each.init and each.name != "session"]:
            names = ", ".join(wanted)
            raise UsageError(
                f"{rows.__name__} needs {names}, which only a request has: write a script that "
                f"makes {rows.__name__}(session=…, {names}=…) and calls its steps."
            )

    async def run(
        self, step: Callable[[Resource[M]], Awaitable[T]], *, readonly: bool = False
    ) -> T:
        """Return what *step* does in a transaction; others in its way are waited for.

        Raises the `Problem` it is, if the database refuses what *step* wrote.
        """

        async def work() -> T:
            async with self._rows(readonly=readonly) as rows:
                return await step(rows)

        # Many rows take their time, and nobody waits for an answer.
        return await with_retries(work, self.database, max_seconds=inf)

    @asynccontextmanager
    async def _rows(self, *, readonly: bool) -> AsyncGenerator[Resource[M]]:
        async with self.database.session(readonly=readonly) as session:
            session.info["actor"] = ACTOR
            session.info["written"].names = row_names(self.shape.model, self.shape.create)
            yield self.shape.resource(session=session)


async def bisect_failures(
    items: Sequence[T],
    work: Callable[[Sequence[T]], Awaitable[object]],
    refuse: Callable[[T, Problem], object],
) -> None:
    """Do *work* on *items* at once, else on their halves, until each that is refused is alone.

    Raises a `Problem` that no item is to blame for: the database is away.
    """
    try:
        await work(items)
    except Problem as problem:
        if problem.status >= _SERVER_ERROR:
            raise
        if len(items) > 1:
            middle = len(items) // 2
            await bisect_failures(items[:middle], work, refuse)
            await bisect_failures(items[middle:], work, refuse)
        else:
            refuse(items[0], problem)


async def require_table(database: Database, model: type[DeclarativeBase]) -> None:
    """Raise `UsageError` if the table of *model*, one that goes with others, is not there."""
    table = cast("Table[Any]", model.__table__)
    async with database.session(readonly=True) as session:
        connection = await session.connection()
        if await connection.run_sync(lambda each: inspect(each).has_table(table.name)):
            return
    raise UsageError(
        f"There is no table {table.name}: where env.py imports the routers, "
        "`alembic revision --autogenerate` makes the migration that adds it."
    )
