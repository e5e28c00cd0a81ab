"""Migrations with Alembic."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.util import CommandError
from sqlalchemy import text

from brickwork import Database
from brickwork.migrations import check, find_config, make_migration, upgrade

ROOT = Path(__file__).parents[1]

ENV = """
from sqlalchemy import Column, Integer, MetaData, Table

from brickwork import Model
from brickwork.migrations import run_migrations

metadata = MetaData(naming_convention=Model.metadata.naming_convention)
Table("things", metadata, Column("id", Integer, primary_key=True))
run_migrations(metadata, "sqlite:///nowhere/default.db")
"""

SCRIPT = (ROOT / "app/migrations/script.py.mako").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a project without migrations."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.alembic]\nscript_location = "%(here)s/migrations"\n'
    )
    (tmp_path / "migrations/versions").mkdir(parents=True)
    (tmp_path / "migrations/env.py").write_text(ENV)
    (tmp_path / "migrations/script.py.mako").write_text(SCRIPT)
    return tmp_path


def add_column(folder: Path) -> None:
    """Add a column to the table of the project."""
    env = folder / "migrations/env.py"
    key = 'Column("id", Integer, primary_key=True)'
    env.write_text(env.read_text().replace(key, f'{key}, Column("price", Integer)'))


def test_a_migration_has_the_differences_and_runs_once(folder: Path, empty_url: str) -> None:
    first = make_migration(folder, "first", empty_url)
    assert first is not None
    assert "create_table" in first.read_text()
    (ran,) = upgrade(folder, empty_url)
    assert Path(ran.path) == first

    add_column(folder)
    second = make_migration(folder, "add price", empty_url)
    assert second is not None
    assert second.name.endswith("_add_price.py")
    assert [Path(script.path) for script in upgrade(folder, empty_url)] == [second]
    assert upgrade(folder, empty_url) == []


def test_a_database_without_migrations_runs_all_of_them_in_order(
    folder: Path, empty_url: str, tmp_path: Path
) -> None:
    scratch = f"sqlite:///{tmp_path}/scratch.db"
    make_migration(folder, "first", scratch)
    upgrade(folder, scratch)
    add_column(folder)
    make_migration(folder, "second", scratch)
    assert [script.doc for script in upgrade(folder, empty_url)] == ["first.", "second."]


def test_no_difference_writes_no_migration(folder: Path, empty_url: str) -> None:
    make_migration(folder, "first", empty_url)
    upgrade(folder, empty_url)
    files = [*folder.rglob("*.py")]
    assert make_migration(folder, "nothing", empty_url) is None
    assert [*folder.rglob("*.py")] == files


def test_a_database_that_lacks_a_migration_is_not_compared(folder: Path, empty_url: str) -> None:
    make_migration(folder, "first", empty_url)
    with pytest.raises(CommandError, match="not up to date"):
        make_migration(folder, "second", empty_url)


def test_alembic_ini_has_the_folder_of_the_migrations(folder: Path, empty_url: str) -> None:
    (folder / "pyproject.toml").unlink()
    (folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    make_migration(folder, "first", empty_url)
    assert [script.doc for script in upgrade(folder, empty_url)] == ["first."]


def test_a_folder_without_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has a script_location in .*: run the command"):
        find_config(tmp_path)


def test_a_script_of_sql_needs_no_database(folder: Path, empty_url: str) -> None:
    make_migration(folder, "first", empty_url)
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head", "--sql"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "CREATE TABLE things" in done.stdout


def test_the_library_does_not_import_alembic() -> None:
    code = "import sys, brickwork; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 — ours


SOFT = """
from sqlalchemy import *

from brickwork import ExactNumeric, Model
from brickwork.migrations import run_migrations

metadata = MetaData(naming_convention=Model.metadata.naming_convention)
things = Table(
    "things",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(10), nullable=False),
    Column("price", ExactNumeric(10, 2), nullable=False),
    Column("deleted_at", DateTime),
    Column("is_deleted", Boolean, Computed("deleted_at IS NOT NULL", persisted=True)),
)
run_migrations(metadata, "sqlite:///nowhere/default.db")
"""

PART = """
Index("uq_things_id_is_deleted", things.c.id, things.c.is_deleted, unique=True)
Table(
    "parts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("thing_id", Integer),
    Column("thing_is_deleted", Boolean),
    ForeignKeyConstraint(["thing_id", "thing_is_deleted"], ["things.id", "things.is_deleted"]),
)
run_migrations("""


def test_a_table_with_soft_delete_can_be_altered(folder: Path, empty_url: str) -> None:
    env = folder / "migrations/env.py"
    env.write_text(SOFT)
    make_migration(folder, "first", empty_url)
    upgrade(folder, empty_url)
    check(folder, empty_url)  # a decimal is an integer on SQLite
    execute(empty_url, "INSERT INTO things (id, name, price) VALUES (1, 'a', 5)")

    env.write_text(SOFT.replace("String(10)", "String(20)"))
    make_migration(folder, "longer names", empty_url)
    upgrade(folder, empty_url)
    check(folder, empty_url)
    execute(empty_url, "UPDATE things SET deleted_at = CURRENT_TIMESTAMP WHERE NOT is_deleted")


def test_the_target_of_a_key_is_changed_first(folder: Path, empty_url: str) -> None:
    env = folder / "migrations/env.py"
    env.write_text(SOFT)
    make_migration(folder, "first", empty_url)
    upgrade(folder, empty_url)
    env.write_text(SOFT.replace("run_migrations(metadata", PART.lstrip() + "metadata"))
    make_migration(folder, "parts", empty_url)
    upgrade(folder, empty_url)
    check(folder, empty_url)


def test_a_difference_is_an_error(folder: Path, empty_url: str) -> None:
    make_migration(folder, "first", empty_url)
    upgrade(folder, empty_url)
    add_column(folder)
    with pytest.raises(CommandError, match="price"):
        check(folder, empty_url)


def execute(url: str, statement: str) -> None:
    """Execute *statement*, which changes one row."""

    async def execute() -> None:
        database = Database(url)
        async with database.lifespan(None), database.session() as session:
            done: Any = await session.execute(text(statement))
            assert done.rowcount == 1

    asyncio.run(execute())
