"""Filters of lists, such as `views__gte`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_FLOOR as FLOOR, Decimal
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Enum as EnumType,
    Integer,
    Uuid,
    and_,
    bindparam,
    false,
    inspect,
    literal,
    not_,
    true,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeEngine

from brickwork.database.text import comparable, contains, exact, icontains, startswith
from brickwork.models.caching import cached_per_model
from brickwork.models.columns import (
    column_values,
    has_json_null,
    holds_uuid_text,
    require_comparable,
)
from brickwork.models.numeric import quantize
from brickwork.models.proxies import find_proxy
from brickwork.models.soft_delete import soft_delete_conditions
from brickwork.schemas.derived import column_bounds
from brickwork.schemas.types import is_naive_utc

Comparison = Callable[[ColumnElement[Any], Any], ColumnElement[bool]]
"""A function that compares a column with a value."""

_ORDERED_TYPES: Final = (str, int, float, Decimal, UUID, datetime, date, time, timedelta)
_SCALAR_TYPES: Final = (*_ORDERED_TYPES, bool, Enum)


@dataclass(frozen=True)
class Operator:
    """An operator: its comparison, and the types of columns it supports."""

    compare: Comparison
    kinds: tuple[type, ...] = _SCALAR_TYPES


def _bind_value(column: ColumnElement[Any], value: Any) -> ColumnElement[Any]:
    return literal(value, _bind_type(column))


def _bind_values(column: ColumnElement[Any], values: Sequence[Any]) -> BindParameter[Any]:
    return bindparam(None, [*values], _bind_type(column), unique=True, expanding=True)


def _bind_type(column: ColumnElement[Any]) -> TypeEngine[Any]:
    """Return the type of values for *column*. Integers are wide, so that none is out of range.

    A filter on a column of UUIDs as text has a UUID.
    """
    if holds_uuid_text(column.type):
        return Uuid()
    return BigInteger() if isinstance(column.type, Integer) else column.type


def _comparison(compare: Callable[[Any, Any], ColumnElement[bool]]) -> Comparison:
    def compare_bound(column: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
        return compare(comparable(column), _bind_value(column, value))

    return compare_bound


OPERATORS: Final[Mapping[str, Operator]] = {
    "eq": Operator(lambda column, value: exact(column) == _bind_value(column, value)),
    "ne": Operator(
        lambda column, value: exact(column).is_distinct_from(_bind_value(column, value))
    ),
    "gt": Operator(_comparison(lambda column, value: column > value), _ORDERED_TYPES),
    "gte": Operator(_comparison(lambda column, value: column >= value), _ORDERED_TYPES),
    "lt": Operator(_comparison(lambda column, value: column < value), _ORDERED_TYPES),
    "lte": Operator(_comparison(lambda column, value: column <= value), _ORDERED_TYPES),
    "in": Operator(lambda column, value: exact(column).in_(_bind_values(column, value))),
    "contains": Operator(contains, (str,)),
    "icontains": Operator(icontains, (str,)),
    "startswith": Operator(startswith, (str,)),
    "isnull": Operator(
        lambda column, value: column.is_(None) if value else column.is_not(None), (object,)
    ),
}
"""The operators, by the suffix of a field name. A name without suffix means `eq`."""


@dataclass(frozen=True)
class ColumnFilter:
    """A comparison of a column, which the relationships of *path* lead to."""

    path: tuple[InstrumentedAttribute[Any], ...]
    column: InstrumentedAttribute[Any]
    operator: str = "eq"

    def to_clause(self, value: Any) -> ColumnElement[bool]:
        """Return the condition for *value* on the row that has the column."""
        column = self.column.expression
        places = _decimal_places(column)
        if places is None or self.operator == "isnull":
            return OPERATORS[self.operator].compare(column, value)
        if self.operator == "in":
            stored = [item for item in value if places.floor(item) == item]
            return OPERATORS["in"].compare(column, stored)
        floor = places.floor(value)
        if floor == value:
            return OPERATORS[self.operator].compare(column, Decimal(value))
        # The value is between two values of the column, or beyond all of them.
        if self.operator in {"eq", "ne"}:
            return true() if self.operator == "ne" else false()
        if floor is None:
            return column.is_not(None) if self.operator in {"gt", "gte"} else false()
        return OPERATORS["gt" if self.operator in {"gt", "gte"} else "lte"].compare(column, floor)


@dataclass(frozen=True)
class _DecimalPlaces:
    """The digits of a decimal column."""

    max_digits: int
    decimal_places: int

    def floor(self, value: Decimal | int) -> Decimal | None:
        """Return the largest value of the column that is at most *value*. None without one."""
        unit = Decimal(1).scaleb(-self.decimal_places)
        largest = unit * (10**self.max_digits - 1)
        if value < -largest:
            return None
        return largest if value > largest else quantize(Decimal(value), self.decimal_places, FLOOR)


def match_all(sent: Iterable[tuple[ColumnFilter, Any]]) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions of the filters *sent* with their values.

    One related row has to match all filters across the same relationships. An `ne` across
    relationships is the opposite of equality: no related row has the value.
    """
    conditions: list[_Condition] = []
    for filter_, value in sent:
        if filter_.path and filter_.operator == "ne":
            equal = ColumnFilter(filter_.path, filter_.column).to_clause(value)
            conditions.append(((), not_(and_(*_across([(filter_.path, equal)])))))
        else:
            conditions.append((filter_.path, filter_.to_clause(value)))
    yield from _across(conditions)


_Condition = tuple[tuple[InstrumentedAttribute[Any], ...], ColumnElement[bool]]
"""The relationships to a row, and a condition on it."""


def _across(conditions: Iterable[_Condition]) -> Iterator[ColumnElement[bool]]:
    """Yield *conditions* as conditions on the first row: one for each relationship from it."""
    related: dict[str, tuple[InstrumentedAttribute[Any], list[_Condition]]] = {}
    for path, clause in conditions:
        if not path:
            yield clause
            continue
        first, *rest = path
        related.setdefault(first.key, (first, []))[1].append((tuple(rest), clause))
    for relationship, inner in related.values():
        visible = soft_delete_conditions(relationship.property.mapper.class_)
        exists = relationship.any if relationship.property.uselist else relationship.has
        yield exists(and_(*_across(inner), *visible))


@cached_per_model
def _decimal_places(column: ColumnElement[Any]) -> _DecimalPlaces | None:
    """Return the digits of *column*. None unless it has decimals with fixed places."""
    bounds = column_bounds(column).get("decimal")
    return _DecimalPlaces(**bounds) if bounds else None


def parse_filter(model: type[object], name: str, annotation: object) -> ColumnFilter:
    """Return the filter that a field *name* of type *annotation* declares.

    Raises `TypeError` for an unknown column or operator, and for a type that does not fit them.
    """
    *relationships, last = name.split("__")
    operator = "eq"
    if relationships and last in OPERATORS:
        operator = last
        *relationships, last = relationships
    path: list[InstrumentedAttribute[Any]] = []
    if not relationships and (proxy := find_proxy(model, last)) and not proxy.is_list:
        if operator == "isnull":  # the value is None without a related row, too
            raise TypeError(
                f"{model.__name__}.{last} is an association proxy: filter the foreign key with "
                f"isnull, or call the filter {proxy.filter_name}__isnull."
            )
        relationships, last = [proxy.relationship.key], proxy.value
    for name_part in relationships:
        path.append(_relationship(model, name_part))
        model = path[-1].property.mapper.class_
    column = filtered_column(model, last)
    _check_annotation(column, operator, annotation)
    return ColumnFilter(tuple(path), column, operator)


def filtered_column(model: type[object], name: str) -> InstrumentedAttribute[Any]:
    """Return the attribute *name* of *model*.

    Raises `TypeError` unless it is a column, an expression, or a hybrid with an expression.
    """
    if name not in inspect(model).columns:
        if synonym := inspect(model).synonyms.get(name):
            return filtered_column(model, synonym.name)
        if is_hybrid(model, name):
            return _hybrid_attribute(model, name)
        if proxy := find_proxy(model, name):
            raise TypeError(
                f"{model.__name__}.{name} is an association proxy. Call a filter "
                f"{proxy.filter_name}, and sort by a column_property."
            )
        names = ", ".join(inspect(model).columns.keys())
        raise TypeError(f"{model.__name__} has no column {name}; it has {names}.")
    attribute: InstrumentedAttribute[Any] = getattr(model, name)
    return attribute


def is_hybrid(model: type[object], name: str) -> bool:
    """Return whether *name* is a hybrid property of *model*."""
    return isinstance(inspect(model).all_orm_descriptors.get(name), hybrid_property)


@cached_per_model
def _hybrid_attribute(model: type[object], name: str) -> InstrumentedAttribute[Any]:
    """Return the hybrid *name* of *model*. Raises `TypeError` if it has no SQL expression."""
    try:
        attribute: InstrumentedAttribute[Any] = getattr(model, name)
    except Exception:  # noqa: BLE001 — code for instances may raise anything
        raise TypeError(
            f"{model.__name__}.{name} has no expression in SQL. Give it one: "
            f"@{name}.inplace.expression."
        ) from None
    return attribute


@cached_per_model
def python_type(column: InstrumentedAttribute[Any]) -> type:
    """Return the type of the values of *column*.

    Raises `TypeError` unless every database compares them alike.
    """
    kind = column_values(column.expression, str(column)).kind
    require_comparable(column.expression, str(column))
    if not issubclass(kind, _SCALAR_TYPES):
        raise TypeError(
            f"{column} has a type that cannot be compared: mark the field CustomFilter, and "
            "override filter(). (A TypeDecorator declares the type of its values as python_type.)"
        )
    return kind


def is_sortable(column: InstrumentedAttribute[Any]) -> bool:
    """Return whether all databases sort *column* alike. They sort an Enum differently."""
    is_enum = isinstance(column.expression.type, EnumType)
    return not is_enum and issubclass(python_type(column), _ORDERED_TYPES)


def _relationship(model: type[object], name: str) -> InstrumentedAttribute[Any]:
    if name not in inspect(model).relationships:
        raise TypeError(
            f"{model.__name__} has no relationship {name}, and no operator follows {name}. "
            f"The operators are {', '.join(OPERATORS)}."
        )
    attribute: InstrumentedAttribute[Any] = getattr(model, name)
    return attribute


def fitting_operators(column: InstrumentedAttribute[Any], annotation: object) -> Sequence[str]:
    """Return the operators that compare *column* with values of *annotation* in a useful way.

    A choice of values has no order and no parts, a key no order, and a truth value no list.
    """
    kinds = {*_value_types(annotation)}
    chosen = isinstance(column.expression.type, EnumType) or _has_choices(annotation)
    nullable = bool(getattr(column.expression, "nullable", True))
    return [
        name
        for name, operator in OPERATORS.items()
        if (nullable if name == "isnull" else _is_useful(name, operator, kinds, chosen=chosen))
    ]


def _is_useful(name: str, operator: Operator, kinds: AbstractSet[type], *, chosen: bool) -> bool:
    if name in {"eq", "ne"}:
        return True
    if name == "in":
        return bool not in kinds
    return not (chosen or kinds & {bool, UUID}) and all(
        issubclass(kind, operator.kinds) for kind in kinds
    )


def _has_choices(annotation: Any) -> bool:
    """Return whether *annotation* lists its values."""
    annotation = getattr(annotation, "__supertype__", annotation)  # of a NewType
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return True
    is_literal = get_origin(annotation) is Literal
    return is_literal or any(map(_has_choices, get_args(annotation)))


def _check_annotation(
    column: InstrumentedAttribute[Any], operator: str, annotation: object
) -> None:
    if operator == "isnull":
        if {*_value_types(annotation)} != {bool}:
            raise TypeError(f"{column} with isnull is true or false: annotate it bool | None.")
        if has_json_null(column.expression):
            raise TypeError(
                f"{column} has the null of JSON, which is not NULL: declare the column "
                "JSON(none_as_null=True), or use JSONDocument."
            )
        return
    kind = UUID if holds_uuid_text(column.expression.type) else python_type(column)
    compared_type = Enum if isinstance(column.expression.type, EnumType) else kind
    if not issubclass(compared_type, OPERATORS[operator].kinds):
        raise TypeError(f"{column} is {kind.__name__}, which {operator} does not compare.")
    if (operator == "in") != _is_collection(annotation):
        raise TypeError(f"{column} with {operator}: annotate it OneOf[{kind.__name__}] | None.")
    if column_values(column.expression, str(column)).naive != is_naive_utc(annotation):
        wanted, found = ("datetime", "NaiveUTC")[:: 1 if is_naive_utc(annotation) else -1]
        raise TypeError(f"{column} is compared with {found}: annotate it {wanted} | None.")
    for value_type in _value_types(annotation):
        if not _is_comparable(value_type, kind):
            raise TypeError(
                f"{column} is {kind.__name__}, but is compared with {value_type.__name__}. "
                f"Compare it with {kind.__name__}."
            )


def _is_comparable(value_type: type, kind: type) -> bool:
    if value_type is bool or value_type is datetime:  # subclasses of int and of date
        return kind is value_type
    return issubclass(value_type, kind) or (value_type is int and kind in {float, Decimal})


def _value_types(annotation: Any) -> Iterator[type]:
    """Yield the types of the values that *annotation* admits, except None."""
    annotation = getattr(annotation, "__supertype__", annotation)  # of a NewType
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _value_types(arguments[0])
    elif origin is Literal:
        yield from (type(value) for value in arguments)
    elif origin in {Union, UnionType, tuple}:
        for member in arguments:
            if member not in {None, type(None), ...}:
                yield from _value_types(member)
    else:
        yield annotation


def _is_collection(annotation: Any) -> bool:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType, Annotated}:
        return any(_is_collection(member) for member in arguments)
    return origin is tuple
