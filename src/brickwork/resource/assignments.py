"""Checks of input schemas against the columns of a model."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum
from inspect import getattr_static
from types import NoneType
from typing import Any, Final, cast
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from sqlalchemy import Column, inspect
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapper, RelationshipDirection

from brickwork.models.columns import ColumnValues, column_values
from brickwork.models.model import is_deleted_marker
from brickwork.models.proxies import Proxy, find_proxy
from brickwork.schemas.derived import column_bounds, store_as_text
from brickwork.schemas.field_values import FieldValues, Leaf
from brickwork.schemas.related import proxied_fields, stored_fields
from brickwork.schemas.schema import Schema
from brickwork.schemas.types import (
    NAIVE_UTC_MARK,
    full_annotation,
    has_text_form,
    is_naive_utc,
    to_text,
)


def check_assignments(
    schema: type[Schema], model: type[object], *, except_for: Collection[str] = ()
) -> None:
    """Raise `TypeError` if rows of *model* cannot hold all values of *schema*.

    The fields in *except_for* are not checked.
    """
    if not is_class(schema, Schema):
        raise TypeError(
            f"{type_name(schema)} is not a Schema. Let it inherit from brickwork.Schema."
        )
    if schema.model_config.get("extra") != "forbid":
        raise TypeError(
            f"{schema.__name__} accepts unknown fields, but a row has none. Remove extra from its "
            "model_config."
        )
    check_dump(fields := FieldValues(store_as_text(schema, model)))
    stored = stored_fields(schema, model) - {*except_for}
    for name in (name for name in schema.model_fields if name in stored):
        if proxy := find_proxy(model, name):
            _check_proxy(fields, name, model, proxy)
        elif (column := assigned_column(schema, name, model)) is not None:
            _Assignment(fields, name, model, column).check()


def check_dump(fields: FieldValues) -> None:
    """Raise `TypeError` if the schema of *fields* dumps other values than a client sends."""
    if fields.has_serializer or fields.altered_fields:
        reason = ", ".join(fields.altered_fields) or "its model_serializer"
        raise TypeError(
            f"{fields.schema.__name__} does not dump the values of the client, because of "
            f"{reason}. Move computed fields, exclude and serializers to the read schema."
        )


def assigned_column(schema: type[BaseModel], name: str, model: type[object]) -> Column[Any] | None:
    """Return the column to which the field *name* is assigned.

    None for an association proxy, a property with a setter, related rows, and a `NotStored`
    field. Raises `TypeError` for any other name.
    """
    mapper: Mapper[Any] = inspect(model)
    if name in schema.model_fields.keys() - stored_fields(schema, model):
        return None
    place = f"{model.__name__}.{name}"
    if not has_attribute(model, name):
        raise TypeError(
            f"{schema.__name__} has {name}, but {model.__name__} does not. Add that attribute to "
            "the model, or mark the field with NotStored, or write your own endpoint."
        )
    if isinstance(column := mapper.columns.get(name), Column):
        return column
    if column is not None:
        raise TypeError(f"{place} is an expression. Remove {name} from {schema.__name__}.")
    if has_setter(model, name) or find_proxy(model, name):
        return None
    if name in mapper.synonyms:
        return assigned_column(schema, mapper.synonyms[name].name, model)
    if name in mapper.relationships:
        if mapper.relationships[name].uselist:
            raise TypeError(
                f"{place} is a list of rows, but {schema.__name__}.{name} is no list of a Schema. "
                "Annotate it list[…] with the Schema of a row, or take the keys of rows instead."
            )
        raise TypeError(
            f"{place} is a relationship, but a request sends no rows. Use its foreign key in "
            f"{schema.__name__}, or write an endpoint that creates both rows."
        )
    raise TypeError(
        f"{place} is neither a column nor a property with a setter: {schema.__name__} cannot "
        "assign it. "
        f"{renaming_advice(mapper, name)}"
    )


def _check_proxy(fields: FieldValues, name: str, model: type[object], proxy: Proxy) -> None:
    """Raise `TypeError` unless the values of the field *name* make new related rows."""
    place, target = f"{model.__name__}.{name}", proxy.target.__name__
    field = f"{fields.schema.__name__}.{name}"
    if proxy.relationship.viewonly or proxy.column is None:
        raise TypeError(
            f"{place} cannot be written. Remove {name} from {fields.schema.__name__}, or write an "
            "endpoint."
        )
    if not proxy.creates_rows():
        raise TypeError(
            f"{place} cannot make a {target} of one value. Give the association_proxy a creator: "
            f"creator=lambda value: {target}({proxy.value}=value)."
        )
    _check_alone(fields.schema, name, model, proxy)
    leaves = fields.dumped_leaves(name)
    if proxy.is_list:
        is_list = all(leaf.kind is list for leaf in leaves)
        if not is_list or fields.schema.model_fields[name].default is None:
            raise TypeError(f"{place} is a list, and never None: annotate {field} list[…].")
        leaves = [item for leaf in leaves for item in fields.nested_leaves(leaf)]
    held = column_values(proxy.column, place)
    assignment = _Assignment(fields, name, model, proxy.column)
    for leaf in leaves:
        assignment.check_leaf(leaf, held)


def _check_alone(schema: type[BaseModel], name: str, model: type[object], proxy: Proxy) -> None:
    """Raise `TypeError` if another field of *schema* sets the relationship of *proxy*, too."""
    by = proxy.relationship
    place, field = f"{model.__name__}.{by.key}", f"{schema.__name__}.{name}"
    for other, second in proxied_fields(schema, model).items():
        if other != name and proxy.is_list and second.relationship is by:
            raise TypeError(
                f"{field} and {schema.__name__}.{other} both set the rows of {place}. Remove one "
                "of them."
            )
    keys = by.local_columns if by.direction is RelationshipDirection.MANYTOONE else ()
    for other in schema.model_fields:
        if assigned_column(schema, other, model) in keys:
            raise TypeError(
                f"{field} and {schema.__name__}.{other} both set {place}: {name} makes a new "
                f"{proxy.target.__name__}, {other} refers to an existing one. Remove one of them, "
                "or declare a router for each."
            )


def is_class(kind: object, base: type[object]) -> bool:
    """Return whether *kind* is a class that inherits from *base*."""
    return isinstance(kind, type) and issubclass(kind, base)


def has_attribute(model: type[object], name: str) -> bool:
    """Return whether *model* has an attribute *name*, without calling a hybrid."""
    return getattr_static(model, name, _ABSENT) is not _ABSENT


_ABSENT: Final = object()


def has_setter(model: type[object], name: str) -> bool:
    """Return whether *name* is a property of *model* with a setter."""
    found: Any = getattr_static(model, name, None)
    is_property = isinstance(found, property | hybrid_property)
    return is_property and getattr(cast("object", found), "fset", None) is not None


def has_default(column: Column[Any]) -> bool:
    """Return whether a new row gets a value in *column* without a field."""
    sources = (column.default, column.server_default, column.computed, column.identity)
    return is_deleted_marker(column) or any(source is not None for source in sources)


def type_name(annotation: object) -> str:
    """Return the text of *annotation* without module names."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)


def renaming_advice(mapper: Mapper[Any], name: str) -> str:
    """Return a remedy for a field that has the name of a column, not of its attribute."""
    keys = [key for key, column in mapper.columns.items() if column.name == name]
    return f'Call the field {keys[0]}, with alias="{name}".' if keys else "Remove the field."


@dataclass(frozen=True)
class _Assignment:
    """A field whose value is assigned to a column."""

    fields: FieldValues
    name: str
    model: type[object]
    column: Column[Any]

    def check(self) -> None:
        """Raise `TypeError` if a valid value could make the request fail."""
        if reason := self._reserved_reason():
            raise TypeError(
                f"Clients cannot set {self._place}: {reason}. Remove {self.name} from "
                f"{self.fields.schema.__name__}."
            )
        held = column_values(self.column, self._place)
        for leaf in self.fields.dumped_leaves(self.name):
            self.check_leaf(leaf, held)
        self._check_default(held)

    @property
    def _field(self) -> str:
        return f"{self.fields.schema.__name__}.{self.name}"

    @property
    def _place(self) -> str:
        return f"{self.model.__name__}.{self.name}"

    def _reserved_reason(self) -> str | None:
        """Return why clients cannot set the column. None if they can."""
        mapper: Mapper[Any] = inspect(self.model)
        reasons = {
            "the database computes it": self.column.computed is not None,
            "the database always generates it": self.column.identity
            and self.column.identity.always,
            "the database maintains it": is_deleted_marker(self.column),
            "it counts the versions of a row": self.column is mapper.version_id_col,
            "it names the class of a row": self.column is mapper.polymorphic_on,
        }
        return next((reason for reason, applies in reasons.items() if applies), None)

    def check_leaf(self, leaf: Leaf, held: ColumnValues) -> None:
        """Raise `TypeError` if the column cannot hold the values of *leaf*."""
        if not _can_store(self.fields, leaf, held):
            field = self.fields.schema.model_fields[self.name]
            is_naive = is_naive_utc(full_annotation(field))
            annotation = "NaiveUTC" if is_naive else type_name(field.annotation)
            raise TypeError(
                f"{self._field} is {annotation}, but {self._place} holds {held}. Annotate the "
                "field with that, or add a PlainSerializer that returns it."
            )
        for choice in leaf.choices:
            self._require_room(choice)

    def _check_default(self, held: ColumnValues) -> None:
        default: object = self.fields.schema.model_fields[self.name].default
        if default is PydanticUndefined:
            return
        if default is None:
            if not (self.column.nullable or has_default(self.column)):
                raise TypeError(
                    f"{self._field} is None by default, but {self._place} cannot be NULL. Give "
                    "the field another default, or make it required."
                )
            return
        if held.kind is str and has_text_form(type(default)):
            default = to_text(default)
        if not _is_kind_of(type(default), held) or _is_naive(default):
            raise TypeError(
                f"{self._field} is {default!r} by default, but {self._place} holds {held}. Give "
                "the field another default."
            )
        self._require_room(default)

    def _require_room(self, value: object) -> None:
        """Raise `TypeError` if *value* is too large for the column."""
        bounds = column_bounds(self.column)
        match value:
            case str():
                fits = len(value) <= bounds.get("str", {}).get("max_length", len(value))
            case int():
                own = bounds.get("int", {})
                fits = own.get("ge", value) <= value <= own.get("le", value)
            case _:
                return
        if not fits:
            shown = value.value if isinstance(value, Enum) else value
            raise TypeError(
                f"{self._field} may be {shown!r}, which is too large for {self._place}, a "
                f"{self.column.type!r}. Make the column larger."
            )


def _can_store(fields: FieldValues, leaf: Leaf, held: ColumnValues) -> bool:
    """Return whether both databases store values of *leaf* unchanged."""
    if leaf.kind is None or leaf.kind is NoneType:
        return leaf.kind is NoneType
    if held.is_json:
        return all(_is_json(fields, nested) for nested in (leaf, *fields.nested_leaves(leaf)))
    if held.items:
        items = [*fields.nested_leaves(leaf)]
        return (
            leaf.kind is list
            and bool(items)
            and all(_can_store(fields, item, held.items) for item in items)
        )
    if held.naive != (NAIVE_UTC_MARK in leaf.node.get("metadata", {})):
        return False
    if held.choices:
        return bool(leaf.choices) and held.choices.issuperset(leaf.choices) and leaf.kind is str
    return _is_kind_of(leaf.kind, held)


def _is_json(fields: FieldValues, leaf: Leaf) -> bool:
    """Return whether a stored JSON document keeps values of *leaf* unchanged."""
    if leaf.kind is dict and not all(_is_text(key) for key in fields.key_leaves(leaf)):
        return False
    return leaf.kind in {object, NoneType} or (
        leaf.kind is not None and issubclass(leaf.kind, _IN_JSON)
    )


_IN_JSON: Final = (str, int, float, dict, list, tuple, UUID, datetime, date, time, Enum)


def _is_text(leaf: Leaf) -> bool:
    return leaf.kind is not None and issubclass(leaf.kind, str)


def _is_kind_of(kind: type, held: ColumnValues) -> bool:
    if held.is_json:
        return issubclass(kind, _IN_JSON)
    if kind in {bool, datetime}:  # subclasses of int and date
        return held.kind in {kind, object}
    return issubclass(kind, held.kind)


def _is_naive(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is None
