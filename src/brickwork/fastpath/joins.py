"""Rows that are shown within others: each is joined to that which refers to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import Column, Select, inspect
from sqlalchemy.orm import (
    DeclarativeBase,
    RelationshipDirection,
    RelationshipProperty,
    aliased,
)

from brickwork.fastpath.eligibility import NotEligible
from brickwork.models.soft_delete import soft_delete_conditions
from brickwork.query.keys import primary_key
from brickwork.schemas.schema import nested_schema
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M", bound=DeclarativeBase)


@dataclass(frozen=True)
class ToOneJoin:
    """A row that is shown in the field *name* of another."""

    name: str
    own: Sequence[str]
    """The columns of that other row which say who is meant."""
    model: type[DeclarativeBase]
    source: Any
    alias: Any
    fields: Sequence[str]
    within: Sequence["ToOneJoin"]

    def joined(self, rows: Select[M]) -> Select[M]:
        """Return *rows* beside these, or beside nothing."""
        live = soft_delete_conditions(self.model)
        source = self.source.and_(*live) if live else self.source
        rows = rows.outerjoin(source.of_type(self.alias))
        for each in self.within:
            rows = each.joined(rows)
        return rows

    def attributes(self) -> Iterator[Any]:
        """Yield what is to be selected."""
        yield from (getattr(self.alias, name) for name in self._names())
        for each in self.within:
            yield from each.attributes()

    def columns(self, before: str = "") -> Iterator[tuple[str, Column[Any]]]:
        """Yield what is selected: its name among all that is, and its column."""
        place, own = f"{before}{self.name}.", mapped_columns(self.model)
        yield from ((place + name, own[name]) for name in self._names())
        for each in self.within:
            yield from each.columns(place)

    def read(self, values: Iterator[Any]) -> Mapping[str, Any] | None:
        """Return what is shown of the next of *values*; None if there is no row."""
        own = {name: next(values) for name in self._names()}
        shown = {name: own[name] for name in self.fields}
        shown |= {each.name: each.read(values) for each in self.within}
        return None if own[primary_key(self.model).key] is None else shown

    def models(self) -> Iterator[type[DeclarativeBase]]:
        """Yield the models of the rows."""
        yield self.model
        for each in self.within:
            yield from each.models()

    def _names(self) -> Sequence[str]:
        return [*dict.fromkeys((primary_key(self.model).key, *self.fields))]


def to_one_joins(
    model: type[DeclarativeBase], read: type[BaseModel], of: Any = None
) -> Sequence[ToOneJoin]:
    """Return the rows that *read* shows of those which rows of *model* refer to, or its alias *of*.

    Raises `NotEligible` where it shows what is neither of a column nor of one row.
    """
    return [*_related(model, of or model, read)]


def column_fields(model: type[DeclarativeBase], read: type[BaseModel]) -> Sequence[str]:
    """Return the fields of *read* that are those of columns; raises `NotEligible` as above."""
    if any(each.validation_alias for each in read.model_fields.values()):
        raise NotEligible(f"{read.__name__} reads attributes of other names")
    validators = read.__pydantic_decorators__.model_validators.values()
    if any(each.info.mode != "after" for each in validators):
        raise NotEligible(f"a validator of {read.__name__} is given the row")
    own = mapped_columns(model)
    for name, field in read.model_fields.items():
        if name not in own and not nested_schema(field.annotation):
            raise NotEligible(f"{name} is no column of {model.__name__}")
    return [name for name in read.model_fields if name in own]


def selects_only_columns(model: type[DeclarativeBase], read: type[BaseModel]) -> bool:
    """Tell whether *read* shows columns of *model*, and nothing besides."""
    try:
        return len(column_fields(model, read)) == len(read.model_fields)
    except NotEligible:
        return False


def _related(
    model: type[DeclarativeBase], source: Any, read: type[BaseModel]
) -> Iterator[ToOneJoin]:
    own = column_fields(model, read)
    for name, field in read.model_fields.items():
        if name not in own and (shown := nested_schema(field.annotation)):
            relationship = inspect(model).relationships.get(name)
            if relationship is None or not _is_to_one(relationship):
                raise NotEligible(f"{name} is not one row that a {model.__name__} refers to")
            known = mapped_columns(model).items()
            local = [name for name, each in known if each in relationship.local_columns]
            target: type[DeclarativeBase] = relationship.mapper.class_
            alias: Any = aliased(target)
            within = [*_related(target, alias, shown)]
            fields = column_fields(target, shown)
            yield ToOneJoin(name, local, target, getattr(source, name), alias, fields, within)


def _is_to_one(relationship: RelationshipProperty[Any]) -> bool:
    """Tell whether there is one row at most, and of one table."""
    target = relationship.mapper
    alone = target.inherits is None and target.polymorphic_on is None
    to_one = relationship.direction is RelationshipDirection.MANYTOONE
    return to_one and relationship.secondary is None and alone
