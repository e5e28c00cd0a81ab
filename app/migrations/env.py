"""Alembic environment."""

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncEngine

import app.main  # noqa: F401  # pyright: ignore[reportUnusedImport] — its routers bring tables
from app import models
from app.settings import Settings
from brickwork import Database


def run(connection: Connection) -> None:
    """Run the migrations in one transaction, which excludes other processes."""
    context.configure(
        connection=connection,
        target_metadata=models.Model.metadata,
        render_as_batch=True,
        compare_type=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(4711)"))
        context.run_migrations()


async def main() -> None:
    """Connect to the given database, by default that of the settings, and migrate it."""
    url = context.config.attributes.get("database_url") or Settings().database_url
    # Not the engine of requests: SQLite alters a table by copying it, which foreign keys would
    # prevent, and a migration may take longer than a request.
    engine = Database(url).create_engine()
    if engine.dialect.name == "sqlite":
        _lock_before_changes(engine)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


def _lock_before_changes(engine: AsyncEngine) -> None:
    """Begin SQLite transactions explicitly, because Python begins none for DDL."""

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=models.Model.metadata)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(main())
