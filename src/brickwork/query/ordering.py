"""The order of a list: columns, each up or down, and at last the key, so that it is total."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, and_, literal, tuple_
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute

from brickwork.database.text import comparable
from brickwork.query.filters import filtered_column, python_type
from brickwork.query.keys import primary_key

T = TypeVar("T")


@dataclass(frozen=True)
class SortKey(Generic[T]):
    """One column to sort by."""

    name: T
    descending: bool = False


@dataclass(frozen=True)
class OrderColumn:
    """One column of an order. NULL is above every value: last when ascending, else first."""

    attribute: InstrumentedAttribute[Any]
    descending: bool

    @property
    def column(self) -> ColumnElement[Any]:
        """The column as it is compared."""
        return comparable(self.attribute.expression)

    @property
    def nullable(self) -> bool:
        """Whether there may be rows without a value."""
        return bool(getattr(self.attribute.expression, "nullable", True))

    def clause(self) -> ColumnElement[Any]:
        """Return what ORDER BY has of it."""
        if not self.nullable:
            return self.column.desc() if self.descending else self.column.asc()
        if self.descending:
            return self.column.desc().nulls_first()
        return self.column.asc().nulls_last()

    def value(self, value: Any) -> ColumnElement[Any]:
        """Return *value* in SQL."""
        return literal(value, self.attribute.expression.type)


@dataclass(frozen=True)
class Order:
    """The keys a list is sorted by; the last of them is unique."""

    keys: tuple[OrderColumn, ...]

    def clauses(self) -> list[ColumnElement[Any]]:
        """Return what ORDER BY has."""
        return [each.clause() for each in self.keys]

    def reversed(self) -> "Order":
        """Return the order from the other end."""
        return Order(tuple(replace(each, descending=not each.descending) for each in self.keys))

    def values(self, row: object) -> list[Any]:
        """Return what *row* is sorted by."""
        return [getattr(row, each.attribute.key) for each in self.keys]

    def read(self, values: Sequence[Any]) -> list[Any]:
        """Return *values* as they were before they became JSON; raises `ValueError`."""
        pairs = zip(self.keys, values, strict=True)
        return [
            _value_adapter(python_type(key.attribute)).validate_python(each) for key, each in pairs
        ]

    def after(self, values: Sequence[Any]) -> list[ColumnElement[bool]]:
        """Return conditions of which each row behind *values* meets one, and no other row any.

        A database finds the first rows that meet one of them, in this order, by an index.
        """
        found: list[ColumnElement[bool]] = []
        same: list[ColumnElement[bool]] = []
        for run in _row_value_groups([*zip(self.keys, values, strict=True)]):
            found += [and_(*same, each) for each in _group_after(run)]
            same += [
                key.column.is_(None) if value is None else key.column == key.value(value)
                for key, value in run
            ]
        return found


@cache
def _value_adapter(kind: Any) -> TypeAdapter[Any]:
    nullable: Any = kind | None
    return TypeAdapter[Any](nullable)


_Group = Sequence[tuple[OrderColumn, Any]]


def _row_value_groups(pairs: _Group) -> Iterator[_Group]:
    """Yield *pairs* in runs that a database compares at once, as row values."""
    run: list[tuple[OrderColumn, Any]] = []
    for key, value in pairs:
        if run and not (
            _ignores_null(*run[-1])
            and _ignores_null(key, value)
            and _same_direction(run[-1][0], key)
        ):
            yield run
            run = []
        run.append((key, value))
    yield run


def _same_direction(one: OrderColumn, other: OrderColumn) -> bool:
    return one.descending is other.descending


def _ignores_null(key: OrderColumn, value: Any) -> bool:
    """Tell whether NULL has no part in what is behind *value*."""
    return value is not None and (key.descending or not key.nullable)


def _group_after(run: _Group) -> Iterator[ColumnElement[bool]]:
    """Yield conditions of what is behind the values of *run*."""
    (key, value), *more = run
    if more:
        columns = tuple_(*(each.column for each, _ in run))
        values = tuple_(*(each.value(bound) for each, bound in run))
        yield columns < values if key.descending else columns > values
    elif value is None:
        if key.descending:
            yield key.column.is_not(None)
    else:
        bound = key.value(value)
        yield key.column < bound if key.descending else key.column > bound
        if key.nullable and not key.descending:
            yield key.column.is_(None)


def make_order(model: type[DeclarativeBase], keys: Sequence[SortKey[str]]) -> Order:
    """Return the order of *keys*, and then by *model*'s key in the direction of the last.

    Of a name given twice the first counts, and behind the key there is nothing left to sort.
    """
    found: dict[str, bool] = {}
    for each in keys:
        found.setdefault(each.name, each.descending)
    last = primary_key(model).key
    found.setdefault(last, [False, *found.values()][-1])
    names = [*found][: [*found].index(last) + 1]
    return Order(tuple(OrderColumn(filtered_column(model, name), found[name]) for name in names))
