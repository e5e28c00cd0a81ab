"""Decimal columns that SQLite keeps exactly."""

from decimal import Context, Decimal
from typing import Any, Final

from sqlalchemy import BigInteger, Dialect, Integer, Numeric
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator, TypeEngine
from typing_extensions import override

MAX_PRECISION: Final = 18
"""The number of digits that SQLite's integers hold."""

EXACT: Final = Context(prec=1_000)
"""A context that never rounds values of columns."""


class ExactNumeric(TypeDecorator[Decimal]):
    """A decimal number with a fixed number of places: money, weights, rates.

    PostgreSQL stores NUMERIC. SQLite stores an integer of the smallest unit, so that it sorts,
    compares and adds numbers exactly.

    In SQL, multiply it by integers: `Line.price * Line.quantity`. A product or a quotient of two
    decimal numbers raises `TypeError`. SQL functions such as `avg` do not know the unit: give them
    a type, `type_coerce(func.avg(Line.price), ExactNumeric(18, 2))`.
    """

    impl = Numeric
    cache_ok = True

    class Comparator(TypeDecorator.Comparator[Decimal]):
        """Operators that have the same result on both databases."""

        @override
        def operate(self, op: Any, *other: Any, **options: Any) -> Any:
            _require_integers(op, *other)
            return super().operate(op, *other, **options)

        @override
        def reverse_operate(self, op: Any, other: Any, **options: Any) -> Any:
            _require_integers(op, other)
            return super().reverse_operate(op, other, **options)

    comparator_factory = Comparator  # pyright: ignore[reportAssignmentType]

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
        if not has_places(number := Decimal(value), self.scale):
            raise ValueError(f"{value} has more than {self.scale} decimal places: round it before.")
        return int(number.scaleb(self.scale, EXACT)) if dialect.name == "sqlite" else number

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        if dialect.name == "sqlite":  # a quotient is a float
            value = Decimal(repr(value)).scaleb(-self.scale, EXACT)
        return quantize(value, self.scale)

    @override
    def coerce_compared_value(self, op: Any, value: object) -> TypeEngine[Any]:
        """Return the type of *value*: a plain integer as a factor, or else the same unit."""
        return BigInteger() if op in _FACTORS and isinstance(value, int) else self


_FACTORS: Final = {operators.mul, operators.truediv, operators.floordiv}
"""Operators whose other side has no unit."""


def _require_integers(op: Any, *others: Any) -> None:
    """Raise `TypeError` if *op* multiplies or divides by something other than an integer."""
    for other in others if op in {*_FACTORS, operators.mod} else ():
        kind = getattr(other, "type", None)
        if not (isinstance(other, int) or isinstance(kind, Integer)):
            raise TypeError(
                "SQLite has no product or quotient of decimal numbers. Multiply an ExactNumeric by "
                "an integer, or compute it in Python."
            )


def has_places(value: Decimal, places: int) -> bool:
    """Return whether *value* is finite, and has at most *places* decimal places."""
    return value.is_finite() and value == quantize(value, places, "ROUND_DOWN")


def quantize(value: Decimal, places: int, rounding: str = "ROUND_HALF_EVEN") -> Decimal:
    """Return *value* with *places* decimal places. A zero has no sign, as in a database."""
    number = value.quantize(Decimal(1).scaleb(-places), rounding, EXACT)
    return number or number.copy_abs()
