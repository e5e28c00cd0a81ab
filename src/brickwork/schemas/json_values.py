"""Checks of JSON values that a database cannot hold."""

import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final, TypeAlias, cast

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from brickwork.limits import MAX_ERRORS, MAX_NAME_LENGTH

NOT_TEXT: Final = re.compile("[\0\ud800-\udfff]")
"""Characters that no text may contain: null characters and lone surrogates."""

_Name: TypeAlias = str | int
"""The name of a member of an object, or the index of an element of an array."""

_Nested: TypeAlias = dict[str, object] | list[object]


def check_text(value: str) -> str:
    """Return *value*. Raises `PydanticCustomError` for a character that no database holds."""
    if error := _text_error(value):
        raise error
    return value


def _text_error(value: str) -> PydanticCustomError | None:
    if "\0" in value:
        return PydanticCustomError("null_character", "Input should have no null character")
    if not value.isascii() and NOT_TEXT.search(value):
        return PydanticCustomError("string_unicode", "Input should have no lone surrogate")
    return None


def check_number(value: object) -> object:
    """Return *value*. Raises `PydanticCustomError` for an integer beyond the largest double."""
    if isinstance(value, int) and not _is_finite(value):
        raise _number_error()
    return value


def _number_error() -> PydanticCustomError:
    return PydanticCustomError("finite_number", "Input should be a finite number")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest double
        return False


def to_utc(value: datetime) -> datetime:
    """Return *value* in UTC. Raises `PydanticCustomError` outside the years 1 to 9999."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        detail = "Input should be in the years 1 to 9999, in UTC"
        raise PydanticCustomError("datetime_out_of_range", detail) from None


def check_document(value: object) -> object:
    """Return *value*, a JSON document, if a database can hold all its values.

    Raises `ValidationError` with the places of at most a hundred errors.
    """
    errors = [
        InitErrorDetails(type=error, loc=tuple(map(_truncate, place)), input=...)
        for place, error in islice(_find_errors(value), MAX_ERRORS)
    ]
    if errors:
        raise ValidationError.from_exception_data("JSON", errors)
    return value


def _truncate(name: _Name) -> _Name:
    """Return *name*, cut one character above the longest name of a response."""
    return name[: MAX_NAME_LENGTH + 1] if isinstance(name, str) else name


def _find_errors(value: object) -> Iterator[tuple[Sequence[_Name], PydanticCustomError]]:
    """Yield the errors of *value* with their places, in the order of the document."""
    waiting = [_members([value])]  # the members of the arrays and objects around a value
    path: list[_Name] = []
    while waiting:
        for name, item in waiting[-1]:
            if isinstance(name, str) and (error := _text_error(name)):
                yield (*path, name)[1:], error
            if isinstance(item, dict | list):
                path.append(name)
                waiting.append(_members(cast("_Nested", item)))
                break
            if error := _value_error(item):
                yield (*path, name)[1:], error
        else:
            waiting.pop()
            del path[-1:]


def _members(value: _Nested) -> Iterator[tuple[_Name, object]]:
    return iter(value.items()) if isinstance(value, dict) else enumerate(value)


def _value_error(value: object) -> PydanticCustomError | None:
    """Return the error of *value*, a text or a number. None if it is valid."""
    if isinstance(value, str):
        return _text_error(value)
    if isinstance(value, int | float) and not _is_finite(value):
        return _number_error()
    return None
