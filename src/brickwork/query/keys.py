"""Primary keys and their form in URLs."""

import re
from enum import Enum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, inspect
from sqlalchemy.orm import InstrumentedAttribute

from brickwork.models.caching import cached_per_model
from brickwork.models.columns import column_values
from brickwork.schemas.derived import column_bounds
from brickwork.schemas.json_values import NOT_TEXT
from brickwork.schemas.strictness import INT64, UUID_TEXT, Bounds

BATCH: Final = "batch"
"""The path segment of batch operations."""

_INTEGER_TEXT: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")


@cached_per_model
def primary_key(model: type[object]) -> InstrumentedAttribute[Any]:
    """Return the primary key attribute of *model*."""
    name = inspect(model).get_property_by_column(_key_column(model)).key
    attribute: InstrumentedAttribute[Any] = getattr(model, name)
    return attribute


def key_type(model: type[object]) -> type[UUID | int | str]:
    """Return the Python type of *model*'s key.

    Raises `TypeError` for a key of several columns, or of a type without a form in URLs.
    """
    column = _key_column(model)
    values = column_values(column, f"{model.__name__}.{column.key}")
    kind = values.kind
    if values.choices or issubclass(kind, bool | Enum) or not issubclass(kind, UUID | int | str):
        raise TypeError(f"The key of {model.__name__} is a {kind.__name__}: use UUID, int or str.")
    return kind


def parse_key(model: type[object], key: object) -> object:
    """Parse *key*, the text in a URL. None if it cannot be the key of a row.

    A value has one form, so that a row has one URL: a UUID with dashes (in either case), an integer
    without leading zeros. A *key* that is not text is returned unchanged.
    """
    if not isinstance(key, str):
        return key
    kind, bounds = _key_constraints(model)
    if issubclass(kind, UUID):
        return UUID(key) if UUID_TEXT.fullmatch(key) else None
    if issubclass(kind, int):
        limits = bounds.get("int", {"ge": INT64[0], "le": INT64[1]})
        fits = _INTEGER_TEXT.fullmatch(key) and limits["ge"] <= int(key) <= limits["le"]
        return int(key) if fits else None
    fits = len(key) <= bounds.get("str", {}).get("max_length", len(key))
    return key if fits and not NOT_TEXT.search(key) else None


@cached_per_model
def _key_constraints(model: type[object]) -> tuple[type[UUID | int | str], Bounds]:
    return key_type(model), column_bounds(_key_column(model))


def _key_column(model: type[object]) -> Column[Any]:
    match inspect(model).primary_key:
        case (Column() as column,):
            return column
        case _:
            text = f"{model.__name__} has a key of several columns: give it one of its own."
            raise TypeError(text)
