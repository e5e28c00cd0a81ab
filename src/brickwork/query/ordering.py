"""Total order of lists."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AllowInfNan, TypeAdapter
from sqlalchemy import ColumnElement, and_, inspect, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from brickwork.database.text import comparable
from brickwork.models.caching import cached_per_model
from brickwork.query.filters import filtered_column, is_hybrid, python_type
from brickwork.query.keys import primary_key

T = TypeVar("T")


@dataclass(frozen=True)
class SortKey(Generic[T]):
    """One column to sort by."""

    name: T
    descending: bool = False


@dataclass(frozen=True)
class OrderColumn:
    """A column of an order. NULL is above every value: last when ascending, else first."""

    attribute: InstrumentedAttribute[Any]
    descending: bool
    is_selected: bool = False
    """Whether a list selects the value beside the row: a hybrid, whose value in Python may differ,
    or a deferred column."""

    @property
    def column(self) -> ColumnElement[Any]:
        """Return the column in a form that both databases compare alike."""
        return comparable(self.attribute.expression)

    @property
    def nullable(self) -> bool:
        """Return whether the column may be NULL."""
        return bool(getattr(self.attribute.expression, "nullable", True))

    def clause(self) -> ColumnElement[Any]:
        """Return the term of ORDER BY."""
        if not self.nullable:
            return self.column.desc() if self.descending else self.column.asc()
        if self.descending:
            return self.column.desc().nulls_first()
        return self.column.asc().nulls_last()

    def value(self, value: Any) -> ColumnElement[Any]:
        """Return *value* as an SQL literal."""
        return literal(value, self.attribute.expression.type)


@dataclass(frozen=True)
class Order:
    """The columns that a list is sorted by. The primary key is among them."""

    keys: tuple[OrderColumn, ...]

    def clauses(self) -> list[ColumnElement[Any]]:
        """Return the terms of ORDER BY."""
        return [key.clause() for key in self.keys]

    def reversed(self) -> "Order":
        """Return the reverse order."""
        return Order(tuple(replace(key, descending=not key.descending) for key in self.keys))

    def values(self, row: object) -> list[Any]:
        """Return the sort values of *row*."""
        return [getattr(row, key.attribute.key) for key in self.keys]

    def selected_columns(self) -> list[ColumnElement[Any]]:
        """Return the values to select beside each row, from which `with_selected` takes them."""
        return [key.attribute.expression for key in self.keys if key.is_selected]

    def with_selected(self, row: object, selected: Sequence[Any]) -> object:
        """Return an object with the sort values of *row*, some of which are *selected*."""
        names = [key.attribute.key for key in self.keys if key.is_selected]
        others = {key.attribute.key for key in self.keys} - {*names}
        values = {name: getattr(row, name) for name in others}
        return SimpleNamespace(**values, **dict(zip(names, selected, strict=True)))

    def parse_values(self, values: Sequence[Any]) -> list[Any]:
        """Convert *values* from JSON. Raises `ValueError` for a value of another type."""
        pairs = zip(self.keys, values, strict=True)
        return [
            _value_adapter(python_type(key.attribute)).validate_python(value)
            for key, value in pairs
        ]

    def keyset_after(self, values: Sequence[Any]) -> list[ColumnElement[bool]]:
        """Return the conditions of rows after *values*. Each such row meets one of them.

        For each condition, a database can find the first rows by an index.
        """
        conditions: list[ColumnElement[bool]] = []
        equal: list[ColumnElement[bool]] = []
        for group in _row_value_groups([*zip(self.keys, values, strict=True)]):
            conditions += [and_(*equal, condition) for condition in _group_after(group)]
            equal += [
                key.column.is_(None) if value is None else key.column == key.value(value)
                for key, value in group
            ]
        return conditions


@cached_per_model
def _value_adapter(kind: Any) -> TypeAdapter[Any]:
    if issubclass(kind, Decimal):  # PostgreSQL sorts NaN, too
        kind = Annotated[kind, AllowInfNan()]
    nullable: Any = kind | None
    return TypeAdapter[Any](nullable)


_Group = Sequence[tuple[OrderColumn, Any]]


def _row_value_groups(pairs: _Group) -> Iterator[_Group]:
    """Yield *pairs* in groups that a database can compare as row values."""
    group: list[tuple[OrderColumn, Any]] = []
    for key, value in pairs:
        if group and not (
            _ignores_null(*group[-1])
            and _ignores_null(key, value)
            and _same_direction(group[-1][0], key)
        ):
            yield group
            group = []
        group.append((key, value))
    yield group


def _same_direction(one: OrderColumn, other: OrderColumn) -> bool:
    return one.descending is other.descending


def _ignores_null(key: OrderColumn, value: Any) -> bool:
    """Return whether NULL has no effect on which rows come after *value*."""
    return value is not None and (key.descending or not key.nullable)


def _group_after(group: _Group) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions of the rows after the values of *group*."""
    (key, value), *others = group
    if others:
        columns = tuple_(*(item.column for item, _ in group))
        values = tuple_(*(item.value(bound) for item, bound in group))
        yield columns < values if key.descending else columns > values
    elif value is None:
        if key.descending:
            yield key.column.is_not(None)
    else:
        bound = key.value(value)
        yield key.column < bound if key.descending else key.column > bound
        if key.nullable and not key.descending:
            yield key.column.is_(None)


def make_order(model: type[object], keys: Sequence[SortKey[str]]) -> Order:
    """Return the order of *keys*, then of the primary key in the direction of the last.

    A repeated name counts once. Names after all columns of the primary key are ignored.
    """
    directions: dict[str, bool] = {}
    for key in keys:
        directions.setdefault(key.name, key.descending)
    unique = primary_key(model).names
    last = [False, *directions.values()][-1]
    for name in unique:
        directions.setdefault(name, last)
    names = [*directions]
    names = names[: max(map(names.index, unique)) + 1]
    return Order(tuple(_order_column(model, name, directions[name]) for name in names))


def _order_column(model: type[object], name: str, descending: bool) -> OrderColumn:  # noqa: FBT001
    column = filtered_column(model, name)
    attribute = inspect(model).column_attrs.get(column.key)
    is_selected = is_hybrid(model, name) or (attribute is not None and attribute.deferred)
    return OrderColumn(column, descending, is_selected)
