"""The types of fields that a command line can name."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Date, Double, Integer, String, Text, Time, Uuid
from sqlalchemy.types import TypeEngine

from brickwork.models.model import JSONDocument, UTCDateTime
from brickwork.models.numeric import MAX_PRECISION, ExactNumeric
from brickwork.scaffold.errors import ScaffoldError

_DIGITS: Final = re.compile("[0-9]+")

MAX_LENGTH: Final = 10_000
"""The largest length of a `str`. A longer text is a `text`."""


@dataclass(frozen=True)
class FieldType:
    """A type of fields: its column, its annotation, and values for tests."""

    annotation: str
    column: Callable[[Sequence[str]], TypeEngine[Any]]
    source: Callable[[Sequence[str]], str]
    """The source of the column's type. Empty if the annotation says it."""
    samples: Callable[[Sequence[str]], tuple[str, str]]
    """The sources of two JSON values. The first one is the lower."""
    invalid: str
    """The source of a JSON value of another type."""
    parse: Callable[[str], Any] | None = None
    """Parses a default. None: the type has no default."""
    usage: str = ""
    can_sort: bool = True
    can_index: bool = True


def _no_arguments(arguments: Sequence[str]) -> None:
    if arguments:
        raise ScaffoldError("it takes nothing in parentheses")


def _simple(kind: type[TypeEngine[Any]]) -> Callable[[Sequence[str]], TypeEngine[Any]]:
    def make(arguments: Sequence[str]) -> TypeEngine[Any]:
        _no_arguments(arguments)
        return kind()

    return make


def _always(source: str) -> Callable[[Sequence[str]], str]:
    return lambda _: source


def _pair(first: str, second: str) -> Callable[[Sequence[str]], tuple[str, str]]:
    return lambda _: (first, second)


def _length(arguments: Sequence[str]) -> int:
    match arguments:
        case []:
            return 200
        case [text] if _DIGITS.fullmatch(text) and 1 <= int(text) <= MAX_LENGTH:
            return int(text)
        case _:
            raise ScaffoldError(f"write the length, from 1 to {MAX_LENGTH}, as in str(100)")


def _text_samples(arguments: Sequence[str]) -> tuple[str, str]:
    length = _length(arguments)
    return f'"{"Alpha"[:length]}"', f'"{"Beta"[:length]}"'


def _digits(arguments: Sequence[str]) -> tuple[int, int]:
    match arguments:
        case []:
            return 12, 2
        case [digits, places] if _DIGITS.fullmatch(digits) and _DIGITS.fullmatch(places):
            found = int(digits), int(places)
        case _:
            found = 0, 0
    if not found[1] <= found[0] or not 1 <= found[0] <= MAX_PRECISION:
        raise ScaffoldError(
            f"write up to {MAX_PRECISION} digits and how many of them are decimal places, as in "
            "decimal(10,2)"
        )
    return found


def _decimal_source(arguments: Sequence[str]) -> str:
    digits, places = _digits(arguments)
    return f"ExactNumeric({digits}, {places})"


def _decimal_samples(arguments: Sequence[str]) -> tuple[str, str]:
    digits, places = _digits(arguments)
    if digits == places:
        return f'"0.{"1".zfill(places)}"', f'"0.{"2".zfill(places)}"'
    fraction = f".{'0' * places}" if places else ""
    return f'"1{fraction}"', f'"2{fraction}"'


_CHOICE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def choices(arguments: Sequence[str]) -> Sequence[str]:
    """Return the choices of an enum."""
    valid = all(map(_CHOICE.fullmatch, arguments)) and len({*arguments}) == len(arguments)
    if len(arguments) < 2 or not valid:  # noqa: PLR2004 — one is no choice
        raise ScaffoldError(
            "write two or more different values of letters, digits, hyphens and underscores, as in "
            "enum(draft,published)"
        )
    return arguments


def _choice_length(arguments: Sequence[str]) -> int:
    return max(map(len, choices(arguments)))


def _choice_samples(arguments: Sequence[str]) -> tuple[str, str]:
    first, second, *_ = sorted(choices(arguments))
    return f'"{first}"', f'"{second}"'


def _parse_bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _parse_decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError from None
    if not number.is_finite():
        raise ValueError
    return number


def _parse_float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def _integer_parser(bits: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not _DIGITS.fullmatch(text.removeprefix("-")):
            raise ValueError(text)
        number = int(text)
        if number.bit_length() >= bits:
            raise ValueError
        return number

    return parse


TYPES: Final[Mapping[str, FieldType]] = {
    "str": FieldType(
        str.__name__,
        column=lambda arguments: String(_length(arguments)),
        source=lambda arguments: f"String({_length(arguments)})",
        samples=_text_samples,
        invalid="5",
        parse=str,
        usage="str or str(100)",
    ),
    "text": FieldType(
        str.__name__,
        column=_simple(Text),
        source=_always("Text"),
        samples=_pair('"One line."', '"Two\\nlines."'),
        invalid="5",
        parse=str,
        can_sort=False,
        can_index=False,
    ),
    "int": FieldType(
        int.__name__,
        column=_simple(Integer),
        source=_always(""),
        samples=_pair("1", "2"),
        invalid='"one"',
        parse=_integer_parser(32),
    ),
    "bigint": FieldType(
        int.__name__,
        column=_simple(BigInteger),
        source=_always("BigInteger"),
        samples=_pair("1", "2**40"),
        invalid='"one"',
        parse=_integer_parser(64),
    ),
    "float": FieldType(
        float.__name__,
        column=_simple(Double),
        source=_always("Double"),
        samples=_pair("1.5", "2.5"),
        invalid='"one"',
        parse=_parse_float,
    ),
    "bool": FieldType(
        bool.__name__,
        column=_simple(Boolean),
        source=_always(""),
        samples=_pair("False", "True"),
        invalid='"yes"',
        parse=_parse_bool,
        can_sort=False,
    ),
    "decimal": FieldType(
        Decimal.__name__,
        column=lambda arguments: ExactNumeric(*_digits(arguments)),
        source=_decimal_source,
        samples=_decimal_samples,
        invalid='"one"',
        parse=_parse_decimal,
        usage="decimal or decimal(10,2)",
    ),
    "date": FieldType(
        date.__name__,
        column=_simple(Date),
        source=_always(""),
        samples=_pair('"2026-01-31"', '"2026-02-28"'),
        invalid='"today"',
    ),
    "datetime": FieldType(
        datetime.__name__,
        column=_simple(UTCDateTime),
        source=_always(""),
        samples=_pair('"2026-01-31T12:00:00Z"', '"2026-02-28T12:00:00Z"'),
        invalid='"now"',
    ),
    "time": FieldType(
        time.__name__,
        column=_simple(Time),
        source=_always(""),
        samples=_pair('"08:30:00"', '"17:00:00"'),
        invalid='"noon"',
    ),
    "uuid": FieldType(
        UUID.__name__,
        column=_simple(Uuid),
        source=_always(""),
        samples=_pair(
            '"0190163d-8694-739b-aea5-966c26f8ad90"', '"0190163d-8694-739b-aea5-966c26f8ad91"'
        ),
        invalid='"one"',
        can_sort=False,
    ),
    "json": FieldType(
        "dict[str, Any]",
        column=_simple(JSONDocument),
        source=_always(""),
        samples=_pair('{"a": 1}', '{"b": [2]}'),
        invalid="5",
        can_sort=False,
        can_index=False,
    ),
    "enum": FieldType(
        str.__name__,
        column=lambda arguments: String(_choice_length(arguments)),
        source=lambda arguments: f"String({_choice_length(arguments)})",
        samples=_choice_samples,
        invalid='"something else"',
        parse=str,
        usage="enum(draft,published)",
    ),
    "ref": FieldType(
        UUID.__name__,
        column=lambda _: Uuid(),
        source=_always(""),
        samples=_pair("", ""),
        invalid='"one"',
        usage="ref or ref(Category)",
        can_sort=False,
    ),
}
"""The types by their names on the command line."""


def usage() -> str:
    """Return the names of all types."""
    return ", ".join(kind.usage or name for name, kind in TYPES.items())
