"""Purges: rows that were deleted long ago, and only marked, are removed for good."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Select, inspect
from sqlalchemy.orm import DeclarativeBase

from brickwork.cli.errors import UsageError
from brickwork.cli.runner import JobRunner, bisect_failures
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.problems import Problem
from brickwork.query.counting import count_rows
from brickwork.query.keys import primary_key
from brickwork.query.lookup import selected_model
from brickwork.resource.resource import Resource

M = TypeVar("M", bound=DeclarativeBase)

CHUNK_SIZE: Final = 500
"""How many rows a transaction removes."""


@dataclass(frozen=True)
class PurgeProgress:
    """How many rows are gone and how many kept so far, and of the latest why, by their keys."""

    removed: int = 0
    kept: int = 0
    refused: Mapping[object, str] = field(default_factory=dict[object, str])


async def count_deleted(target: JobRunner[M], before: datetime) -> int:
    """Return how many rows there are that were deleted *before* an instant; raises `UsageError`."""
    _require_soft_delete(target.shape.model)

    async def counted(rows: Resource[M]) -> int:
        return await count_rows(rows.session, await _deleted_keys(rows, before))

    return await target.run(counted, readonly=True)


async def purge_rows(
    target: JobRunner[M], before: datetime, *, chunk: int = CHUNK_SIZE
) -> AsyncGenerator[PurgeProgress]:
    """Remove the rows deleted *before* an instant; yield how far that is, also after each *chunk*.

    Each row is removed by the step `purge` of its resource, each chunk in a transaction. Raises
    `UsageError` for a resource without soft delete.
    """
    _require_soft_delete(target.shape.model)
    yield (at := PurgeProgress())
    last: Any = None
    work = _Purge(target, before)
    while keys := await _fetch_keys(target, before, last, chunk):
        work.refused = {}
        await bisect_failures(keys, work.remove, work.refuse)
        yield (at := PurgeProgress(work.count, at.kept + len(work.refused), work.refused))
        last = keys[-1]


class _Purge(Generic[M]):
    """Removes rows by their keys, and counts those that were still there."""

    def __init__(self, target: JobRunner[M], before: datetime) -> None:
        self.count = 0
        self.refused: dict[object, str] = {}
        self._target = target
        self._before = before

    async def remove(self, keys: Sequence[object]) -> None:
        self.count += await self._target.run(partial(self._remove, keys))

    def refuse(self, key: object, problem: Problem) -> None:
        # Its detail alone: the problem leads to the session that it was raised in.
        self.refused[key] = problem.detail

    async def _remove(self, keys: Sequence[object], rows: Resource[M]) -> int:
        model = self._target.shape.model
        key = primary_key(model)
        wanted = (await _deleted_statement(rows, self._before)).where(key.in_(keys)).order_by(None)
        locked = wanted.order_by(key).with_for_update(of=model)
        found = (await rows.session.scalars(locked)).all()
        for row in found:
            await rows.purge(row)
        return len(found)


async def _fetch_keys(
    target: JobRunner[M], before: datetime, last: Any, chunk: int
) -> Sequence[object]:
    """Return the keys of the next rows behind the key *last*, in their order."""
    key = primary_key(target.shape.model)

    async def read(rows: Resource[M]) -> Sequence[object]:
        keys = (await _deleted_keys(rows, before)).order_by(None).order_by(key).limit(chunk)
        return (await rows.session.scalars(keys if last is None else keys.where(key > last))).all()

    return await target.run(read, readonly=True)


async def _deleted_keys(rows: Resource[M], before: datetime) -> Select[Any]:
    deleted = await _deleted_statement(rows, before)
    key = primary_key(selected_model(deleted))
    return deleted.with_only_columns(key, maintain_column_froms=True)


async def _deleted_statement(rows: Resource[M], before: datetime) -> Select[M]:
    await rows.include_deleted("only")
    return rows.query().where(inspect(type(rows).model).columns["deleted_at"] < before)


def _require_soft_delete(model: type[DeclarativeBase]) -> None:
    if not is_soft_deletable(model):
        raise UsageError(
            f"{model.__name__} has no soft delete: what is deleted is gone at once. Let it inherit "
            "from brickwork.SoftDelete to have deleted rows kept until they are purged."
        )
