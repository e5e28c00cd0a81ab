"""Strict JSON parser (RFC 8259)."""

import gc
import json
import re
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Final, Self, TypeAlias, cast

from typing_extensions import TypeIs

from brickwork.limits import current_limits
from brickwork.problems import BadRequest, ContentTooLarge, ErrorDetail, UnprocessableContent


def is_object(value: object) -> TypeIs[dict[str, object]]:
    """Return whether *value*, of a JSON document, is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeIs[list[object]]:
    """Return whether *value*, of a JSON document, is an array."""
    return isinstance(value, list)


def parse_json(raw: bytes) -> object:
    """Return the document in *raw*, of `dict`, `list`, `str`, `int`, `float`, `bool` and `None`.

    A number with a fraction or an exponent is a `JSONNumber`.

    Raises `BadRequest` for invalid JSON: broken syntax, bytes that are not UTF-8, a duplicate key,
    `NaN` or `Infinity`. Raises `UnprocessableContent` if it is nested too deep, and
    `ContentTooLarge` if it has too many values. A number beyond a double becomes infinity, which
    the schema rejects.
    """
    if (values := max_values(raw)) > current_limits.get().values:
        _require_few_values(raw)
    loads = _loads_without_gc if values > _MIN_VALUES_WITHOUT_GC else _loads
    try:
        document = loads(raw.decode())
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BadRequest(f"The body is not JSON: the error is at {where}.") from None
    except _NotStrictJSON as error:
        raise BadRequest(str(error)) from None
    except RecursionError:
        raise _nesting_error() from None
    limit = current_limits.get().depth
    if raw.count(b"[") + raw.count(b"{") > limit and _is_deeper(document, limit):
        raise _nesting_error()
    return document


def max_values(raw: bytes) -> int:
    """Return an upper bound of the number of values in *raw*, which also counts marks in text."""
    return 1 + raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _require_few_values(raw: bytes) -> None:
    """Raise a problem if *raw* has too many values, before they are parsed."""
    limits = current_limits.get()
    # At most one text names each value, so more texts than this mean too many values.
    most = 2 * limits.values
    without_texts, texts = _STRING.subn(b"0", raw, count=most + 1)
    marks = without_texts.translate(None, b" \t\r\n")
    # Each item begins after a bracket or a comma.
    nested = marks.count(b"[") + marks.count(b"{")
    empty = marks.count(b"[]") + marks.count(b"{}")
    if texts <= most and 1 + marks.count(b",") + nested - empty <= limits.values:
        return
    brackets = marks.translate(None, _NO_BRACKETS)[:most]
    depths = accumulate(map(_STEPS.__getitem__, brackets))
    if any(depth > limits.depth for depth in depths):
        raise _nesting_error()
    raise ContentTooLarge(f"The body may have at most {limits.values} values.")


_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS: Final = bytes({*range(256)} - _STEPS.keys())


class JSONNumber(float):
    """A number of a JSON document with a fraction or an exponent, and its text.

    A decimal column stores the number of the text. The double may be another number.
    """

    text: str

    def __new__(cls, text: str) -> Self:
        """Parse *text*."""
        number = super().__new__(cls, text)
        number.text = text
        return number


class _NotStrictJSON(ValueError):
    """Raised for text that Python accepts as JSON, but RFC 8259 does not."""


def _loads(text: str) -> object:
    try:
        return _decode(text)
    except (json.JSONDecodeError, _NotStrictJSON):
        raise
    except ValueError:  # more digits than Python converts; no column holds them
        return _decode(text, parse_int=_parse_int)


def _decode(text: str, *, parse_int: Callable[[str], float] | None = None) -> object:
    return json.loads(
        text,
        object_pairs_hook=_object_without_duplicate_keys,
        parse_constant=_reject_constant,
        parse_float=JSONNumber,
        parse_int=parse_int,
    )


_MIN_VALUES_WITHOUT_GC: Final = 1_000
"""Number of values from which the garbage collector would run during parsing."""


def _loads_without_gc(text: str) -> object:
    """Parse *text* without garbage collection, which took ten times as long as parsing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _loads(text)
    finally:
        if was_enabled:
            gc.enable()


def _parse_int(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def _object_without_duplicate_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _NotStrictJSON("The body is ambiguous: an object has the same key twice.")
    return members


def _reject_constant(constant: str) -> object:
    raise _NotStrictJSON(f"The body is not JSON: {constant} is no JSON number.")


def _is_deeper(document: object, limit: int) -> bool:
    """Return whether arrays and objects of *document* nest deeper than *limit*."""
    level = [document]
    for _ in range(limit + 1):
        nested = [cast("_Nested", value) for value in level if isinstance(value, dict | list)]
        if not nested:
            return False
        level = [child for value in nested for child in _children(value)]
    return True


_Nested: TypeAlias = dict[str, object] | list[object]


def _children(value: _Nested) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


def _nesting_error() -> UnprocessableContent:
    detail = f"Arrays and objects may nest at most {current_limits.get().depth} levels deep."
    return UnprocessableContent(
        detail, errors=[ErrorDetail(code="too_deep", detail=detail, pointer="#")]
    )
