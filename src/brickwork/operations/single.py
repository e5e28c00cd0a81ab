"""Endpoints of operations on one row, and of the list.

FastAPI injects their parameters; `with_signature` sets the types that depend on the resource.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Header, Query, Request, Response
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from brickwork.database.triggers import reload_after_triggers
from brickwork.database.unit_of_work import unit_of_work
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


def list_(definition: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `GET /articles`."""
    to_content = _row_converter(definition)
    offers = (JSON, NDJSON) if is_exported(definition.resource) else (JSON,)

    async def list_rows(
        request: Request, response: Response, resource: Resource[M], params: ListQuery[M]
    ) -> Sequence[object] | Response:
        read = definition.read
        if deleted := getattr(params, "deleted", None):
            await resource.include_deleted(deleted)
            read = with_deleted_at(definition.read)
        if preferred_media_type(request.headers.getlist("accept"), offers) == NDJSON:
            return await export_endpoint(request, resource, params, read, definition.embedded)
        page = await resource.page(params)
        await definition.embedded.complete(resource.session, page.items)
        response.headers["Vary"] = "Accept"
        set_pagination_headers(request, response, page)
        if deleted:
            return _list_response(read, page.items, response)
        return [*map(to_content, page.items)]

    return with_signature(
        list_rows,
        definition,
        fast_operation=build_fast_operation(definition, fast_list),
        params=Annotated[definition.query, Query()],
    )


def _row_converter(definition: ResourceDefinition[M]) -> Callable[[object], object]:
    """Return a function that converts a row to a dict of its columns, which validates faster.

    It returns the row itself if a field is no column, or is not loaded.
    """
    names = {*definition.read.model_fields}
    only_columns = selects_only_columns(definition.model, definition.read)

    def convert(row: object) -> object:
        if not only_columns or type(row) is not definition.model:
            return row
        loaded = vars(row)
        return {name: loaded[name] for name in names} if loaded.keys() >= names else row

    return convert


def create(definition: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `POST /articles`."""

    async def create_row(
        request: Request,
        response: Response,
        resource: Resource[M],
        data: Schema,
        prefer: Prefer = "",
    ) -> M | Response:
        if replayed := await replay_or_record(request, resource):
            return replayed
        return await _create_row(definition, resource, data, request, response, prefer)

    operation = build_fast_operation(definition, fast_create)
    return with_signature(
        create_row,
        definition,
        fast_operation=operation,
        writes=[definition.create],
        data=definition.create,
    )


def get(definition: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `GET /articles/{id}`."""

    async def get_row(
        key: str, request: Request, response: Response, resource: Resource[M]
    ) -> M | Response:
        preconditions = parse_preconditions(request.headers)
        row = await resource.get(key)
        await definition.embedded.complete(resource.session, [row])
        tag = _set_etag(definition, response, row)
        if preconditions.if_match and not preconditions.if_match.match_strong(version_of(row)):
            raise precondition_failed(tag)
        if preconditions.is_not_modified(tag):
            return Response(status_code=304, headers=dict(response.headers))
        return row

    return with_signature(
        get_row, definition, fast_operation=build_fast_operation(definition, fast_get)
    )


def update(definition: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `PATCH /articles/{id}`."""

    async def update_row(
        key: str, request: Request, response: Response, resource: Resource[M], data: Schema
    ) -> M | Response:
        preconditions = parse_preconditions(request.headers)
        if replayed := await replay_or_record(request, resource):
            return replayed
        row = await resource.get(key)
        await _check_preconditions(definition, resource, row, preconditions)
        return await _update_row(definition, resource, row, merge_patch(row, data), response)

    operation = build_fast_operation(definition, fast_update)
    return with_signature(
        update_row,
        definition,
        fast_operation=operation,
        writes=[definition.update],
        data=definition.update,
    )


def replace(definition: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `PUT /articles/{id}`."""

    async def replace_row(
        key: str, request: Request, response: Response, resource: Resource[M], data: Schema
    ) -> M | Response:
        preconditions = parse_preconditions(request.headers)
        (row,) = await resource.get_many([key])
        if row is None and resource.allow_upsert and preconditions.if_match is None:
            return await _upsert_row(definition, resource, key, data, request, response)
        if row is None:
            raise NotFound(f"{definition.model.__name__} not found")
        await _check_preconditions(definition, resource, row, preconditions)
        await _reject_read_only(definition, resource.session, row, data)
        changes = replacement_values(row, data, definition.create.model_fields)
        return await _update_row(definition, resource, row, changes, response)

    return with_signature(
        replace_row, definition, writes=[definition.create], data=definition.replace
    )


def delete(definition: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `DELETE /articles/{id}`."""

    async def delete_row(
        key: str,
        request: Request,
        resource: Resource[M],
        allow_missing: Annotated[bool, Query()] = False,  # noqa: FBT002 — a query parameter
    ) -> Response:
        return await _delete_row(
            definition, request, resource, key, resource.delete, allow_missing=allow_missing
        )

    async def delete_or_purge_row(
        key: str,
        request: Request,
        resource: Resource[M],
        allow_missing: Annotated[bool, Query()] = False,  # noqa: FBT002 — a query parameter
        purge: Annotated[bool, Query()] = False,  # noqa: FBT002 — a query parameter
    ) -> Response:
        if purge:
            await resource.include_deleted("include")
        method = resource.purge if purge else resource.delete
        return await _delete_row(
            definition, request, resource, key, method, allow_missing=allow_missing
        )

    selected = delete_or_purge_row if is_soft_deletable(definition.model) else delete_row
    return with_signature(
        selected, definition, fast_operation=build_fast_operation(definition, fast_delete)
    )


def restore(definition: ResourceDefinition[M]) -> Endpoint:
    """Return the endpoint of `POST /articles/{id}/restore`."""

    async def restore_row(
        key: str, request: Request, response: Response, resource: Resource[M]
    ) -> M | Response:
        preconditions = parse_preconditions(request.headers)
        if replayed := await replay_or_record(request, resource):
            return replayed
        await resource.include_deleted("include")
        row = await resource.get(key)
        await _check_preconditions(definition, resource, row, preconditions)
        if (marked := as_soft_deletable(row)) and marked.deleted_at is None:
            raise Conflict("The row is not deleted, so that it cannot be restored.")
        await resource.restore(row)
        await resource.session.flush()
        await reload_after_triggers(resource.session, [row])
        await definition.embedded.reload(resource.session, [row])
        _set_etag(definition, response, row)
        return row

    return with_signature(restore_row, definition, writes=[definition.update, definition.create])


async def _create_row(  # noqa: PLR0913, PLR0917 — the parts of a request
    definition: ResourceDefinition[M],
    resource: Resource[M],
    data: Schema,
    request: Request,
    response: Response,
    prefer: str,
) -> M | Response:
    row = new_row(definition.model, data, definition.create.model_fields)
    await resource.create(row)
    definition.require_path(row)
    await resource.session.flush()
    await reload_after_triggers(resource.session, [row])
    response.headers["Location"] = item_path(request, definition.key(row))
    await definition.embedded.reload(resource.session, [row])
    _set_etag(definition, response, row)
    if not _wants_minimal(prefer):
        return row
    headers = {**response.headers, "Preference-Applied": "return=minimal"}
    return Response(status_code=201, headers=headers)


async def _update_row(
    definition: ResourceDefinition[M],
    resource: Resource[M],
    row: M,
    changes: Mapping[str, Any],
    response: Response,
) -> M:
    name = primary_key(definition.model).key
    if changes.get(name, definition.key(row)) != definition.key(row):
        raise _key_conflict(definition)
    await resource.update(row, changes)
    await resource.session.flush()
    await reload_after_triggers(resource.session, [row])
    await definition.embedded.reload(resource.session, [row])
    _set_etag(definition, response, row)
    return row


async def _delete_row(  # noqa: PLR0913 — the parts of a request
    definition: ResourceDefinition[M],
    request: Request,
    resource: Resource[M],
    key: str,
    method: Any,
    *,
    allow_missing: bool,
) -> Response:
    preconditions = parse_preconditions(request.headers)
    try:
        row = await resource.get(key)
        await _check_preconditions(definition, resource, row, preconditions)
        release_row(resource.session, row)
        await method(row)
    except NotFound:
        if not allow_missing:
            raise
    await resource.session.flush()
    return Response(status_code=204)


async def _upsert_row(  # noqa: PLR0913, PLR0917 — as above
    definition: ResourceDefinition[M],
    resource: Resource[M],
    key: str,
    data: Schema,
    request: Request,
    response: Response,
) -> M | Response:
    """Create the row that a PUT names.

    Of two concurrent requests with one key, the later is retried, and updates the row.
    """
    _reject_other_key(definition, data, parse_key(definition.model, key))
    flush_log = unit_of_work(resource.session).flush_log
    flush_log.retry_on_duplicate.add(definition.model.__tablename__)
    row = await _create_row(definition, resource, data, request, response, "")
    response.status_code = 201
    response.headers["Location"] = row_path(request, key)
    return row


async def _reject_read_only(
    definition: ResourceDefinition[M], session: AsyncSession, row: M, data: Schema
) -> None:
    """Raise a problem if *data* changes a field that clients cannot write."""
    if not (sent := data.model_fields_set - definition.create.model_fields.keys()):
        return
    await definition.embedded.reload(session, [row])
    stored = definition.read.model_validate(row, from_attributes=True)
    changed = sorted(
        name for name in sent if _to_json(getattr(stored, name)) != getattr(data, name)
    )
    if primary_key(definition.model).key in changed:
        raise _key_conflict(definition)
    if changed:
        raise _read_only_problem(definition, changed)


def _to_json(value: object) -> object:
    """Convert embedded rows in *value* to JSON; the values of columns keep their types."""
    if is_array(value):
        return [_to_json(item) for item in value]
    return value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value


def _reject_other_key(definition: ResourceDefinition[M], data: Schema, key: object) -> None:
    name = primary_key(definition.model).key
    if key is None:
        raise NotFound(f"{definition.model.__name__} not found")
    if getattr(data, name, None) != key:
        raise _key_conflict(definition)
    if read_only := sorted(data.model_fields_set - definition.create.model_fields.keys()):
        raise _read_only_problem(definition, read_only)


def _read_only_problem(
    definition: ResourceDefinition[Any], names: Sequence[str]
) -> UnprocessableContent:
    text = "This field is read-only: omit it, or send its stored value."
    pointers = sorted(field_pointer(name, definition.replace) for name in names)
    errors = [ErrorDetail(code="read_only", detail=text, pointer=pointer) for pointer in pointers]
    return UnprocessableContent("A read-only field has a different value.", errors=errors)


def _key_conflict(definition: ResourceDefinition[M]) -> Conflict:
    text = "The key of a row cannot change: send the key that is in the path."
    pointer = field_pointer(primary_key(definition.model).key, definition.replace)
    return Conflict(text, errors=[ErrorDetail(code="key_differs", detail=text, pointer=pointer)])


def _list_response(read: type[BaseModel], items: Sequence[object], response: Response) -> Response:
    annotation: Any = list[read]  # type: ignore[valid-type]
    adapter = TypeAdapter[Any](annotation)
    body = adapter.dump_json(adapter.validate_python(items, from_attributes=True), by_alias=True)
    return Response(body, headers=dict(response.headers), media_type=JSON)


async def _check_preconditions(
    definition: ResourceDefinition[M], resource: Resource[M], row: M, preconditions: Preconditions
) -> None:
    """Check *preconditions* against *row*. Raises `PreconditionFailed` with its entity tag."""
    try:
        preconditions.check(row, required=resource.require_if_match)
    except PreconditionFailed:
        await definition.embedded.reload(resource.session, [row])
        raise precondition_failed(_etag_of(definition, row)) from None


def _set_etag(definition: ResourceDefinition[M], response: Response, row: M) -> str | None:
    """Set the ETag of *response* and return it. None if *row* has no version."""
    if tag := _etag_of(definition, row):
        response.headers["ETag"] = tag
    return tag


def _etag_of(definition: ResourceDefinition[M], row: M) -> str | None:
    """Return the entity tag of the representation of *row*. None if *row* has no version.

    Embedded rows must be loaded.
    """
    if (version := version_of(row)) is None:
        return None
    try:
        content = definition.adapter.validate_python(row, from_attributes=True)
    except ValidationError:  # the response will fail, too
        return format_etag(version)
    return format_etag(version, definition.adapter.dump_json(content, by_alias=True))


def _wants_minimal(prefer: str) -> bool:
    items = prefer.split(",")
    preferences = (item.partition(";")[0].replace('"', "").strip() for item in items)
    return "return=minimal" in preferences
