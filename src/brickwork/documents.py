"""Strict JSON: from the bytes of a body to the document they stand for (RFC 8259)."""

import json
from collections.abc import Iterable

from typing_extensions import TypeIs

from brickwork.limits import current
from brickwork.problems import Fault, Invalid, Malformed


def is_object(value: object) -> TypeIs[dict[str, object]]:
    """Tell whether *value*, of a JSON document, is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeIs[list[object]]:
    """Tell whether *value*, of a JSON document, is an array."""
    return isinstance(value, list)


def parse(raw: bytes) -> object:
    """Return the document in *raw*, of `dict`, `list`, `str`, `int`, `float`, `bool` and `None`.

    Raises `Malformed` for what is no JSON text: broken syntax, bytes that are not UTF-8, a key
    twice in one object, `NaN` and `Infinity`. Raises `Invalid` for one nested too deep. A number
    too large for a double is returned as infinity, for the schema to refuse where it stands.
    """
    try:
        document = _loads(raw.decode())
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Malformed(f"The body is not JSON: the error is at {where}.") from None
    except _Refused as error:
        raise Malformed(str(error)) from None
    except RecursionError:
        raise _too_deep() from None
    limit = current.get().depth
    if raw.count(b"[") + raw.count(b"{") > limit and _depth(document) > limit:
        raise _too_deep()
    return document


class _Refused(ValueError):
    """The text is JSON to Python, and not to us."""


def _loads(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (json.JSONDecodeError, _Refused):
        raise
    except ValueError:  # more digits than Python turns into an int; no column holds those
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_integer
        )


def _integer(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _Refused("The body is ambiguous: an object has the same key twice.")
    return members


def _refuse(constant: str) -> object:
    raise _Refused(f"The body is not JSON: {constant} is no JSON number.")


def _depth(document: object) -> int:
    depth, level = 0, [document]
    while level := [each for each in level if is_object(each) or is_array(each)]:
        depth += 1
        level = [child for each in level for child in _children(each)]
    return depth


def _children(value: dict[str, object] | list[object]) -> Iterable[object]:
    return value.values() if is_object(value) else value


def _too_deep() -> Invalid:
    detail = f"Arrays and objects may nest {current.get().depth} deep."
    return Invalid(detail, errors=[Fault(code="too_deep", detail=detail, pointer="#")])
