"""OpenAPI parts: problems, headers and media types."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from brickwork.context import REQUEST_ID
from brickwork.http.negotiation import MERGE_PATCH, NDJSON
from brickwork.http.problem_response import MEDIA_TYPE
from brickwork.problems import problem_for_status

_PROBLEM_NAME: Final = "ProblemDetails"
_ERROR_DETAIL_NAME: Final = "ProblemErrorDetail"
_ERROR_DETAIL: Final[dict[str, Any]] = {
    "title": _ERROR_DETAIL_NAME,
    "description": "An error of one part of the request.",
    "type": "object",
    "required": ["code", "detail"],
    "properties": {
        "pointer": {
            "type": "string",
            "description": "A JSON pointer into the body: `#/title`.",
        },
        "parameter": {
            "type": "string",
            "description": "The name of a query parameter.",
        },
        "header": {"type": "string", "description": "The name of a header."},
        "code": {"type": "string", "description": "What is wrong, for programs."},
        "detail": {"type": "string", "description": "What is wrong, for people."},
        "minimum": {"description": "The smallest value."},
        "maximum": {"description": "The greatest value."},
        "exclusive_minimum": {"description": "A bound that every value exceeds."},
        "exclusive_maximum": {"description": "A bound that no value reaches."},
        "min_length": {
            "type": "integer",
            "description": "The smallest length, or number of items.",
        },
        "max_length": {
            "type": "integer",
            "description": "The greatest length, or number of items.",
        },
        "pattern": {"type": "string", "description": "The regular expression that a text matches."},
        "allowed": {"type": "array", "description": "All allowed values.", "items": {}},
    },
}
_PROBLEM: Final[dict[str, Any]] = {
    "title": _PROBLEM_NAME,
    "description": "Why a request failed (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The id of the request."},
        "errors": {
            "type": "array",
            "items": {"$ref": f"#/components/schemas/{_ERROR_DETAIL_NAME}"},
        },
    },
}


SCHEMAS: Final[Mapping[str, Any]] = {
    _ERROR_DETAIL_NAME: _ERROR_DETAIL,
    _PROBLEM_NAME: _PROBLEM,
}
"""The schemas of problem responses, by name."""

_ETAG_LIST: Final[dict[str, Any]] = {"type": "string", "pattern": r'^(\*|"[!#-~]*")$'}
_HEADERS: Final[dict[str, Any]] = {
    "Idempotency-Key": {
        "description": "Identifies the request: repeated with the same key, it does not run again.",
        "schema": {"type": "string", "pattern": "^[!#-~][!-~]{0,254}$"},
    },
    "If-Match": {
        "description": "The row must have one of these versions (RFC 9110).",
        "schema": _ETAG_LIST,
    },
    "If-None-Match": {
        "description": "The row must have none of these versions (RFC 9110).",
        "schema": _ETAG_LIST,
    },
}


RESPONSE_HEADERS: Final[Mapping[str, Any]] = {
    "ETag": {
        "description": "The version of the row (RFC 9110).",
        "schema": {"type": "string", "pattern": r'^(W/)?"[!#-~]*"$'},
    },
    "Location": {
        "description": "The path of the new row.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Link": {
        "description": "The paths of other pages: `first`, `prev`, `next` and `last` (RFC 8288).",
        "schema": {"type": "string"},
    },
    "X-Total-Count": {
        "description": "The number of rows, if the request asks for it with `count`.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Idempotency-Replayed": {
        "description": "`true` if this is the stored response of an earlier request.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Preference-Applied": {
        "description": "The preference that the response follows (RFC 7240).",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "The seconds after which to repeat the request.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate (RFC 9110).",
        "schema": {"type": "string"},
    },
    "Accept": {
        "description": "The media types that the operation reads.",
        "schema": {"type": "string"},
    },
    "Accept-Patch": {
        "description": "The media types that the operation reads (RFC 5789).",
        "schema": {"type": "string"},
    },
    REQUEST_ID: {
        "description": "The id of the request, which the log has too.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,128}$"},
    },
}
"""The response headers, by name."""

_PROBLEM_HEADERS: Final[Mapping[int, Iterable[str]]] = {
    401: ["WWW-Authenticate"],
    409: ["Retry-After"],
    412: ["ETag"],
    415: ["Accept", "Accept-Patch"],
    429: ["Retry-After"],
    503: ["Retry-After"],
}


class Tag(str):
    """A tag with its description."""

    __slots__ = ("description",)

    description: str | None

    def __new__(cls, name: str, description: str | None) -> Self:
        """Return the tag *name*."""
        tag = super().__new__(cls, name)
        tag.description = description
        return tag


def header_parameters(names: Iterable[str]) -> dict[str, Any]:
    """Return the OpenAPI parameters for the request headers *names*."""
    return {"parameters": [{"name": name, "in": "header", **_HEADERS[name]} for name in names]}


def response_headers(*names: str) -> dict[str, Any]:
    """Return the OpenAPI references to the `RESPONSE_HEADERS` with *names*."""
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}}


def problem_responses(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an operation that may fail with *statuses*."""
    schema = {"$ref": f"#/components/schemas/{_PROBLEM_NAME}"}
    return {
        status: {
            "description": problem_for_status(status).title,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def problem_response_schema(status: int) -> tuple[str, dict[str, Any]]:
    """Return the name and the content of the component for problems with *status*."""
    name = re.sub(r"\W", "", problem_for_status(status).__name__)
    names = (REQUEST_ID, *_PROBLEM_HEADERS.get(status, ()))
    return name, problem_responses([status])[status] | response_headers(*names)


def ndjson_response() -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a list that can also be exported as NDJSON."""
    return {200: {"content": {NDJSON: {}}}}


def merge_patch_body() -> dict[str, Any]:
    """Return the `requestBody` that adds merge patches to an operation with a JSON body."""
    return {"requestBody": {"content": {MERGE_PATCH: {}}}}
