"""Checks of read schemas against the attributes of a model."""

from collections.abc import Collection, Iterator, Mapping, Sequence
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
from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty
from sqlalchemy.types import NullType

from brickwork.models.columns import ColumnValues, column_values
from brickwork.models.model import is_deleted_marker
from brickwork.models.proxies import Proxy, find_proxy
from brickwork.models.soft_delete import soft_delete_conditions
from brickwork.query.keys import primary_key
from brickwork.resource.assignments import has_attribute, renaming_advice, type_name
from brickwork.schemas.comparisons import Comparison, accepts_values_of
from brickwork.schemas.field_values import FieldValues, Leaf
from brickwork.schemas.related import keys_relationship
from brickwork.schemas.schema import nested_schema, nested_schemas


@dataclass(frozen=True)
class WrittenFields:
    """The input schemas of a resource, and the attributes that stay NULL in a new row."""

    inputs: Sequence[FieldValues] = ()
    nulls: Collection[str] = field(default=())
    related: Mapping[str, "WrittenFields"] = field(default_factory=dict[str, "WrittenFields"])
    """The same of the related rows in a body, by their relationship."""


def check_outputs(read: type[BaseModel], model: type[object], written: WrittenFields) -> None:
    """Raise `TypeError` if *read* cannot show some row that a request has *written*.

    A schema with a validator that receives the row itself is not checked.
    """
    _check_schema(read, model, written, ())


def _check_schema(
    read: type[BaseModel],
    model: type[object],
    written: WrittenFields,
    outer: Sequence[type[BaseModel]],
) -> None:
    fields = FieldValues(read)
    if fields.validates_row or read in outer:
        return
    for name, info in read.model_fields.items():
        if relationship := keys_relationship(model, name, info):
            if has_attribute(model, name) or name not in _names(read, name, info):
                raise TypeError(
                    f"{read.__name__}.{name} shows keys, so that neither {model.__name__} nor an "
                    "alias may name another attribute. Rename the field, with a "
                    "serialization_alias."
                )
            _check_keys(fields, name, relationship, is_nested=bool(outer))
        elif source := _source_attribute(fields, name, model):
            _OutputField(fields, name, model, source, written, (*outer, read)).check()


def _check_keys(
    fields: FieldValues, name: str, relationship: RelationshipProperty[Any], *, is_nested: bool
) -> None:
    """Raise `TypeError` if the field *name* cannot show the keys of *relationship*."""
    field, kind = f"{fields.schema.__name__}.{name}", primary_key(relationship.mapper.class_).kind
    leaves = fields.accepted_leaves(name)
    items = [item for leaf in leaves for item in fields.nested_leaves(leaf)]
    if not any(leaf.kind is list for leaf in leaves) or kind not in {item.kind for item in items}:
        raise TypeError(
            f"{field} shows keys of {relationship.mapper.class_.__name__}. Annotate it "
            f"Annotated[list[{kind.__name__}], Limit(100)]."
        )
    if is_nested:
        raise TypeError(f"{field} is a list within a related row, which has no limit. Remove it.")


def _source_attribute(fields: FieldValues, name: str, model: type[object]) -> str | None:
    """Return the attribute that the field *name* shows. None if it shows its default."""
    info = fields.schema.model_fields[name]
    names = [*_names(fields.schema, name, info)]
    if found := next((attribute for attribute in names if has_attribute(model, attribute)), None):
        return found
    if not info.is_required():
        return None
    remedy = "Add it to the model, or give the field a default."
    if has_attribute(model, name):
        remedy = f"Give the field serialization_alias={names[0]!r} instead of its alias."
    raise TypeError(
        f"{fields.schema.__name__}.{name} shows {names[0]}, but {model.__name__} has no such "
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
            for choice in alias.choices:
                yield from _aliases(choice)
        case _:
            return


@dataclass(frozen=True)
class _OutputField:
    """A field that shows an attribute of a row."""

    fields: FieldValues
    name: str
    model: type[object]
    source: str
    written: WrittenFields
    outer: Sequence[type[BaseModel]]

    def check(self) -> None:
        """Raise `TypeError` if some row cannot be shown."""
        mapper = self._mapper
        column: ColumnElement[Any] | None = mapper.columns.get(self.source)
        if column is not None:
            self._check_column(column)
        elif self.source in mapper.synonyms:
            name = mapper.synonyms[self.source].name
            _OutputField(self.fields, self.name, self.model, name, self.written, self.outer).check()
        elif self.source in mapper.relationships:
            self._check_relationship(mapper.relationships[self.source])
        elif proxy := find_proxy(self.model, self.source):
            self._check_proxy(proxy)
        elif self.source not in mapper.composites and not self._is_plain_attribute():
            raise TypeError(
                f"{self._place} is neither a column nor a property: {self._field} cannot show it. "
                f"{renaming_advice(mapper, self.source).replace('alias', 'serialization_alias')}"
            )

    @property
    def _mapper(self) -> Mapper[Any]:
        mapper: Mapper[Any] = inspect(self.model)
        return mapper

    @property
    def _field(self) -> str:
        return f"{self.fields.schema.__name__}.{self.name}"

    @property
    def _place(self) -> str:
        return f"{self.model.__name__}.{self.source}"

    @property
    def _field_annotation(self) -> Any:
        return self.fields.schema.model_fields[self.name].annotation

    @property
    def _annotation(self) -> str:
        return type_name(self._field_annotation)

    @cached_property
    def _leaves(self) -> Sequence[Leaf]:
        return self.fields.accepted_leaves(self.name)

    @property
    def _admits_null(self) -> bool:
        return any(leaf.is_open or leaf.kind in {NoneType, object} for leaf in self._leaves)

    def _is_plain_attribute(self) -> bool:
        """Return whether the attribute is a property or a constant."""
        found = getattr_static(self.model, self.source)
        return isinstance(found, (property, cached_property, hybrid_property, *_CONSTANTS))

    def _check_column(self, column: ColumnElement[Any]) -> None:
        if isinstance(column.type, NullType) and not isinstance(column, Column):
            return  # an expression of unknown type
        self._check_values(column_values(column, self._place))
        if isinstance(column, Column) and column.nullable and not self._admits_null:
            self._check_null()

    def _check_values(self, held: ColumnValues) -> None:
        if isinstance(self.fields.schema.model_fields[self.name].validation_alias, AliasPath):
            return  # it shows a part of the value
        if not any(accepts_values_of(self.fields, leaf, held) for leaf in self._leaves):
            raise TypeError(
                f"{self._field} is {self._annotation}, but {self._place} holds {held}. Annotate "
                "the field with that."
            )
        if held.kind is bytes and self._shows_bytes_as_text():
            raise TypeError(
                f"{self._field} shows bytes as UTF-8, which most bytes are not. Let "
                f"{self.fields.schema.__name__} inherit from ReadSchema, which shows base64."
            )
        for inputs in self._matching_inputs():
            node = inputs.node(self.source)
            comparison = Comparison(self.fields, inputs)
            if not comparison.covers(self.fields.node(self.name), node, null=False):
                raise TypeError(
                    f"{self._field} is narrower than {inputs.schema.__name__}.{self.source}: a "
                    "request could store a value that no response can show. Declare both alike."
                )

    def _shows_bytes_as_text(self) -> bool:
        config = self.fields.schema.model_config
        is_text = config.get("ser_json_bytes", "utf8") == "utf8"
        return is_text and any(
            leaf.kind is bytes and "serialization" not in leaf.node for leaf in self._leaves
        )

    def _check_null(self) -> None:
        inputs = self._matching_inputs()
        leaves = (leaf for fields in inputs for leaf in fields.accepted_leaves(self.source))
        if self.source in self.written.nulls or any(leaf.kind is NoneType for leaf in leaves):
            raise TypeError(
                f"{self._field} is never null, but a request can leave {self._place} NULL. "
                f"Annotate it {self._annotation} | None."
            )

    def _matching_inputs(self) -> Iterator[FieldValues]:
        """Yield the input schemas that have a field for the attribute."""
        for fields in self.written.inputs:
            if self.source in fields.schema.model_fields:
                yield fields

    def _check_relationship(self, relationship: RelationshipProperty[Any]) -> None:
        schemas = [*dict.fromkeys(nested_schemas(self._field_annotation))]
        shown = schemas[0] if schemas else None
        many = bool(relationship.uselist)
        if len(schemas) > 1:
            raise TypeError(
                f"{self._field} is a union of schemas, but related rows have one. Annotate it with "
                f"a schema of {relationship.mapper.class_.__name__}, or give the union to the "
                "crud_router of these rows."
            )
        if shown is None:
            raise TypeError(
                f"{self._place} is a relationship, but {self._field} is {self._annotation}. "
                "Annotate it with a ReadSchema of the related rows."
            )
        self._check_collection(relationship)
        self._check_shape(many=many, kind=shown.__name__, value="row")
        if not many:
            self._check_missing(_may_be_missing(relationship))
        written = self.written.related.get(self.source, WrittenFields())
        _check_schema(shown, relationship.mapper.class_, written, self.outer)

    def _check_proxy(self, proxy: Proxy) -> None:
        """Raise `TypeError` if the field cannot show the values of *proxy*."""
        target, column = proxy.relationship.mapper, proxy.column
        self._check_collection(proxy.relationship)
        onward = target.relationships.get(proxy.value)
        shown = nested_schema(self._field_annotation)
        if not has_attribute(proxy.target, proxy.value) or (
            onward is not None and (shown is None or onward.uselist)
        ):
            raise TypeError(
                f"{self._place} leads to {proxy.target.__name__}.{proxy.value}, which "
                f"{self._field} cannot show. Declare a property."
            )
        kind = shown.__name__ if shown and onward is not None else "…"
        self._check_shape(many=proxy.is_list, kind=kind, value="value")
        if not proxy.is_list:
            may_be_null = column is not None and bool(column.nullable)
            self._check_missing(may_be_null or _may_be_missing(proxy.relationship))
        if shown and onward is not None:
            _check_schema(shown, onward.mapper.class_, WrittenFields(), self.outer)
        elif column is not None:
            self._check_proxy_values(proxy, column_values(column, self._place), column)

    def _check_proxy_values(self, proxy: Proxy, held: ColumnValues, column: Column[Any]) -> None:
        fields, leaves = self.fields, [*self._leaves]
        if proxy.is_list:
            leaves = [item for leaf in leaves for item in fields.nested_leaves(leaf)]
        accepts_null = any(leaf.is_open or leaf.kind in {NoneType, object} for leaf in leaves)
        is_null_rejected = proxy.is_list and bool(column.nullable) and not accepts_null
        if is_null_rejected or not any(accepts_values_of(fields, leaf, held) for leaf in leaves):
            null = " or None" if column.nullable else ""
            raise TypeError(
                f"{self._field} is {self._annotation}, but the values of {self._place} are "
                f"{held}{null}. Annotate the field with that."
            )

    def _check_collection(self, relationship: RelationshipProperty[Any]) -> None:
        """Raise `TypeError` unless related rows can be loaded as a list, or as one row."""
        many = bool(relationship.uselist)
        collection = cast("object", relationship.collection_class)  # pyright: ignore[reportUnknownMemberType]
        if many and collection not in {None, list}:
            raise TypeError(f"{self._place} is not a list. Give the relationship the type list.")
        if relationship.lazy in {"dynamic", "write_only"}:
            raise TypeError(
                f"{self._place} is {relationship.lazy} and never loaded. Show another "
                "relationship to the same rows."
            )

    def _check_shape(self, *, many: bool, kind: str, value: str) -> None:
        """Raise `TypeError` if the field is a list for one *value*, or no list for several."""
        if many != any(leaf.kind is list for leaf in self._leaves):
            wanted = f"list[{kind}]" if many else f"{kind} | None"
            place = f"{self._place} is {'a list' if many else f'one {value}'}"
            raise TypeError(
                f"{self._field} is {self._annotation}, but {place}. Annotate it {wanted}."
            )

    def _check_missing(self, may_be_missing: bool) -> None:  # noqa: FBT001
        """Raise `TypeError` if there may be no related row, and the field is never null."""
        if may_be_missing and not self._admits_null:
            raise TypeError(
                f"{self._field} is never null, but {self._place} may refer to no row. Annotate it "
                f"{self._annotation} | None."
            )


_CONSTANTS: Final = (str, int, float, bool, UUID, date, time, Enum, tuple, list, dict)


def _may_be_missing(relationship: RelationshipProperty[Any]) -> bool:
    """Return whether *relationship* may lead to no row, or to a deleted row."""
    if relationship.direction is not RelationshipDirection.MANYTOONE:
        return True
    local = relationship.local_columns
    if any(getattr(column, "nullable", True) for column in local):
        return True
    return bool(soft_delete_conditions(relationship.mapper.class_)) and not any(
        map(is_deleted_marker, local)
    )
