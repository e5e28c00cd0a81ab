"""The operations on one row, and on a list: for each an endpoint, the HTTP around one step.

Its parameters are FastAPI's; those whose type depends on the resource get it from `with_signature`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Header, Query, Request, Response
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from brickwork.database.triggers import reload_after_triggers
from brickwork.fastpath import (
    build_fast_operation,
    fast_create,
    fast_delete,
    fast_get,
    fast_list,
    fast_update,
    selects_only_columns,
)
from brickwork.http.conditional import (
    Preconditions,
    format_etag,
    parse_preconditions,
    precondition_failed,
    version_of,
)
from brickwork.http.links import item_path, row_path, set_pagination_headers
from brickwork.http.negotiation import JSON, NDJSON, preferred_media_type
from brickwork.models.soft_delete import as_soft_deletable, is_soft_deletable
from brickwork.operations.export import export_endpoint
from brickwork.operations.idempotency import replay_or_record
from brickwork.operations.signature import Endpoint, with_signature
from brickwork.problems import (
    Conflict,
    ErrorDetail,
    NotFound,
    PreconditionFailed,
    UnprocessableContent,
)
from brickwork.query.keys import parse_key, primary_key
from brickwork.query.list_query import ListQuery
from brickwork.resource.changes import merge_patch
from brickwork.resource.checks import release_row
from brickwork.resource.defaults import new_row, replacement_values
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource, is_exported
from brickwork.schemas.derived import with_deleted_at
from brickwork.schemas.names import field_pointer
from brickwork.schemas.schema import Schema
from brickwork.schemas.strict_json import is_array

M = TypeVar("M", bound=DeclarativeBase)

Prefer = Annotated[str, Header(description="`return=minimal` asks for no body (RFC 7240).")]


def list_(shape: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `GET /articles`."""
    shown = _shown(shape)
    offers = (JSON, NDJSON) if is_exported(shape.resource) else (JSON,)

    async def endpoint(
        request: Request,
        response: Response,
        rows: Resource[M],
        params: ListQuery[M],
    ) -> Sequence[object] | Response:
        read = shape.read
        if deleted := getattr(params, "deleted", None):
            await rows.include_deleted(deleted)
            read = with_deleted_at(shape.read)
        if preferred_media_type(request.headers.getlist("accept"), offers) == NDJSON:
            return await export_endpoint(request, rows, params, read, shape.embedded)
        page = await rows.page(params)
        await shape.embedded.complete(rows.session, page.items)
        response.headers["Vary"] = "Accept"
        set_pagination_headers(request, response, page)
        return _listed(read, page.items, response) if deleted else [*map(shown, page.items)]

    return with_signature(
        endpoint,
        shape,
        lane=build_fast_operation(shape, fast_list),
        params=Annotated[shape.query, Query()],
    )


def _shown(shape: ResourceDefinition[M]) -> Callable[[object], object]:
    """Return what makes of a row what its schema is read from: sooner than the row, its columns."""
    names = {*shape.read.model_fields}
    plain = selects_only_columns(shape.model, shape.read)

    def shown(row: object) -> object:
        if not plain or type(row) is not shape.model:
            return row
        loaded = vars(row)
        return {name: loaded[name] for name in names} if loaded.keys() >= names else row

    return shown


def create(shape: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `POST /articles`."""

    async def endpoint(
        request: Request,
        response: Response,
        rows: Resource[M],
        data: Schema,
        prefer: Prefer = "",
    ) -> M | Response:
        if replayed := await replay_or_record(request, rows):
            return replayed
        return await _created(shape, rows, data, request, response, prefer)

    lane = build_fast_operation(shape, fast_create)
    return with_signature(endpoint, shape, lane=lane, writes=[shape.create], data=shape.create)


def get(shape: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `GET /articles/{id}`."""

    async def endpoint(
        key: str, request: Request, response: Response, rows: Resource[M]
    ) -> M | Response:
        wanted = parse_preconditions(request.headers)
        row = await rows.get(key)
        await shape.embedded.complete(rows.session, [row])
        tag = _tag(shape, response, row)
        if wanted.if_match and not wanted.if_match.match(version_of(row)):
            raise precondition_failed(tag)
        if wanted.is_known(tag):
            return Response(status_code=304, headers=dict(response.headers))
        return row

    return with_signature(endpoint, shape, lane=build_fast_operation(shape, fast_get))


def update(shape: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `PATCH /articles/{id}`."""

    async def endpoint(
        key: str, request: Request, response: Response, rows: Resource[M], data: Schema
    ) -> M | Response:
        wanted = parse_preconditions(request.headers)
        if replayed := await replay_or_record(request, rows):
            return replayed
        row = await rows.get(key)
        await _check(shape, rows, row, wanted)
        return await _changed(shape, rows, row, merge_patch(row, data), response)

    lane = build_fast_operation(shape, fast_update)
    return with_signature(endpoint, shape, lane=lane, writes=[shape.update], data=shape.update)


def replace(shape: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `PUT /articles/{id}`."""

    async def endpoint(
        key: str, request: Request, response: Response, rows: Resource[M], data: Schema
    ) -> M | Response:
        wanted = parse_preconditions(request.headers)
        (row,) = await rows.get_many([key])
        if row is None and rows.allow_upsert and wanted.if_match is None:
            return await _upserted(shape, rows, key, data, request, response)
        if row is None:
            raise NotFound(f"{shape.model.__name__} not found")
        await _check(shape, rows, row, wanted)
        await _refuse_read_only(shape, rows.session, row, data)
        changes = replacement_values(row, data, shape.create.model_fields)
        return await _changed(shape, rows, row, changes, response)

    return with_signature(endpoint, shape, writes=[shape.create], data=shape.replace)


def delete(shape: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `DELETE /articles/{id}`."""

    async def endpoint(
        key: str,
        request: Request,
        rows: Resource[M],
        allow_missing: Annotated[bool, Query()] = False,  # noqa: FBT002 — a query parameter
    ) -> Response:
        return await _deleted(shape, request, rows, key, rows.delete, allow_missing=allow_missing)

    async def endpoint_or_purge(
        key: str,
        request: Request,
        rows: Resource[M],
        allow_missing: Annotated[bool, Query()] = False,  # noqa: FBT002 — a query parameter
        purge: Annotated[bool, Query()] = False,  # noqa: FBT002 — a query parameter
    ) -> Response:
        if purge:
            await rows.include_deleted("include")
        step = rows.purge if purge else rows.delete
        return await _deleted(shape, request, rows, key, step, allow_missing=allow_missing)

    used = endpoint_or_purge if is_soft_deletable(shape.model) else endpoint
    return with_signature(used, shape, lane=build_fast_operation(shape, fast_delete))


def restore(shape: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `POST /articles/{id}/restore`."""

    async def endpoint(
        key: str, request: Request, response: Response, rows: Resource[M]
    ) -> M | Response:
        wanted = parse_preconditions(request.headers)
        if replayed := await replay_or_record(request, rows):
            return replayed
        await rows.include_deleted("include")
        row = await rows.get(key)
        await _check(shape, rows, row, wanted)
        if (marked := as_soft_deletable(row)) and marked.deleted_at is None:
            raise Conflict("The row is not deleted.")
        await rows.restore(row)
        await rows.session.flush()
        await reload_after_triggers(rows.session, [row])
        await shape.embedded.reload(rows.session, [row])
        _tag(shape, response, row)
        return row

    return with_signature(endpoint, shape, writes=[shape.update, shape.create])


async def _created(  # noqa: PLR0913, PLR0917 — what a request is made of
    shape: ResourceDefinition[M],
    rows: Resource[M],
    data: Schema,
    request: Request,
    response: Response,
    prefer: str,
) -> M | Response:
    row = new_row(shape.model, data, shape.create.model_fields)
    await rows.create(row)
    shape.require_path(row)
    await rows.session.flush()
    await reload_after_triggers(rows.session, [row])
    response.headers["Location"] = item_path(request, shape.key(row))
    await shape.embedded.reload(rows.session, [row])
    _tag(shape, response, row)
    if not _minimal(prefer):
        return row
    headers = {**response.headers, "Preference-Applied": "return=minimal"}
    return Response(status_code=201, headers=headers)


async def _changed(
    shape: ResourceDefinition[M],
    rows: Resource[M],
    row: M,
    changes: Mapping[str, Any],
    response: Response,
) -> M:
    name = primary_key(shape.model).key
    if changes.get(name, shape.key(row)) != shape.key(row):
        raise _other_key(shape)
    await rows.update(row, changes)
    await rows.session.flush()
    await reload_after_triggers(rows.session, [row])
    await shape.embedded.reload(rows.session, [row])
    _tag(shape, response, row)
    return row


async def _deleted(  # noqa: PLR0913 — what a request is made of
    shape: ResourceDefinition[M],
    request: Request,
    rows: Resource[M],
    key: str,
    step: Any,
    *,
    allow_missing: bool,
) -> Response:
    wanted = parse_preconditions(request.headers)
    try:
        row = await rows.get(key)
        await _check(shape, rows, row, wanted)
        release_row(rows.session, row)
        await step(row)
    except NotFound:
        if not allow_missing:
            raise
    await rows.session.flush()
    return Response(status_code=204)


async def _upserted(  # noqa: PLR0913, PLR0917 — as above
    shape: ResourceDefinition[M],
    rows: Resource[M],
    key: str,
    data: Schema,
    request: Request,
    response: Response,
) -> M | Response:
    """Create the row that a PUT names; of two that do so at once, the later is tried again."""
    _refuse_other_key(shape, data, parse_key(shape.model, key))
    rows.session.info["written"].first.add(shape.model.__tablename__)
    row = await _created(shape, rows, data, request, response, "")
    response.status_code = 201
    response.headers["Location"] = row_path(request, key)
    return row


async def _refuse_read_only(
    shape: ResourceDefinition[M], session: AsyncSession, row: M, data: Schema
) -> None:
    """Refuse a value other than the row's for a field the client cannot write."""
    if not (sent := data.model_fields_set - shape.create.model_fields.keys()):
        return
    await shape.embedded.reload(session, [row])
    shown = shape.read.model_validate(row, from_attributes=True)
    wrong = sorted(name for name in sent if _plain(getattr(shown, name)) != getattr(data, name))
    if primary_key(shape.model).key in wrong:
        raise _other_key(shape)
    if wrong:
        raise _read_only(shape, wrong)


def _plain(value: object) -> object:
    """Return *value* as JSON where it is of other rows; columns have their own types."""
    if is_array(value):
        return [_plain(each) for each in value]
    return value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value


def _refuse_other_key(shape: ResourceDefinition[M], data: Schema, key: object) -> None:
    name = primary_key(shape.model).key
    if key is None:
        raise NotFound(f"{shape.model.__name__} not found")
    if getattr(data, name, None) != key:
        raise _other_key(shape)
    if wrong := sorted(data.model_fields_set - shape.create.model_fields.keys()):
        raise _read_only(shape, wrong)


def _read_only(shape: ResourceDefinition[Any], names: Sequence[str]) -> UnprocessableContent:
    text = "This field cannot be written."
    places = sorted(field_pointer(name, shape.replace) for name in names)
    faults = [ErrorDetail(code="read_only", detail=text, pointer=place) for place in places]
    return UnprocessableContent(
        "A field that cannot be written differs from the row's.", errors=faults
    )


def _other_key(shape: ResourceDefinition[M]) -> Conflict:
    text = "The key of a row does not change."
    place = field_pointer(primary_key(shape.model).key, shape.replace)
    return Conflict(text, errors=[ErrorDetail(code="key_differs", detail=text, pointer=place)])


def _listed(read: type[BaseModel], items: Sequence[object], response: Response) -> Response:
    many: Any = list[read]  # type: ignore[valid-type]
    kind = TypeAdapter[Any](many)
    body = kind.dump_json(kind.validate_python(items, from_attributes=True), by_alias=True)
    return Response(body, headers=dict(response.headers), media_type=JSON)


async def _check(
    shape: ResourceDefinition[M], rows: Resource[M], row: M, wanted: Preconditions
) -> None:
    """Raise what is *wanted* of *row* and is not so, with its entity tag."""
    try:
        wanted.check(row, required=rows.require_if_match)
    except PreconditionFailed:
        await shape.embedded.reload(rows.session, [row])
        raise precondition_failed(_tag_of(shape, row)) from None


def _tag(shape: ResourceDefinition[M], response: Response, row: M) -> str | None:
    """Return the entity tag of *row*, and have *response* tell it; None if there is none."""
    if tag := _tag_of(shape, row):
        response.headers["ETag"] = tag
    return tag


def _tag_of(shape: ResourceDefinition[M], row: M) -> str | None:
    """Return the entity tag of *row* as answers show it; None if it is not versioned.

    What is shown of other rows has to be loaded.
    """
    if (version := version_of(row)) is None:
        return None
    try:
        shown = shape.adapter.validate_python(row, from_attributes=True)
    except ValidationError:  # the answer will fail, too
        return format_etag(version)
    return format_etag(version, shape.adapter.dump_json(shown, by_alias=True))


def _minimal(prefer: str) -> bool:
    preferences = (each.partition(";")[0].replace('"', "").strip() for each in prefer.split(","))
    return "return=minimal" in preferences
