"""`python -m brickwork.scaffold.new_migration PACKAGE MESSAGE` writes a migration.

It compares the models with a scratch database, which it migrates first. The database of the project
stays as it is, and need not have every migration.
"""

import asyncio
import importlib
import secrets
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic.util.exc import CommandError
from pydantic import ValidationError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError

from brickwork.database.database import Database
from brickwork.migrations import find_config, make_migration, upgrade
from brickwork.scaffold.errors import EXIT_FAILURE, file_text, settings_text
from brickwork.scaffold.interrupts import interruptible


def main() -> None:
    """Write the migration and print its path. Exit with one line if the database fails.

    The last line is empty if there is nothing to migrate. A signal drops the scratch database.
    """
    package, message = sys.argv[1:]
    try:
        with interruptible():
            _write_migration(package, message)
    except KeyboardInterrupt:
        sys.exit("Interrupted.")


def _write_migration(package: str, message: str) -> None:
    try:
        find_config(Path.cwd())
        settings = importlib.import_module(f"{package}.settings").Settings()
    except FileNotFoundError as error:
        sys.exit(str(error))
    except ValidationError as error:
        sys.exit(settings_text(error))
    try:
        with _scratch_database(settings.database_url) as url:
            _upgrade(url)
            path = make_migration(Path.cwd(), message, url)
        sys.stdout.write(f"\n{path or ''}\n")
    except CommandError as error:
        sys.exit(str(error))
    except (OSError, DBAPIError) as error:
        if isinstance(error, OSError) and (text := file_text(error, Path.cwd())):
            sys.exit(text)
        cause = error.orig if isinstance(error, DBAPIError) else error
        sys.stderr.write(f"{cause}\n")
        sys.exit(EXIT_FAILURE)


def _upgrade(url: str) -> None:
    """Run the earlier migrations. Exit if one of them fails."""
    try:
        upgrade(Path.cwd(), url)
    except DBAPIError as error:
        if error.statement is None:
            raise
        sys.exit(f"An earlier migration fails on a new database: {error.orig}")


@contextmanager
def _scratch_database(url: str) -> Generator[str]:
    """Yield the URL of a new database of the same kind as *url*, and remove it."""
    target = Database(url).url
    if target.get_backend_name() == "sqlite":
        with TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/scratch.db"
        return
    name = f"brickwork_scratch_{secrets.token_hex(4)}"
    given = make_url(url)
    with ExitStack() as stack:
        stack.callback(_execute, given, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        try:
            _execute(given, f'CREATE DATABASE "{name}"')
        except Exception:
            stack.pop_all()  # there is none, unless a signal interrupts the creation
            raise
        yield given.set(database=name).render_as_string(hide_password=False)


def _execute(url: URL, sql: str) -> None:
    """Execute *sql* outside a transaction."""

    async def execute() -> None:
        engine = Database(url).create_engine(isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                await connection.exec_driver_sql(sql)
        finally:
            await engine.dispose()

    asyncio.run(execute())


if __name__ == "__main__":
    main()
