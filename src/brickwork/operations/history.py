"""The change history of a row."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import Query, Request, Response
from pydantic import BaseModel
from typing_extensions import override

from brickwork.execution.orm_path import UnitOfWorkExecutor
from brickwork.execution.plans import HistoryPlan
from brickwork.execution.results import PageResult
from brickwork.http.links import link_header
from brickwork.http.representation import Serializer
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.operations.operation import Operation
from brickwork.query.list_query import with_deleted_parameter
from brickwork.resource.definition import ResourceDefinition
from brickwork.schemas.derived import with_deleted_at
from brickwork.schemas.schema import pure_fields
from brickwork.tracking.audit import AuditEntry, AuditEntryRead, HistoryQuery

M = TypeVar("M")


class _ClientName(NamedTuple):
    """The client's name of a column, and whether responses contain its values unchanged."""

    name: str
    is_read: bool


class History(Operation[M, HistoryPlan, PageResult]):
    """`GET /articles/{id}/history`."""

    @override
    def parameters(self) -> Mapping[str, Any]:
        has_deleted = is_soft_deletable(self.definition.model)
        query = with_deleted_parameter(HistoryQuery) if has_deleted else HistoryQuery
        return {**self.key_parameters(), "params": Annotated[query, Query()]}

    @override
    def plan(self, request: Request, values: Mapping[str, Any]) -> HistoryPlan:
        params = values["params"]
        return HistoryPlan(self.row_key(request), params, getattr(params, "deleted", None))

    @override
    async def run(self, executor: UnitOfWorkExecutor[M], plan: HistoryPlan) -> PageResult:
        page = await executor.history(plan)
        read = self.definition.read
        names = _client_names(self.definition, with_deleted_at(read) if plan.deleted else read)
        entries = [_redact(entry, names) for entry in page.items]
        return PageResult(executor.represent(entries), page)

    @override
    def respond(
        self, request: Request, plan: HistoryPlan, result: PageResult, serializer: Serializer
    ) -> Response:
        total = None if result.page.total is None else str(result.page.total)
        headers = {"Link": link_header(request, result.page), "X-Total-Count": total}
        return serializer.respond(result.content, 200, headers)


def _redact(entry: AuditEntry, names: Mapping[str, _ClientName]) -> AuditEntryRead:
    """Return *entry* with the fields in *names*, and only values that clients may read."""
    redacted = AuditEntryRead.model_validate(entry)
    redacted.changes = {
        names[attribute].name: change if names[attribute].is_read else {}
        for attribute, change in redacted.changes.items()
        if attribute in names
    }
    return redacted


def _client_names(
    definition: ResourceDefinition[Any], read: type[BaseModel]
) -> Mapping[str, _ClientName]:
    """Return the client names of the attributes that clients write or *read*."""
    inputs = definition.update.model_fields | definition.create.model_fields
    names = {
        name: _ClientName(field.alias or name, is_read=False) for name, field in inputs.items()
    }
    unchanged = pure_fields(read)
    for name, field in read.model_fields.items():
        alias = field.validation_alias
        source = alias if isinstance(alias, str) and hasattr(definition.model, alias) else name
        names[source] = _ClientName(
            field.serialization_alias or field.alias or name, is_read=name in unchanged
        )
    return names
