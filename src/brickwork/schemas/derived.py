"""Input schemas that are derived from schemas and columns."""

from copy import copy
from datetime import datetime
from typing import Any, Final, TypeVar

from pydantic import BaseModel, Field, PlainSerializer, WrapSerializer, create_model
from pydantic.fields import FieldInfo
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Float,
    Integer,
    Numeric,
    SmallInteger,
    String,
    TypeDecorator,
    inspect,
)
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeEngine

from brickwork.models.caching import cached_per_model
from brickwork.models.columns import ColumnValues, column_values, is_native_type, type_variants
from brickwork.models.model import Versioned
from brickwork.models.numeric import ExactNumeric
from brickwork.models.proxies import find_proxy
from brickwork.schemas.names import output_name, output_names
from brickwork.schemas.schema import Schema, make_optional, nested_schema
from brickwork.schemas.strictness import INT64, Bounds
from brickwork.schemas.types import as_text, has_text_form

S = TypeVar("S", bound=Schema)

_INTEGERS: Final = {SmallInteger: 2**15, BigInteger: INT64[1] + 1, Integer: 2**31}


def fit_to_model(schema: type[S], model: type[object], *, patches: bool = False) -> type[S]:
    """Return *schema* with each field bounded by its column of *model*.

    With *patches*, it is the schema of a PATCH, in which objects are merge patches.
    """
    schema = store_as_text(schema, model)
    columns = {name: find_column(model, name) for name in schema.model_fields}
    bounds = {name: column_bounds(column) for name, column in columns.items() if column is not None}
    return create_model(
        schema.__name__,
        __base__=schema,
        __module__=schema.__module__,
        __doc__=schema.__doc__,
        # Rows are built from dumped values, by the names of the fields.
        __cls_kwargs__={"bounds": bounds, "patches": patches, "serialize_by_alias": False},
    )


def store_as_text(schema: type[S], model: type[object]) -> type[S]:
    """Return *schema* with fields that dump text for the text columns of *model*.

    These are fields of URLs, addresses, secrets and enumerations of text.
    """
    fields: dict[str, Any] = {
        name: (as_text(field.annotation, _text_length(column)), copy(field))
        for name, field in schema.model_fields.items()
        if has_text_form(field.annotation)
        and not any(map(_is_serializer, field.metadata))
        and (column := find_column(model, name)) is not None
        and column_values(column, name) == ColumnValues(str)
    }
    if not fields:
        return schema
    return create_model(
        schema.__name__,
        __base__=schema,
        __module__=schema.__module__,
        __doc__=schema.__doc__,
        **fields,
    )


def _is_serializer(mark: object) -> bool:
    return isinstance(mark, PlainSerializer | WrapSerializer)


def _text_length(column: Column[Any]) -> int | None:
    return column_bounds(column).get("str", {}).get("max_length")


def find_column(model: type[object], name: str) -> Column[Any] | None:
    """Return the column of the attribute *name* of *model*. None if it has no column.

    That of an association proxy is a column of the related rows.
    """
    mapper: Mapper[Any] = inspect(model)
    if name not in mapper.columns and name in mapper.synonyms:
        return find_column(model, mapper.synonyms[name].name)
    if name not in mapper.columns and (proxy := find_proxy(model, name)):
        return proxy.column
    column = mapper.columns.get(name)
    return column if isinstance(column, Column) else None


def column_bounds(column: ColumnElement[Any]) -> Bounds:
    """Return the bounds of text and integers in *column*, as members of a core schema."""
    on_sqlite, on_postgresql = map(_bounds, type_variants(column.type))
    # Integers of SQLite have 64 bits, whatever the column is.
    bounds = {**on_postgresql}
    if "str" in on_sqlite:
        lengths = (on_sqlite["str"]["max_length"], *on_postgresql.get("str", {}).values())
        bounds["str"] = {"max_length": min(lengths)}
    return bounds


def _bounds(kind: TypeEngine[Any]) -> Bounds:
    """Return the bounds of *kind*, without its variants."""
    bounds: Bounds = {}
    match kind:
        case Float():
            pass
        case (
            Numeric(precision=int(digits), scale=int(places))
            | ExactNumeric(precision=digits, scale=places)
        ):
            bounds = {"decimal": {"max_digits": digits, "decimal_places": places}}
        case TypeDecorator() if is_native_type(kind):
            bounds = _bounds(kind.impl_instance)
        case ARRAY():
            bounds = _bounds(kind.item_type)
        case String(length=int(length)):
            bounds = {"str": {"max_length": length}}
        case _ if size := next((n for t, n in _INTEGERS.items() if isinstance(kind, t)), None):
            bounds = {"int": {"ge": -size, "le": size - 1}}
        case _:
            pass
    return bounds


def replace_schema(create: type[Schema], read: type[BaseModel]) -> type[Schema]:
    """Return the schema of a PUT: *create*, and the fields of *read* as optional ones.

    Embedded rows are JSON here, to be compared with the JSON of a response.
    """
    fields: dict[str, Any] = {
        name: (
            Any if nested_schema(field.annotation) else field.annotation,
            _read_only_field(name, field),
        )
        for name, field in read.model_fields.items()
        if name not in create.model_fields
    }
    name = create.__name__.removesuffix("Create") + "Replace"
    return create_model(name, __base__=create, __module__=create.__module__, **fields)


def _read_only_field(name: str, field: FieldInfo) -> FieldInfo:
    """Return *field* as an optional field with its output name, `readOnly` in openapi.json."""
    shown = output_name(name, field)
    field = make_optional(field)
    field.alias = field.validation_alias = field.serialization_alias = shown
    field.alias_priority = 2  # above that of a generator
    field.json_schema_extra = {"readOnly": True}
    return field


def batch_update_schema(
    update: type[Schema], read: type[BaseModel], model: type[object]
) -> type[Schema]:
    """Return the schema of an item of a batch: *update*, with the key and the version of a row.

    Both have the names that *read* shows.
    """
    shown = output_names(read)
    key = inspect(model).primary_key[0]
    name = inspect(model).get_property_by_column(key).key
    kind = column_values(key, f"{model.__name__}.{name}").kind
    fields: dict[str, Any] = {name: (kind, Field(alias=shown.get(name)))}
    if issubclass(model, Versioned):
        unknown = Field(default_factory=lambda: None, alias=shown.get("version"))
        fields["version"] = (int, unknown)
    title = update.__name__.removesuffix("Update") + "Change"
    return create_model(title, __base__=update, __module__=update.__module__, **fields)


@cached_per_model
def with_deleted_at(read: type[BaseModel]) -> type[BaseModel]:
    """Return *read* with the field `deleted_at`."""
    fields: dict[str, Any] = {"deleted_at": (datetime | None, ...)}
    name = "Deleted" + read.__name__
    return create_model(name, __base__=read, __module__=read.__module__, **fields)
