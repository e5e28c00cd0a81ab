"""`python -m app`, as `make run` starts it, and the migrations it applies."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from app.migrations import migrate
from app.models import Model
from brickwork import Database

ROOT = Path(__file__).parents[2]


@contextmanager
def started(**environment: str) -> Generator[str]:
    """Run the service as a process of its own, and yield where it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env=os.environ | environment | {"PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until_it_answers(url := f"http://127.0.0.1:{port}", process)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def until_it_answers(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        assert process.poll() is None, "the service ended"
        try:
            httpx2.get(f"{url}/openapi.json")
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the service did not answer in 30 seconds")


def test_the_service_migrates_serves_and_keeps_what_it_was_given(empty_url: str) -> None:
    for expected in (["Ada"], ["Ada", "Ada"]):
        with started(DATABASE_URL=empty_url) as url:
            author = {"name": "Ada", "email": f"ada@{len(expected)}.example"}
            assert httpx2.post(f"{url}/authors", json=author).status_code == 201
            names = [row["name"] for row in httpx2.get(f"{url}/authors").json()]
            assert names == expected


@pytest.mark.anyio
async def test_the_migrations_make_what_the_models_say(service_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Model.metadata))

    database = Database(service_url)
    async with database.lifespan(None), database.reader.connect() as connection:
        assert await connection.run_sync(differences) == []


def test_the_migrations_can_be_taken_back_and_applied_again(service_url: str) -> None:
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["database_url"] = service_url

    command.downgrade(config, "base")
    migrate(service_url)
    migrate(service_url)
