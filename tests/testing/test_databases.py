"""Databases for tests, and what makes them unusable."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text

from brickwork import Database
from brickwork.testing.databases import (
    NoTestDatabase,
    empty_tables,
    new_postgresql_database,
    sqlite_url,
)
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio


def make(server: str) -> str:
    with new_postgresql_database(server, "gw0") as url:
        return url


async def execute(url: str, *statements: str) -> list[object]:
    """Execute *statements*, and return the rows of the last one."""
    database = Database(url)
    async with database.session() as session:
        for statement in statements[:-1]:
            await session.execute(text(statement))
        result: Any = await session.execute(text(statements[-1]))
        rows = [tuple(row) for row in result] if result.returns_rows else []
    await database.dispose()
    return [*rows]


async def empty(url: str, *kept: str) -> None:
    database = Database(url)
    try:
        await empty_tables(database, kept)
    finally:
        await database.dispose()


def test_a_database_has_the_name_of_its_process(postgres: Postgres) -> None:
    with new_postgresql_database(postgres.url, "gw3") as url:
        assert "/test_gw3_" in url
    with pytest.raises(NoTestDatabase, match="does not exist"):
        make(url)


def test_a_server_that_cannot_be_reached_is_named() -> None:
    expected = r"No test database on .*127\.0\.0\.1:1.*: .* Start the server, or correct"
    with pytest.raises(NoTestDatabase, match=expected) as raised:
        make("postgresql://ada:secret@127.0.0.1:1/shop")
    assert "secret" not in str(raised.value)


async def test_a_user_without_the_right_is_named(postgres: Postgres) -> None:
    role = "CREATE ROLE nobody_special LOGIN PASSWORD 'x'"
    await execute(postgres.url, "DROP ROLE IF EXISTS nobody_special", role)
    url = make_url(postgres.url).set(username="nobody_special", password="x")  # noqa: S106
    with pytest.raises(NoTestDatabase, match='ALTER ROLE "nobody_special" CREATEDB'):
        make(url.render_as_string(hide_password=False))
    await execute(postgres.url, "DROP ROLE nobody_special")


def test_another_database_is_refused() -> None:
    with pytest.raises(NoTestDatabase, match="no URL of PostgreSQL"):
        make("sqlite:///shop.db")


@pytest.mark.parametrize("name", ["plain", "a folder?", "50%"])
async def test_a_sqlite_file_may_be_anywhere(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    await execute(sqlite_url(folder), "CREATE TABLE things (id INTEGER)")
    assert (folder / "test.db").exists()


# --- Emptying -------------------------------------------------------------------------------------

CIRCLE = (
    'CREATE TABLE "or der" (id INTEGER PRIMARY KEY, line_id INTEGER)',
    'CREATE TABLE lines (id INTEGER PRIMARY KEY, order_id INTEGER REFERENCES "or der")',
    "CREATE TABLE unused (id INTEGER PRIMARY KEY, line_id INTEGER REFERENCES lines)",
    "CREATE TABLE it_s_kept (id INTEGER PRIMARY KEY)",
    'INSERT INTO "or der" VALUES (1, 1)',
    "INSERT INTO lines VALUES (1, 1)",
    "INSERT INTO it_s_kept VALUES (1)",
)

COUNT = """
SELECT (SELECT count(*) FROM "or der"),
  (SELECT count(*) FROM lines), (SELECT count(*) FROM it_s_kept)
"""


async def test_tables_are_emptied_but_those_that_are_kept(empty_url: str) -> None:
    await execute(empty_url, *CIRCLE)
    for _ in range(2):
        await empty(empty_url, "it_s_kept", "it's none")
        assert await execute(empty_url, COUNT) == [(0, 0, 1)]


async def test_a_database_without_tables_is_empty(empty_url: str) -> None:
    await empty(empty_url)


async def test_a_kept_table_must_not_refer_to_an_emptied_one(postgres: Postgres) -> None:
    with new_postgresql_database(postgres.url, "gw0") as url:
        await execute(url, *CIRCLE)
        with pytest.raises(NoTestDatabase, match="Keep both then"):
            await empty(url, "lines")
        await execute(url, "CREATE SCHEMA tenant", "CREATE TABLE tenant.plans AS SELECT 1 AS id")
        await empty(url, "tenant.plans")
        assert await execute(url, "SELECT id FROM tenant.plans") == [(1,)]
        await empty(url)
        assert await execute(url, "SELECT id FROM tenant.plans") == []


async def test_an_open_transaction_is_an_error(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    await execute(url, "CREATE TABLE things (id INTEGER)", "INSERT INTO things VALUES (1)")
    other = Database(url)
    async with other.writer.begin() as connection:
        await connection.execute(text("INSERT INTO things VALUES (2)"))
        with pytest.raises(NoTestDatabase, match="Has a test left a transaction open"):
            await empty(url)
    await other.dispose()
    await empty(url)
    assert await execute(url, "SELECT id FROM things") == []


async def test_the_keys_of_kept_tables_do_not_restart(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    tables = [
        f"CREATE TABLE {name} (id INTEGER PRIMARY KEY AUTOINCREMENT)" for name in ("kept", "other")
    ]
    await execute(url, *tables, "INSERT INTO kept VALUES (7)", "INSERT INTO other VALUES (7)")
    await empty(url, "kept")
    assert await execute(url, "SELECT name, seq FROM sqlite_sequence") == [("kept", 7)]


def test_the_library_imports_no_part_of_the_kit() -> None:
    code = "import brickwork, sys; print({'pytest', 'polyfactory', 'httpx2'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603
    assert run.stdout == "set()\n"
