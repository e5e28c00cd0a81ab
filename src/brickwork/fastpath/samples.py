"""Values for a trial of an answer before its row is written."""

from collections.abc import Mapping, Set as AbstractSet
from datetime import UTC, date, datetime, time
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin
from uuid import UUID

from pydantic.fields import FieldInfo
from sqlalchemy import JSON, Column, Enum
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator, TypeEngine

from brickwork.models.model import JSONDocument
from brickwork.resource.definition import ResourceDefinition
from brickwork.tracking.changes import mapped_columns

_SAMPLES: Final[Mapping[object, Any]] = {
    bool: False,
    date: date(2000, 1, 1),
    datetime: datetime(2000, 1, 1, tzinfo=UTC),
    float: 0.0,
    int: 0,
    str: "",
    time: time(0),
    UUID: UUID(int=0),
}

_SETTINGS: Final = {
    *("from_attributes", "title", "validate_by_name", "validate_by_alias", "populate_by_name"),
}
"""The settings of a schema that do not change the values which it takes."""


def sample_values(shape: ResourceDefinition[Any]) -> Mapping[str, Any]:
    """Return a value for each column of which the read schema takes every value.

    The type of the column says which values there are. The read schema may refuse a value of a
    column that is missing here: then the answer fails, and nothing may be stored.
    """
    model: type[DeclarativeBase] = shape.model
    own = mapped_columns(model)
    if shape.read.model_config.keys() - _SETTINGS:
        return {}
    return {
        name: value
        for name, field in shape.read.model_fields.items()
        if name in own and not field.metadata
        for value in _sample(shape, name, own[name], field)
    }


def _sample(
    shape: ResourceDefinition[Any], name: str, column: Column[Any], field: FieldInfo
) -> list[Any]:
    """Return one value of *column*, or none where *field* may refuse another."""
    kinds = _kinds(field.annotation)
    if Any in kinds:
        return [None]
    if column.nullable and NoneType not in kinds:
        return []
    if isinstance(column.type, JSON | JSONDocument):
        return [{}] if _is_written_alike(shape, name, field) else []
    kind = _python_type(column)
    return [_SAMPLES[kind]] if kind in kinds and kind in _SAMPLES else []


def _is_written_alike(shape: ResourceDefinition[Any], name: str, field: FieldInfo) -> bool:
    """Tell whether clients may write nothing but an object, as they are shown, to JSON."""
    written = [each.model_fields.get(name) for each in (shape.create, shape.update)]
    kinds = {field.annotation, *(each.annotation for each in written if each)}
    return kinds <= {dict[str, Any], dict[str, Any] | None}


def _kinds(annotation: object) -> AbstractSet[object]:
    """Return the types in a union, or the one type."""
    unions = {Union, UnionType}
    return {*get_args(annotation)} if get_origin(annotation) in unions else {annotation}


def _python_type(column: Column[Any]) -> type[Any] | None:
    """Return the type of the values of *column*; None where its type does not say it."""
    # An Enum may hold a value that it does not know, and the code of a decorator decides.
    silent = {Enum, TypeDecorator, TypeEngine}
    own = next(
        kind for kind in type(column.type).__mro__ if kind in silent or "python_type" in vars(kind)
    )
    return None if own in silent else column.type.python_type
