"""What openapi.json says of problems and of patches, besides what FastAPI reads from types."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from brickwork.routes import MERGE_PATCH

MEDIA_TYPE: Final = "application/problem+json"

_FAULT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["code", "detail"],
    "properties": {
        "pointer": {"type": "string", "description": "A JSON pointer into the body: `#/title`."},
        "parameter": {"type": "string", "description": "The name of a query parameter."},
        "header": {"type": "string", "description": "The name of a header."},
        "code": {"type": "string", "description": "What is wrong, for programs."},
        "detail": {"type": "string", "description": "What is wrong, for people."},
    },
}
_PROBLEM: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "Why a request was not carried out (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The id of the request."},
        "errors": {"type": "array", "items": _FAULT},
    },
}


def described(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an operation that may fail with *statuses*."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def also_merge_patch(schema: type[BaseModel]) -> dict[str, Any]:
    """Return what an operation that takes *schema* as JSON adds to take it as a merge patch."""
    reference = {"$ref": f"#/components/schemas/{schema.__name__}"}
    return {"requestBody": {"content": {MERGE_PATCH: {"schema": reference}}}}


def describe(app: FastAPI) -> None:
    """Add the schema that `described` refers to to the openapi.json of *app*."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
        return document

    app.openapi = openapi  # type: ignore[method-assign]
