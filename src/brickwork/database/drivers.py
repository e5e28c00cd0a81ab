"""The drivers that are installed, and their errors."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING or find_spec("asyncpg"):
    from asyncpg import (
        CannotConnectNowError,
        Connection,
        InterfaceError,
        InternalClientError,
        InvalidCachedStatementError,
        OutdatedSchemaCacheError,
        PostgresError,
        TargetServerAttributeNotMatched,
        connect as connect_postgresql,
    )
    from asyncpg.exceptions import DataError
else:

    class PostgresError(Exception):
        """An error that nobody raises."""

    CannotConnectNowError = DataError = InterfaceError = InternalClientError = PostgresError
    InvalidCachedStatementError = OutdatedSchemaCacheError = PostgresError
    TargetServerAttributeNotMatched = PostgresError
    Connection = object
    connect_postgresql = None

if TYPE_CHECKING or find_spec("aiosqlite"):
    from aiosqlite import Connection as SQLiteConnection, connect as connect_sqlite
else:
    SQLiteConnection = object
    connect_sqlite = None

__all__ = [
    "CannotConnectNowError",
    "Connection",
    "DataError",
    "InterfaceError",
    "InternalClientError",
    "InvalidCachedStatementError",
    "OutdatedSchemaCacheError",
    "PostgresError",
    "SQLiteConnection",
    "TargetServerAttributeNotMatched",
    "connect_postgresql",
    "connect_sqlite",
    "require_driver",
]

_EXTRAS: Final = {"postgresql": ("asyncpg", "PostgreSQL"), "sqlite": ("aiosqlite", "SQLite")}


def require_driver(extra: str) -> None:
    """Raise `ModuleNotFoundError` if the driver of *extra*, `sqlite` or `postgresql`, is absent."""
    package, name = _EXTRAS[extra]
    if find_spec(package) is None:
        raise ModuleNotFoundError(
            f"{name} needs {package}: pip install 'brickwork[{extra}]'", name=package
        )
