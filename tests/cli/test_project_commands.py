"""The commands for projects: output and exit statuses."""

import builtins
import importlib.util
import signal
import sys
from collections.abc import Callable
from errno import ENOENT
from pathlib import Path
from typing import Any

import pytest
from alembic import command

from brickwork.__main__ import main
from brickwork.scaffold import rendering, resources
from brickwork.scaffold.project_lock import locked_project

Run = Callable[..., int]

ENV = """
from sqlalchemy import Column, Integer, MetaData, Table

from brickwork.migrations import run_migrations

metadata = MetaData()
Table("things", metadata, Column("id", Integer, primary_key=True))
run_migrations(metadata, "sqlite:///things.db")
"""
TEMPLATE = Path(__file__).parents[2] / "app/migrations/script.py.mako"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return a function that runs a command in an empty folder and returns its exit status."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["brickwork", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code

    return run


@pytest.fixture
def migrations(run: Run, tmp_path: Path) -> Run:
    """Make migrations of one table."""
    (tmp_path / "pyproject.toml").write_text('[tool.alembic]\nscript_location = "migrations"\n')
    (tmp_path / "migrations/versions").mkdir(parents=True)
    (tmp_path / "migrations/env.py").write_text(ENV)
    (tmp_path / "migrations/script.py.mako").write_text(TEMPLATE.read_text())
    return run


def test_new_makes_a_project_and_says_how_to_go_on(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("new", "my-shop", "--database", "postgresql", "--folder", "here") == 0
    made, enter, *_ = capsys.readouterr().out.splitlines()
    assert (made, enter.strip()) == ("Made here, with the package my_shop. Go on:", "cd here")
    assert "postgresql+asyncpg://" in (tmp_path / "here/my_shop/settings.py").read_text()


def test_resource_lists_the_files(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run("new", "shop")
    monkeypatch.chdir(tmp_path / "shop")
    capsys.readouterr()
    options = ("--soft-delete", "--versioned", "--audited", "--no-timestamps", "--no-migration")
    assert run("resource", "Good", "name:str", "--plural", "goods", *options) == 0
    assert capsys.readouterr().out.splitlines() == [
        *("wrote   shop/goods/__init__.py", "wrote   shop/goods/models.py"),
        *("wrote   shop/goods/schemas.py", "wrote   shop/goods/endpoints.py"),
        *("wrote   tests/test_goods.py", "changed shop/routers.py"),
        'Write the migration: brickwork migrate --make "add goods".',
    ]
    model = (tmp_path / "shop/shop/goods/models.py").read_text()
    assert "class Good(Entity, Versioned, SoftDelete, Audited):" in model


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("new", "My Shop"), "'My Shop' is not a name of a project"),
        (("resource", "Product", "name:str"), "There is no project in"),
        (("schemas", "app.models"), "is not the name of a model: write MODULE:MODEL"),
        (("schemas", "nowhere:Product"), "There is no module nowhere"),
        (("schemas", "app.main:create_app"), "app.main:create_app is not a mapped class"),
        (("schemas", "tests.support.atlas:Stray"), "Stray.other_id has the type of elsewhere.id"),
        (("migrate",), "has a script_location in"),
        (("migrate", "--make", "add price"), "has a script_location in"),
    ],
)
def test_an_impossible_request_is_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], error: str
) -> None:
    assert run(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert error in line


def test_schemas_are_printed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schemas", "app.articles.models:Article") == 0
    assert "class ArticleQuery(ListQuery[Article]):" in capsys.readouterr().out


def test_migrate_writes_and_runs_migrations(
    migrations: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert migrations("migrate", "--make", "first") == 0
    (script,) = tmp_path.glob("migrations/versions/*.py")
    assert capsys.readouterr().out.splitlines() == [
        f"wrote migrations/versions/{script.name}",
        "Read it, and run brickwork migrate.",
    ]
    assert migrations("migrate", "--make", "second") == 2
    assert capsys.readouterr().err == (
        "The database lacks a migration: run brickwork migrate first.\n"
    )
    assert migrations("migrate") == 0
    assert capsys.readouterr().out == f"ran {script.name}\n1 migration ran.\n"
    assert migrations("migrate") == 0
    assert capsys.readouterr().out == "The database has every migration.\n"
    assert migrations("migrate", "--make", "second") == 0
    assert capsys.readouterr().out == "No changes: the models are as the database is.\n"
    assert migrations("migrate", "--make", " ") == 2


def test_a_database_that_cannot_be_reached_is_one_line(
    migrations: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert migrations("migrate", "--database-url", "postgresql://localhost:1/x") == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error of the database: ")
    assert line.endswith("Start or create the database, or correct its URL.")


def test_a_file_that_cannot_be_written_is_one_line(
    migrations: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "migrations/versions").rmdir()
    (tmp_path / "migrations/versions").touch()
    assert migrations("migrate", "--make", "first") == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path}/migrations/versions/")
    assert line.endswith(": Not a directory.")


def test_a_missing_socket_is_an_error_of_the_database(
    migrations: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise FileNotFoundError(ENOENT, "No such file or directory")

    migrations("migrate", "--make", "first")
    monkeypatch.setattr(command, "upgrade", fail)
    assert migrations("migrate") == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error of the database: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_one_line(
    migrations: Run,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    def interrupt(*_: object) -> None:
        signal.raise_signal(number)

    migrations("migrate", "--make", "first")
    monkeypatch.setattr(command, "upgrade", interrupt)
    assert migrations("migrate") == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_one_command_at_a_time_writes_migrations(
    migrations: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with locked_project(tmp_path):
        assert migrations("migrate", "--make", "first") == 2
    assert capsys.readouterr().err == (
        "Another brickwork command changes this project. Repeat the command when it has ended.\n"
    )
    assert not [*tmp_path.glob("migrations/versions/*.py")]


def test_a_resource_without_a_new_migration_says_so(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def write(*_: object) -> None:
        """Find no difference."""

    assert run("new", "shop") == 0
    monkeypatch.chdir(tmp_path / "shop")
    monkeypatch.setattr(resources, "write_migration", write)
    assert run("resource", "Product", "name:str") == 0
    *_, line = capsys.readouterr().out.splitlines()
    assert line == "Wrote no migration: the earlier ones make the table. Run brickwork migrate."


def test_an_unknown_revision_is_one_line(
    migrations: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    migrations("migrate", "--make", "first")
    migrations("migrate")
    (script,) = tmp_path.glob("migrations/versions/*.py")
    script.unlink()
    capsys.readouterr()
    assert migrations("migrate") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Can't locate revision identified by")


def test_invalid_settings_are_one_line(
    migrations: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    env = "from app.settings import Settings\nSettings(port='many')\n"
    (tmp_path / "migrations/env.py").write_text(env)
    assert migrations("migrate") == 2
    assert capsys.readouterr().err.startswith("PORT: Input should be a valid integer")


@pytest.mark.parametrize("error", [RuntimeError("broken"), ModuleNotFoundError(name="nowhere")])
def test_an_error_of_the_application_has_its_traceback(
    migrations: Run,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def fail(*_: object) -> None:
        raise error

    migrations("migrate", "--make", "first")
    monkeypatch.setattr(command, "upgrade", fail)
    assert migrations("migrate") == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("jinja2", ("new", "shop")),
        ("ruff", ("new", "shop")),
        ("inflect", ("resource", "Product", "name:str")),
        ("alembic", ("migrate",)),
    ],
)
def test_a_missing_tool_names_the_extra(  # noqa: PLR0913, PLR0917 — fixtures
    run: Run,
    tool: str,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    if arguments[0] == "resource":
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop/routers.py").touch()
        (tmp_path / "shop/settings.py").touch()
    load, find = builtins.__import__, importlib.util.find_spec

    def fail(name: str, *others: Any) -> Any:
        if name.partition(".")[0] == tool:
            raise ModuleNotFoundError(f"No module named {tool!r}", name=tool)
        return load(name, *others)

    def find_others(name: str) -> object:
        return None if name == tool else find(name)

    rendering._environment.cache_clear()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(builtins, "__import__", fail)
    monkeypatch.setattr(rendering, "find_spec", find_others)
    monkeypatch.delitem(sys.modules, "brickwork.migrations", raising=False)
    assert run(*arguments) == 2
    assert capsys.readouterr().err == f"This command needs {tool}: pip install 'brickwork[cli]'\n"
