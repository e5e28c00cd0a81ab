"""Column types of PostgreSQL that show what a client sent."""

from decimal import Decimal
from typing import Any

from sqlalchemy import Dialect, Numeric
from sqlalchemy.dialects.postgresql.asyncpg import AsyncpgNumeric
from typing_extensions import override

from brickwork.models.numeric import quantize


class _Decimal(AsyncpgNumeric):
    """A decimal number. asyncpg returns `1E+4` for 10000 of a column without places."""

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        parent: Any = super()
        read = parent.result_processor(dialect, coltype)
        return _to_whole if read is None and self.scale == 0 else read


def _to_whole(value: Decimal | None) -> Decimal | None:
    return quantize(value, 0) if value is not None and value.is_finite() else value


def keep_whole_numbers(dialect: Dialect) -> None:
    """Make *dialect*, of a PostgreSQL engine, return whole numbers without an exponent."""
    exact: Any = {Numeric: _Decimal}
    dialect.colspecs = {**dialect.colspecs, **exact}
