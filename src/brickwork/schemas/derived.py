"""Input schemas that are derived from schemas and columns."""

from collections.abc import Collection
from copy import copy
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    BaseModel,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    WrapSerializer,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema
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
from brickwork.models.columns import (
    ColumnValues,
    column_values,
    holds_uuid_text,
    is_native_type,
    type_variants,
)
from brickwork.models.model import Versioned
from brickwork.models.numeric import ExactNumeric
from brickwork.models.proxies import find_proxy
from brickwork.schemas.names import output_name, output_names
from brickwork.schemas.related import bounded_field, related_fields
from brickwork.schemas.schema import Schema, make_optional, nested_schema
from brickwork.schemas.strictness import INT64, Bounds
from brickwork.schemas.types import as_text, as_uuid_text, has_text_form

S = TypeVar("S", bound=Schema)

_INTEGERS: Final = {SmallInteger: 2**15, BigInteger: INT64[1] + 1, Integer: 2**31}


def fit_to_model(schema: type[S], model: type[object], *, patches: bool = False) -> type[S]:
    """Return *schema* with each field bounded by its column of *model*.

    The schemas of related rows are bounded by the columns of their models. With *patches*, it is
    the schema of a PATCH, in which objects are merge patches.
    """
    related = related_fields(schema, model)
    fields: dict[str, Any] = {
        name: bounded_field(field, schema, _fit_item(field.item, field.model))
        for name, field in related.items()
    }
    schema = store_as_text(schema, model)
    columns = {name: find_column(model, name) for name in schema.model_fields}
    columns |= {
        name: field.relationship.mapper.columns[field.key]
        for name, field in related.items()
        if field.kind == "keys"
    }
    bounds = {name: column_bounds(column) for name, column in columns.items() if column is not None}
    return create_model(
        schema.__name__,
        __base__=schema,
        __module__=schema.__module__,
        __doc__=schema.__doc__,
        # Rows are built from dumped values, by the names of the fields.
        __cls_kwargs__={"bounds": bounds, "patches": patches, "serialize_by_alias": False},
        **fields,
    )


@cached_per_model
def _fit_item(item: type[Schema], model: type[object]) -> type[Schema]:
    """Return *item* as `fit_to_model` does. There is one for all schemas, as in openapi.json."""
    return item if item is Schema else fit_to_model(item, model)


def store_as_text(schema: type[S], model: type[object]) -> type[S]:
    """Return *schema* with fields that dump text for the text columns of *model*.

    These are fields of URLs, addresses, secrets and enumerations of text. A column of UUIDs as text
    gets their one form.
    """
    fields: dict[str, Any] = {
        name: (annotation, copy(field))
        for name, field in schema.model_fields.items()
        if not any(map(_is_serializer, field.metadata))
        and (column := find_column(model, name)) is not None
        and (annotation := _text_annotation(field.annotation, column)) is not None
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


def _text_annotation(annotation: Any, column: Column[Any]) -> Any:
    """Return *annotation* with values that are dumped as text. None if they fit the *column*."""
    if holds_uuid_text(column.type):
        return as_uuid_text(annotation)
    if has_text_form(annotation) and column_values(column, column.name) == ColumnValues(str):
        return as_text(annotation, _text_length(column))
    return None


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


def replace_schema(
    create: type[Schema], read: type[BaseModel], model: type[object]
) -> type[Schema]:
    """Return the schema of a PUT: *create*, and the fields of *read* as optional ones.

    Embedded rows are JSON here, to be compared with the JSON of a response.
    """
    fields: dict[str, Any] = {
        name: (
            _sent_annotation(field.annotation, find_column(model, name)),
            _read_only_field(name, field),
        )
        for name, field in read.model_fields.items()
        if name not in create.model_fields
    }
    name = create.__name__.removesuffix("Create") + "Replace"
    return create_model(name, __base__=create, __module__=create.__module__, **fields)


def _sent_annotation(annotation: Any, column: Column[Any] | None) -> Any:
    """Return the annotation of a read-only field that a client sends back."""
    if nested_schema(annotation):
        return Any
    is_uuid = column is not None and holds_uuid_text(column.type)
    return as_uuid_text(annotation) if is_uuid else annotation


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
    fields: dict[str, Any] = {}
    for column in inspect(model).primary_key:
        name = inspect(model).get_property_by_column(column).key
        kind = column_values(column, f"{model.__name__}.{name}").kind
        fields[name] = (kind, Field(alias=shown.get(name)))
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


@cached_per_model
def page_schema(read: type[BaseModel], row: Any) -> type[BaseModel]:
    """Return the schema of a page in an envelope, named after *read*, of rows as *row*."""
    path: Any = Field(json_schema_extra={"format": "uri-reference"})
    fields: dict[str, Any] = {
        "items": list[row],
        "total": Annotated[
            int | None,
            Field(description="The number of rows, if the request asks for it with `count`."),
        ],
        "next": Annotated[str | None, path, Field(description="The path of the next page.")],
        "prev": Annotated[str | None, path, Field(description="The path of the page before.")],
    }
    name = read.__name__.removesuffix("Read") + "Page"
    return create_model(name, __module__=read.__module__, **fields)


def with_fields(read: type[BaseModel], names: Collection[str]) -> type[BaseModel]:
    """Return *read* with only the fields *names*. It must have no code for other fields."""
    some = create_model(read.__name__, __base__=read, __module__=read.__module__)
    some.__pydantic_fields__ = {k: v for k, v in some.model_fields.items() if k in names}
    some.model_rebuild(force=True)
    return some


@cached_per_model
def sparse_schema(read: type[BaseModel]) -> type[BaseModel]:
    """Return *read* for the documentation of responses that may have some of its fields.

    Raises `TypeError` if *read* decides itself what a response has.
    """
    if read.__pydantic_decorators__.model_serializers:
        raise TypeError(
            f"{read.__name__} serialises itself, so that no client can choose its fields. Leave "
            "out the fields parameter, or the model_serializer."
        )

    def describe(_: object, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        described = read.__get_pydantic_json_schema__(schema, handler)
        described = handler.resolve_ref_schema(described)
        described.pop("required", None)
        return described

    name = read.__name__.removesuffix("Read") + "Fields"
    made = create_model(name, __base__=read, __module__=read.__module__, __doc__=read.__doc__)
    made.__get_pydantic_json_schema__ = classmethod(describe)  # type: ignore[assignment,method-assign]  # pyright: ignore[reportAttributeAccessIssue]
    made.model_rebuild(force=True)
    return made
