"""The input schemas of a resource, made from those its author wrote and the model's columns."""

from datetime import datetime
from functools import cache
from typing import Any, Final, TypeVar

from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    inspect,
)
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

from brickwork.guards import INT64, Bounds
from brickwork.models import Versioned
from brickwork.schemas import Schema, optional, schema_in

S = TypeVar("S", bound=Schema)

_INTEGERS: Final = {SmallInteger: 2**15, BigInteger: INT64[1] + 1, Integer: 2**31}


def fitted(schema: type[S], model: type[DeclarativeBase], *, patches: bool = False) -> type[S]:
    """Return *schema*, no field of it wider than the column of *model* that is to hold it.

    With *patches*, it is the schema of a PATCH, in which objects are merge patches.
    Raises `TypeError` for a field that *model* has no attribute for, and for one whose column the
    databases would hold differently.
    """
    columns = inspect(model).columns
    for name in schema.model_fields:
        if not hasattr(model, name):
            raise TypeError(
                f"{schema.__name__} has {name}, and {model.__name__} does not: give the model "
                "that attribute, or write the endpoint that needs it yourself."
            )
        if name in columns and _is_unequal(columns[name].type):
            raise TypeError(
                f"{model.__name__}.{name} is of a type that the databases hold differently: use "
                "an integer of the smallest unit, text, or a TypeDecorator of your own."
            )
    bounds = {name: bounds_of(columns[name]) for name in schema.model_fields if name in columns}
    return create_model(
        schema.__name__,
        __base__=schema,
        __module__=schema.__module__,
        __doc__=schema.__doc__,
        __cls_kwargs__={"bounds": bounds, "patches": patches},
    )


def _is_unequal(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind, Numeric | Interval | LargeBinary) and not isinstance(kind, Float)


def bounds_of(column: Column[Any]) -> Bounds:
    """Return what *column* can hold of text and of integers, in the terms of a core schema."""
    if isinstance(column.type, String) and column.type.length is not None:
        return {"str": {"max_length": column.type.length}}
    for kind, size in _INTEGERS.items():
        if isinstance(column.type, kind):
            return {"int": {"ge": -size, "le": size - 1}}
    return {}


def replacement(create: type[Schema], read: type[BaseModel]) -> type[Schema]:
    """Return the schema of a PUT: *create*, and what only *read* has, which may be left out.

    What is shown of other rows is JSON here, to be compared with what would be shown.
    """
    fields: dict[str, Any] = {
        name: (Any if schema_in(field.annotation) else field.annotation, _read_only(field))
        for name, field in read.model_fields.items()
        if name not in create.model_fields
    }
    name = create.__name__.removesuffix("Create") + "Replace"
    return create_model(name, __base__=create, __module__=create.__module__, **fields)


def _read_only(field: FieldInfo) -> FieldInfo:
    """Return *field* such that it may be left out, and openapi.json says that it should be."""
    field = optional(field)
    field.json_schema_extra = {"readOnly": True}
    return field


def batched(update: type[Schema], model: type[DeclarativeBase]) -> type[Schema]:
    """Return the schema of an item of a batch of changes: *update*, and which row it is for."""
    key = inspect(model).primary_key[0]
    name = inspect(model).get_property_by_column(key).key
    fields: dict[str, Any] = {name: (key.type.python_type, ...)}
    if issubclass(model, Versioned):
        fields["version"] = (int, Field(default_factory=lambda: None))
    title = update.__name__.removesuffix("Update") + "Change"
    return create_model(title, __base__=update, __module__=update.__module__, **fields)


@cache
def revealing(read: type[BaseModel]) -> type[BaseModel]:
    """Return *read* with the instant at which a row was deleted."""
    fields: dict[str, Any] = {"deleted_at": (datetime | None, ...)}
    name = "Deleted" + read.__name__
    return create_model(name, __base__=read, __module__=read.__module__, **fields)
