"""The fields of input schemas, and the columns that they are assigned to."""

import re
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
from sqlalchemy.orm import ColumnProperty, DeclarativeBase, Mapper

from brickwork.models.columns import ColumnValues, column_values
from brickwork.models.model import is_deleted_marker
from brickwork.schemas.derived import column_bounds
from brickwork.schemas.field_values import FieldValues, Leaf
from brickwork.schemas.schema import Schema


def check_assignments(schema: type[Schema], model: type[DeclarativeBase]) -> None:
    """Raise `TypeError` for a *schema* whose values no row of *model* can be given."""
    if not is_class(schema, Schema):
        raise TypeError(f"{type_name(schema)} is no Schema: let it inherit from brickwork.Schema.")
    if schema.model_config.get("extra") != "forbid":
        raise TypeError(
            f"{schema.__name__} accepts unknown fields, and a row has none. Leave extra out of its "
            "model_config."
        )
    fields = FieldValues(schema)
    if fields.is_written_by_code or fields.unlike:
        reason = ", ".join(fields.unlike) or "its model_serializer"
        raise TypeError(
            f"{schema.__name__} does not dump what a client sent, because of {reason}. Leave "
            "computed fields, exclude and serializers to the read schema."
        )
    for name in schema.model_fields:
        if (column := assigned(schema, name, model)) is not None:
            _Assignment(fields, name, model, column).check()


def assigned(
    schema: type[BaseModel], name: str, model: type[DeclarativeBase]
) -> Column[Any] | None:
    """Return the column that the field *name* is assigned to; None for a setter of the author.

    Raises `TypeError` for a name that is neither.
    """
    mapper: Mapper[Any] = inspect(model)
    place = f"{model.__name__}.{name}"
    if not has_attribute(model, name):
        raise TypeError(
            f"{schema.__name__} has {name}, and {model.__name__} does not: give the model "
            "that attribute, or write the endpoint that needs it yourself."
        )
    if isinstance(column := mapper.columns.get(name), Column):
        return column
    if column is not None:
        raise TypeError(f"{place} is an expression. Leave {name} out of {schema.__name__}.")
    if has_setter(model, name):
        return None
    if name in mapper.synonyms:
        return assigned(schema, mapper.synonyms[name].name, model)
    if name in mapper.relationships:
        raise TypeError(
            f"{place} is a relationship, and a request sends no rows. Use its foreign key in "
            f"{schema.__name__}, or write the endpoint that makes both rows."
        )
    raise TypeError(
        f"{place} is no column and has no setter: {schema.__name__} cannot assign it. "
        f"{renaming_advice(mapper, name)}"
    )


def is_class(kind: object, base: type[object]) -> bool:
    """Tell whether *kind*, which an author gave, is a class that inherits from *base*."""
    return isinstance(kind, type) and issubclass(kind, base)


def has_attribute(model: type[object], name: str) -> bool:
    """Tell whether *model* has an attribute *name*; no code of a hybrid is called."""
    return getattr_static(model, name, _ABSENT) is not _ABSENT


_ABSENT: Final = object()


def has_setter(model: type[object], name: str) -> bool:
    """Tell whether *name* is a property of *model* with a setter of the author."""
    found: Any = getattr_static(model, name, None)
    is_property = isinstance(found, property | hybrid_property)
    return is_property and getattr(cast("object", found), "fset", None) is not None


def is_deferred(mapper: Mapper[Any], column: Column[Any]) -> bool:
    """Tell whether *column* is not loaded with a row."""
    attribute = mapper.get_property_by_column(column)
    return isinstance(attribute, ColumnProperty) and attribute.deferred


def has_default(column: Column[Any]) -> bool:
    """Tell whether a new row has a value in *column* that nobody gives it."""
    made = (column.default, column.server_default, column.computed, column.identity)
    return is_deleted_marker(column) or any(each is not None for each in made)


def type_name(annotation: object) -> str:
    """Return an *annotation* without its modules."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)


def renaming_advice(mapper: Mapper[Any], name: str) -> str:
    """Return what to do about a field that is called as a column, but not as its attribute."""
    keys = [key for key, each in mapper.columns.items() if each.name == name]
    return f'Call the field {keys[0]}, with alias="{name}".' if keys else "Leave it out."


@dataclass(frozen=True)
class _Assignment:
    """A field whose value is assigned to a column."""

    fields: FieldValues
    name: str
    model: type[DeclarativeBase]
    column: Column[Any]

    def check(self) -> None:
        """Raise `TypeError` where a valid value makes the request fail."""
        if reason := self._reserved():
            raise TypeError(
                f"{self._place} is not for clients: {reason}. Leave {self.name} out of "
                f"{self.fields.schema.__name__}."
            )
        held = column_values(self.column, self._place)
        if not held.exact:
            raise TypeError(
                f"{self._place} is of the type {self.column.type!r}: SQLAlchemy takes true for 1 "
                "in it, and would lose a change. Use JSONDocument; for JSONB, a subclass of it "
                "with impl = JSONB(none_as_null=True)."
            )
        for leaf in self.fields.dumped(self.name):
            self._check_leaf(leaf, held)
        self._check_default(held)

    @property
    def _field(self) -> str:
        return f"{self.fields.schema.__name__}.{self.name}"

    @property
    def _place(self) -> str:
        return f"{self.model.__name__}.{self.name}"

    def _reserved(self) -> str | None:
        """Return why only the server gives the column a value, if that is so."""
        mapper: Mapper[Any] = inspect(self.model)
        reasons = {
            "the database computes it": self.column.computed is not None,
            "the database always makes it": self.column.identity and self.column.identity.always,
            "the database keeps it": is_deleted_marker(self.column),
            "it counts the versions of a row": self.column is mapper.version_id_col,
            "it names the class of a row": self.column is mapper.polymorphic_on,
            "it is deferred, and a change is compared with it": is_deferred(mapper, self.column),
        }
        return next((reason for reason, is_so in reasons.items() if is_so), None)

    def _check_leaf(self, leaf: Leaf, held: ColumnValues) -> None:
        if not _fits(self.fields, leaf, held):
            annotation = type_name(self.fields.schema.model_fields[self.name].annotation)
            raise TypeError(
                f"{self._field} is {annotation}, and {self._place} holds {held}. Annotate the "
                "field with that, or add a PlainSerializer that returns it."
            )
        for each in leaf.choices:
            self._require_room(each)

    def _check_default(self, held: ColumnValues) -> None:
        default: object = self.fields.schema.model_fields[self.name].default
        if default is PydanticUndefined:
            return
        if default is None:
            if not (self.column.nullable or has_default(self.column)):
                raise TypeError(
                    f"{self._field} is None by default, and {self._place} cannot be NULL. Give "
                    "the field another default, or none."
                )
        elif not _is_of(type(default), held) or _is_naive(default):
            raise TypeError(
                f"{self._field} is {default!r} by default, and {self._place} holds {held}. Give "
                "the field another default."
            )
        self._require_room(default)

    def _require_room(self, value: object) -> None:
        """Raise `TypeError` for a *value* that is too large for the column."""
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


def _fits(fields: FieldValues, leaf: Leaf, held: ColumnValues) -> bool:
    """Tell whether both databases store a value of *leaf* as it is."""
    if leaf.kind is None or leaf.kind is NoneType:
        return leaf.kind is NoneType
    if held.is_json:
        return all(_is_json(fields, each) for each in (leaf, *fields.within(leaf)))
    if held.items:
        items = [*fields.within(leaf)]
        return (
            leaf.kind is list
            and bool(items)
            and all(_fits(fields, each, held.items) for each in items)
        )
    if held.choices:
        return bool(leaf.choices) and held.choices.issuperset(leaf.choices) and leaf.kind is str
    return _is_of(leaf.kind, held)


def _is_json(fields: FieldValues, leaf: Leaf) -> bool:
    """Tell whether a document has a value of *leaf* as it was, after it was stored."""
    if leaf.kind is dict and not all(_is_text(each) for each in fields.keys(leaf)):
        return False
    return leaf.kind in {object, NoneType} or (
        leaf.kind is not None and issubclass(leaf.kind, _IN_JSON)
    )


_IN_JSON: Final = (str, int, float, dict, list, tuple, UUID, datetime, date, time, Enum)


def _is_text(leaf: Leaf) -> bool:
    return leaf.kind is not None and issubclass(leaf.kind, str)


def _is_of(kind: type, held: ColumnValues) -> bool:
    if held.is_json:
        return issubclass(kind, _IN_JSON)
    if kind in {bool, datetime}:  # which Python takes for an int and a date
        return held.kind in {kind, object}
    return issubclass(kind, held.kind)


def _is_naive(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is None
