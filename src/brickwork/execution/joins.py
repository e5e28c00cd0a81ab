"""Joins of related rows that a response embeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import Column, Select, inspect
from sqlalchemy.orm import RelationshipDirection, RelationshipProperty, aliased

from brickwork.execution.eligibility import NotEligible
from brickwork.models.soft_delete import soft_delete_conditions
from brickwork.query.keys import primary_key
from brickwork.schemas.schema import nested_schema
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M")


@dataclass(frozen=True)
class ToOneJoin:
    """A LEFT OUTER JOIN of the row that the field *name* embeds."""

    name: str
    local_columns: Sequence[str]
    """The foreign key columns of the embedding row."""
    model: type[object]
    attribute: Any
    alias: Any
    fields: Sequence[str]
    nested: Sequence["ToOneJoin"]

    def apply(self, statement: Select[M]) -> Select[M]:
        """Add this join and its nested joins to *statement*."""
        conditions = soft_delete_conditions(self.model)
        attribute = self.attribute.and_(*conditions) if conditions else self.attribute
        statement = statement.outerjoin(attribute.of_type(self.alias))
        for join in self.nested:
            statement = join.apply(statement)
        return statement

    def attributes(self) -> Iterator[Any]:
        """Yield the attributes to select."""
        yield from (getattr(self.alias, name) for name in self._column_names())
        for join in self.nested:
            yield from join.attributes()

    def columns(self, prefix: str = "") -> Iterator[tuple[str, Column[Any]]]:
        """Yield each selected column with its dotted name."""
        path, columns = f"{prefix}{self.name}.", mapped_columns(self.model)
        yield from ((path + name, columns[name]) for name in self._column_names())
        for join in self.nested:
            yield from join.columns(path)

    def take_fields(self, values: Iterator[Any]) -> Mapping[str, Any] | None:
        """Consume the values of one row and return its fields. None if there is no row."""
        row = {name: next(values) for name in self._column_names()}
        fields = {name: row[name] for name in self.fields}
        fields |= {join.name: join.take_fields(values) for join in self.nested}
        return None if row[primary_key(self.model).names[0]] is None else fields

    def models(self) -> Iterator[type[object]]:
        """Yield the models of this join and its nested joins."""
        yield self.model
        for join in self.nested:
            yield from join.models()

    def _column_names(self) -> Sequence[str]:
        return [*dict.fromkeys((*primary_key(self.model).names, *self.fields))]


def to_one_joins(
    model: type[object], read: type[BaseModel], alias: Any = None
) -> Sequence[ToOneJoin]:
    """Return the joins of the related rows that *read* embeds, from *model* or its *alias*.

    Raises `NotEligible` for a field that is neither a column nor a to-one relationship.
    """
    return [*_find_joins(model, alias or model, read)]


def column_fields(model: type[object], read: type[BaseModel]) -> Sequence[str]:
    """Return the fields of *read* that are columns. Raises `NotEligible` as `to_one_joins`."""
    if any(field.validation_alias for field in read.model_fields.values()):
        raise NotEligible(f"{read.__name__} has validation aliases")
    validators = read.__pydantic_decorators__.model_validators.values()
    if any(validator.info.mode != "after" for validator in validators):
        raise NotEligible(f"a model validator of {read.__name__} reads the row")
    columns = mapped_columns(model)
    for name, field in read.model_fields.items():
        if name not in columns and not nested_schema(field.annotation):
            raise NotEligible(f"{name} is no column of {model.__name__}")
    return [name for name in read.model_fields if name in columns]


def selects_only_columns(model: type[object], read: type[BaseModel]) -> bool:
    """Return whether every field of *read* is a column of *model*."""
    try:
        return len(column_fields(model, read)) == len(read.model_fields)
    except NotEligible:
        return False


def _find_joins(model: type[object], source: Any, read: type[BaseModel]) -> Iterator[ToOneJoin]:
    names = column_fields(model, read)
    for name, field in read.model_fields.items():
        if name not in names and (schema := nested_schema(field.annotation)):
            relationship = inspect(model).relationships.get(name)
            if relationship is None or not _is_to_one(relationship):
                raise NotEligible(f"{name} is no to-one relationship of {model.__name__}")
            columns = mapped_columns(model).items()
            local = [key for key, column in columns if column in relationship.local_columns]
            target: type[object] = relationship.mapper.class_
            alias: Any = aliased(target)
            nested = [*_find_joins(target, alias, schema)]
            fields = column_fields(target, schema)
            yield ToOneJoin(name, local, target, getattr(source, name), alias, fields, nested)


def _is_to_one(relationship: RelationshipProperty[Any]) -> bool:
    """Return whether *relationship* leads to at most one row, stored in one table."""
    target = relationship.mapper
    has_one_table = target.inherits is None and target.polymorphic_on is None
    to_one = relationship.direction is RelationshipDirection.MANYTOONE
    return to_one and relationship.secondary is None and has_one_table
