"""Applications without one of the drivers."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.pages import ROOT

APPLICATION = """
import sys

sys.modules["{absent}"] = None  # as if it were not installed

from uuid import UUID

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Mapped

from brickwork import Database, Entity, ReadSchema, Resource, Schema, crud_router, install


class Note(Entity):
    __tablename__ = "notes"
    text: Mapped[str]


class NoteCreate(Schema):
    text: str


class NoteUpdate(NoteCreate, partial=True): ...


class NoteRead(ReadSchema):
    id: UUID
    text: str


class Notes(Resource[Note]): ...

"""

REQUESTS = """
from asyncio import run

database = Database(sys.argv[1])
app = FastAPI(lifespan=database.lifespan)
install(app)
app.include_router(
    crud_router("/notes", Notes, read=NoteRead, create=NoteCreate, update=NoteUpdate)
)
run(database.create_all(Entity.metadata))
with TestClient(app) as client:
    note = client.post("/notes", json={"text": "Hello"}).json()
    url = "/notes/" + note["id"]
    assert client.patch(url, json={"text": "Bye"}).json()["text"] == "Bye"
    assert client.post("/notes", json={"text": 1}).status_code == 422
    assert client.get(url).json()["text"] == "Bye"
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404
"""


def run_without(driver: str, program: str, *arguments: str) -> str:
    """Run *program* without *driver*, and return its output and its error."""
    source = APPLICATION.replace("{absent}", driver) + dedent(program)
    command = (sys.executable, "-W", "error", "-c", source, *arguments)
    ended = subprocess.run(  # noqa: S603 — this program
        command,
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout + ended.stderr


def test_sqlite_needs_no_driver_of_postgresql(tmp_path: Path) -> None:
    assert run_without("asyncpg", REQUESTS, f"sqlite:///{tmp_path / 'notes.db'}") == ""


@pytest.mark.parametrize(
    ("driver", "url", "error"),
    [
        ("asyncpg", "postgresql://localhost/shop", "PostgreSQL needs asyncpg: pip install"),
        ("aiosqlite", "sqlite:///shop.db", "SQLite needs aiosqlite: pip install"),
    ],
)
def test_absent_driver_is_an_error_with_its_remedy(driver: str, url: str, error: str) -> None:
    output = run_without(driver, "Database(sys.argv[1])", url)
    assert output.splitlines()[-1].startswith(f"ModuleNotFoundError: {error}")
