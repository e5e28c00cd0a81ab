"""The change history of a row."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase

from brickwork.http.links import set_pagination_headers
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.operations.signature import Endpoint, with_signature
from brickwork.query.list_query import ListQuery, with_deleted_parameter
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource
from brickwork.schemas.derived import with_deleted_at
from brickwork.schemas.schema import pure_fields
from brickwork.tracking.audit import AuditEntry, AuditEntryRead, HistoryQuery

M = TypeVar("M", bound=DeclarativeBase)


class _ClientName(NamedTuple):
    """The client's name of a column, and whether responses contain its values unchanged."""

    name: str
    is_read: bool


def list_(definition: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `GET /articles/{id}/history`."""
    has_deleted = is_soft_deletable(definition.model)
    query = with_deleted_parameter(HistoryQuery) if has_deleted else HistoryQuery

    async def list_entries(
        key: str,
        request: Request,
        response: Response,
        resource: Resource[M],
        params: ListQuery[AuditEntry],
    ) -> Sequence[AuditEntryRead]:
        read = definition.read
        if deleted := getattr(params, "deleted", None):
            await resource.include_deleted(deleted)
            read = with_deleted_at(definition.read)
        page = await resource.history(key, params)
        set_pagination_headers(request, response, page)
        names = _client_names(definition, read)
        return [_redact(entry, names) for entry in page.items]

    return with_signature(list_entries, definition, params=Annotated[query, Query()])


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
