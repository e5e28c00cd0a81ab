"""The fields of a read schema, and the attributes of a model that they show."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from enum import Enum
from functools import cached_property
from inspect import getattr_static
from types import NoneType
from typing import Any, Final, cast
from uuid import UUID

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy import Column, ColumnElement, inspect
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapper,
    RelationshipDirection,
    RelationshipProperty,
)
from sqlalchemy.types import NullType

from brickwork.models.columns import ColumnValues, column_values
from brickwork.models.model import is_deleted_marker
from brickwork.models.soft_delete import soft_delete_conditions
from brickwork.resource.assignments import has_attribute, is_deferred, renaming_advice, type_name
from brickwork.schemas.comparisons import Comparison, accepts_values_of
from brickwork.schemas.field_values import FieldValues, Leaf
from brickwork.schemas.schema import nested_schema


@dataclass(frozen=True)
class WrittenFields:
    """The values that requests write: the fields of inputs, and columns that stay NULL."""

    inputs: Sequence[FieldValues] = ()
    nulls: Collection[str] = field(default=())


def check_outputs(
    read: type[BaseModel], model: type[DeclarativeBase], written: WrittenFields
) -> None:
    """Raise `TypeError` for a *read* schema that cannot show each row that was *written*.

    A schema whose validator is given the row itself is not checked.
    """
    _check(read, model, written, ())


def _check(
    read: type[BaseModel],
    model: type[DeclarativeBase],
    written: WrittenFields,
    outer: Sequence[type[BaseModel]],
) -> None:
    fields = FieldValues(read)
    if fields.is_read_by_code or read in outer:
        return
    for name in read.model_fields:
        if source := _source(fields, name, model):
            _Answer(fields, name, model, source, written, (*outer, read)).check()


def _source(fields: FieldValues, name: str, model: type[DeclarativeBase]) -> str | None:
    """Return the attribute that the field *name* shows; None where its default is shown."""
    info = fields.schema.model_fields[name]
    names = [*_names(fields.schema, name, info)]
    if found := next((each for each in names if has_attribute(model, each)), None):
        return found
    if not info.is_required():
        return None
    remedy = "Give the model one, or the field a default."
    if has_attribute(model, name):
        remedy = f"Give the field serialization_alias={names[0]!r} in place of its alias."
    raise TypeError(
        f"{fields.schema.__name__}.{name} shows {names[0]}, and {model.__name__} has no such "
        f"attribute. {remedy}"
    )


def _names(read: type[BaseModel], name: str, info: FieldInfo) -> Iterator[str]:
    """Yield the attributes in which Pydantic looks for the value of a field."""
    config = read.model_config
    if config.get("validate_by_alias", True):
        yield from _aliases(info.validation_alias)
    if (
        not info.validation_alias
        or config.get("populate_by_name")
        or config.get("validate_by_name")
    ):
        yield name


def _aliases(alias: str | AliasPath | AliasChoices | None) -> Iterator[str]:
    match alias:
        case str():
            yield alias
        case AliasPath():
            yield str(alias.path[0])
        case AliasChoices():
            for each in alias.choices:
                yield from _aliases(each)
        case _:
            return


@dataclass(frozen=True)
class _Answer:
    """A field that shows an attribute of a row."""

    fields: FieldValues
    name: str
    model: type[DeclarativeBase]
    source: str
    written: WrittenFields
    outer: Sequence[type[BaseModel]]

    def check(self) -> None:
        """Raise `TypeError` where a row makes the answer fail."""
        mapper = self._mapper
        column: ColumnElement[Any] | None = mapper.columns.get(self.source)
        if column is not None:
            self._check_column(column)
        elif self.source in mapper.synonyms:
            name = mapper.synonyms[self.source].name
            _Answer(self.fields, self.name, self.model, name, self.written, self.outer).check()
        elif self.source in mapper.relationships:
            self._check_relationship(mapper.relationships[self.source])
        elif self.source not in mapper.composites and not self._is_value():
            raise TypeError(
                f"{self._place} is neither a column nor a property: {self._field} cannot show it. "
                f"{renaming_advice(mapper, self.source).replace('alias', 'serialization_alias')}"
            )

    @property
    def _mapper(self) -> Mapper[Any]:
        return inspect(self.model)

    @property
    def _field(self) -> str:
        return f"{self.fields.schema.__name__}.{self.name}"

    @property
    def _place(self) -> str:
        return f"{self.model.__name__}.{self.source}"

    @property
    def _annotation(self) -> str:
        return type_name(self.fields.schema.model_fields[self.name].annotation)

    @cached_property
    def _leaves(self) -> Sequence[Leaf]:
        return self.fields.accepted(self.name)

    @property
    def _admits_null(self) -> bool:
        return any(each.open or each.kind in {NoneType, object} for each in self._leaves)

    def _is_value(self) -> bool:
        """Tell whether the attribute has a value that is known without the database."""
        found = getattr_static(self.model, self.source)
        return isinstance(found, (property, cached_property, hybrid_property, *_CONSTANTS))

    def _check_column(self, column: ColumnElement[Any]) -> None:
        if isinstance(column, Column) and is_deferred(self._mapper, column):
            raise TypeError(
                f"{self._place} is deferred, and {self._field} shows it. Load it with the row, or "
                f"leave {self.name} out of {self.fields.schema.__name__}."
            )
        if isinstance(column.type, NullType) and not isinstance(column, Column):
            return  # an expression of which SQLAlchemy knows no type
        self._check_values(column_values(column, self._place))
        if isinstance(column, Column) and column.nullable and not self._admits_null:
            self._check_null()

    def _check_values(self, held: ColumnValues) -> None:
        if isinstance(self.fields.schema.model_fields[self.name].validation_alias, AliasPath):
            return  # it shows a part of the value
        if not any(accepts_values_of(self.fields, each, held) for each in self._leaves):
            raise TypeError(
                f"{self._field} is {self._annotation}, and {self._place} holds {held}. Annotate "
                "the field with that."
            )
        for each in self._inputs():
            sent = each.node(self.source)
            if not Comparison(self.fields, each).covers(
                self.fields.node(self.name), sent, null=False
            ):
                raise TypeError(
                    f"{self._field} is narrower than {each.schema.__name__}.{self.source}: a "
                    "request could store a value that no answer can show. Declare both alike."
                )

    def _check_null(self) -> None:
        leaves = (leaf for each in self._inputs() for leaf in each.accepted(self.source))
        if self.source in self.written.nulls or any(each.kind is NoneType for each in leaves):
            raise TypeError(
                f"{self._field} is never null, and a request can leave {self._place} NULL. "
                f"Annotate it {self._annotation} | None."
            )

    def _inputs(self) -> Iterator[FieldValues]:
        """Yield the inputs that give the attribute a value."""
        for each in self.written.inputs:
            if self.source in each.schema.model_fields:
                yield each

    def _check_relationship(self, relationship: RelationshipProperty[Any]) -> None:
        shown = nested_schema(self.fields.schema.model_fields[self.name].annotation)
        many = relationship.uselist
        if shown is None:
            raise TypeError(
                f"{self._place} is a relationship, and {self._field} is {self._annotation}. "
                "Annotate it with a ReadSchema of the related rows."
            )
        collection = cast("object", relationship.collection_class)  # pyright: ignore[reportUnknownMemberType]
        if many and collection not in {None, list}:
            raise TypeError(f"{self._place} is no list. Give the relationship the type list.")
        if relationship.lazy in {"dynamic", "write_only"}:
            raise TypeError(
                f"{self._place} is {relationship.lazy}, and is never loaded. Show another "
                "relationship to the same rows."
            )
        if many != any(each.kind is list for each in self._leaves):
            kind = f"list[{shown.__name__}]" if many else f"{shown.__name__} | None"
            place = f"{self._place} is {'a list' if many else 'one row'}"
            raise TypeError(
                f"{self._field} is {self._annotation}, and {place}. Annotate it {kind}."
            )
        if not many and not self._admits_null and _may_be_absent(relationship):
            raise TypeError(
                f"{self._field} is never null, and {self._place} may refer to no row. Annotate it "
                f"{self._annotation} | None."
            )
        _check(shown, relationship.mapper.class_, WrittenFields(), self.outer)


_CONSTANTS: Final = (str, int, float, bool, UUID, date, time, Enum, tuple, list, dict)


def _may_be_absent(relationship: RelationshipProperty[Any]) -> bool:
    """Tell whether there may be no row, or one that is deleted."""
    if relationship.direction is not RelationshipDirection.MANYTOONE:
        return True
    local = relationship.local_columns
    if any(getattr(each, "nullable", True) for each in local):
        return True
    return bool(soft_delete_conditions(relationship.mapper.class_)) and not any(
        map(is_deleted_marker, local)
    )
