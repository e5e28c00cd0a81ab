"""Validation errors as problems."""

import re
from ast import literal_eval
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from brickwork.limits import MAX_ERRORS, MAX_NAME_LENGTH, MAX_POINTER_BYTES
from brickwork.problems import (
    BadRequest,
    ErrorDetail,
    NotFound,
    Problem,
    UnprocessableContent,
    pointer,
)
from brickwork.schemas.names import output_names
from brickwork.schemas.schema import nested_schema
from brickwork.schemas.strict_json import is_array, is_object

_ABSENT: Final = object()
_CODES: Final[Mapping[str, str]] = {
    "decimal_whole_digits": "decimal_max_digits",
    "dict_type": "object_type",
    "extra_forbidden": "unknown_field",
    "model_attributes_type": "object_type",
    "model_type": "object_type",
    "timezone_aware": "timezone_required",
}
# Replacements of Pydantic's texts that are unclear to a client, or repeat the input.
_DETAILS: Final[Mapping[str, str]] = {
    "missing": "This field is required.",
    "not_nullable": "This must have a value.",
    "object_type": "Input should be an object.",
    "read_only": "This field cannot be written.",
    "string_unicode": "Input should have no lone surrogate.",
    "timezone_required": "Input should have a zone: Z, or an offset like +02:00.",
    "union_tag_invalid": "Input matches no allowed type.",
    "unknown_field": "There is no such field.",
}
_BOUNDS: Final[Mapping[str, str]] = {
    "ge": "minimum",
    "gt": "exclusive_minimum",
    "le": "maximum",
    "lt": "exclusive_maximum",
    "min_length": "min_length",
    "max_length": "max_length",
    "pattern": "pattern",
}
"""The bounds of an `ErrorDetail`, by Pydantic's names."""

_ALLOWED: Final = {
    "literal_error": "expected",
    "enum": "expected",
    "union_tag_invalid": "expected_tags",
}
"""The context of Pydantic's errors that lists values as text, `'a', 'b' or 1`, by error type."""

_VALUE: Final = re.compile(
    r"""\bor\b | ( b?'(?:[^'\\]|\\.)*' | b?"(?:[^"\\]|\\.)*" | [^,\s]+ )""",
    re.DOTALL | re.VERBOSE,
)


def problem_from_validation_error(request: Request, error: RequestValidationError) -> Problem:
    """Return the problem for *error*, with all invalid fields.

    An invalid path is a 404, and only if nothing else is wrong. An impossible key then has the same
    response as a missing row.
    """
    errors = [detail for detail in error.errors() if detail["loc"][0] != "path"]
    if not errors:
        return NotFound("Not found")
    if any(detail["loc"] == ("body",) and detail["type"] == "missing" for detail in errors):
        return BadRequest("The body is empty: send a JSON document.")
    shown = _response_fields(request)
    details = dict.fromkeys(
        _error_detail(detail, error.body, shown) for detail in errors[:MAX_ERRORS]
    )
    return UnprocessableContent("The request has invalid values.", errors=[*details])


def error_details(
    error: ValidationError, document: object, read: type[BaseModel]
) -> list[ErrorDetail]:
    """Return the errors of *document*, which came without a request.

    Writing a field of *read* that has no input field is `read_only`.
    """
    shown = _shown_fields(read)
    errors = error.errors(include_url=False)[:MAX_ERRORS]
    located = [{**detail, "loc": ("body", *detail["loc"])} for detail in errors]
    return [*dict.fromkeys(_error_detail(detail, document, shown) for detail in located)]


_FieldPath = tuple[str, ...]
"""The names of nested fields, without the indexes of lists."""


def _response_fields(request: Request) -> Container[_FieldPath]:
    """Return the fields of the responses of this route, to recognise read-only ones."""
    model = getattr(request.scope.get("route"), "response_model", None)
    for kind in (model, *get_args(model)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return _shown_fields(kind)
    return ()


def _shown_fields(read: type[BaseModel]) -> Container[_FieldPath]:
    """Return the fields of *read* and of its related rows, by their names in a response."""
    names = output_names(read)
    shown: set[_FieldPath] = {(name,) for name in names.values()}
    for name, field in read.model_fields.items():
        if nested := nested_schema(field.annotation):
            shown |= {(names[name], inner) for inner in output_names(nested).values()}
    return shown


def _error_detail(
    error: Mapping[str, Any], body: object, shown: Container[_FieldPath]
) -> ErrorDetail:
    place, *path = error["loc"]
    code = _error_code(error, path, shown)
    detail = _DETAILS.get(code) or str(error["msg"])
    bounds = {} if code == "not_nullable" else _bounds(error)
    if place == "body":
        where = pointer(*_pointer_tokens(body, path, code))
        return ErrorDetail(code=code, detail=detail, pointer=where, **bounds)
    name = str(path[0])[:MAX_NAME_LENGTH] if path else None
    if place == "header":
        return ErrorDetail(code=code, detail=detail, header=name, **bounds)
    return ErrorDetail(code=code, detail=detail, parameter=name, **bounds)


def _bounds(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bounds of the value in *error*."""
    context: Mapping[str, Any] = error.get("ctx", {})
    bounds = {_BOUNDS[name]: value for name, value in context.items() if name in _BOUNDS}
    if allowed := _parse_allowed(context.get(_ALLOWED.get(error["type"], ""))):
        bounds["allowed"] = allowed
    return bounds


def _parse_allowed(text: object) -> tuple[Any, ...]:
    """Parse a list of Python literals. Empty if one is not a literal."""
    try:
        return tuple(literal_eval(value) for value in _VALUE.findall(str(text or "")) if value)
    except (SyntaxError, ValueError):
        return ()


def _error_code(
    error: Mapping[str, Any], path: Sequence[str | int], shown: Container[_FieldPath]
) -> str:
    code = _CODES.get(error["type"]) or str(error["type"])
    if code == "unknown_field":
        names = tuple(token for token in path if isinstance(token, str))
        return "read_only" if names in shown else code
    # FastAPI reports None as the input of a missing field.
    null = error.get("input", ...) is None and path and code != "missing"
    return "not_nullable" if null else code


def _pointer_tokens(body: object, path: Sequence[str | int], code: str) -> Iterator[str | int]:
    """Yield the tokens of *path* that exist in *body*. Others name a branch of a union."""
    size = 0
    for position, token in enumerate(path, start=1):
        child = _child(body, token)
        size += len(str(token).encode(errors="replace"))
        if len(str(token)) > MAX_NAME_LENGTH or size > MAX_POINTER_BYTES:
            return
        if child is not _ABSENT or (code == "missing" and position == len(path)):
            body = child
            yield token


def _child(value: object, token: str | int) -> object:
    if isinstance(token, int):
        return value[token] if is_array(value) else _ABSENT
    return value.get(token, _ABSENT) if is_object(value) else _ABSENT
