"""Batches: up to a hundred rows written at once, all or none, and every bad one told of."""

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
class Few:
    """On a list of rows to write: one, and no more than the limit of a batch."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Check against the limit in force, before any of them is looked at."""
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        """Say what the limit is to those who read openapi.json."""
        return handler(schema) | {"minItems": 1, "maxItems": current_limits.get().batch}

    def _check(self, value: object) -> object:
        if not is_array(value):
            return value
        most, count = current_limits.get().batch, len(value)
        context: dict[str, Any] = {"field_type": "List", "actual_length": count}
        if count < 1:
            raise PydanticKnownError("too_short", context | {"min_length": 1})
        if count > most:
            raise PydanticKnownError("too_long", context | {"max_length": most})
        return value


def create(shape: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `POST /articles/batch`."""

    async def endpoint(
        request: Request, rows: Resource[M], items: Sequence[Schema]
    ) -> Sequence[M] | Response:
        if replayed := await replay_or_record(request, rows):
            return replayed

        async def load() -> Sequence[M]:
            return [new_row(shape.model, each, shape.create.model_fields) for each in items]

        async def write(row: M, _: Schema) -> None:
            await rows.create(row)
            shape.require_path(row)

        made = await _Batch(rows, items, load, write, _in_body).run()
        await reload_after_triggers(rows.session, made)
        await shape.embedded.reload(rows.session, made)
        return made

    kind: Any = Annotated[list[shape.create], Few()]  # type: ignore[name-defined]
    lane = build_fast_operation(shape, fast_create_batch)
    items: Any = Annotated[kind, Body()]
    return with_signature(endpoint, shape, lane=lane, writes=[shape.create], items=items)


def update(shape: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `PATCH /articles/batch`."""
    name = primary_key(shape.model).key
    model: type[object] = shape.model
    which = {name, "version"} if issubclass(model, Versioned) else {name}

    def place(index: int) -> dict[str, str]:
        return {"pointer": field_pointer(name, shape.change, index)}

    async def endpoint(
        request: Request, rows: Resource[M], items: Sequence[Schema]
    ) -> Sequence[M] | Response:
        if replayed := await replay_or_record(request, rows):
            return replayed
        keys = [getattr(each, name) for each in items]
        _refuse_twice(keys, place)
        patches: dict[object, dict[str, Any]] = {}

        async def load() -> Sequence[M]:
            found = _all(shape, await rows.get_many(keys), place)
            _check_versions(shape, found, items, required=rows.require_if_match)
            merged = merge_patches(zip(found, items, strict=True))
            patches.update(zip(keys, merged, strict=True))
            return found

        async def write(row: M, _: Schema) -> None:
            patch = patches[shape.key(row)]
            await rows.update(row, {k: patch[k] for k in patch if k not in which})

        changed = await _Batch(rows, items, load, write, _in_body).run()
        await reload_after_triggers(rows.session, changed)
        await shape.embedded.reload(rows.session, changed)
        return changed

    items: Any = Annotated[list[shape.change], Few(), Body()]  # type: ignore[name-defined]
    return with_signature(endpoint, shape, writes=[shape.update], items=items)


def delete(shape: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `DELETE /articles/batch?id=…&id=…`."""

    async def endpoint(rows: Resource[M], ids: Sequence[str]) -> Response:
        if rows.require_if_match:
            raise PreconditionRequired("Delete these rows one by one, each with If-Match.")
        keys = [parse_key(shape.model, each) for each in ids]
        _refuse_twice([key for key in keys if key is not None], lambda _: {"parameter": "id"})

        async def load() -> Sequence[M]:
            return _all(shape, await rows.get_many(ids), lambda _: {"parameter": "id"})

        async def write(row: M, _: str) -> None:
            release_row(rows.session, row)
            await rows.delete(row)

        await _Batch(rows, ids, load, write, _in_query).run()
        return Response(status_code=204)

    key = Annotated[str, Field(json_schema_extra=key_schema(shape.model))]
    return with_signature(endpoint, shape, ids=Annotated[list[key], Few(), Query(alias="id")])


Item = TypeVar("Item")
Place = Callable[[int], dict[str, str]]
"""Where in the request the item of a number is."""


@dataclass(frozen=True)
class _Batch(Generic[M, Item]):
    """Items, how their rows come about, and what is done with each of them."""

    rows: Resource[M]
    items: Sequence[Item]
    load: Callable[[], Awaitable[Sequence[M]]]
    write: Callable[[M, Item], Awaitable[None]]
    place: Callable[[int, ErrorDetail], ErrorDetail]

    async def run(self) -> Sequence[M]:
        """Write them all with one flush; if that fails, find out which are to blame."""
        found = await self.load()
        if await self._tried(found, self.items) is None:
            return found
        return await self._one_by_one()

    async def _one_by_one(self) -> Sequence[M]:
        """Write the items in their order, each alone; raise what is wrong with those that fail.

        All may succeed: a value that one gives up can be taken by the next.
        """
        found = await self.load()
        problems: list[Problem] = []
        for index, (row, item) in enumerate(zip(found, self.items, strict=True)):
            if problem := await self._tried([row], [item]):
                problems.append(self._placed(problem, index))
        if problems:
            errors = [fault for each in problems for fault in each.errors]
            again = any(each.again for each in problems)
            raise replace(problems[0], errors=errors, again=again)
        return found

    async def _tried(self, rows: Sequence[M], items: Sequence[Item]) -> Problem | None:
        """Write *items* in a savepoint, and return the problem with them; then nothing is left.

        The transaction goes on: what the dependencies of the request have set in it is in force.
        """
        session, whole = self.rows.session, self._written
        session.info["written"] = own = whole.part()
        try:
            async with session.begin_nested():
                for row, item in zip(rows, items, strict=True):
                    await self.write(row, item)
                await session.flush()
                await check_scopes(session)
        except (CircularDependencyError, DBAPIError, Problem) as error:
            if isinstance(error, DBAPIError) and original_error(error) is not error:
                raise  # the database has ended the transaction
            if isinstance(problem := await self._problem(error, own), ServiceUnavailable):
                raise problem from error
            return problem
        finally:
            session.info["written"] = whole
        whole.include(own)
        return None

    @property
    def _written(self) -> FlushLog:
        written: FlushLog = self.rows.session.info["written"]
        return written

    def _placed(self, problem: Problem, index: int) -> Problem:
        """Return *problem* as that of the item *index*."""
        own = ErrorDetail(code=problem.code, detail=problem.detail)
        faults = problem.errors or [own]
        return replace(problem, errors=[self.place(index, each) for each in faults])

    async def _problem(
        self, error: CircularDependencyError | DBAPIError | Problem, written: FlushLog
    ) -> Problem:
        problem: Problem | None
        session = self.rows.session
        match error:
            case Problem():
                return error
            case CircularDependencyError():
                problem = circular_removal(written)
            case DBAPIError():
                problem = await session.info["database"].explain(error, written, session)
        if problem:
            return problem
        raise error


def _in_body(index: int, fault: ErrorDetail) -> ErrorDetail:
    """Return *fault* as that of the item *index* of the body."""
    inside = (fault.pointer or "#").removeprefix("#")
    return replace(fault, pointer=pointer(index) + inside)


def _in_query(index: int, fault: ErrorDetail) -> ErrorDetail:
    """Return *fault* as that of the value *index* of `id`."""
    detail = f"{fault.detail.rstrip('.')}: number {index + 1}."
    return replace(fault, detail=detail, pointer=None, parameter="id")


def _refuse_twice(keys: Sequence[object], place: Place) -> None:
    text = "Each row can be named once."
    faults = [
        ErrorDetail(code="repeated", detail=text, **place(index))
        for index, key in enumerate(keys)
        if key in keys[:index]
    ]
    if faults:
        raise UnprocessableContent(text, errors=faults)


def _all(shape: ResourceDefinition[M], found: Sequence[M | None], place: Place) -> list[M]:
    """Return *found*, none of which is missing; raises `NotFound` with those that are."""
    text = f"{shape.model.__name__} not found"
    faults = [
        ErrorDetail(code="not_found", detail=f"{text}: number {index + 1}.", **place(index))
        for index, row in enumerate(found)
        if row is None
    ]
    if faults:
        raise NotFound(text, errors=faults)
    return [row for row in found if row is not None]


def _check_versions(
    shape: ResourceDefinition[Any],
    rows: Sequence[DeclarativeBase],
    items: Sequence[Schema],
    *,
    required: bool,
) -> None:
    faults: list[ErrorDetail] = []
    text = "The row has another version."
    for index, (row, item) in enumerate(zip(rows, items, strict=True)):
        if not isinstance(row, Versioned):
            continue
        wanted = getattr(item, "version", None)
        if wanted is None and required:
            raise PreconditionRequired("Say of each row which version is meant.")
        if wanted not in {None, row.version}:
            place = field_pointer("version", shape.change, index)
            faults.append(ErrorDetail(code="stale", detail=text, pointer=place))
    if faults:
        raise replace(precondition_failed(), errors=faults)
