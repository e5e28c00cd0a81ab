"""Statuses, headers and schemas of the responses of an operation."""

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, Final

from brickwork.http.openapi import ndjson_response, response_headers
from brickwork.models.model import Versioned
from brickwork.operations.idempotency import IDEMPOTENCY_HEADER as IDEMPOTENCY_KEY
from brickwork.operations.naming import OperationName
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource, is_exported
from brickwork.schemas.derived import page_schema
from brickwork.tracking.audit import AuditEntryRead

_LIST_RESPONSES: Final = {"list", "create_batch", "update_batch", "history"}
_IDEMPOTENT: Final = {"create", "create_batch", "update", "update_batch", "restore"}
_WRITES: Final = {"create", "create_batch", "update", "update_batch", "replace", "restore"}
_CONDITIONAL: Final = {"get", "update", "replace", "delete", "restore"}
_REQUIRING: Final = {"update", "update_batch", "replace", "delete", "delete_batch", "restore"}
"""The operations that `require_if_match` concerns."""


def failure_statuses(definition: ResourceDefinition[Any], name: OperationName) -> Iterator[int]:
    """Yield the error statuses of an operation that depend on its resource."""
    if name in _WRITES and definition.resource.query is not Resource[Any].query:
        yield 403  # a row outside `query()`
    if _has_preconditions(definition, name) or (
        name == "update_batch" and _is_versioned(definition)  # its items have versions
    ):
        yield 412
    if name in _REQUIRING and definition.resource.require_if_match is not False:
        yield 428


def extra_responses(
    definition: ResourceDefinition[Any], name: OperationName
) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of an operation other than success and problems."""
    match name:
        case "list" if is_exported(definition.resource):
            return ndjson_response()
        case "get":
            tag = response_headers(*["ETag"] if _is_versioned(definition) else [])
            return {304: {"description": "Not Modified"} | tag}
        case "replace" if definition.resource.allow_upsert:
            names = [*success_headers(definition, name), "Location"]
            schemas = [one.shown.annotation for one in (definition, *definition.variants)]
            created = {"model": union_of(schemas), "description": "Created"}
            return {201: created | response_headers(*names)}
        case _:
            return {}


def success_headers(definition: ResourceDefinition[Any], name: OperationName) -> Iterator[str]:
    """Yield the headers of the successful response of an operation."""
    if name in {"create", "replace", "update", "get", "restore"} and _is_versioned(definition):
        yield "ETag"
    if name in {"list", "history"}:
        yield from ("Link", "X-Total-Count")
    if name == "create":
        yield from ("Location", "Preference-Applied")
    if name in _IDEMPOTENT:
        yield "Idempotency-Replayed"


def response_model(name: OperationName, definition: ResourceDefinition[Any]) -> Any:
    """Return the response model of an operation, with the read schema of *definition*."""
    if name == "list":
        shown, query = definition.shown, definition.query
        row = shown.sparse_annotation if query.__fieldsets__ else shown.annotation
        return page_schema(shown.fields, row) if query.__envelope__ else list[row]  # type: ignore[valid-type]
    read = AuditEntryRead if name == "history" else definition.shown.annotation
    return list[read] if name in _LIST_RESPONSES else read  # type: ignore[valid-type]


def union_of(types: Sequence[Any]) -> Any:
    """Return the union of *types*, which is the type itself if there is one."""
    return reduce(lambda union, member: union | member, types)


def _is_versioned(definition: ResourceDefinition[Any]) -> bool:
    return issubclass(definition.model, Versioned)


def _has_preconditions(definition: ResourceDefinition[Any], name: OperationName) -> bool:
    """Return whether clients send preconditions: on versions, or on a row that PUT may create."""
    upserts = name == "replace" and definition.resource.allow_upsert
    return upserts or (name in _CONDITIONAL and _is_versioned(definition))


def request_headers(definition: ResourceDefinition[Any], name: OperationName) -> Iterator[str]:
    """Yield the headers that only some operations read."""
    if name in _IDEMPOTENT:
        yield IDEMPOTENCY_KEY
    if _has_preconditions(definition, name):
        yield from ("If-Match", "If-None-Match")
