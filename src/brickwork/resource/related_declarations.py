"""Checks of the related rows in input schemas."""

from collections.abc import Collection, Iterator, Mapping
from types import NoneType
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticUndefined
from sqlalchemy import Column, Table, inspect
from sqlalchemy.orm import RelationshipDirection, RelationshipProperty

from brickwork.models.columns import holds_uuid_text
from brickwork.models.proxies import find_proxy
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.query.keys import primary_key
from brickwork.resource import assignments
from brickwork.resource.outputs import WrittenFields
from brickwork.schemas.field_values import FieldValues
from brickwork.schemas.related import RelatedField, related_fields, stored_fields, unstored_fields
from brickwork.schemas.schema import Schema


def check_related(
    schema: type[Schema], model: type[object], *, replaces: bool, is_filled: bool
) -> None:
    """Raise `TypeError` if rows of *model* cannot have all related rows of *schema*.

    Args:
        schema: An input schema of the resource.
        model: The model of the resource.
        replaces: Whether a request with *schema* replaces related rows.
        is_filled: Whether the resource has code that may fill new related rows.

    """
    names: dict[str, str] = {}
    for name in schema.model_fields:
        if field := related_fields(schema, model).get(name):
            _check_no_proxy(schema, model, field)
            _RelatedCheck(schema, model, field).check(replaces=replaces, is_filled=is_filled)
            if (other := names.setdefault(field.attribute, name)) != name:
                raise TypeError(
                    f"{schema.__name__}.{other} and {name} both set {model.__name__}."
                    f"{field.attribute}, so that one list would be lost. Remove one of them."
                )


def _check_no_proxy(schema: type[Schema], model: type[object], field: RelatedField) -> None:
    """Raise `TypeError` if *schema* also writes the rows of *field* by an association proxy."""
    for name in schema.model_fields:
        proxy = find_proxy(model, name)
        if proxy and proxy.relationship is field.relationship:
            raise TypeError(
                f"{schema.__name__}.{name} and {schema.__name__}.{field.name} both set the rows of "
                f"{model.__name__}.{field.attribute}. Remove one of them."
            )


def written_related(model: type[object], *schemas: type[Schema]) -> Mapping[str, WrittenFields]:
    """Return what bodies of *schemas* write in related rows of *model*, by the relationship."""
    written: dict[str, WrittenFields] = {}
    for schema in schemas:
        for field in related_fields(schema, model).values():
            if field.kind == "rows":
                other = written.get(field.attribute, WrittenFields())
                nulls = _RelatedCheck(schema, model, field).null_attributes()
                written[field.attribute] = WrittenFields(
                    [*other.inputs, FieldValues(field.item)], {*other.nulls, *nulls}
                )
    return written


def check_unstored(
    schema: type[Schema], model: type[object], *, is_read: bool, method: str
) -> None:
    """Raise `TypeError` for a `NotStored` field of *schema* that no code reads."""
    for name in sorted(unstored_fields(schema)):
        if not is_read:
            raise TypeError(
                f"{schema.__name__}.{name} is NotStored, but no code reads it. Override {method}, "
                "which reads it with validated_data, or remove the field."
            )
        if name in inspect(model).attrs:
            raise TypeError(
                f"{schema.__name__}.{name} is NotStored, but {model.__name__} stores {name}. "
                "Rename the field, or remove the mark."
            )


class _RelatedCheck:
    """A field with related rows, or with their keys."""

    def __init__(self, schema: type[Schema], model: type[object], field: RelatedField) -> None:
        self._schema = schema
        self._field = field
        self._by: RelationshipProperty[Any] = field.relationship
        self._place = f"{model.__name__}.{field.attribute}"
        self._name = f"{schema.__name__}.{field.name}"

    def check(self, *, replaces: bool, is_filled: bool) -> None:
        """Raise `TypeError` if a valid request could fail."""
        self._check_relationship()
        self._check_list()
        if self._field.kind == "keys":
            self._check_keys()
            return
        self._check_direction()
        self._check_item()
        if not is_filled:
            self._check_required_columns()
        if replaces:
            self._check_removal()

    def _check_relationship(self) -> None:
        by = self._by
        collection = cast("object", by.collection_class)  # pyright: ignore[reportUnknownMemberType]
        reasons = {
            "is viewonly": by.viewonly,
            f"is {by.lazy}": by.lazy in {"dynamic", "write_only", "noload"},
            "is not a list": by.uselist and collection not in {None, list},
            "leads to one row": not by.uselist,
        }
        for reason, applies in reasons.items():
            if applies:
                raise TypeError(
                    f"{self._place} {reason}, so that {self._name} cannot set it. Declare another "
                    "relationship to the same rows, or write an endpoint of your own."
                )

    def _check_list(self) -> None:
        leaves = FieldValues(self._schema).accepted_leaves(self._field.name)
        if {leaf.kind for leaf in leaves} != {list}:
            has_null = any(leaf.kind is NoneType for leaf in leaves)
            reason = "may be null" if has_null else "is not a list"
            raise TypeError(
                f"{self._name} {reason}, but {self._place} is a list that is never null. Annotate "
                f"it list[{self._item_name}]; [] has no rows."
            )
        default: object = self._schema.model_fields[self._field.name].default
        if default is None:
            raise TypeError(
                f"{self._name} is None by default, but {self._place} is a list. Give the field the "
                "default [], or make it required."
            )
        self._check_default(default)

    def _check_default(self, default: object) -> None:
        if default is PydanticUndefined:
            return
        annotation: Any = self._schema.model_fields[self._field.name].annotation
        try:
            TypeAdapter(annotation).validate_python(default, strict=True)
        except ValidationError:
            raise TypeError(
                f"{self._name} has a default that its own annotation rejects. Give the field the "
                "default [], or make it required."
            ) from None

    @property
    def _item_name(self) -> str:
        is_key = self._field.kind == "keys"
        return primary_key(self._field.model).kind.__name__ if is_key else self._field.item.__name__

    def _check_keys(self) -> None:
        kind = primary_key(self._field.model).kind
        if self._by.secondary is None:
            raise TypeError(
                f"{self._place} is no many-to-many relationship, so that {self._name} cannot set "
                "its rows. Set the foreign key of the other rows instead."
            )
        values = FieldValues(self._schema)
        (leaf,) = values.accepted_leaves(self._field.name)
        items = [*values.nested_leaves(leaf)]
        if [item.kind for item in items] != [kind]:
            raise TypeError(
                f"{self._name} is no list of keys of {self._field.model.__name__}. Annotate it "
                f"list[{kind.__name__}]."
            )

    def _check_direction(self) -> None:
        if self._by.direction is not RelationshipDirection.ONETOMANY:
            stem = self._field.name.removesuffix("s")
            kind = primary_key(self._field.model).kind.__name__
            raise TypeError(
                f"{self._place} is a many-to-many relationship, whose rows belong to no row alone. "
                f"Take their keys instead: {stem}_ids: list[{kind}]."
            )

    def _check_item(self) -> None:
        item, model = self._field.item, self._field.model
        if issubclass(item, self._schema) or self._schema is item:
            raise TypeError(f"{self._name} contains itself. Give it a schema of its own.")
        _ = primary_key(model).kind
        for nested in related_fields(item, model):
            raise TypeError(
                f"{item.__name__}.{nested} has related rows within {self._name}. Remove it: "
                "they are written by a resource of their own."
            )
        if names := unstored_fields(item):
            raise TypeError(
                f"{item.__name__}.{min(names)} is NotStored within {self._name}, where no code "
                "reads it. Remove it."
            )
        for name in item.model_fields:
            if find_proxy(model, name):
                raise TypeError(
                    f"{item.__name__}.{name} is an association proxy within {self._name}, which "
                    "replaces values. Remove it, or write it by a resource of its own."
                )
        self._check_alone()
        self._check_item_key()
        if item.__patches__:
            raise TypeError(
                f"{item.__name__} is partial, but {self._name} has whole rows. Give it the schema "
                "that it inherits from."
            )
        for column in self._foreign_keys():
            if (name := self._attribute(column)) in item.model_fields:
                raise TypeError(
                    f"{item.__name__}.{name} refers to the row around it, which {self._place} "
                    "sets. Remove it."
                )
        skipped = {self._field.key} if self._field.finds_rows else frozenset[str]()
        assignments.check_assignments(item, model, except_for=skipped)

    def _check_alone(self) -> None:
        """Raise `TypeError` unless each item of the list is a row."""
        values = FieldValues(self._schema)
        for leaf in values.accepted_leaves(self._field.name):
            items = values.leaves(leaf.node["items_schema"])
            if [item.node.get("cls") for item in items] != [self._field.item]:
                raise TypeError(
                    f"{self._name} takes other items than {self._item_name}, but each is a row of "
                    f"{self._place}. Annotate it list[{self._item_name}]."
                )

    def _check_item_key(self) -> None:
        """Raise `TypeError` if the key of an item can name no row."""
        item, key = self._field.item, primary_key(self._field.model)
        if not self._field.finds_rows:
            return
        kinds = {leaf.kind for leaf in FieldValues(item).accepted_leaves(self._field.key)}
        expected = {key.kind, str} if holds_uuid_text(key.columns[0].type) else {key.kind}
        if not kinds - {NoneType} <= expected:
            kind = key.kind.__name__
            raise TypeError(
                f"{item.__name__}.{self._field.key} is no key of {self._field.model.__name__}. "
                f"Annotate it {kind} | None."
            )

    def _foreign_keys(self) -> Collection[Column[Any]]:
        return [column for column in self._by.remote_side if isinstance(column, Column)]

    def _attribute(self, column: Column[Any]) -> str:
        return self._by.mapper.get_property_by_column(column).key

    def _check_required_columns(self) -> None:
        for column in self._unset_columns():
            if not (column.nullable or column is column.table.autoincrement_column):
                item = self._field.item.__name__
                raise TypeError(
                    f"{self._field.model.__name__}.{self._attribute(column)} cannot be NULL, and "
                    f"{item} has no field for it. Add the field, or give the column a default."
                )

    def _unset_columns(self) -> Iterator[Column[Any]]:
        """Yield the columns of a new related row that have neither a field nor a default."""
        item, mapper = self._field.item, self._by.mapper
        given: set[Any] = {
            assignments.assigned_column(item, name, self._field.model)
            for name in stored_fields(item, self._field.model)
        }
        given |= {*self._foreign_keys(), mapper.version_id_col, mapper.polymorphic_on}
        tables: list[Any] = [table for table in mapper.tables if isinstance(table, Table)]
        columns: list[Column[Any]] = [column for table in tables for column in table.columns]
        for column in columns:
            if not (column in given or assignments.has_default(column)):
                yield column

    def null_attributes(self) -> Collection[str]:
        """Return the attributes that are NULL in a new related row."""
        return [self._attribute(column) for column in self._unset_columns() if column.nullable]

    def _check_removal(self) -> None:
        """Raise `TypeError` unless a left-out row can be removed."""
        if self._by.cascade.delete_orphan or is_soft_deletable(self._field.model):
            return
        raise TypeError(
            f"{self._name} replaces the rows of {self._place}, but it does not say what happens to "
            'rows that are left out. Give the relationship cascade="all, delete-orphan", let '
            f"{self._field.model.__name__} inherit from SoftDelete, or omit update, update_batch "
            "and replace."
        )
