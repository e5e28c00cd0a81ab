"""Batches: several rows written in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Body, Query, Request, Response
from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema
from sqlalchemy.orm import DeclarativeBase

from brickwork.database.triggers import reload_after_triggers
from brickwork.fastpath import build_fast_operation, fast_create_batch
from brickwork.limits import current_limits
from brickwork.models.model import Versioned
from brickwork.operations.batch_write import (
    BatchWrite,
    body_location,
    check_versions,
    query_location,
    reject_duplicates,
    require_all_found,
)
from brickwork.operations.idempotency import replay_or_record
from brickwork.operations.signature import Endpoint, key_schema, with_signature
from brickwork.problems import PreconditionRequired
from brickwork.query.keys import parse_key, primary_key
from brickwork.resource.changes import merge_patches
from brickwork.resource.checks import release_row
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
        return core_schema.no_info_before_validator_function(self._require_length, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        """Add the limits to openapi.json."""
        return handler(schema) | {"minItems": 1, "maxItems": current_limits.get().batch}

    def _require_length(self, value: object) -> object:
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

    async def create_rows(
        request: Request, resource: Resource[M], items: Sequence[Schema]
    ) -> Sequence[M] | Response:
        if replayed := await replay_or_record(request, resource):
            return replayed
        fields = definition.create.model_fields

        async def load() -> Sequence[M]:
            return [new_row(definition.model, item, fields) for item in items]

        async def create_one(row: M, _: Schema) -> None:
            await resource.create(row)
            definition.require_path(row)

        rows = await BatchWrite(resource, items, load, create_one, body_location).run()
        await reload_after_triggers(resource.session, rows)
        await definition.embedded.reload(resource.session, rows)
        return rows

    schema: Any = Annotated[list[definition.create], BatchSize()]  # type: ignore[name-defined]
    operation = build_fast_operation(definition, fast_create_batch)
    return with_signature(
        create_rows,
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

    async def update_rows(
        request: Request, resource: Resource[M], items: Sequence[Schema]
    ) -> Sequence[M] | Response:
        if replayed := await replay_or_record(request, resource):
            return replayed
        keys = [getattr(item, name) for item in items]
        reject_duplicates(keys, locate)
        patches: dict[object, dict[str, Any]] = {}

        async def load() -> Sequence[M]:
            rows = require_all_found(definition, await resource.get_many(keys), locate)
            check_versions(definition, rows, items, required=resource.require_if_match)
            merged = merge_patches(zip(rows, items, strict=True))
            patches.update(zip(keys, merged, strict=True))
            return rows

        async def update_one(row: M, _: Schema) -> None:
            patch = patches[definition.key(row)]
            await resource.update(row, {k: patch[k] for k in patch if k not in identifying})

        rows = await BatchWrite(resource, items, load, update_one, body_location).run()
        await reload_after_triggers(resource.session, rows)
        await definition.embedded.reload(resource.session, rows)
        return rows

    items: Any = Annotated[list[definition.change], BatchSize(), Body()]  # type: ignore[name-defined]
    return with_signature(update_rows, definition, writes=[definition.update], items=items)


def delete(definition: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `DELETE /articles/batch?id=…&id=…`."""

    async def delete_rows(resource: Resource[M], ids: Sequence[str]) -> Response:
        if resource.require_if_match:
            raise PreconditionRequired("Delete each of these rows alone, with an If-Match header.")
        keys = [parse_key(definition.model, text) for text in ids]
        reject_duplicates([key for key in keys if key is not None], lambda _: {"parameter": "id"})

        async def load() -> Sequence[M]:
            rows = await resource.get_many(ids)
            return require_all_found(definition, rows, lambda _: {"parameter": "id"})

        async def delete_one(row: M, _: str) -> None:
            release_row(resource.session, row)
            await resource.delete(row)

        await BatchWrite(resource, ids, load, delete_one, query_location).run()
        return Response(status_code=204)

    key = Annotated[str, Field(json_schema_extra=key_schema(definition.model))]
    ids: Any = Annotated[list[key], BatchSize(), Query(alias="id")]
    return with_signature(delete_rows, definition, ids=ids)
