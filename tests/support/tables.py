"""Databases with the tables of some models."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

from sqlalchemy import MetaData, delete, insert, text

from brickwork import Database, Model
from tests.support.databases import Databases
from tests.support.waiting import DEADLINE

Rows: TypeAlias = Mapping[type[Model], Sequence[Mapping[str, Any]]]
"""Rows by their model; models precede those that refer to them."""


async def remove_rows(database: Database, metadata: MetaData) -> None:
    """Delete every row of the tables of *metadata*, and restart keys at 1."""
    tables = [*reversed(metadata.sorted_tables)]
    async with database.writer.begin() as connection:
        if connection.dialect.name == "postgresql":  # a DELETE would not shrink its files
            names = ", ".join(table.name for table in tables)
            # It fails if a test has left a transaction open.
            await connection.execute(text(f"SET LOCAL lock_timeout = '{DEADLINE}s'"))
            await connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
        else:
            for table in tables:
                await connection.execute(delete(table))
            if any(table.dialect_options["sqlite"]["autoincrement"] for table in tables):
                await connection.execute(text("DELETE FROM sqlite_sequence"))


async def insert_rows(database: Database, rows: Rows) -> None:
    """Insert *rows*, with the same columns for all rows of a model."""
    async with database.session() as session:
        for model, values in rows.items():
            await session.execute(insert(model), [dict(row) for row in values])


class Tables:
    """A cache of databases by their tables, emptied for each test."""

    def __init__(self, databases: Databases, stack: AsyncExitStack) -> None:
        """Make nothing yet; *stack* closes the connections."""
        self._databases = databases
        self._stack = stack
        self._made: dict[tuple[str, MetaData], Database] = {}
        self._tables: dict[Database, int] = {}

    async def of(self, metadata: MetaData, backend: str, rows: Rows | None = None) -> str:
        """Return the URL of a database with the tables of *metadata* and only these *rows*."""
        if (backend, metadata) not in self._made:
            self._made[backend, metadata] = Database(self._databases.empty(backend))
            self._stack.push_async_callback(self._made[backend, metadata].dispose)
        database = self._made[backend, metadata]
        if self._tables.get(database) != len(metadata.tables):  # a router adds companion tables
            await database.create_all(metadata)
            self._tables[database] = len(metadata.tables)
        await remove_rows(database, metadata)
        await insert_rows(database, rows or {})
        return database.url.render_as_string(hide_password=False)
