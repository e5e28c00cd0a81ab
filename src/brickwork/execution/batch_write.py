"""Writes of a batch, all or none."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from sqlalchemy import inspect
from sqlalchemy.exc import CircularDependencyError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from brickwork.database.errors import circular_removal, original_error, problem_of_kind
from brickwork.database.flush_log import FlushLog
from brickwork.database.unit_of_work import unit_of_work
from brickwork.http.conditional import precondition_failed
from brickwork.models.model import Versioned
from brickwork.problems import (
    ErrorDetail,
    NotFound,
    PreconditionRequired,
    Problem,
    ServiceUnavailable,
    UnprocessableContent,
    pointer,
)
from brickwork.query.keys import primary_key
from brickwork.resource.checks import check_scopes
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource
from brickwork.schemas.names import field_pointer
from brickwork.schemas.schema import Schema

M = TypeVar("M")


Item = TypeVar("Item")

ItemLocation = Callable[[int], Sequence[Mapping[str, str]]]
"""Returns the `pointer` or `parameter` of each part of the key of the item with an index."""


@dataclass(frozen=True)
class BatchWrite(Generic[M, Item]):
    """The items of a batch, and how to load, write and locate them."""

    resource: Resource[M]
    items: Sequence[Item]
    load: Callable[[], Awaitable[Sequence[M]]]
    write: Callable[[M, Item], Awaitable[None]]
    locate: Callable[[int, ErrorDetail], ErrorDetail]

    async def run(self) -> Sequence[M]:
        """Write all items with one flush. If it fails, find the items that caused the error."""
        rows = await self.load()
        if await self._write_in_savepoint(rows, self.items) is None:
            return rows
        return await self._isolate_failures()

    async def _isolate_failures(self) -> Sequence[M]:
        """Write each item in its own savepoint, and raise the errors of all that fail.

        All may succeed: an item can take a unique value that an earlier item has released.
        """
        rows = await self.load()
        problems: list[Problem] = []
        for index, (row, item) in enumerate(zip(rows, self.items, strict=True)):
            if problem := await self._write_in_savepoint([row], [item]):
                problems.append(self._with_item_location(problem, index))
        if problems:
            errors = [error for problem in problems for error in problem.errors]
            retryable = any(problem.retryable for problem in problems)
            raise replace(problems[0], errors=errors, retryable=retryable)
        return rows

    async def _write_in_savepoint(self, rows: Sequence[M], items: Sequence[Item]) -> Problem | None:
        """Write *items* in a savepoint, and return the problem for which it was rolled back.

        None if the items are written. The transaction continues in both cases, with the settings
        that dependencies of the request have made in it.
        """
        session = self.resource.session
        unit = unit_of_work(session)
        with unit.fork_flush_log() as part:
            try:
                async with session.begin_nested():
                    for row, item in zip(rows, items, strict=True):
                        await self.write(row, item)
                    await session.flush()
                    await check_scopes(session)
            except (CircularDependencyError, DBAPIError, Problem) as error:
                if isinstance(error, DBAPIError) and original_error(error) is not error:
                    raise  # the database has ended the transaction
                if isinstance(problem := await self._to_problem(error, part), ServiceUnavailable):
                    raise problem from error
                return problem
        unit.flush_log.merge(part)
        return None

    def _with_item_location(self, problem: Problem, index: int) -> Problem:
        """Return *problem* with error locations inside the item at *index*."""
        only = ErrorDetail(code=problem.code, detail=problem.detail)
        errors = problem.errors or [only]
        return replace(problem, errors=[self.locate(index, error) for error in errors])

    async def _to_problem(
        self, error: CircularDependencyError | DBAPIError | Problem, log: FlushLog
    ) -> Problem:
        problem: Problem | None
        session = self.resource.session
        match error:
            case Problem():
                return error
            case CircularDependencyError():
                problem = circular_removal(log)
            case DBAPIError():
                problem = await unit_of_work(session).translate_error(error, log, session)
        if problem:
            return problem
        raise error


def body_location(index: int, error: ErrorDetail) -> ErrorDetail:
    """Return *error* with its pointer inside the item at *index*."""
    path = (error.pointer or "#").removeprefix("#")
    return replace(error, pointer=pointer(index) + path)


def query_location(index: int, error: ErrorDetail) -> ErrorDetail:
    """Return *error* as an error of the value of `id` at *index*."""
    detail = f"{error.detail.rstrip('.')}: number {index + 1}."
    return replace(error, detail=detail, pointer=None, parameter="id")


def reject_duplicates(keys: Sequence[object], locate: ItemLocation) -> None:
    """Raise `UnprocessableContent` with the items whose key is in *keys* before."""
    text = "A batch may contain each row once: remove the duplicates."
    errors = [
        ErrorDetail(code="repeated", detail=text, **place)
        for index, key in enumerate(keys)
        if key in keys[:index]
        for place in locate(index)
    ]
    if errors:
        raise UnprocessableContent(text, errors=errors)


def require_new_key(session: AsyncSession, row: object) -> None:
    """Raise `Conflict` if *session* has stored a row with the key of the new *row*.

    SQLAlchemy would warn of it before the database rejects it.
    """
    mapper, written = inspect(type(row)), unit_of_work(session).flush_log
    stored = session.identity_map.get(mapper.identity_key_from_instance(row))
    if stored is not None and stored is not row:
        names = primary_key(type(row)).names
        places = {place for name in names for place in written.places(mapper, name)}
        raise problem_of_kind("unique", places)


def require_all_found(
    definition: ResourceDefinition[M], rows: Sequence[M | None], locate: ItemLocation
) -> list[M]:
    """Return *rows*. Raises `NotFound` with the location of each that is None."""
    text = f"{definition.model.__name__} not found"
    errors = [
        ErrorDetail(code="not_found", detail=f"{text}: number {index + 1}.", **place)
        for index, row in enumerate(rows)
        if row is None
        for place in locate(index)
    ]
    if errors:
        raise NotFound(text, errors=errors)
    return [row for row in rows if row is not None]


def check_versions(
    definition: ResourceDefinition[Any],
    rows: Sequence[object],
    items: Sequence[Schema],
    *,
    required: bool,
) -> None:
    """Raise `PreconditionFailed` with the items whose version is not that of its row."""
    errors: list[ErrorDetail] = []
    text = "The row has a different version: read it again."
    for index, (row, item) in enumerate(zip(rows, items, strict=True)):
        if not isinstance(row, Versioned):
            continue
        version = getattr(item, "version", None)
        if version is None and required:
            raise PreconditionRequired("Send the expected version of each row.")
        if version not in {None, row.version}:
            location = field_pointer("version", definition.change, index)
            errors.append(ErrorDetail(code="stale", detail=text, pointer=location))
    if errors:
        raise replace(precondition_failed(), errors=errors)
