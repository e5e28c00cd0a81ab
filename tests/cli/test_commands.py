"""The command line: output, exit statuses, interrupts."""

import asyncio
import json
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from brickwork import Database, IdempotencyKey, ImportPosition
from brickwork.__main__ import main
from brickwork.models.model import now
from tests.support import blog_imports
from tests.support.blog import Article
from tests.support.databases import sqlite_only
from tests.support.killed import APP, BAD, ROOT, import_until_killed, reported_lines, write_rows
from tests.support.services import Service

pytestmark = pytest.mark.usefixtures("anyio_backend")  # for the asynchronous fixtures

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, blog_service: Service) -> Run:
    """Return a function that runs a command on the blog and returns its exit status."""
    monkeypatch.setenv("DATABASE_URL", blog_service.url)
    monkeypatch.setenv("BRICKWORK_APP", APP)
    monkeypatch.chdir(ROOT)

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["brickwork", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code

    return run


@pytest.fixture
def url(blog_service: Service) -> str:
    """Return the URL of the blog's database."""
    return blog_service.url


async def _add(url: str, rows: Sequence[object]) -> None:
    database = Database(url)
    async with database.lifespan(None), database.session() as session:
        session.add_all(rows)


def add(url: str, *rows: object) -> None:
    asyncio.run(_add(url, rows))


async def _values(url: str, column: Any) -> list[Any]:
    database = Database(url)
    async with database.lifespan(None), database.session(readonly=True) as session:
        return [*await session.scalars(select(column))]


def slugs(url: str) -> list[str]:
    return sorted(asyncio.run(_values(url, Article.slug)))


def lines_read(url: str) -> int:
    (lines,) = asyncio.run(_values(url, ImportPosition.lines))
    return int(lines)


def write(file: Path, *slugs: str) -> Path:
    file.write_text("".join(json.dumps({"slug": slug}) + "\n" for slug in slugs))
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a file of three rows; the second is rejected."""
    return write(tmp_path / "articles.ndjson", "a", "secret", "b")


# --- explain -----------------------------------------------------------------------------------


@pytest.mark.both_paths
def test_explain_shows_the_path_and_the_statements(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("explain", "articles") == 0
    out = capsys.readouterr().out
    assert "GET /articles/{id}: fast path\n    SELECT articles.id" in out
    assert "POST /articles: ORM path, since " in out


# --- import ------------------------------------------------------------------------------------


def test_import_counts_the_rows(
    run: Run, file: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", "articles", write(file, "a", "b")) == 0
    assert capsys.readouterr() == ("articles: 2 rows imported, 0 rejected, up to line 2.\n", "")
    assert slugs(url) == ["A", "B"]


def test_import_names_the_report_of_rejected_rows(
    run: Run, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", "articles", file) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "articles: 2 rows imported, 1 rejected, up to line 3.",
        f"The rejected rows and the reasons are in {file}.rejected.ndjson.",
    ]
    assert err == ""


def test_a_repeated_import_prints_the_same(
    run: Run, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", "articles", file) == 1
    first = capsys.readouterr()
    assert run("import", "articles", file) == 1
    assert capsys.readouterr() == first


def test_import_of_a_changed_file_is_rejected(run: Run, file: Path) -> None:
    assert run("import", "articles", file) == 1
    assert run("import", "articles", write(file, "c")) == 2


def test_import_can_be_restarted(run: Run, file: Path, url: str) -> None:
    assert run("import", "articles", file) == 1
    assert run("import", "articles", write(file, "c"), "--restart") == 0
    assert slugs(url) == ["A", "B", "C"]


@sqlite_only
def test_import_on_a_terminal_shows_its_progress(
    run: Run, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run("import", "articles", file) == 1
    assert "2 rows imported, 1 rejected" in capsys.readouterr().err


@sqlite_only
def test_quiet_import_on_a_terminal_shows_no_progress(
    run: Run, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run("import", "articles", file, "--quiet") == 1
    assert capsys.readouterr().err == ""


# --- purge and sweep ---------------------------------------------------------------------------


def deleted(slug: str, days: int, status: str = "draft") -> Article:
    return Article(slug=slug, status=status, deleted_at=now() - timedelta(days=days))


def test_purge_removes_rows_deleted_long_ago(
    run: Run, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add(url, Article(slug="live"), deleted("new", 1), deleted("old", 8), deleted("oldest", 90))

    assert run("purge", "articles", "--older-than", "7d", "--chunk", "1") == 0
    assert capsys.readouterr() == ("articles: 2 rows removed, 0 rejected.\n", "")
    assert slugs(url) == ["live", "new"]


def test_dry_purge_counts_the_rows(run: Run, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    add(url, deleted("old", 8), deleted("oldest", 90))

    assert run("purge", "articles", "--older-than", "1w", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("articles: 2 rows deleted before ")
    assert slugs(url) == ["old", "oldest"]


def test_purge_of_every_age_removes_all_deleted_rows(run: Run, url: str) -> None:
    add(url, Article(slug="live"), deleted("new", 0))

    assert run("purge", "articles", "--older-than", "0s") == 0
    assert slugs(url) == ["live"]


def test_purge_prints_the_reasons_of_kept_rows(
    run: Run, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add(url, deleted("a", 8), deleted("b", 8, status="published"))

    assert run("purge", "articles", "--older-than", "24h") == 1
    out, err = capsys.readouterr()
    assert out == "articles: 1 row removed, 1 rejected.\n"
    assert err.endswith(": Published articles are kept.\n")
    assert slugs(url) == ["b"]


def test_sweep_removes_old_idempotency_keys(
    run: Run, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stored: dict[str, Any] = {"fingerprint": "", "status": 200, "headers": {}, "body": b""}
    ages = [timedelta(hours=hours) for hours in (1, 23, 25, 90)]
    add(url, *(IdempotencyKey(id=str(age), created_at=now() - age, **stored) for age in ages))

    assert run("sweep") == 0
    assert capsys.readouterr().out == "Idempotency keys removed: 2.\n"


# --- Misuse ------------------------------------------------------------------------------------


@sqlite_only
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["import", "tags", "FILE"], "There is no resource tags. The resources are: /articles"),
        (["import", "v1/own", "FILE"], "OwnAuthors needs user"),
        (["import", "articles", "nowhere.ndjson"], "does not exist"),
        (["import", "articles", __file__], "has an unknown format"),
        (
            ["import", "articles", "FILE", "--chunk", "0"],
            "'--chunk': Input should be greater than or equal to 1",
        ),
        (["import", "articles", "FILE", "--app", "nowhere:app"], "There is no module nowhere"),
        (["import", "articles"], "Missing argument 'FILE'"),
        (["purge", "articles"], "Missing option '--older-than'"),
        (["purge", "articles", "--older-than", "month"], "write a number and its unit"),
        (["purge", "authors", "--older-than", "1d"], "Author has no soft delete"),
        (["sweep", "--app", "tests.support.blog_imports:empty"], "The application has no database"),
    ],
)
def test_misuse_is_rejected_with_the_reason(
    run: Run,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    error: str,
) -> None:
    assert run(*(str(file) if argument == "FILE" else argument for argument in arguments)) == 2
    out, err = capsys.readouterr()
    assert (out, "Traceback" in err) == ("", False)
    assert error in err


@sqlite_only
def test_application_is_required(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BRICKWORK_APP")
    assert run("sweep") == 2
    assert "--app" in capsys.readouterr().err


@sqlite_only
@pytest.mark.parametrize("extra", ["typer", "rich"])
def test_missing_extra_is_named(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    monkeypatch.delitem(sys.modules, "brickwork.cli.commands", raising=False)
    for name in [module for module in sys.modules if module.partition(".")[0] == extra]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, extra, None)

    assert run("sweep") == 2
    assert "pip install 'brickwork[cli]'" in capsys.readouterr().err


def test_other_missing_module_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "brickwork.cli.commands", raising=False)
    monkeypatch.setitem(sys.modules, "brickwork.cli.purging", None)

    with pytest.raises(ModuleNotFoundError, match=r"brickwork\.cli\.purging"):
        main()


def test_library_imports_no_extra() -> None:
    script = "import sys, brickwork; sys.exit('typer' in sys.modules or 'rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=ROOT).returncode == 0  # noqa: S603


def test_module_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "brickwork.__main__")
    monkeypatch.setattr(sys, "argv", ["brickwork", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("brickwork", run_name="__main__")
    assert end.value.code == 0


# --- Failures ----------------------------------------------------------------------------------


@sqlite_only
def test_unreachable_database_is_an_error(
    run: Run, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")

    assert run("import", "articles", file) == 3
    assert "The database is busy or away. Finished chunks are kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (["purge", "articles", "--older-than", "1d"], 3, "Error of the database: "),
        (["import", "articles", "FILE"], 2, "There is no table import_positions"),
        (["sweep"], 2, "There is no table idempotency_keys"),
    ],
    ids=["purge", "import", "sweep"],
)
def test_missing_table_is_an_error(  # noqa: PLR0913, PLR0917 — fixtures
    run: Run,
    file: Path,
    empty_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    error: str,
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_url)
    given = [str(file) if argument == "FILE" else argument for argument in arguments]

    assert run(*given, "--app", "app.main:create_app") == status
    assert error in capsys.readouterr().err


def test_unwritable_report_ends_the_import(
    run: Run, file: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.with_name(f"{file.name}.rejected.ndjson").mkdir()

    assert run("import", "articles", file) == 3
    assert "rejected.ndjson" in capsys.readouterr().err
    assert slugs(url) == []


@sqlite_only
def test_unexpected_error_is_no_rejected_row(
    run: Run, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def divide(_: blog_imports.Articles, row: Article) -> None:
        raise ZeroDivisionError(row.slug)

    monkeypatch.setattr(blog_imports.Articles, "create", divide)
    assert run("import", "articles", file) == 3
    assert "ZeroDivisionError: a" in capsys.readouterr().err


# --- Signals -----------------------------------------------------------------------------------


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Handle SIGINT as in a terminal: a background command of a shell ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def signal_at_c(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sends signals while the row `c` is created."""
    create = blog_imports.Articles.create

    def at_c(*numbers: int) -> None:
        async def interrupted(rows: blog_imports.Articles, row: Article) -> None:
            if row.slug == "c":
                for number in numbers:
                    signal.raise_signal(number)
            await create(rows, row)

        monkeypatch.setattr(blog_imports.Articles, "create", interrupted)

    return at_c


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_an_import_after_its_chunk(  # noqa: PLR0913, PLR0917 — fixtures
    run: Run,
    file: Path,
    url: str,
    capsys: pytest.CaptureFixture[str],
    signal_at_c: Callable[..., None],
    number: signal.Signals,
) -> None:
    before = signal.getsignal(number)
    signal_at_c(number)

    assert run("import", "articles", write(file, *"abcdefgh"), "--chunk", "2") == 130
    assert "Interrupted. Finished chunks are kept" in capsys.readouterr().err
    assert slugs(url) == [*"ABCD"]
    assert signal.getsignal(number) is before


@pytest.mark.usefixtures("interruptible")
def test_interrupted_import_continues(
    run: Run, file: Path, url: str, signal_at_c: Callable[..., None]
) -> None:
    signal_at_c(signal.SIGTERM)
    assert run("import", "articles", write(file, *"abcdefgh"), "--chunk", "2") == 130
    signal_at_c()

    assert run("import", "articles", file) == 0
    assert slugs(url) == [*"ABCDEFGH"]


@pytest.mark.usefixtures("interruptible")
def test_second_signal_ends_an_import_within_its_chunk(
    run: Run, file: Path, url: str, signal_at_c: Callable[..., None]
) -> None:
    signal_at_c(signal.SIGINT, signal.SIGINT)

    assert run("import", "articles", write(file, *"abcdefgh"), "--chunk", "2") == 130
    assert lines_read(url) == 2


def test_killed_import_continues(run: Run, file: Path, url: str) -> None:
    write_rows(file, 20)

    assert import_until_killed(url, file, "commit 5") == -signal.SIGKILL
    assert 0 < lines_read(url) < 20
    assert run("import", "articles", file) == 1
    assert slugs(url) == sorted(f"A{number}" for number in range(1, 21) if number % BAD)
    assert reported_lines(file) == [7, 14]
