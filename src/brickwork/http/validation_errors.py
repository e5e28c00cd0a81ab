"""What to tell a client whose request fits no schema."""

import re
from ast import literal_eval
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from brickwork.http.body import UNREADABLE_SCOPE_KEY
from brickwork.http.parameters import REQUEST_PARAM
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
from brickwork.schemas.strict_json import is_array, is_object

_ABSENT: Final = object()
_CODES: Final[Mapping[str, str]] = {
    "dict_type": "object_type",
    "extra_forbidden": "unknown_field",
    "model_attributes_type": "object_type",
    "model_type": "object_type",
    "timezone_aware": "timezone_required",
}
# In place of Pydantic's texts that are unclear to a client, or repeat what it sent.
_DETAILS: Final[Mapping[str, str]] = {
    "missing": "This field is required.",
    "not_nullable": "This must have a value.",
    "object_type": "Input should be an object.",
    "read_only": "This field cannot be written.",
    "string_unicode": "Input should have no lone surrogate.",
    "timezone_required": "Input should have a zone: Z, or an offset like +02:00.",
    "union_tag_invalid": "Input is of no known kind.",
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
"""The members of a fault by the names that Pydantic has for bounds."""

_ALLOWED: Final = {
    "literal_error": "expected",
    "enum": "expected",
    "union_tag_invalid": "expected_tags",
}
"""By the type of an error of Pydantic, the bound that lists values as text: `'a', 'b' or 1`."""

_VALUE: Final = re.compile(
    r"""\bor\b | ( b?'(?:[^'\\]|\\.)*' | b?"(?:[^"\\]|\\.)*" | [^,\s]+ )""",
    re.DOTALL | re.VERBOSE,
)


def problem_from_validation_error(request: Request, error: RequestValidationError) -> Problem:
    """Return the problem that *error* is: with the body as such, else with every field at fault.

    A path that names nothing is a 404, and only once nothing else is wrong: then a row that
    cannot be and one that is not are answered alike.
    """
    if isinstance(unreadable := request.scope.get(UNREADABLE_SCOPE_KEY), Problem):
        return unreadable
    errors = [each for each in error.errors() if each["loc"][0] != "path"]
    if not errors:
        return NotFound("Not found")
    if any(each["loc"] == ("body",) and each["type"] == "missing" for each in errors):
        return BadRequest("The body is empty: send a JSON document.")
    shown = _response_fields(request)
    faults = dict.fromkeys(_error_detail(each, error.body, shown) for each in errors[:MAX_ERRORS])
    return UnprocessableContent("The request has values that cannot be accepted.", errors=[*faults])


def error_details(
    error: ValidationError, document: object, shown: Container[str]
) -> list[ErrorDetail]:
    """Return what is wrong with *document*, which came without a request.

    *shown* are the fields that answers have: one that is not written is read-only.
    """
    errors = error.errors(include_url=False)[:MAX_ERRORS]
    placed = [{**each, "loc": ("body", *each["loc"])} for each in errors]
    return [*dict.fromkeys(_error_detail(each, document, shown) for each in placed)]


def _response_fields(request: Request) -> Container[str]:
    """Return the fields that answers of this route have: one that is not written is read-only."""
    model = getattr(request.scope.get("route"), "response_model", None)
    for each in (model, *get_args(model)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return output_names(each).values()
    return ()


def _error_detail(error: Mapping[str, Any], body: object, shown: Container[str]) -> ErrorDetail:
    place, *path = error["loc"]
    code = _error_code(error, path, shown)
    detail = _DETAILS.get(code) or str(error["msg"])
    bounds = {} if code == "not_nullable" else _bounds(error)
    if place == "body":
        where = pointer(*_pointer_tokens(body, path, code))
        return ErrorDetail(code=code, detail=detail, pointer=where, **bounds)
    names = path[1:] if path[:1] == [REQUEST_PARAM] else path
    name = str(names[0])[:MAX_NAME_LENGTH] if names else None
    if place == "header":
        return ErrorDetail(code=code, detail=detail, header=name, **bounds)
    return ErrorDetail(code=code, detail=detail, parameter=name, **bounds)


def _bounds(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a fault that say how the value is bounded."""
    context: Mapping[str, Any] = error.get("ctx", {})
    bounds = {_BOUNDS[name]: value for name, value in context.items() if name in _BOUNDS}
    if allowed := _parse_allowed(context.get(_ALLOWED.get(error["type"], ""))):
        bounds["allowed"] = allowed
    return bounds


def _parse_allowed(text: object) -> tuple[Any, ...]:
    """Return the values that *text* lists in Python's notation; none if there are others."""
    try:
        return tuple(literal_eval(each) for each in _VALUE.findall(str(text or "")) if each)
    except (SyntaxError, ValueError):
        return ()


def _error_code(error: Mapping[str, Any], path: Sequence[str | int], shown: Container[str]) -> str:
    code = _CODES.get(error["type"]) or str(error["type"])
    if code == "unknown_field":
        return "read_only" if str(path[-1]) in shown else code
    # FastAPI gives None as the input of what is missing.
    null = error.get("input", ...) is None and path and code != "missing"
    return "not_nullable" if null else code


def _pointer_tokens(body: object, path: Sequence[str | int], code: str) -> Iterator[str | int]:
    """Yield the tokens of *path* that lead into *body*; others name a branch of a union."""
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
