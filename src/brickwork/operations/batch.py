"""Batches: several rows written in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Body, Query, Request, Response
from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema
from typing_extensions import override

from brickwork.execution.insert import insert_many_statement
from brickwork.execution.orm_path import UnitOfWorkExecutor
from brickwork.execution.plans import DeleteManyPlan, InsertManyPlan, UpdateManyPlan
from brickwork.execution.statement import StatementOperation
from brickwork.http.representation import Representation, Serializer
from brickwork.limits import current_limits
from brickwork.operations.operation import Operation
from brickwork.query.keys import primary_key
from brickwork.schemas.strict_json import is_array

M = TypeVar("M")


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


class CreateBatch(Operation[M, InsertManyPlan, Representation]):
    """`POST /articles/batch`."""

    is_idempotent = True

    @property
    @override
    def writes(self) -> Sequence[type[BaseModel]]:
        return [self.definition.create]

    @override
    def parameters(self) -> Mapping[str, Any]:
        return {"items": _list_body(self.definition.create)}

    @override
    def statement(self) -> StatementOperation[M, InsertManyPlan, Representation]:
        return insert_many_statement(self.definition)

    @override
    def plan(self, request: Request, values: Mapping[str, Any]) -> InsertManyPlan:
        return InsertManyPlan(values["items"])

    @override
    async def run(self, executor: UnitOfWorkExecutor[M], plan: InsertManyPlan) -> Representation:
        return await executor.insert_many(plan)

    @override
    def respond(
        self, request: Request, plan: InsertManyPlan, result: Representation, serializer: Serializer
    ) -> Response:
        return serializer.respond(result, 201, {})


class UpdateBatch(Operation[M, UpdateManyPlan, Representation]):
    """`PATCH /articles/batch`."""

    is_idempotent = True

    @property
    @override
    def writes(self) -> Sequence[type[BaseModel]]:
        return [self.definition.update]

    @override
    def parameters(self) -> Mapping[str, Any]:
        return {"items": _list_body(self.definition.change)}

    @override
    def plan(self, request: Request, values: Mapping[str, Any]) -> UpdateManyPlan:
        return UpdateManyPlan(values["items"])

    @override
    async def run(self, executor: UnitOfWorkExecutor[M], plan: UpdateManyPlan) -> Representation:
        return await executor.update_many(plan)

    @override
    def respond(
        self, request: Request, plan: UpdateManyPlan, result: Representation, serializer: Serializer
    ) -> Response:
        return serializer.respond(result, 200, {})


class DeleteBatch(Operation[M, DeleteManyPlan, None]):
    """`DELETE /articles/batch?id=…&id=…`."""

    @override
    def parameters(self) -> Mapping[str, Any]:
        key = Annotated[str, Field(json_schema_extra=self._key_schema())]
        return {"ids": Annotated[list[key], BatchSize(), Query(alias="id")]}

    def _key_schema(self) -> dict[str, Any]:
        """Return the JSON schema of a key. A key of several columns has the form of its path."""
        key = primary_key(self.definition.model)
        if not key.is_composite:
            return dict(key.schemas[0])
        path = "/".join(self.definition.path_names)
        return {"type": "string", "description": f"The key as in a path: `{path}`."}

    @override
    def plan(self, request: Request, values: Mapping[str, Any]) -> DeleteManyPlan:
        return DeleteManyPlan(values["ids"])

    @override
    async def run(self, executor: UnitOfWorkExecutor[M], plan: DeleteManyPlan) -> None:
        await executor.delete_many(plan)

    @override
    def respond(
        self, request: Request, plan: DeleteManyPlan, result: None, serializer: Serializer
    ) -> Response:
        return Response(status_code=204)


def _list_body(schema: Any) -> Any:
    """Return the annotation of a body with a list of *schema*."""
    return Annotated[list[schema], BatchSize(), Body()]
