"""Databases with the tables of some models, made once a worker and emptied for each test."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

from sqlalchemy import MetaData, delete, insert, text

from brickwork import Database, Model
from tests.support.databases import Databases
from tests.support.waiting import DEADLINE

Rows: TypeAlias = Mapping[type[Model], Sequence[Mapping[str, Any]]]
"""Rows by their model, those first to which others refer."""


async def remove_rows(database: Database, metadata: MetaData) -> None:
    """Remove every row of the tables of *metadata*; keys begin at 1 again."""
    tables = [*reversed(metadata.sorted_tables)]
    async with database.writer.begin() as connection:
        if connection.dialect.name == "postgresql":  # whose DELETE leaves the files as long
            names = ", ".join(table.name for table in tables)
            # An error, where a test has left a transaction open.
            await connection.execute(text(f"SET LOCAL lock_timeout = '{DEADLINE}s'"))
            await connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
        else:
            for table in tables:
                await connection.execute(delete(table))
            if any(table.dialect_options["sqlite"]["autoincrement"] for table in tables):
                await connection.execute(text("DELETE FROM sqlite_sequence"))


async def insert_rows(database: Database, rows: Rows) -> None:
    """Insert *rows*, those of one model with the same columns."""
    async with database.session() as session:
        for model, values in rows.items():
            await session.execute(insert(model), [dict(each) for each in values])


class Tables:
    """Makes a database for each set of tables that a test asks for, and keeps it."""

    def __init__(self, databases: Databases, stack: AsyncExitStack) -> None:
        """Make nothing yet; the connections are closed with *stack*."""
        self._databases = databases
        self._stack = stack
        self._made: dict[tuple[str, MetaData], Database] = {}
        self._tables: dict[Database, int] = {}

    async def of(self, metadata: MetaData, backend: str, rows: Rows | None = None) -> str:
        """Return the URL of a database with the tables of *metadata*, which have *rows* alone."""
        if (backend, metadata) not in self._made:
            self._made[backend, metadata] = Database(self._databases.empty(backend))
            self._stack.push_async_callback(self._made[backend, metadata].dispose)
        database = self._made[backend, metadata]
        if self._tables.get(database) != len(metadata.tables):  # a router adds its own
            await database.create_all(metadata)
            self._tables[database] = len(metadata.tables)
        await remove_rows(database, metadata)
        await insert_rows(database, rows or {})
        return database.url.render_as_string(hide_password=False)
