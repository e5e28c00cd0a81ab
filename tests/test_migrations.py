"""Migrations with Alembic."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.util import CommandError

from brickwork.migrations import find_config, make_migration, upgrade

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
