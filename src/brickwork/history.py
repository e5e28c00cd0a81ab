"""The history of a row: the endpoint that shows what was done to it, and by whom."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase

from brickwork.audit import AuditEntry, AuditEntryRead, HistoryQuery
from brickwork.deletion import is_soft
from brickwork.inputs import revealing
from brickwork.links import tell_places
from brickwork.lists import ListQuery, with_deleted
from brickwork.resource import Resource
from brickwork.shapes import Endpoint, Shape, typed

M = TypeVar("M", bound=DeclarativeBase)


def list_(shape: Shape[M]) -> Endpoint:
    """Return the endpoint of `GET /articles/{id}/history`."""
    query = with_deleted(HistoryQuery) if is_soft(shape.model) else HistoryQuery

    async def endpoint(
        key: str,
        request: Request,
        response: Response,
        rows: Resource[M],
        at: ListQuery[AuditEntry],
    ) -> Sequence[AuditEntryRead]:
        read = shape.read
        if deleted := getattr(at, "deleted", None):
            await rows.reveal(deleted)
            read = revealing(shape.read)
        page = await rows.history(key, at)
        tell_places(request, response, page)
        return [_told(each, read, shape) for each in page.items]

    return typed(endpoint, shape, at=Annotated[query, Query()])


def _told(entry: AuditEntry, read: type[BaseModel], shape: Shape[M]) -> AuditEntryRead:
    """Return *entry* with the values of fields that are read, and the names of those written."""
    shown = AuditEntryRead.model_validate(entry)
    written = shape.create.model_fields.keys() | shape.update.model_fields.keys()
    shown.changes = {
        name: change if name in read.model_fields else {}
        for name, change in shown.changes.items()
        if name in read.model_fields or name in written
    }
    return shown
