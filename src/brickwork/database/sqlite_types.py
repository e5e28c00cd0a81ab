"""Column types of SQLite that keep what PostgreSQL keeps."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import TIMESTAMP, DateTime, Dialect, Float, Numeric
from sqlalchemy.dialects import sqlite
from typing_extensions import override

from brickwork.models.numeric import quantize

_DEFAULT_PLACES: Final = 10
"""The decimal places of a column without a scale, as SQLAlchemy returns them."""


class _ZonedDateTime(sqlite.DATETIME):
    """A datetime. With `timezone=True`, it is an instant in UTC, as asyncpg returns it."""

    @override
    def bind_processor(self, dialect: Dialect) -> Any:
        write: Any = super().bind_processor(dialect)

        def process(value: datetime | None) -> Any:
            return write(value.astimezone(UTC) if value is not None and value.tzinfo else value)

        return process if self.timezone else write

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        read: Any = super().result_processor(dialect, coltype)

        def process(value: Any) -> datetime | None:
            instant: datetime | None = read(value)
            return None if instant is None else instant.replace(tzinfo=UTC)

        return process if self.timezone else read


class _Decimal(Numeric[Decimal]):
    """A decimal number of at most 15 digits, which a double stores without loss."""

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        places = _DEFAULT_PLACES if self.scale is None else self.scale

        def process(value: float | None) -> Decimal | None:
            return None if value is None else quantize(Decimal(repr(value)), places)

        return process if self.asdecimal else None


def keep_exact_types(dialect: Dialect) -> None:
    """Make *dialect*, of a SQLite engine, keep time zones and decimal places."""
    exact: Any = {
        DateTime: _ZonedDateTime,
        TIMESTAMP: _ZonedDateTime,
        Numeric: _Decimal,
        Float: Float,
    }
    dialect.colspecs = {**dialect.colspecs, **exact}
