"""The operations of a resource: for each an endpoint, and how it is described and reached.

An endpoint is the HTTP around one step. Its parameters are FastAPI's; those whose type depends
on the resource get it from `_typed`.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from brickwork.changes import merge_patch
from brickwork.documents import is_array
from brickwork.embedding import Embedding
from brickwork.exports import export
from brickwork.keys import key_type, primary_key
from brickwork.links import item_path, link_header
from brickwork.lists import ListQuery
from brickwork.negotiation import JSON, NDJSON, preferred
from brickwork.problems import Conflict, Fault, Invalid, NotFound, pointer
from brickwork.resource import Resource
from brickwork.schemas import Schema

M = TypeVar("M", bound=DeclarativeBase)

_LISTED: Final = (JSON, NDJSON)
"""What a list may be answered as."""

Endpoint = Callable[..., Awaitable[Any]]
Prefer = Annotated[str, Header(description="`return=minimal` asks for no body (RFC 7240).")]


@dataclass(frozen=True, kw_only=True)
class Shape(Generic[M]):
    """What the endpoints of one resource differ in: its steps and its schemas."""

    resource: type[Resource[M]]
    model: type[M]
    read: type[BaseModel]
    create: type[Schema]
    update: type[Schema]
    replace: type[Schema]
    query: type[ListQuery[M]]
    embedded: Embedding


def list_(shape: Shape[M]) -> Endpoint:
    """Return the endpoint of `GET /articles`."""

    async def endpoint(
        request: Request,
        response: Response,
        rows: Resource[M],
        at: ListQuery[M],
    ) -> Sequence[M] | Response:
        if preferred(request.headers.getlist("accept"), _LISTED) == NDJSON:
            return await export(request, rows.query(), at, shape.read, shape.embedded)
        page = await rows.page(at)
        await shape.embedded.complete(rows.session, page.items)
        response.headers["Vary"] = "Accept"
        response.headers["Link"] = link_header(request, page)
        if page.total is not None:
            response.headers["X-Total-Count"] = str(page.total)
        return page.items

    return _typed(endpoint, shape, at=Annotated[shape.query, Query()])


def create(shape: Shape[M]) -> Endpoint:
    """Return the endpoint of `POST /articles`."""

    async def endpoint(
        request: Request,
        response: Response,
        rows: Resource[M],
        data: Schema,
        prefer: Prefer = "",
    ) -> M | Response:
        row = rows.model(**data.model_dump())
        await rows.create(row)
        await rows.session.flush()
        response.headers["Location"] = item_path(request, _key(row))
        if not _minimal(prefer):
            await shape.embedded.reload(rows.session, [row])
            return row
        headers = {**response.headers, "Preference-Applied": "return=minimal"}
        return Response(status_code=201, headers=headers)

    return _typed(endpoint, shape, data=shape.create)


def get(shape: Shape[M]) -> Endpoint:
    """Return the endpoint of `GET /articles/{id}`."""

    async def endpoint(key: str, rows: Resource[M]) -> M:
        row = await rows.get(key)
        await shape.embedded.complete(rows.session, [row])
        return row

    return _typed(endpoint, shape)


def update(shape: Shape[M]) -> Endpoint:
    """Return the endpoint of `PATCH /articles/{id}`."""

    async def endpoint(key: str, rows: Resource[M], data: Schema) -> M:
        row = await rows.get(key)
        return await _changed(shape, rows, row, merge_patch(row, data))

    return _typed(endpoint, shape, data=shape.update)


def replace(shape: Shape[M]) -> Endpoint:
    """Return the endpoint of `PUT /articles/{id}`."""

    async def endpoint(key: str, rows: Resource[M], data: Schema) -> M:
        row = await rows.get(key)
        await _refuse_read_only(shape, rows.session, row, data)
        changes = data.model_dump(include={*shape.create.model_fields})
        return await _changed(shape, rows, row, changes)

    return _typed(endpoint, shape, data=shape.replace)


def delete(shape: Shape[M]) -> Endpoint:
    """Return the endpoint of `DELETE /articles/{id}`."""

    async def endpoint(
        key: str,
        rows: Resource[M],
        allow_missing: Annotated[bool, Query()] = False,  # noqa: FBT002 — a query parameter
    ) -> Response:
        try:
            await rows.delete(await rows.get(key))
        except NotFound:
            if not allow_missing:
                raise
        await rows.session.flush()
        return Response(status_code=204)

    return _typed(endpoint, shape)


async def _changed(shape: Shape[M], rows: Resource[M], row: M, changes: Mapping[str, Any]) -> M:
    name = primary_key(type(row)).key
    if changes.get(name, _key(row)) != _key(row):
        raise _other_key(name)
    await rows.update(row, changes)
    await rows.session.flush()
    await shape.embedded.reload(rows.session, [row])
    return row


async def _refuse_read_only(shape: Shape[M], session: AsyncSession, row: M, data: Schema) -> None:
    """Refuse a value other than the row's for a field the client cannot write."""
    if not (sent := data.model_fields_set - shape.create.model_fields.keys()):
        return
    await shape.embedded.reload(session, [row])
    shown = shape.read.model_validate(row, from_attributes=True)
    wrong = sorted(name for name in sent if _plain(getattr(shown, name)) != getattr(data, name))
    if (name := primary_key(shape.model).key) in wrong:
        raise _other_key(name)
    if wrong:
        text = "This field cannot be written."
        faults = [Fault(code="read_only", detail=text, pointer=pointer(name)) for name in wrong]
        raise Invalid("A field that cannot be written differs from the row's.", errors=faults)


def _plain(value: object) -> object:
    """Return *value* as JSON where it is of other rows; columns have their own types."""
    if is_array(value):
        return [_plain(each) for each in value]
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _other_key(name: str) -> Conflict:
    text = "The key of a row does not change."
    return Conflict(text, errors=[Fault(code="key_differs", detail=text, pointer=pointer(name))])


def _key(row: DeclarativeBase) -> object:
    key: object = getattr(row, primary_key(type(row)).key)
    return key


def _minimal(prefer: str) -> bool:
    preferences = (each.partition(";")[0].replace('"', "").strip() for each in prefer.split(","))
    return "return=minimal" in preferences


def _typed(endpoint: Endpoint, shape: Shape[M], **types: object) -> Endpoint:
    """Give *endpoint* the types that FastAPI is to read from its signature."""
    types["rows"] = Annotated[shape.resource, Depends(_provider(shape))]
    types["key"] = _path(shape.model)
    wanted = endpoint.__annotations__
    wanted |= {name: types[name] for name in wanted.keys() & types.keys()}
    return endpoint


def _provider(shape: Shape[M]) -> Callable[..., Awaitable[Resource[M]]]:
    """Return what makes the resource for a request; FastAPI would call the class in a thread."""

    async def provide(**dependencies: Any) -> Resource[M]:
        rows = shape.resource(**dependencies)
        rows.shown = shape.embedded.options
        return rows

    provide.__signature__ = inspect.signature(shape.resource, eval_str=True)  # type: ignore[attr-defined]
    return provide


def _path(model: type[DeclarativeBase]) -> object:
    """Return the type of the key in a path: any text, as one that is no key names no row."""
    schemas: dict[type, dict[str, Any]] = {
        UUID: {"type": "string", "format": "uuid"},
        int: {"type": "integer"},
        str: {"type": "string"},
    }
    kind = next(each for each in schemas if issubclass(key_type(model), each))
    return Annotated[str, Path(alias="id", json_schema_extra=schemas[kind])]
