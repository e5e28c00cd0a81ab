"""Column types of SQLite that keep what PostgreSQL keeps."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import TIMESTAMP, DateTime, Dialect, Float, Numeric
from sqlalchemy.dialects import sqlite
from typing_extensions import override

from brickwork.models.numeric import quantize

_Process = Callable[[Any], Any]


class _ZonedDateTime(sqlite.DATETIME):
    """A datetime. With `timezone=True`, it is an instant in UTC, as asyncpg returns it."""

    @override
    def bind_processor(self, dialect: Dialect) -> _Process:
        write: _Process = super().bind_processor(dialect)
        if not self.timezone:
            return write

        def process(value: datetime | None) -> Any:
            return write(value.astimezone(UTC) if value is not None and value.tzinfo else value)

        return process

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> _Process:
        read: _Process = super().result_processor(dialect, coltype)
        if not self.timezone:
            return read

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
        if not self.asdecimal or self.scale is None:
            return super().result_processor(dialect, coltype)
        places = self.scale
        return lambda value: None if value is None else quantize(Decimal(repr(value)), places)


def keep_exact_types(dialect: Dialect) -> None:
    """Make *dialect*, of a SQLite engine, keep time zones and decimal places."""
    types: Any = dialect.colspecs
    zoned = dict.fromkeys((DateTime, TIMESTAMP), _ZonedDateTime)
    dialect.colspecs = {**types, **zoned, Numeric: _Decimal, Float: Float}
