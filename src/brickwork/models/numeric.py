"""Decimal columns that SQLite keeps exactly."""

import operator
from decimal import Context, Decimal
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Dialect, Integer, Numeric
from sqlalchemy.sql import operators
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine
from typing_extensions import override

MAX_PRECISION: Final = 18
"""The number of digits that SQLite's integers hold."""

EXACT: Final = Context(prec=1_000)
"""A context that never rounds values of columns."""


class ExactNumeric(TypeDecorator[Decimal]):
    """A decimal number with a fixed number of places: money, weights, rates.

    PostgreSQL stores NUMERIC. SQLite stores an integer of the smallest unit, so that it sorts,
    compares and adds numbers exactly.

    In SQL, multiply it by integers: `Line.price * Line.quantity`. Operators that would be wrong in
    units raise `TypeError`. SQL functions such as `avg` do not know the unit: give them a type,
    `type_coerce(func.avg(Line.price), ExactNumeric(18, 2))`.
    """

    impl = Numeric
    cache_ok = True

    def __init__(self, precision: int, scale: int) -> None:
        """Hold *precision* digits, of which *scale* are decimal places.

        Raises `ValueError` for more than 18 digits.
        """
        if not 0 <= scale <= precision <= MAX_PRECISION:
            raise ValueError(
                f"ExactNumeric({precision}, {scale}): use 0 ≤ scale ≤ precision ≤ {MAX_PRECISION}."
            )
        super().__init__(precision, scale)
        self.precision, self.scale = precision, scale

    @property
    @override
    def python_type(self) -> type[Decimal]:
        return Decimal

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(Numeric(self.precision, self.scale))

    @override
    def process_bind_param(self, value: Decimal | int | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        number = Decimal(value)
        if number.is_nan() and dialect.name != "sqlite":
            return number  # a cursor or a filter compares with a stored NaN
        if not has_places(number, self.scale):
            raise ValueError(f"{value} has more than {self.scale} decimal places: round it before.")
        return int(number.scaleb(self.scale, EXACT)) if dialect.name == "sqlite" else number

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        if dialect.name == "sqlite":  # an average is a float
            value = Decimal(repr(value)).scaleb(-self.scale, EXACT)
        return quantize(value, self.scale)

    @override
    def coerce_compared_value(self, op: Any, value: object) -> TypeEngine[Any]:
        """Multiply by a plain number, and compare with and add a number of the same unit."""
        return BigInteger() if op is operator.mul and isinstance(value, int) else self

    class Comparator(TypeDecorator.Comparator[Decimal], Numeric.Comparator[Decimal]):
        """Operators that have the same result in units of SQLite as in numbers of PostgreSQL."""

        @override
        def operate(self, op: OperatorType, *other: Any, **kwargs: Any) -> ColumnElement[Any]:
            _require_same_result(self.type, op, *other)
            return super().operate(op, *other, **kwargs)

        @override
        def reverse_operate(
            self, op: OperatorType, other: Any, **kwargs: Any
        ) -> ColumnElement[Any]:
            _require_same_result(self.type, op, other)
            return super().reverse_operate(op, other, **kwargs)

    comparator_factory: Any = Comparator


_SAME_UNIT: Final = (
    *(operator.add, operator.sub, operator.mod),
    *(operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge),
    *(operators.is_distinct_from, operators.is_not_distinct_from),
)
"""Operators whose right side is a number of the unit."""


def _require_same_result(kind: Any, op: OperatorType, *others: Any) -> None:
    """Raise `TypeError` for an operation that would be wrong in the integers of SQLite."""
    for other in others:
        own = getattr(other, "type", None)
        if isinstance(own, NullType) or other is None:
            continue
        if op.__name__ in {"mul", "truediv", "floordiv"}:
            is_whole = isinstance(other, int) if own is None else isinstance(own, Integer)
            if op is not operator.mul or not is_whole:
                raise TypeError(
                    f"{kind!r} can only be multiplied with integers in SQL: do other arithmetic in "
                    "Python."
                )
        is_number = isinstance(own, Integer | Numeric | ExactNumeric)
        has_same_unit = isinstance(own, ExactNumeric) and own.scale == kind.scale
        if op in _SAME_UNIT and is_number and not has_same_unit:
            raise TypeError(
                f"{kind!r} cannot be compared with or added to {own!r} in SQL, because SQLite "
                f"stores other units. Give both {kind.scale} decimal places."
            )


def has_places(value: Decimal, places: int) -> bool:
    """Return whether *value* is finite, and has at most *places* decimal places."""
    return value.is_finite() and value == quantize(value, places, "ROUND_DOWN")


def quantize(value: Decimal, places: int, rounding: str = "ROUND_HALF_EVEN") -> Decimal:
    """Return *value* with *places* decimal places. A zero has no sign, as in a database."""
    number = value.quantize(Decimal(1).scaleb(-places), rounding, EXACT)
    return number or number.copy_abs()
