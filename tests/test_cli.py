"""The command line: what it does, says and ends with, also when it is killed or interrupted."""

import asyncio
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from brickwork import IdempotencyKey, ImportPosition
from brickwork.__main__ import main
from brickwork.models import now
from tests.support import depot
from tests.support.depot import Depot, Part

ROOT = Path(__file__).parents[1]
DEPOT = "tests.support.depot:create_app"

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, empty_url: str) -> Run:
    """Run a command on the depot, and return what it ends with."""
    monkeypatch.setenv("DATABASE_URL", empty_url)
    monkeypatch.setenv("BRICKWORK_APP", DEPOT)
    monkeypatch.chdir(ROOT)
    return ended(monkeypatch)


def ended(monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["brickwork", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code

    return run


@asynccontextmanager
async def session(url: str, *, readonly: bool = False) -> AsyncGenerator[AsyncSession]:
    database = Depot(url)
    async with database.lifespan(None), database.session(readonly=readonly) as session:
        yield session


async def add(url: str, *rows: object) -> None:
    async with session(url) as writing:
        writing.add_all(rows)


async def codes(url: str) -> list[str]:
    async with session(url, readonly=True) as reading:
        return [*await reading.scalars(select(Part.code).order_by(Part.id))]


def written(file: Path, *codes: str) -> Path:
    file.write_text("".join(json.dumps({"code": each}) + "\n" for each in codes))
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "parts.ndjson", "a", "secret", "b")


# -- explain


@pytest.mark.lanes
def test_explain_tells_the_lane_and_the_statements(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("explain", "parts") == 0
    told = capsys.readouterr().out
    assert "GET /parts/{id}: fast\n    SELECT parts.id" in told
    assert "POST /parts: ordinary, since " in told


# -- import


def test_import_tells_how_many_rows_are_in(
    run: Run, file: Path, empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", "parts", written(file, "a", "b")) == 0
    assert capsys.readouterr() == ("parts: 2 rows in, 0 refused, up to line 2.\n", "")
    assert asyncio.run(codes(empty_url)) == ["A", "B"]


def test_import_tells_where_the_refused_rows_are(
    run: Run, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):  # the second time it is in, and was refused before
        assert run("import", "parts", file) == 1
        out, err = capsys.readouterr()
        assert out.splitlines() == [
            "parts: 2 rows in, 1 refused, up to line 3.",
            f"What was refused, and why, is in {file}.refused.ndjson.",
        ]
        assert err == ""


def test_import_can_begin_anew(run: Run, file: Path, empty_url: str) -> None:
    assert run("import", "parts", file) == 1
    assert run("import", "parts", written(file, "c")) == 2
    assert run("import", "parts", file, "--restart") == 0
    assert asyncio.run(codes(empty_url)) == ["A", "B", "C"]


def test_a_terminal_is_shown_the_progress(
    run: Run, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run("import", "parts", file) == 1
    assert "2 rows in, 1 refused" in capsys.readouterr().err

    assert run("import", "parts", file, "--quiet") == 1
    assert capsys.readouterr().err == ""


# -- purge and sweep


def old(code: str, days: int, kind: str = "bolt") -> Part:
    return Part(code=code, kind=kind, deleted_at=now() - timedelta(days=days))


def test_purge_removes_what_was_deleted_long_ago(
    run: Run, empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(add(empty_url, Part(code="live"), old("new", 1), old("old", 8), old("oldest", 90)))

    assert run("purge", "parts", "--older-than", "1w", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("parts: 2 rows deleted before ")
    assert len(asyncio.run(codes(empty_url))) == 4

    assert run("purge", "parts", "--older-than", "7d", "--chunk", "1") == 0
    assert capsys.readouterr() == ("parts: 2 rows removed, 0 refused.\n", "")
    assert asyncio.run(codes(empty_url)) == ["live", "new"]

    assert run("purge", "parts", "--older-than", "0s") == 0
    assert asyncio.run(codes(empty_url)) == ["live"]


def test_purge_tells_what_is_kept(
    run: Run, empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(add(empty_url, old("a", 8), old("b", 8, kind="screw")))

    assert run("purge", "parts", "--older-than", "24h") == 1
    out, err = capsys.readouterr()
    assert out == "parts: 1 row removed, 1 refused.\n"
    assert err.endswith(": Screws are kept.\n")
    assert asyncio.run(codes(empty_url)) == ["b"]


def test_sweep_removes_old_idempotency_keys(
    run: Run, empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ages = [timedelta(hours=each) for each in (1, 23, 25, 90)]
    stored: dict[str, Any] = {"fingerprint": "", "status": 200, "headers": {}, "body": b""}
    keys = (IdempotencyKey(id=str(age), created_at=now() - age, **stored) for age in ages)
    asyncio.run(add(empty_url, *keys))

    assert run("sweep") == 0
    assert capsys.readouterr().out == "Idempotency keys removed: 2.\n"


# -- what cannot be done


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["import", "bolts", "FILE"], "bolts names no resource: /parts"),
        (["import", "v1/private", "FILE"], "Private needs user"),
        (["import", "parts", "nowhere.ndjson"], "does not exist"),
        (["import", "parts", __file__], "is of no known format"),
        (
            ["import", "parts", "FILE", "--chunk", "0"],
            "'--chunk': Input should be greater than or equal to 1",
        ),
        (["import", "parts", "FILE", "--app", "nowhere:app"], "There is no module nowhere"),
        (["import", "parts"], "Missing argument 'FILE'"),
        (["purge", "parts"], "Missing option '--older-than'"),
        (["purge", "parts", "--older-than", "month"], "write a number and its unit"),
        (["purge", "shelves", "--older-than", "1d"], "Shelf has no soft delete"),
        (["sweep", "--app", "tests.support.depot:empty"], "The application has no database"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Run,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    error: str,
) -> None:
    assert run(*(str(file) if each == "FILE" else each for each in arguments)) == 2
    out, err = capsys.readouterr()
    assert (out, "Traceback" in err) == ("", False)
    assert error in err


def test_an_application_has_to_be_named(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BRICKWORK_APP")
    assert run("sweep") == 2
    assert "--app" in capsys.readouterr().err


@pytest.mark.parametrize("extra", ["typer", "rich"])
def test_without_its_extra_the_command_line_says_how_to_get_it(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    monkeypatch.delitem(sys.modules, "brickwork.cli", raising=False)
    for name in [each for each in sys.modules if each.partition(".")[0] == extra]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, extra, None)

    assert run("sweep") == 2
    assert "pip install 'brickwork[cli]'" in capsys.readouterr().err


def test_what_else_is_missing_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "brickwork.cli", raising=False)
    monkeypatch.setitem(sys.modules, "brickwork.purges", None)

    with pytest.raises(ModuleNotFoundError, match=r"brickwork\.purges"):
        main()


def test_the_library_needs_no_extra() -> None:
    script = "import sys, brickwork; sys.exit('typer' in sys.modules or 'rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=ROOT).returncode == 0  # noqa: S603


def test_the_module_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "brickwork.__main__")
    monkeypatch.setattr(sys, "argv", ["brickwork", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("brickwork", run_name="__main__")
    assert end.value.code == 0


# -- what fails on the way


def test_a_database_that_is_away_is_said(
    run: Run,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")

    assert run("import", "parts", file) == 3
    assert "The database is busy or away. What is done stays" in capsys.readouterr().err


def test_a_database_without_tables_is_said(
    run: Run, capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    service = ("--app", "app.main:create_app")
    assert run("purge", "articles", "--older-than", "1d", *service) == 3
    assert "The database says: " in capsys.readouterr().err
    assert run("import", "articles", file, *service) == 2
    assert "There is no table import_positions" in capsys.readouterr().err
    assert run("sweep", *service) == 2
    assert "There is no table idempotency_keys" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_stops_the_import(
    run: Run, file: Path, empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.with_name(f"{file.name}.refused.ndjson").mkdir()

    assert run("import", "parts", file) == 3
    assert "refused.ndjson" in capsys.readouterr().err
    assert asyncio.run(codes(empty_url)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_import_after_the_chunk(  # noqa: PLR0913, PLR0917 — fixtures
    run: Run,
    file: Path,
    empty_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    create = depot.Parts.create

    async def interrupted(self: depot.Parts, row: Part) -> None:
        if row.code == "c":
            signal.raise_signal(number)
        await create(self, row)

    monkeypatch.setattr(depot.Parts, "create", interrupted)
    before = signal.getsignal(number)
    written(file, *"abcdefgh")

    assert run("import", "parts", file, "--chunk", "2") == 130
    assert "Interrupted: what is done stays" in capsys.readouterr().err
    assert asyncio.run(codes(empty_url)) == [*"ABCD"]
    assert signal.getsignal(number) is before

    monkeypatch.setattr(depot.Parts, "create", create)
    assert run("import", "parts", file) == 0
    assert asyncio.run(codes(empty_url)) == [*"ABCDEFGH"]


def test_a_second_signal_is_not_waited_for(
    run: Run, file: Path, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(_: depot.Parts, row: Part) -> None:
        if row.code == "c":
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)

    monkeypatch.setattr(depot.Parts, "create", interrupted)
    assert run("import", "parts", written(file, *"abcdefgh"), "--chunk", "2") == 130
    assert asyncio.run(lines_read(empty_url)) == 2


def test_what_nobody_expected_is_no_row_that_was_refused(
    run: Run, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: depot.Parts, row: Part) -> None:
        raise ZeroDivisionError(row.code)

    monkeypatch.setattr(depot.Parts, "create", broken)
    assert run("import", "parts", file) == 3
    assert "ZeroDivisionError: a" in capsys.readouterr().err


# -- what a killed process leaves

ROWS = 60
BAD = 7  # each of so many rows is refused

MOMENTS = (
    "commit 5",  # when the report tells what is yet to be committed
    "after_insert 12",  # while rows are written
    "checkin 6",  # when a chunk is done
)


def imported(url: str, file: Path, doom: str) -> int:
    """Import *file* in a process of its own, and return what that ends with."""
    command = [sys.executable, "-m", "brickwork", "import", "parts", str(file), "--chunk", "5"]
    own = {"DATABASE_URL": url, "BRICKWORK_APP": "tests.support.depot:doomed", "DOOM": doom}
    process = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=os.environ | own, check=False, stdout=subprocess.DEVNULL
    )
    return process.returncode


async def lines_read(url: str) -> int:
    async with session(url, readonly=True) as reading:
        return await reading.scalar(select(ImportPosition.lines)) or 0


def row(number: int) -> Mapping[str, object]:
    return {"code": "secret"} if number % BAD == 0 else {"code": f"P{number}", "number": number}


def test_an_import_that_is_killed_and_started_again_loses_and_repeats_nothing(
    empty_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "parts.ndjson"
    file.write_text("".join(json.dumps(row(each)) + "\n" for each in range(1, ROWS + 1)))

    for doom in MOMENTS:
        assert imported(empty_url, file, doom) == -signal.SIGKILL
        assert 0 < asyncio.run(lines_read(empty_url)) < ROWS
    assert imported(empty_url, file, "commit 0") == 1

    good = [each for each in range(1, ROWS + 1) if each % BAD]
    assert asyncio.run(codes(empty_url)) == [f"P{each}" for each in good]
    report = file.with_name(f"{file.name}.refused.ndjson").read_text().splitlines()
    assert [json.loads(each)["line"] for each in report] == [*range(BAD, ROWS + 1, BAD)]
