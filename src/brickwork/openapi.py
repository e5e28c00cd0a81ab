"""What openapi.json says of problems and of patches, besides what FastAPI reads from types."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fastapi import FastAPI

from brickwork.answers import MEDIA_TYPE
from brickwork.documents import is_array, is_object
from brickwork.guards import INT64, TEXT_PATTERN
from brickwork.limits import Limits, current
from brickwork.negotiation import JSON, MERGE_PATCH, NDJSON
from brickwork.problems import of_status

_NAME: Final = "ProblemDetails"
_FAULT: Final[dict[str, Any]] = {
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
    },
}
_PROBLEM: Final[dict[str, Any]] = {
    "title": _NAME,
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


_OBJECT: Final[dict[str, Any]] = {
    "type": "object",
    "propertyNames": {"pattern": TEXT_PATTERN},
    "additionalProperties": {"$ref": "#/components/schemas/JSON"},
}
_JSON: Final[dict[str, Any]] = {
    "title": "JSON",
    "description": "Any JSON, to a depth, without null characters.",
    "anyOf": [
        {"type": "null"},
        {"type": "boolean"},
        {"type": "number"},
        {"type": "string", "pattern": TEXT_PATTERN},
        {"type": "array", "items": {"$ref": "#/components/schemas/JSON"}},
        _OBJECT,
    ],
}


_TAGS: Final[dict[str, Any]] = {"type": "string", "pattern": r'^(\*|"[!#-~]*")$'}
_HEADERS: Final[dict[str, Any]] = {
    "Idempotency-Key": {
        "description": "Names this request: sent again with it, it is not carried out again.",
        "schema": {"type": "string", "pattern": "^[!#-~][!-~]{0,254}$"},
    },
    "If-Match": {
        "description": "The row must be of one of these versions (RFC 9110).",
        "schema": _TAGS,
    },
    "If-None-Match": {
        "description": "The row must be of none of these versions (RFC 9110).",
        "schema": _TAGS,
    },
}


def headers(names: Iterable[str]) -> dict[str, Any]:
    """Return what an operation adds that reads the headers *names*."""
    return {"parameters": [{"name": name, "in": "header", **_HEADERS[name]} for name in names]}


def described(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an operation that may fail with *statuses*."""
    schema = {"$ref": f"#/components/schemas/{_NAME}"}
    return {
        status: {
            "description": of_status(status).title,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def exported() -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a list that may also be answered as lines, each an item of it."""
    return {200: {"content": {NDJSON: {}}}}


def also_merge_patch() -> dict[str, Any]:
    """Return what an operation that takes JSON adds to take it as a merge patch."""
    return {"requestBody": {"content": {MERGE_PATCH: {}}}}


def describe(app: FastAPI, limits: Limits) -> None:
    """Have the openapi.json of *app* tell its *limits*, and the schema `described` refers to."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        token = current.set(limits)
        try:
            document = generate()
        finally:
            current.reset(token)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas |= {_NAME: _PROBLEM, "JSON": _JSON}
        exact: dict[str, Any] = _exact(document)
        _exemplify(exact["components"]["schemas"])
        return exact

    app.openapi = openapi  # type: ignore[method-assign]


def _exact(document: Any) -> Any:
    """Return *document* with what a schema of Pydantic's and FastAPI's does not say.

    The bounds of integers are integers, which FastAPI makes floats, and free JSON is what a guard
    lets through.
    """
    if is_array(document):
        return [_exact(each) for each in document]
    if not is_object(document):
        return document
    exact = {name: _exact(value) for name, value in document.items()}
    if exact.get("patternProperties") == {TEXT_PATTERN: {}}:
        del exact["patternProperties"]
        exact |= _OBJECT
    if NDJSON in exact:
        listed: Any = exact[JSON]
        exact[NDJSON] = {"schema": listed["schema"]["items"]}
    if MERGE_PATCH in exact:
        exact[MERGE_PATCH] = exact[JSON]
    if exact.get("in") == "query" and is_object(schema := exact.get("schema")):
        exact |= _parameter(schema)
    if exact.get("type") == "integer":
        for name, limit in zip(("minimum", "maximum"), INT64, strict=True):
            if isinstance(bound := exact.get(name), float):
                exact[name] = limit if bound == float(limit) else int(bound)
    return exact


def _exemplify(schema: object) -> None:
    """Add an example to each text in *schema* that has neither an example nor a default.

    Swagger UI would make one from the pattern of a text: random characters.
    """
    if is_array(schema):
        for each in schema:
            _exemplify(each)
    elif is_object(schema) and not is_array(schema.get("examples")):
        for each in schema.values():
            _exemplify(each)
        kind, pattern = schema.get("type"), schema.get("pattern")
        if kind == "string" and pattern == TEXT_PATTERN and "default" not in schema:
            shortest: Any = schema.get("minLength", 0)
            longest: Any = schema.get("maxLength")
            schema["examples"] = ["string".ljust(shortest, "g")[:longest]]


def _parameter(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return *schema*, of a query parameter, without the null that no query can send.

    How several values are written is said of the parameter, and not in its schema.
    """
    others = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if len(others) == 1:
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        schema = rest | others[0]
    style = {name: schema[name] for name in ("style", "explode") if name in schema}
    plain = {k: v for k, v in schema.items() if k not in style and (k, v) != ("default", None)}
    if is_object(items := plain.get("items")):
        plain["items"] = _bounded(items)
    return {"schema": _bounded(plain), **style}


def _bounded(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return *schema* with what every text and every integer must be, if it is of one."""
    match schema.get("type"):
        case "string" if not schema.keys() & {"enum", "const", "format"}:
            return {"pattern": TEXT_PATTERN, **schema}
        case "integer":
            return {"minimum": INT64[0], "maximum": INT64[1], **schema}
        case _:
            return {**schema}
