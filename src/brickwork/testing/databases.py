"""Databases for tests: made, emptied and dropped."""

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Collection, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from brickwork.database.availability import driver_error, sqlstate_of
from brickwork.database.database import Database
from brickwork.database.driver_internals import run_in_thread
from brickwork.database.urls import url_without_password

T = TypeVar("T")

ALEMBIC_TABLE: Final = "alembic_version"
"""The table of Alembic, which `empty_tables` keeps."""

_LOCK_TIMEOUT: Final = 5
"""Seconds that `empty_tables` waits for a transaction that a test has left open."""


class NoTestDatabase(Exception):
    """A database that tests cannot use. The text has the remedy."""


def sqlite_url(folder: Path) -> str:
    """Return the URL of a new SQLite file in *folder*."""
    return _text(URL.create("sqlite+aiosqlite", database=str(folder / "test.db")))


@contextmanager
def new_postgresql_database(server: str, worker: str) -> Generator[str]:
    """Create a database on *server* for *worker*, yield its URL, and drop it.

    Args:
        server: The URL of any database of the server, as `Database` takes it.
        worker: The name of the process, which becomes a part of the database's name.

    Raises:
        NoTestDatabase: The server cannot be reached, or the user may not create databases.

    """
    url = make_url(server)
    if url.get_backend_name() != "postgresql":
        raise NoTestDatabase(
            f"{url_without_password(url)} is no URL of PostgreSQL. Leave TEST_DATABASE_URL and "
            "--database-url out to test on SQLite, in a temporary file."
        )
    url = url if url.database else url.set(database="postgres")
    name = f"test_{worker}_{secrets.token_hex(4)}"
    _execute(url, f'CREATE DATABASE "{name}"')
    try:
        yield _text(url.set(database=name))
    finally:
        _execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _execute(url: URL, sql: str) -> None:
    """Execute *sql* outside a transaction, on a connection of its own."""

    async def execute() -> None:
        engine = Database(url).create_engine(isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                await connection.exec_driver_sql(sql)
        finally:
            await engine.dispose()

    try:
        _run(execute)
    except Exception as error:
        raise NoTestDatabase(_explain(url, error)) from error


def _run(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *call* in a thread, because a fixture may run in an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(call())).result()


def _explain(url: URL, error: Exception) -> str:
    """Return why tests cannot use the server of *url*, with the remedy."""
    cause = driver_error(error)
    name = url_without_password(url)
    if sqlstate_of(cause) == "42501":  # insufficient_privilege
        return (
            f"The user of {name} may not create databases, and each test process needs one. Run "
            f'ALTER ROLE "{url.username or "…"}" CREATEDB, or name another user in '
            "TEST_DATABASE_URL or --database-url."
        )
    return (
        f"No test database on {name}: {type(cause).__name__}: {cause}. Start the server, or "
        "correct TEST_DATABASE_URL or --database-url. Without them the tests run on SQLite."
    )


# --- Emptying -------------------------------------------------------------------------------------


async def empty_tables(database: Database, kept: Collection[str] = ()) -> None:
    """Delete all rows of *database*, and restart its generated keys.

    Args:
        database: The database. It has no open transaction.
        kept: The names of tables whose rows stay, with a schema (`tenant.plans`) or without.
            `alembic_version` always stays.

    Raises:
        NoTestDatabase: A transaction is open, or a kept table refers to an emptied one.

    """
    async with database.writer.connect() as connection:
        try:
            if connection.dialect.name == "postgresql":
                await _empty_postgresql(connection, {ALEMBIC_TABLE, *kept})
            else:
                await _empty_sqlite(connection, {ALEMBIC_TABLE, *kept})
        except (DBAPIError, sqlite3.Error) as error:
            cause = driver_error(error)
            raise NoTestDatabase(_EMPTYING.format(cause=cause)) from error


_EMPTYING: Final = (
    "The tables cannot be emptied before the test: {cause}. Has a test left a transaction open? "
    "Does a table of the fixture `kept_tables` refer to an emptied table? Keep both then."
)

_TRUNCATE: Final = """
DO $do$
DECLARE
  kept text[] := ARRAY[{kept}];
  used oid[] := '{{}}';
  candidate record;
  is_used boolean;
  names text;
BEGIN
  SET LOCAL lock_timeout = '{timeout}s';
  FOR candidate IN
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND c.relname <> ALL (kept) AND n.nspname || '.' || c.relname <> ALL (kept)
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
  LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', candidate.oid::regclass) INTO is_used;
    IF NOT is_used THEN
      SELECT EXISTS (
        SELECT FROM pg_depend d JOIN pg_sequence s ON s.seqrelid = d.objid
        WHERE d.refobjid = candidate.oid AND d.deptype IN ('a', 'i')
          AND pg_sequence_last_value(s.seqrelid) IS NOT NULL
      ) INTO is_used;
    END IF;
    IF is_used THEN used := used || candidate.oid; END IF;
  END LOOP;
  WITH RECURSIVE emptied AS (
    SELECT unnest(used) AS oid
    UNION
    SELECT f.conrelid FROM pg_constraint f JOIN emptied e ON e.oid = f.confrelid
    JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE f.contype = 'f' AND f.conparentid = 0
      AND c.relname <> ALL (kept) AND n.nspname || '.' || c.relname <> ALL (kept)
  )
  SELECT string_agg(oid::regclass::text, ', ') INTO names FROM emptied;
  IF names IS NOT NULL THEN
    EXECUTE 'TRUNCATE ' || names || ' RESTART IDENTITY';
  END IF;
END
$do$
"""
"""One statement, which truncates the used tables, and the empty ones that refer to them.

TRUNCATE rewrites the files of a table, so an empty table costs as much as a full one. A table
without rows is used, too, if it has generated a key.
"""


async def _empty_postgresql(connection: AsyncConnection, kept: Collection[str]) -> None:
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in sorted(kept))
    statement = _TRUNCATE.format(kept=names, timeout=_LOCK_TIMEOUT)
    await connection.exec_driver_sql(statement)
    await connection.commit()


async def _empty_sqlite(connection: AsyncConnection, kept: Collection[str]) -> None:
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await run_in_thread(driver, _empty_file, kept)


def _empty_file(connection: sqlite3.Connection, kept: Collection[str]) -> None:
    """Delete the rows in one transaction, without foreign keys: their order does not matter."""
    used = [
        f"DELETE FROM {_quoted(name)}"  # noqa: S608 — a name of the database itself
        for (name,) in connection.execute(_SQLITE_TABLES).fetchall()
        if name not in kept
        and connection.execute(f"SELECT EXISTS (SELECT 1 FROM {_quoted(name)})").fetchone()[0]  # noqa: S608
    ]
    if _has_sequences(connection):
        names = ", ".join("'" + name.replace("'", "''") + "'" for name in sorted(kept))
        condition = f"FROM sqlite_sequence WHERE name NOT IN ({names})"
        if connection.execute(f"SELECT EXISTS (SELECT 1 {condition})").fetchone()[0]:
            used.append(f"DELETE {condition}")
    if not used:
        return
    connection.execute("PRAGMA synchronous = OFF")  # nobody misses a lost test database
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        connection.execute("BEGIN IMMEDIATE")
        for statement in used:
            connection.execute(statement)
        connection.execute("COMMIT")
    finally:
        connection.rollback()
        connection.execute("PRAGMA foreign_keys = ON")


_SQLITE_TABLES: Final = """
SELECT name FROM pragma_table_list
WHERE schema = 'main' AND type = 'table' AND substr(name, 1, 7) <> 'sqlite_'
"""


def _has_sequences(connection: sqlite3.Connection) -> bool:
    """Return whether a table of the file has AUTOINCREMENT."""
    question = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence')"
    return bool(connection.execute(question).fetchone()[0])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
