"""Text keys that the database compares in its own way."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import pytest
from httpx2 import Response
from sqlalchemy import MetaData, String, text
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import Database, Model, ReadSchema, Resource, Schema, Versioned, crud_router
from tests.support.calls import calling
from tests.support.databases import postgres_only
from tests.support.recording import driver_statements, record_fast_path
from tests.support.shop import app_of
from tests.support.tables import Tables

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Folder(Model, Versioned):
    """A row whose key SQLite compares without case."""

    __tablename__ = "folders"
    metadata = MetaData()

    code: Mapped[str] = mapped_column(
        String(5).with_variant(String(5, collation="NOCASE"), "sqlite"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(20))


class RowCreate(Schema):
    code: str
    name: str


class RowUpdate(RowCreate, partial=True): ...


class RowRead(ReadSchema):
    code: str
    name: str
    version: int


class Folders(Resource[Folder]): ...


folders = crud_router("/folders", Folders, read=RowRead, create=RowCreate, update=RowUpdate)

CODES: Final = ["a", "b", "c", "d"]


def statuses(responses: list[Response]) -> list[int]:
    return [response.status_code for response in responses]


@pytest.fixture
async def padded(tables: Tables, backend: str) -> AsyncGenerator[Database]:
    """Return a database in which keys are padded with spaces."""
    database = Database(await tables.of(Folder.metadata, backend))
    async with database.writer.begin() as connection:
        await connection.execute(text("ALTER TABLE folders ALTER code TYPE CHAR(5)"))
    yield database
    async with database.writer.begin() as connection:
        await connection.execute(text("ALTER TABLE folders ALTER code TYPE VARCHAR(5)"))
    await database.dispose()


@postgres_only
async def test_padded_keys_are_created_and_found_together(padded: Database) -> None:
    async with calling(app_of(padded, folders)) as client:
        with record_fast_path() as taken, driver_statements("INSERT") as sent:
            bodies = [{"code": code, "name": code} for code in CODES]
            created = await asyncio.gather(*(client.post("/folders", json=body) for body in bodies))
        assert statuses(created) == [201] * 4
        assert taken == [True] * 4
        assert len(sent) < 4
        for paths in (["/folders/a"], [f"/folders/{code}" for code in CODES]):
            shown = await asyncio.gather(*map(client.get, paths))
            assert [row.json()["name"] for row in shown] == [path[-1] for path in paths]
        assert (await client.get("/folders/e")).status_code == 404


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "ORM"])
async def test_both_paths_find_the_same_keys(tables: Tables, backend: str, *, fast: bool) -> None:
    database = Database(await tables.of(Folder.metadata, backend), fast_path=fast)
    other_case = 200 if backend == "sqlite" else 404
    async with calling(app_of(database, folders)) as client:
        assert (await client.post("/folders", json={"code": "a", "name": "a"})).status_code == 201
        assert (await client.get("/folders/A")).status_code == other_case
        paths = [f"/folders/{code}" for code in ("a", "b", "A", "B", "a")]
        shown = await asyncio.gather(*map(client.get, paths))
        assert statuses(shown) == [200, 404, other_case, 404, 200]
        assert {row.json()["code"] for row in shown if row.is_success} == {"a"}
    await database.dispose()
