"""The history of a row: the endpoint that shows what was done to it, and by whom."""

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


class _Name(NamedTuple):
    """The name that clients have for a column, and whether they read its values as they are."""

    name: str
    is_read: bool


def list_(shape: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `GET /articles/{id}/history`."""
    query = with_deleted_parameter(HistoryQuery) if is_soft_deletable(shape.model) else HistoryQuery

    async def endpoint(
        key: str,
        request: Request,
        response: Response,
        rows: Resource[M],
        params: ListQuery[AuditEntry],
    ) -> Sequence[AuditEntryRead]:
        read = shape.read
        if deleted := getattr(params, "deleted", None):
            await rows.include_deleted(deleted)
            read = with_deleted_at(shape.read)
        page = await rows.history(key, params)
        set_pagination_headers(request, response, page)
        names = _names(shape, read)
        return [_shown(each, names) for each in page.items]

    return with_signature(endpoint, shape, params=Annotated[query, Query()])


def _shown(entry: AuditEntry, names: Mapping[str, _Name]) -> AuditEntryRead:
    """Return *entry* with the fields in *names*, and the values of those that clients read."""
    shown = AuditEntryRead.model_validate(entry)
    shown.changes = {
        names[attribute].name: change if names[attribute].is_read else {}
        for attribute, change in shown.changes.items()
        if attribute in names
    }
    return shown


def _names(shape: ResourceDefinition[Any], read: type[BaseModel]) -> Mapping[str, _Name]:
    """Return the names of the columns that clients write or *read*, by their attributes."""
    written = shape.update.model_fields | shape.create.model_fields
    names = {name: _Name(field.alias or name, is_read=False) for name, field in written.items()}
    plain = pure_fields(read)
    for name, field in read.model_fields.items():
        alias = field.validation_alias
        source = alias if isinstance(alias, str) and hasattr(shape.model, alias) else name
        names[source] = _Name(
            field.serialization_alias or field.alias or name, is_read=name in plain
        )
    return names
