"""Decimal columns that SQLite keeps exactly."""

from decimal import Context, Decimal
from typing import Any, Final

from sqlalchemy import BigInteger, Dialect, Numeric
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
        if not has_places(number := Decimal(value), self.scale):
            raise ValueError(f"{value} has more than {self.scale} decimal places: round it before.")
        return int(number.scaleb(self.scale, EXACT)) if dialect.name == "sqlite" else number

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return Decimal(value).scaleb(-self.scale, EXACT)
        return quantize(value, self.scale)

    @override
    def coerce_compared_value(self, op: Any, value: object) -> TypeEngine[Any]:
        """Multiply by a plain number, and compare with and add a number of the same unit."""
        if op.__name__ in {"mul", "truediv", "floordiv", "mod"} and isinstance(value, int):
            return BigInteger()
        return self


def has_places(value: Decimal, places: int) -> bool:
    """Return whether *value* is finite, and has at most *places* decimal places."""
    return value.is_finite() and value == quantize(value, places, "ROUND_DOWN")


def quantize(value: Decimal, places: int, rounding: str = "ROUND_HALF_EVEN") -> Decimal:
    """Return *value* with *places* decimal places. A zero has no sign, as in a database."""
    number = value.quantize(Decimal(1).scaleb(-places), rounding, EXACT)
    return number or number.copy_abs()
