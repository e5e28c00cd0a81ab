"""Primary keys and their form in URLs."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from functools import cached_property
from operator import attrgetter
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

from sqlalchemy import Column, ColumnElement, inspect, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from brickwork.models.caching import cached_per_model
from brickwork.models.columns import column_values, holds_uuid_text
from brickwork.schemas.derived import column_bounds
from brickwork.schemas.json_values import NOT_TEXT
from brickwork.schemas.strictness import INT64, UUID_TEXT, Bounds

BATCH: Final = "batch"
"""The path segment of batch operations."""

PathKey: TypeAlias = str | tuple[str, ...]
"""The key in a path: a segment, or a tuple with a segment for each column."""

_INTEGER_TEXT: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_DATE_TEXT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_SCHEMAS: Final[Mapping[type, Mapping[str, Any]]] = {
    UUID: {"type": "string", "format": "uuid"},
    int: {"type": "integer"},
    date: {"type": "string", "format": "date"},
    str: {"type": "string"},
}
"""The types of keys, with their JSON schemas."""


@dataclass(frozen=True, eq=False)
class PrimaryKey:
    """The primary key of a model.

    The value of a key of one column is the value of that column. The value of a key of several
    columns is a tuple, in the order of the primary key.
    """

    model: type[object]
    columns: tuple[Column[Any], ...]
    names: tuple[str, ...]
    """The names of the attributes."""
    value_of: Callable[[object], Any]
    """Returns the key of a row."""

    @property
    def attributes(self) -> tuple[InstrumentedAttribute[Any], ...]:
        """Return the attributes of the model."""
        return self.attributes_of(self.model)

    def attributes_of(self, source: Any) -> tuple[InstrumentedAttribute[Any], ...]:
        """Return the attributes of *source*, the model or an alias of it."""
        return tuple(getattr(source, name) for name in self.names)

    @property
    def is_composite(self) -> bool:
        """Return whether the key has several columns."""
        return len(self.columns) > 1

    def parts(self, value: Any) -> tuple[Any, ...]:
        """Return the values of the columns in *value*, a key."""
        return cast("tuple[Any, ...]", value) if self.is_composite else (value,)

    def value(self, parts: Iterable[Any]) -> Any:
        """Return the key with these values of its columns."""
        return unwrap(tuple(parts))

    @cached_property
    def kinds(self) -> tuple[type, ...]:
        """Return the types of the columns. Raises `TypeError` for one without a form in URLs."""
        return tuple(self._kind(column) for column in self.columns)

    @property
    def kind(self) -> type:
        """Return the type of a key of one column. Raises `TypeError` for other keys."""
        if self.is_composite:
            raise TypeError(
                f"{self.model.__name__} has a key of several columns, and a list of related rows "
                "needs a key of one. Give the rows a resource of their own."
            )
        return self.kinds[0]

    def _kind(self, column: Column[Any]) -> type:
        values = column_values(column, f"{self.model.__name__}.{column.key}")
        if values.is_uuid:
            return UUID
        is_excluded = values.choices or issubclass(values.kind, bool | Enum | datetime)
        if is_excluded or not issubclass(values.kind, tuple(_SCHEMAS)):
            raise TypeError(
                f"The key of {self.model.__name__} is a {values.kind.__name__}: use UUID, int, "
                "str or date."
            )
        return values.kind

    @property
    def schemas(self) -> Sequence[Mapping[str, Any]]:
        """Return the JSON schemas of the columns."""
        return [
            next(schema for known, schema in _SCHEMAS.items() if issubclass(kind, known))
            for kind in self.kinds
        ]

    def parse(self, key: object) -> Any:
        """Parse *key*, the text in a URL. None if it cannot be the key of a row.

        A value has one form, so that a row has one URL: a UUID with dashes (in either case), an
        integer without leading zeros. The text of a key of several columns joins their values with
        slashes; a tuple of values or texts is parsed as well. A value that is not text is returned
        unchanged.
        """
        if not self.is_composite:
            return self._parsers[0](key) if isinstance(key, str) else key
        parts = key.split("/") if isinstance(key, str) else key
        if not isinstance(parts, tuple | list) or len(cast("Sequence[Any]", parts)) != len(
            self.names
        ):
            return None
        pairs = zip(self._parsers, cast("Sequence[Any]", parts), strict=True)
        values = tuple(parse(part) if isinstance(part, str) else part for parse, part in pairs)
        return None if None in values else values

    def stored(self, value: Any) -> Any:
        """Return the key of a row for *value*, a key of one column in validated input.

        It is the text of a UUID if the column holds texts.
        """
        is_text = isinstance(value, UUID) and holds_uuid_text(self.columns[0].type)
        return str(value) if is_text else value

    @cached_property
    def _parsers(self) -> Sequence[Callable[[str], Any]]:
        pairs = zip(self.kinds, self.columns, strict=True)
        return [
            _parse_uuid_text
            if holds_uuid_text(column.type)
            else _parser(kind, column_bounds(column))
            for kind, column in pairs
        ]

    def is_equal(self, values: Sequence[Any]) -> Iterable[ColumnElement[bool]]:
        """Yield the conditions on the columns, one for each of *values* or parameters."""
        pairs = zip(self.attributes, values, strict=True)
        return (attribute == value for attribute, value in pairs)

    def is_in(self, keys: Any, source: Any = None) -> ColumnElement[bool]:
        """Return the condition that the key is one of *keys*, values or a SELECT of keys.

        *source* is an alias of the model.
        """
        return self.expression(source).in_(keys)

    def expression(self, source: Any = None) -> ColumnElement[Any]:
        """Return the key as one SQL expression. *source* is an alias of the model."""
        return row_value(self.attributes_of(source or self.model))


def row_value(columns: Sequence[Any]) -> ColumnElement[Any]:
    """Return *columns* as one SQL expression, whose values `unwrap` returns."""
    expression: Any = columns[0] if len(columns) == 1 else tuple_(*columns)
    return cast("ColumnElement[Any]", expression)


def key_parts(key: object) -> tuple[object, ...]:
    """Return the values of the columns in *key*, whatever its model is."""
    return cast("tuple[object, ...]", key) if isinstance(key, tuple) else (key,)


def unwrap(values: tuple[Any, ...]) -> Any:
    """Return *values*, or the only one of them."""
    return values[0] if len(values) == 1 else values


@cached_per_model
def primary_key(model: type[object]) -> PrimaryKey:
    """Return the primary key of *model*."""
    mapper = inspect(model)
    columns: Any = mapper.primary_key
    names = tuple(mapper.get_property_by_column(column).key for column in columns)
    return PrimaryKey(model, tuple(columns), names, attrgetter(*names))


def _parser(kind: type, bounds: Bounds) -> Callable[[str], Any]:
    """Return the function that parses the text of a column. It returns None for an invalid text."""
    limits = bounds.get("int", {"ge": INT64[0], "le": INT64[1]})
    length = bounds.get("str", {}).get("max_length")

    def parse_integer(text: str) -> int | None:
        fits = _INTEGER_TEXT.fullmatch(text) and limits["ge"] <= int(text) <= limits["le"]
        return int(text) if fits else None

    def parse_text(text: str) -> str | None:
        fits = length is None or len(text) <= length
        return text if fits and not NOT_TEXT.search(text) else None

    if issubclass(kind, UUID):
        return _parse_uuid
    if issubclass(kind, date):
        return _parse_date
    return parse_integer if issubclass(kind, int) else parse_text


def _parse_uuid(text: str) -> UUID | None:
    return UUID(text) if UUID_TEXT.fullmatch(text) else None


def _parse_uuid_text(text: str) -> str | None:
    return text.lower() if UUID_TEXT.fullmatch(text) else None


def _parse_date(text: str) -> date | None:
    if _DATE_TEXT.fullmatch(text):
        with suppress(ValueError):
            return date.fromisoformat(text)
    return None
