"""Operations on one row."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request, Response
from pydantic import BaseModel
from typing_extensions import override

from brickwork.execution.delete import delete_statement
from brickwork.execution.orm_path import UnitOfWorkExecutor
from brickwork.execution.plans import DeletePlan, GetPlan, ReplacePlan, RestorePlan, UpdatePlan
from brickwork.execution.results import ReplaceResult
from brickwork.execution.select import get_statement
from brickwork.execution.statement import StatementOperation
from brickwork.execution.update import update_statement
from brickwork.http.conditional import parse_preconditions, precondition_failed
from brickwork.http.links import row_path
from brickwork.http.representation import Representation, Serializer
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.operations.operation import Operation

M = TypeVar("M")

_ALLOW_MISSING = Annotated[bool, Query(description="Whether a missing row is no error.")]
_PURGE = Annotated[bool, Query(description="Whether to remove the row for good.")]


class Get(Operation[M, GetPlan, Representation]):
    """`GET /articles/{id}`."""

    @override
    def parameters(self) -> Mapping[str, Any]:
        return self.key_parameters()

    @override
    def statement(self) -> StatementOperation[M, GetPlan, Representation]:
        return get_statement(self.definition)

    @override
    def plan(self, request: Request, values: Mapping[str, Any]) -> GetPlan:
        return GetPlan(self.row_key(request), parse_preconditions(request.headers))

    @override
    async def run(self, executor: UnitOfWorkExecutor[M], plan: GetPlan) -> Representation:
        return await executor.get(plan)

    @override
    def respond(
        self, request: Request, plan: GetPlan, result: Representation, serializer: Serializer
    ) -> Response:
        etag, preconditions = result.etag, plan.preconditions
        if preconditions.if_match and not preconditions.if_match.match_strong(result.version):
            raise precondition_failed(etag)
        if preconditions.is_not_modified(etag):
            return Response(status_code=304, headers={"ETag": etag} if etag else {})
        return serializer.respond(result, 200, {"ETag": etag})


class Update(Operation[M, UpdatePlan, Representation]):
    """`PATCH /articles/{id}`."""

    is_idempotent = True

    @property
    @override
    def writes(self) -> Sequence[type[BaseModel]]:
        return [self.definition.update]

    @override
    def parameters(self) -> Mapping[str, Any]:
        return {**self.key_parameters(), "data": self.definition.update}

    @override
    def statement(self) -> StatementOperation[M, UpdatePlan, Representation]:
        return update_statement(self.definition)

    @override
    def plan(self, request: Request, values: Mapping[str, Any]) -> UpdatePlan:
        return UpdatePlan(
            self.row_key(request), values["data"], parse_preconditions(request.headers)
        )

    @override
    async def run(self, executor: UnitOfWorkExecutor[M], plan: UpdatePlan) -> Representation:
        return await executor.update(plan)

    @override
    def respond(
        self, request: Request, plan: UpdatePlan, result: Representation, serializer: Serializer
    ) -> Response:
        return serializer.respond(result, 200, {"ETag": result.etag})


class Replace(Operation[M, ReplacePlan, ReplaceResult]):
    """`PUT /articles/{id}`."""

    @property
    @override
    def writes(self) -> Sequence[type[BaseModel]]:
        return [self.definition.create]

    @override
    def parameters(self) -> Mapping[str, Any]:
        return {**self.key_parameters(), "data": self.definition.replace}

    @override
    def plan(self, request: Request, values: Mapping[str, Any]) -> ReplacePlan:
        return ReplacePlan(
            self.row_key(request), values["data"], parse_preconditions(request.headers)
        )

    @override
    async def run(self, executor: UnitOfWorkExecutor[M], plan: ReplacePlan) -> ReplaceResult:
        return await executor.replace(plan)

    @override
    def respond(
        self, request: Request, plan: ReplacePlan, result: ReplaceResult, serializer: Serializer
    ) -> Response:
        location = row_path(request, result.row.key) if result.created else None
        status = 201 if result.created else 200
        headers = {"Location": location, "ETag": result.row.etag}
        return serializer.respond(result.row, status, headers)


class Delete(Operation[M, DeletePlan, None]):
    """`DELETE /articles/{id}`."""

    @override
    def parameters(self) -> Mapping[str, Any]:
        flags: dict[str, Any] = {"allow_missing": (_ALLOW_MISSING, False)}
        if is_soft_deletable(self.definition.model):
            flags["purge"] = (_PURGE, False)
        return {**self.key_parameters(), **flags}

    @override
    def statement(self) -> StatementOperation[M, DeletePlan, None]:
        return delete_statement(self.definition)

    @override
    def plan(self, request: Request, values: Mapping[str, Any]) -> DeletePlan:
        return DeletePlan(
            self.row_key(request),
            parse_preconditions(request.headers),
            allow_missing=values["allow_missing"],
            purge=values.get("purge", False),
        )

    @override
    async def run(self, executor: UnitOfWorkExecutor[M], plan: DeletePlan) -> None:
        await executor.delete(plan)

    @override
    def respond(
        self, request: Request, plan: DeletePlan, result: None, serializer: Serializer
    ) -> Response:
        return Response(status_code=204)


class Restore(Operation[M, RestorePlan, Representation]):
    """`POST /articles/{id}/restore`."""

    is_idempotent = True

    @property
    @override
    def writes(self) -> Sequence[type[BaseModel]]:
        return [self.definition.update, self.definition.create]

    @override
    def parameters(self) -> Mapping[str, Any]:
        return self.key_parameters()

    @override
    def plan(self, request: Request, values: Mapping[str, Any]) -> RestorePlan:
        return RestorePlan(self.row_key(request), parse_preconditions(request.headers))

    @override
    async def run(self, executor: UnitOfWorkExecutor[M], plan: RestorePlan) -> Representation:
        return await executor.restore(plan)

    @override
    def respond(
        self, request: Request, plan: RestorePlan, result: Representation, serializer: Serializer
    ) -> Response:
        return serializer.respond(result, 200, {"ETag": result.etag})
