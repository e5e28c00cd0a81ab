"""What to tell a client whose request fits no schema."""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from brickwork.documents import is_array, is_object
from brickwork.problems import Fault, Invalid, NotFound, Problem, pointer
from brickwork.routes import QUERY_NAMES, UNREADABLE

MAX_FAULTS: Final = 100
"""How many faults an answer names at most, so that it stays smaller than the request."""

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


def refusal(request: Request, error: RequestValidationError) -> Problem:
    """Return the problem that *error* is: with the body as such, else with every field at fault.

    A path that names nothing is a 404, and only once nothing else is wrong: then a row that
    cannot be and one that is not are answered alike.
    """
    if isinstance(unreadable := request.scope.get(UNREADABLE), Problem):
        return unreadable
    errors = [each for each in error.errors() if each["loc"][0] != "path"]
    if not errors:
        return NotFound("Not found")
    shown = _shown(request)
    faults = [_fault(each, error.body, shown) for each in errors[:MAX_FAULTS]]
    return Invalid("The request has values that cannot be accepted.", errors=faults)


def _shown(request: Request) -> Container[str]:
    """Return the fields that answers of this route have: one that is not written is read-only."""
    model = getattr(request.scope.get("route"), "response_model", None)
    for each in (model, *get_args(model)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each.model_fields
    return ()


def _fault(error: Mapping[str, Any], body: object, shown: Container[str]) -> Fault:
    place, *path = error["loc"]
    code = _CODES.get(error["type"]) or str(error["type"])
    if code == "unknown_field":
        code = "read_only" if path[-1] in shown else code
    elif error.get("input", ...) is None and path:
        code = "not_nullable"
    detail = _DETAILS.get(code) or str(error["msg"])
    match place:
        case "body":
            return Fault(code=code, detail=detail, pointer=pointer(*_inside(body, path, code)))
        case "header":
            return Fault(code=code, detail=detail, header=str(path[0]))
        case _:
            name = str(path[1] if path[0] == QUERY_NAMES else path[0])
            return Fault(code=code, detail=detail, parameter=name)


def _inside(body: object, path: Sequence[str | int], code: str) -> Iterator[str | int]:
    """Yield the tokens of *path* that lead into *body*; others name a branch of a union."""
    for token in path:
        child = _child(body, token)
        if child is not _ABSENT or (code == "missing" and token == path[-1]):
            body = child
            yield token


def _child(value: object, token: str | int) -> object:
    if isinstance(token, int):
        return value[token] if is_array(value) else _ABSENT
    return value.get(token, _ABSENT) if is_object(value) else _ABSENT
