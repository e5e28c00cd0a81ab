"""Migrations with Alembic, which the extra `cli` installs.

An `env.py` is one call, once the routers are imported, because they bring the companion tables:
`run_migrations(Model.metadata, Settings().database_url)`.
"""

import asyncio
from argparse import Namespace
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final

try:
    from alembic import command, context
except ModuleNotFoundError as error:
    package = str(error.name).partition(".")[0]
    remedy = f"brickwork.migrations needs {package}: pip install 'brickwork[cli]'"
    raise ModuleNotFoundError(remedy, name=package) from None
from alembic.config import Config
from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations.batch import ApplyBatchImpl
from alembic.operations.ops import MigrationScript
from alembic.runtime.environment import EnvironmentContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from brickwork.database.database import Database

__all__ = ["check", "find_config", "make_migration", "run_migrations", "upgrade"]

_LOCK: Final = text("SELECT pg_advisory_xact_lock(4711)")

_URL: Final = "database_url"  # the attribute of a configuration that replaces the settings


def run_migrations(metadata: MetaData, database_url: str) -> None:
    """Run the migrations that Alembic asks for: all that an `env.py` needs.

    The migrations are one transaction, which excludes other processes. They have no time limit.
    SQLite does not enforce foreign keys meanwhile, because it alters a table by copying it.

    Args:
        metadata: The tables of the application, to compare the database with.
        database_url: The URL of the database, unless the configuration of Alembic has one as
            `attributes["database_url"]`.

    """
    if context.is_offline_mode():
        # SQLite needs no script, and has none for a change: it copies the table.
        context.configure(dialect_name="postgresql", target_metadata=metadata)
        with context.begin_transaction():
            context.run_migrations()
    else:
        url = context.config.attributes.get(_URL) or database_url
        asyncio.run(_run_online(metadata, url))


class SQLiteOperations(SQLiteImpl):
    """Operations of Alembic on SQLite, which alter a table by copying it.

    Alembic would copy computed columns, such as `is_deleted`, too. SQLite rejects values for them.
    """

    __dialect__ = "sqlite"

    @override
    def prep_table_for_batch(self, batch_impl: ApplyBatchImpl, table: Table) -> None:
        super().prep_table_for_batch(batch_impl, table)
        for name, transfer in batch_impl.column_transfers.items():
            if batch_impl.columns[name].computed is not None:
                transfer.pop("expr", None)


def find_config(folder: Path) -> Config:
    """Return the configuration of Alembic in *folder*: its `alembic.ini` or `pyproject.toml`.

    Raises:
        FileNotFoundError: Neither file has the folder of the migrations.

    """
    ini, toml = folder / "alembic.ini", folder / "pyproject.toml"
    # The caller says what happened, and not Alembic.
    config = Config(ini if ini.exists() else None, toml_file=toml, cmd_opts=Namespace(quiet=True))
    if config.get_alembic_option("script_location") is None:
        raise FileNotFoundError(
            "Neither alembic.ini nor [tool.alembic] of pyproject.toml has a script_location in "
            f"{folder}: run the command in the folder of the project."
        )
    return config


def upgrade(folder: Path, database_url: str | None = None) -> Sequence[Script]:
    """Migrate a database to the newest revision, and return the migrations that ran.

    Args:
        folder: The folder with `alembic.ini` or `pyproject.toml`.
        database_url: The URL of the database. The default is the choice of `env.py`.

    """
    config = _configure(folder, database_url)
    before = _current_revisions(config)
    command.upgrade(config, "heads")
    scripts = ScriptDirectory.from_config(config)
    return [*scripts.iterate_revisions("heads", before or "base")][::-1]


def make_migration(folder: Path, message: str, database_url: str | None = None) -> Path | None:
    """Write a migration of the differences between the models and a database.

    Args:
        folder: The folder with `alembic.ini` or `pyproject.toml`.
        message: What the migration does. It is a part of the name of its file.
        database_url: The URL of a database that has every earlier migration. The default is the
            choice of `env.py`.

    Returns:
        The path of the migration. None if there is no difference.

    """

    def drop_empty(_: object, __: object, directives: list[MigrationScript]) -> None:
        if all(script.upgrade_ops and script.upgrade_ops.is_empty() for script in directives):
            directives.clear()

    config = _configure(folder, database_url)
    with redirect_stdout(StringIO()):  # Alembic tells which hooks it runs
        written = command.revision(
            config, message, autogenerate=True, process_revision_directives=drop_empty
        )
    return Path(written.path) if isinstance(written, Script) else None


def check(folder: Path, database_url: str | None = None) -> None:
    """Compare the models with a database, as a test does after `upgrade`.

    Args:
        folder: The folder with `alembic.ini` or `pyproject.toml`.
        database_url: The URL of a database that has every migration. The default is the choice of
            `env.py`.

    Raises:
        AutogenerateDiffsDetected: They differ. Its text names the differences.

    """
    command.check(_configure(folder, database_url))


def _configure(folder: Path, database_url: str | None) -> Config:
    config = find_config(folder)
    config.attributes[_URL] = database_url
    return config


def _current_revisions(config: Config) -> tuple[str, ...]:
    """Return the revisions that the database has."""
    found: tuple[str, ...] = ()

    def note(revisions: Any, _: object) -> list[Any]:
        nonlocal found
        found = tuple(revisions)
        return []

    scripts = ScriptDirectory.from_config(config)
    with EnvironmentContext(config, scripts, fn=note, dont_mutate=True):
        scripts.run_env()
    return found


async def _run_online(metadata: MetaData, url: str) -> None:
    # Not the engine of requests: SQLite alters a table by copying it, which foreign keys would
    # prevent, and a migration may take longer than a request.
    engine = Database(url).create_engine()
    if engine.dialect.name == "sqlite":
        _lock_before_changes(engine)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run_in_transaction, metadata)
    finally:
        await engine.dispose()


def _run_in_transaction(connection: Connection, metadata: MetaData) -> None:
    """Run the migrations in one transaction, which excludes other processes."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        compare_type=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(_LOCK)
        context.run_migrations()


def _lock_before_changes(engine: AsyncEngine) -> None:
    """Begin SQLite transactions explicitly, because Python begins none for DDL."""

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
