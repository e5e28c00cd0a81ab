"""Filters: `views__gte` names a column, perhaps of a row referred to, and an operator."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Enum as EnumType,
    Integer,
    and_,
    bindparam,
    inspect,
    literal,
    not_,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, RelationshipProperty
from sqlalchemy.types import TypeEngine

from brickwork.database.text import comparable, contains, icontains, startswith
from brickwork.models.columns import column_values, has_json_null, require_comparable
from brickwork.models.soft_delete import soft_delete_conditions

Comparison = Callable[[ColumnElement[Any], Any], ColumnElement[bool]]
"""What an operator makes of a column and a value."""

_ORDERED_TYPES: Final = (str, int, float, UUID, datetime, date, time)
_SCALAR_TYPES: Final = (*_ORDERED_TYPES, bool, Enum)


@dataclass(frozen=True)
class Operator:
    """How an operator compares, and the types of columns it is for."""

    test: Comparison
    kinds: tuple[type, ...] = _SCALAR_TYPES


def _bind_value(column: ColumnElement[Any], value: Any) -> ColumnElement[Any]:
    return literal(value, _bind_type(column))


def _bind_values(column: ColumnElement[Any], values: Sequence[Any]) -> BindParameter[Any]:
    return bindparam(None, [*values], _bind_type(column), unique=True, expanding=True)


def _bind_type(column: ColumnElement[Any]) -> TypeEngine[Any]:
    """Return the type of values for *column*: an integer beyond it is larger, and no error."""
    return BigInteger() if isinstance(column.type, Integer) else column.type


def _comparison(compare: Callable[[Any, Any], ColumnElement[bool]]) -> Comparison:
    def test(column: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
        return compare(comparable(column), _bind_value(column, value))

    return test


OPERATORS: Final[Mapping[str, Operator]] = {
    "eq": Operator(lambda column, value: column == _bind_value(column, value)),
    "ne": Operator(lambda column, value: column.is_distinct_from(_bind_value(column, value))),
    "gt": Operator(_comparison(lambda column, value: column > value), _ORDERED_TYPES),
    "gte": Operator(_comparison(lambda column, value: column >= value), _ORDERED_TYPES),
    "lt": Operator(_comparison(lambda column, value: column < value), _ORDERED_TYPES),
    "lte": Operator(_comparison(lambda column, value: column <= value), _ORDERED_TYPES),
    "in": Operator(lambda column, value: column.in_(_bind_values(column, value))),
    "contains": Operator(contains, (str,)),
    "icontains": Operator(icontains, (str,)),
    "startswith": Operator(startswith, (str,)),
    "isnull": Operator(
        lambda column, value: column.is_(None) if value else column.is_not(None), (object,)
    ),
}
"""What may follow the name of a column; `eq` is what the name alone means."""


@dataclass(frozen=True)
class Filter:
    """One comparison: through the references of *path*, a column and an operator."""

    path: tuple[InstrumentedAttribute[Any], ...]
    column: InstrumentedAttribute[Any]
    operator: str = "eq"

    def condition(self, value: Any) -> ColumnElement[bool]:
        """Return what is true of the rows that *value* leaves."""
        if self.path and self.operator == "ne":  # a row that refers to none differs as well
            return not_(Filter(self.path, self.column).condition(value))
        found = OPERATORS[self.operator].test(self.column.expression, value)
        for reference in reversed(self.path):
            found = reference.has(
                and_(found, *soft_delete_conditions(reference.property.mapper.class_))
            )
        return found


def parse_filter(model: type[DeclarativeBase], name: str, annotation: object) -> Filter:
    """Return the filter that a field *name* of type *annotation* declares.

    Raises `TypeError` for a column or an operator that is not there, and for a type that does not
    fit them.
    """
    *references, last = name.split("__")
    operator = "eq"
    if references and last in OPERATORS:
        operator = last
        *references, last = references
    path: list[InstrumentedAttribute[Any]] = []
    for each in references:
        path.append(_to_one_attribute(model, each))
        model = path[-1].property.mapper.class_
    find = _hybrid_attribute if _is_hybrid(model, last) else filtered_column
    column = find(model, last)
    _check_annotation(column, operator, annotation)
    return Filter(tuple(path), column, operator)


def filtered_column(model: type[DeclarativeBase], name: str) -> InstrumentedAttribute[Any]:
    """Return the attribute *name* of *model*; raises `TypeError` for what is no column."""
    if name not in inspect(model).columns:
        if synonym := inspect(model).synonyms.get(name):
            return filtered_column(model, synonym.name)
        if _is_hybrid(model, name):
            raise TypeError(
                f"{model.__name__}.{name} is a hybrid: its value in Python may differ from that in "
                "SQL. Declare a column_property."
            )
        known = ", ".join(inspect(model).columns.keys())
        raise TypeError(f"{model.__name__} has no column {name}; it has {known}.")
    attribute: InstrumentedAttribute[Any] = getattr(model, name)
    return attribute


def _is_hybrid(model: type[DeclarativeBase], name: str) -> bool:
    return isinstance(inspect(model).all_orm_descriptors.get(name), hybrid_property)


def _hybrid_attribute(model: type[DeclarativeBase], name: str) -> InstrumentedAttribute[Any]:
    """Return the hybrid property *name* of *model*; raises `TypeError` if SQL has none of it."""
    try:
        attribute: InstrumentedAttribute[Any] = getattr(model, name)
    except Exception:  # noqa: BLE001 — its code was written for a row
        raise TypeError(
            f"{model.__name__}.{name} has no expression in SQL. Give it one: "
            f"@{name}.inplace.expression."
        ) from None
    return attribute


@cache
def python_type(column: InstrumentedAttribute[Any]) -> type:
    """Return the type of the values of *column*.

    Raises `TypeError` for one that cannot be compared alike on every database.
    """
    kind = column_values(column.expression, str(column)).kind
    require_comparable(column.expression, str(column))
    if not issubclass(kind, _SCALAR_TYPES):
        raise TypeError(
            f"{column} is of a type that cannot be compared: say in filter() what is to be found. "
            "(A TypeDecorator says with python_type what its values are.)"
        )
    return kind


def is_sortable(column: InstrumentedAttribute[Any]) -> bool:
    """Tell whether every database can sort *column*; an Enum is in another order on each."""
    is_enum = isinstance(column.expression.type, EnumType)
    return not is_enum and issubclass(python_type(column), _ORDERED_TYPES)


def _to_one_attribute(model: type[DeclarativeBase], name: str) -> InstrumentedAttribute[Any]:
    found: RelationshipProperty[Any] | None = inspect(model).relationships.get(name)
    if found is None or found.uselist:
        raise TypeError(
            f"{model.__name__} refers to one row by no relationship {name}, and {name} is followed "
            f"by no operator; operators are {', '.join(OPERATORS)}."
        )
    attribute: InstrumentedAttribute[Any] = getattr(model, name)
    return attribute


def _check_annotation(
    column: InstrumentedAttribute[Any], operator: str, annotation: object
) -> None:
    if operator == "isnull":
        if {*_value_types(annotation)} != {bool}:
            raise TypeError(f"{column} with isnull is a question: annotate it bool | None.")
        if has_json_null(column.expression):
            raise TypeError(
                f"{column} has the null of JSON, which is not NULL: declare the column "
                "JSON(none_as_null=True), or use JSONDocument."
            )
        return
    kind = python_type(column)
    compared = Enum if isinstance(column.expression.type, EnumType) else kind
    if not issubclass(compared, OPERATORS[operator].kinds):
        raise TypeError(f"{column} is {kind.__name__}, which {operator} does not compare.")
    if (operator == "in") != _is_collection(annotation):
        raise TypeError(f"{column} with {operator}: annotate it OneOf[{kind.__name__}] | None.")
    for leaf in _value_types(annotation):
        if not _is_comparable(leaf, kind):
            raise TypeError(f"{column} is {kind.__name__}, and is compared with {leaf.__name__}.")


def _is_comparable(leaf: type, kind: type) -> bool:
    if leaf is bool or leaf is datetime:  # which Python holds for an int and a date
        return kind is leaf
    return issubclass(leaf, kind) or (leaf is int and kind is float)


def _value_types(annotation: Any) -> Iterator[type]:
    """Yield the types of the values that *annotation* admits, None apart."""
    annotation = getattr(annotation, "__supertype__", annotation)  # of a NewType
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _value_types(arguments[0])
    elif origin is Literal:
        yield from (type(each) for each in arguments)
    elif origin in {Union, UnionType, tuple}:
        for each in arguments:
            if each not in {None, type(None), ...}:
                yield from _value_types(each)
    else:
        yield annotation


def _is_collection(annotation: Any) -> bool:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType, Annotated}:
        return any(_is_collection(each) for each in arguments)
    return origin is tuple
