"""Batches: several rows written in one transaction."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Body, Query, Request, Response
from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema
from sqlalchemy.exc import CircularDependencyError, DBAPIError
from sqlalchemy.orm import DeclarativeBase

from brickwork.database.errors import FlushLog, circular_removal, original_error
from brickwork.database.triggers import reload_after_triggers
from brickwork.fastpath import build_fast_operation, fast_create_batch
from brickwork.http.conditional import precondition_failed
from brickwork.limits import current_limits
from brickwork.models.model import Versioned
from brickwork.operations.idempotency import replay_or_record
from brickwork.operations.signature import Endpoint, key_schema, with_signature
from brickwork.problems import (
    ErrorDetail,
    NotFound,
    PreconditionRequired,
    Problem,
    ServiceUnavailable,
    UnprocessableContent,
    pointer,
)
from brickwork.query.keys import parse_key, primary_key
from brickwork.resource.changes import merge_patches
from brickwork.resource.checks import check_scopes, release_row
from brickwork.resource.defaults import new_row
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource
from brickwork.schemas.names import field_pointer
from brickwork.schemas.schema import Schema
from brickwork.schemas.strict_json import is_array

M = TypeVar("M", bound=DeclarativeBase)


@dataclass(frozen=True)
class BatchSize:
    """Validation of the length of a list: at least one item, at most `Limits.batch`."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Check the length before any item is validated."""
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        """Add the limits to openapi.json."""
        return handler(schema) | {"minItems": 1, "maxItems": current_limits.get().batch}

    def _check(self, value: object) -> object:
        if not is_array(value):
            return value
        maximum, count = current_limits.get().batch, len(value)
        context: dict[str, Any] = {"field_type": "List", "actual_length": count}
        if count < 1:
            raise PydanticKnownError("too_short", context | {"min_length": 1})
        if count > maximum:
            raise PydanticKnownError("too_long", context | {"max_length": maximum})
        return value


def create(definition: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `POST /articles/batch`."""

    async def endpoint(
        request: Request, resource: Resource[M], items: Sequence[Schema]
    ) -> Sequence[M] | Response:
        if replayed := await replay_or_record(request, resource):
            return replayed
        fields = definition.create.model_fields

        async def load() -> Sequence[M]:
            return [new_row(definition.model, item, fields) for item in items]

        async def write(row: M, _: Schema) -> None:
            await resource.create(row)
            definition.require_path(row)

        rows = await _BatchWrite(resource, items, load, write, _body_location).run()
        await reload_after_triggers(resource.session, rows)
        await definition.embedded.reload(resource.session, rows)
        return rows

    schema: Any = Annotated[list[definition.create], BatchSize()]  # type: ignore[name-defined]
    operation = build_fast_operation(definition, fast_create_batch)
    return with_signature(
        endpoint,
        definition,
        fast_operation=operation,
        writes=[definition.create],
        items=Annotated[schema, Body()],
    )


def update(definition: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `PATCH /articles/batch`."""
    name = primary_key(definition.model).key
    model: type[object] = definition.model
    identifying = {name, "version"} if issubclass(model, Versioned) else {name}

    def locate(index: int) -> dict[str, str]:
        return {"pointer": field_pointer(name, definition.change, index)}

    async def endpoint(
        request: Request, resource: Resource[M], items: Sequence[Schema]
    ) -> Sequence[M] | Response:
        if replayed := await replay_or_record(request, resource):
            return replayed
        keys = [getattr(item, name) for item in items]
        _reject_duplicates(keys, locate)
        patches: dict[object, dict[str, Any]] = {}

        async def load() -> Sequence[M]:
            rows = _require_all_found(definition, await resource.get_many(keys), locate)
            _check_versions(definition, rows, items, required=resource.require_if_match)
            merged = merge_patches(zip(rows, items, strict=True))
            patches.update(zip(keys, merged, strict=True))
            return rows

        async def write(row: M, _: Schema) -> None:
            patch = patches[definition.key(row)]
            await resource.update(row, {k: patch[k] for k in patch if k not in identifying})

        rows = await _BatchWrite(resource, items, load, write, _body_location).run()
        await reload_after_triggers(resource.session, rows)
        await definition.embedded.reload(resource.session, rows)
        return rows

    items: Any = Annotated[list[definition.change], BatchSize(), Body()]  # type: ignore[name-defined]
    return with_signature(endpoint, definition, writes=[definition.update], items=items)


def delete(definition: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `DELETE /articles/batch?id=…&id=…`."""

    async def endpoint(resource: Resource[M], ids: Sequence[str]) -> Response:
        if resource.require_if_match:
            raise PreconditionRequired("Delete each of these rows alone, with an If-Match header.")
        keys = [parse_key(definition.model, text) for text in ids]
        _reject_duplicates([key for key in keys if key is not None], lambda _: {"parameter": "id"})

        async def load() -> Sequence[M]:
            rows = await resource.get_many(ids)
            return _require_all_found(definition, rows, lambda _: {"parameter": "id"})

        async def write(row: M, _: str) -> None:
            release_row(resource.session, row)
            await resource.delete(row)

        await _BatchWrite(resource, ids, load, write, _query_location).run()
        return Response(status_code=204)

    key = Annotated[str, Field(json_schema_extra=key_schema(definition.model))]
    ids: Any = Annotated[list[key], BatchSize(), Query(alias="id")]
    return with_signature(endpoint, definition, ids=ids)


Item = TypeVar("Item")
ItemLocation = Callable[[int], dict[str, str]]
"""Returns the `pointer` or `parameter` of the item with an index."""


@dataclass(frozen=True)
class _BatchWrite(Generic[M, Item]):
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
            again = any(problem.again for problem in problems)
            raise replace(problems[0], errors=errors, again=again)
        return rows

    async def _write_in_savepoint(self, rows: Sequence[M], items: Sequence[Item]) -> Problem | None:
        """Write *items* in a savepoint, and return the problem for which it was rolled back.

        None if the items are written. The transaction continues in both cases, with the settings
        that dependencies of the request have made in it.
        """
        session, log = self.resource.session, self._flush_log
        session.info["written"] = part = log.fork()
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
        finally:
            session.info["written"] = log
        log.merge(part)
        return None

    @property
    def _flush_log(self) -> FlushLog:
        log: FlushLog = self.resource.session.info["written"]
        return log

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
                problem = await session.info["database"].explain(error, log, session)
        if problem:
            return problem
        raise error


def _body_location(index: int, error: ErrorDetail) -> ErrorDetail:
    """Return *error* with its pointer inside the item at *index*."""
    path = (error.pointer or "#").removeprefix("#")
    return replace(error, pointer=pointer(index) + path)


def _query_location(index: int, error: ErrorDetail) -> ErrorDetail:
    """Return *error* as an error of the value of `id` at *index*."""
    detail = f"{error.detail.rstrip('.')}: number {index + 1}."
    return replace(error, detail=detail, pointer=None, parameter="id")


def _reject_duplicates(keys: Sequence[object], locate: ItemLocation) -> None:
    text = "A batch may contain each row once: remove the duplicates."
    errors = [
        ErrorDetail(code="repeated", detail=text, **locate(index))
        for index, key in enumerate(keys)
        if key in keys[:index]
    ]
    if errors:
        raise UnprocessableContent(text, errors=errors)


def _require_all_found(
    definition: ResourceDefinition[M], rows: Sequence[M | None], locate: ItemLocation
) -> list[M]:
    """Return *rows*. Raises `NotFound` with the location of each that is None."""
    text = f"{definition.model.__name__} not found"
    errors = [
        ErrorDetail(code="not_found", detail=f"{text}: number {index + 1}.", **locate(index))
        for index, row in enumerate(rows)
        if row is None
    ]
    if errors:
        raise NotFound(text, errors=errors)
    return [row for row in rows if row is not None]


def _check_versions(
    definition: ResourceDefinition[Any],
    rows: Sequence[DeclarativeBase],
    items: Sequence[Schema],
    *,
    required: bool,
) -> None:
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
