"""Jobs on a resource outside of requests, with retries."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from math import inf
from typing import Any, Final, Generic, TypeVar, cast

from sqlalchemy import Table, inspect

from brickwork.cli.errors import UsageError
from brickwork.database.database import Database
from brickwork.database.retry import with_retries
from brickwork.database.unit_of_work import set_actor, unit_of_work
from brickwork.problems import Problem
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource
from brickwork.schemas.names import row_names

M = TypeVar("M")
T = TypeVar("T")

ACTOR: Final = "brickwork"
"""The actor in audit entries, unless the resource sets one."""

_SERVER_ERROR: Final = 500  # the lowest status of errors that no row causes


@dataclass(frozen=True)
class JobRunner(Generic[M]):
    """Runs transactions on a resource, for a command instead of a request."""

    database: Database
    path: str
    definition: ResourceDefinition[M]

    def __post_init__(self) -> None:
        """Raise `UsageError` for a resource that needs more than a session."""
        resource = self.definition.resource
        init = [field.name for field in fields(resource) if field.init]
        if dependencies := [name for name in init if name != "session"]:
            names = ", ".join(dependencies)
            raise UsageError(
                f"{resource.__name__} needs {names}, which only a request has: write a script that "
                f"creates {resource.__name__}(session=…, {names}=…) and calls its methods."
            )

    async def run(
        self, work: Callable[[Resource[M]], Awaitable[T]], *, readonly: bool = False
    ) -> T:
        """Run *work* in a transaction, and retry it after conflicts without a time limit.

        Raises the `Problem` of a write that the database rejects.
        """

        async def transaction() -> T:
            async with self._resource(readonly=readonly) as resource:
                return await work(resource)

        # A chunk of rows may take long, and no client waits for it.
        return await with_retries(transaction, self.database, max_seconds=inf)

    @asynccontextmanager
    async def _resource(self, *, readonly: bool) -> AsyncGenerator[Resource[M]]:
        async with self.database.session(readonly=readonly) as session:
            set_actor(session, ACTOR)
            names = row_names(self.definition.model, self.definition.create)
            unit_of_work(session).flush_log.names = names
            yield self.definition.resource(session=session)


async def bisect_failures(
    items: Sequence[T],
    work: Callable[[Sequence[T]], Awaitable[object]],
    reject: Callable[[T, Problem], object],
) -> None:
    """Run *work* on all *items*. On failure, bisect until every rejected item is isolated.

    Raises a `Problem` that no item caused, for example if the database is unavailable.
    """
    try:
        await work(items)
    except Problem as problem:
        if problem.status >= _SERVER_ERROR:
            raise
        if len(items) > 1:
            middle = len(items) // 2
            await bisect_failures(items[:middle], work, reject)
            await bisect_failures(items[middle:], work, reject)
        else:
            reject(items[0], problem)


async def require_table(database: Database, model: type[object]) -> None:
    """Raise `UsageError` if the companion table *model* does not exist."""
    table = cast("Table[Any]", inspect(model).local_table)
    async with database.session(readonly=True) as session:
        connection = await session.connection()
        if await connection.run_sync(lambda sync: inspect(sync).has_table(table.name)):
            return
    raise UsageError(
        f"There is no table {table.name}: import the routers in env.py, create a migration with "
        "`alembic revision --autogenerate`, and run it."
    )
