"""Column types of SQLite that keep what PostgreSQL keeps."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import TIMESTAMP, DateTime, Dialect, Float, Numeric
from sqlalchemy.dialects import sqlite
from typing_extensions import override

from brickwork.models.numeric import quantize

_Process = Callable[[Any], Any]


class _ZonedDateTime(sqlite.DATETIME):
    """A datetime. With `timezone=True`, it is an instant in UTC, as asyncpg returns it."""

    @override
    def bind_processor(self, dialect: Dialect) -> _Process:
        write: Any = super().bind_processor(dialect)
        if not self.timezone:
            return cast("_Process", write)

        def process(value: datetime | None) -> Any:
            return write(value.astimezone(UTC) if value is not None and value.tzinfo else value)

        return process

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> _Process:
        read: Any = super().result_processor(dialect, coltype)
        if not self.timezone:
            return cast("_Process", read)

        def process(value: Any) -> datetime | None:
            instant: datetime | None = read(value)
            return None if instant is None else instant.replace(tzinfo=UTC)

        return process


class _Decimal(Numeric[Decimal]):
    """A decimal number of at most 15 digits, which a double stores without loss."""

    @override
    def bind_processor(self, dialect: Dialect) -> _Process:
        return lambda value: None if value is None else float(value)

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> _Process | None:
        if not self.asdecimal:
            return None
        places = self._default_decimal_return_scale if self.scale is None else self.scale
        return lambda value: None if value is None else quantize(Decimal(repr(value)), places)


def keep_exact_types(dialect: Dialect) -> None:
    """Make *dialect*, of a SQLite engine, keep time zones and decimal places."""
    exact: Any = {
        DateTime: _ZonedDateTime, TIMESTAMP: _ZonedDateTime,
        Numeric: _Decimal, Float: Float,
    }
    dialect.colspecs = {**dialect.colspecs, **exact}
