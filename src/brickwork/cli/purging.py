"""Permanent removal of soft-deleted rows."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Select, inspect, tuple_

from brickwork.cli.errors import UsageError
from brickwork.cli.runner import JobRunner, bisect_failures
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.problems import Problem
from brickwork.query.counting import count_rows
from brickwork.query.keys import primary_key
from brickwork.query.lookup import select_keys
from brickwork.resource.resource import Resource

M = TypeVar("M")

CHUNK_SIZE: Final = 500
"""Default number of rows in a transaction."""


@dataclass(frozen=True)
class PurgeProgress:
    """Progress of a purge."""

    removed: int = 0
    kept: int = 0
    rejected: Mapping[object, str] = field(default_factory=dict[object, str])
    """Keys of the rows that the last chunk kept, with the reasons."""


async def count_deleted(target: JobRunner[M], before: datetime) -> int:
    """Count the rows that were deleted *before* an instant.

    Raises `UsageError` for a resource without soft delete.
    """
    _require_soft_delete(target.definition.model)

    async def count(resource: Resource[M]) -> int:
        return await count_rows(resource.session, await _deleted_keys(resource, before))

    return await target.run(count, readonly=True)


async def purge_rows(
    target: JobRunner[M], before: datetime, *, chunk: int = CHUNK_SIZE
) -> AsyncGenerator[PurgeProgress]:
    """Remove the rows that were deleted *before* an instant.

    The method `purge` of the resource removes each row, in transactions of *chunk* rows. Yield the
    progress at the start and after each chunk. Raises `UsageError` for a resource without soft
    delete.
    """
    _require_soft_delete(target.definition.model)
    yield (progress := PurgeProgress())
    last: Any = None
    work = _Purge(target, before)
    while keys := await _fetch_keys(target, before, last, chunk):
        work.rejected = {}
        await bisect_failures(keys, work.remove, work.reject)
        kept = progress.kept + len(work.rejected)
        yield (progress := PurgeProgress(work.count, kept, work.rejected))
        last = keys[-1]


class _Purge(Generic[M]):
    """Removes rows by their keys, and counts the removed rows."""

    def __init__(self, target: JobRunner[M], before: datetime) -> None:
        self.count = 0
        self.rejected: dict[object, str] = {}
        self._target = target
        self._before = before

    async def remove(self, keys: Sequence[object]) -> None:
        self.count += await self._target.run(partial(self._remove, keys))

    def reject(self, key: object, problem: Problem) -> None:
        # The problem itself would keep a reference to its session.
        self.rejected[key] = problem.detail

    async def _remove(self, keys: Sequence[object], resource: Resource[M]) -> int:
        model = self._target.definition.model
        key = primary_key(model)
        statement = await _deleted_statement(resource, self._before)
        statement = statement.where(key.is_in(keys)).order_by(None).order_by(*key.attributes)
        rows = (await resource.session.scalars(statement.with_for_update(of=model))).all()
        for row in rows:
            await resource.purge(row)
        return len(rows)


async def _fetch_keys(
    target: JobRunner[M], before: datetime, last: Any, chunk: int
) -> Sequence[object]:
    """Return the next keys in order after the key *last*. None starts at the first."""
    key = primary_key(target.definition.model)

    async def read_keys(resource: Resource[M]) -> Sequence[object]:
        keys = await _deleted_keys(resource, before)
        keys = keys.order_by(None).order_by(*key.attributes).limit(chunk)
        if last is not None:
            keys = keys.where(key.expression() > (tuple_(*last) if key.is_composite else last))
        return [key.value(row) for row in await resource.session.execute(keys)]

    return await target.run(read_keys, readonly=True)


async def _deleted_keys(resource: Resource[M], before: datetime) -> Select[Any]:
    return select_keys(await _deleted_statement(resource, before))


async def _deleted_statement(resource: Resource[M], before: datetime) -> Select[M]:
    await resource.include_deleted("only")
    return resource.query().where(inspect(type(resource).model).columns["deleted_at"] < before)


def _require_soft_delete(model: type[object]) -> None:
    if not is_soft_deletable(model):
        raise UsageError(
            f"{model.__name__} has no soft delete, so its deleted rows are gone already. Let it "
            "inherit from brickwork.SoftDelete to keep deleted rows until a purge."
        )
