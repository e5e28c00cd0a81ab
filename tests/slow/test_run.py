"""`python -m app` and its migrations."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from app.migrations import migrate
from brickwork import Database, Model
from tests.support.processes import ROOT, running_service

pytestmark = pytest.mark.both_paths  # its processes choose


def test_the_service_keeps_its_rows_after_a_restart(empty_url: str) -> None:
    for expected in (["Ada"], ["Ada", "Ada"]):
        with running_service(DATABASE_URL=empty_url) as url:
            author = {"name": "Ada", "email": f"ada@{len(expected)}.example"}
            assert httpx2.post(f"{url}/authors", json=author).status_code == 201
            names = [row["name"] for row in httpx2.get(f"{url}/authors").json()]
            assert names == expected


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("sqlite:////nowhere/brickwork.db", "unable to open database file"),
        ("postgresql://127.0.0.1:1/x", "[Errno 111] Connect call failed ('127.0.0.1', 1)"),
    ],
)
def test_an_unreachable_database_ends_the_service_with_one_line(url: str, cause: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    remedy = "Start or create it, or correct DATABASE_URL."
    assert ended.stderr == f"The database cannot be reached: {cause}. {remedy}\n"


CURSOR_KEYS = '["a secret of some thirty characters"]'
UVICORN = ("uvicorn", "app.main:create_app", "--factory", "--port", "0", "--workers", "2")


@pytest.mark.parametrize(
    ("command", "workers", "text"),
    [
        (("app",), "2", "Several WORKERS need CURSOR_KEYS"),
        (UVICORN, "1", "2 processes serve the application, and each has a cursor key of its own"),
    ],
    ids=["python -m app", "uvicorn"],
)
def test_several_workers_without_cursor_keys_do_not_start(
    command: tuple[str, ...], workers: str, text: str, empty_url: str
) -> None:
    migrate(empty_url)
    ended = subprocess.run(  # noqa: S603 — ours
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": empty_url, "WORKERS": workers},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert text in ended.stderr


def test_several_workers_share_their_cursors(empty_url: str) -> None:
    with running_service(DATABASE_URL=empty_url, WORKERS="2", CURSOR_KEYS=CURSOR_KEYS) as url:
        for number in range(5):
            author = {"name": "Ada", "email": f"ada@{number}.example"}
            assert httpx2.post(f"{url}/authors", json=author).status_code == 201
        first = httpx2.get(f"{url}/authors?limit=1")
        path = first.links["next"]["url"]
        assert {httpx2.get(url + path).status_code for _ in range(20)} == {200}


@pytest.mark.parametrize(("workers", "end"), [("1", signal.SIGINT), ("2", signal.SIGTERM)])
def test_the_access_log_loses_no_line_at_the_end(
    workers: str, end: signal.Signals, empty_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "access.log"
    with (
        file.open("wb") as output,
        running_service(
            output=output, end=end, DATABASE_URL=empty_url, WORKERS=workers, CURSOR_KEYS=CURSOR_KEYS
        ) as url,
    ):
        for number in range(50):
            httpx2.get(f"{url}/authors/{number}")
    paths = [line.split()[1] for line in file.read_text().splitlines() if "/authors/" in line]
    assert sorted(paths) == sorted(f"/authors/{number}" for number in range(50))


def test_the_service_runs_without_standard_output(empty_url: str) -> None:
    with running_service(output=None, DATABASE_URL=empty_url) as url:
        assert httpx2.get(f"{url}/authors").status_code == 200


@pytest.mark.anyio
async def test_the_migrations_create_the_tables_of_the_models(migrated_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Model.metadata))

    database = Database(migrated_url)
    async with database.lifespan(None), database.reader.connect() as connection:
        assert await connection.run_sync(differences) == []


def test_the_migrations_can_be_reverted_and_applied_again(migrated_url: str) -> None:
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["database_url"] = migrated_url

    command.downgrade(config, "base")
    migrate(migrated_url)
    migrate(migrated_url)
