"""Sample column values for trial responses."""

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

_NEUTRAL_SETTINGS: Final = {
    *("from_attributes", "title", "validate_by_name", "validate_by_alias", "populate_by_name"),
}
"""Schema settings that do not change which values a schema accepts."""


def sample_values(definition: ResourceDefinition[Any]) -> Mapping[str, Any]:
    """Return a sample value for each column whose every value the read schema accepts.

    The type of a column determines its possible values. The read schema may reject a value of an
    absent column: the response would fail, so that such a row must not be stored.
    """
    model: type[DeclarativeBase] = definition.model
    columns = mapped_columns(model)
    if definition.read.model_config.keys() - _NEUTRAL_SETTINGS:
        return {}
    return {
        name: value
        for name, field in definition.read.model_fields.items()
        if name in columns and not field.metadata
        for value in _sample(definition, name, columns[name], field)
    }


def _sample(
    definition: ResourceDefinition[Any], name: str, column: Column[Any], field: FieldInfo
) -> list[Any]:
    """Return a list of one value of *column*, or an empty list if *field* may reject another."""
    accepted = _union_members(field.annotation)
    if Any in accepted:
        return [None]
    if column.nullable and NoneType not in accepted:
        return []
    if isinstance(column.type, JSON | JSONDocument):
        return [{}] if _is_object_only(definition, name, field) else []
    python_type = _python_type(column)
    return [_SAMPLES[python_type]] if python_type in accepted and python_type in _SAMPLES else []


def _is_object_only(definition: ResourceDefinition[Any], name: str, field: FieldInfo) -> bool:
    """Return whether all schemas declare the JSON field *name* as an object or null."""
    inputs = [schema.model_fields.get(name) for schema in (definition.create, definition.update)]
    annotations = {field.annotation, *(declared.annotation for declared in inputs if declared)}
    return annotations <= {dict[str, Any], dict[str, Any] | None}


def _union_members(annotation: object) -> AbstractSet[object]:
    """Return the types in a union, or the single type."""
    unions = {Union, UnionType}
    return {*get_args(annotation)} if get_origin(annotation) in unions else {annotation}


def _python_type(column: Column[Any]) -> type[Any] | None:
    """Return the Python type of the values of *column*. None if its type does not declare one."""
    # An Enum may hold an unknown value, and a decorator runs its own code.
    undeclared = {Enum, TypeDecorator, TypeEngine}
    base = next(
        cls for cls in type(column.type).__mro__ if cls in undeclared or "python_type" in vars(cls)
    )
    return None if base in undeclared else column.type.python_type
