"""Integer keys that the database generates, of every width that it has."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from brickwork import Database, ReadSchema, Resource, Schema, crud_router, install
from tests.support.bodies import ask, get_json, summary
from tests.support.calls import calling
from tests.support.databases import Databases
from tests.support.server import serving

pytestmark = pytest.mark.anyio

LARGE = 2**62


class Base(DeclarativeBase):
    """A plain base, as an application without our models has it."""


class Row(Base):
    __tablename__ = "rows"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    number: Mapped[int | None] = mapped_column(BigInteger)


MODELS = MetaData()
"""The table alone, without the companion tables that a router adds."""

Table(
    "rows",
    MODELS,
    Column("id", BigInteger, primary_key=True),
    Column("number", BigInteger),
)


class RowCreate(Schema):
    number: int | None = None


class RowUpdate(RowCreate, partial=True): ...


class RowRead(ReadSchema):
    id: int
    number: int | None


class NaturalCreate(RowCreate):
    id: int


class NaturalUpdate(NaturalCreate, partial=True): ...


class Rows(Resource[Row]): ...


def create_app(database: Database, *, natural: bool = False) -> FastAPI:
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    create = NaturalCreate if natural else RowCreate
    update = NaturalUpdate if natural else RowUpdate
    app.include_router(crud_router("/rows", Rows, read=RowRead, create=create, update=update))
    return app


async def write_rows(client: AsyncClient) -> None:
    """Use every operation on rows with generated keys."""
    created = await client.post("/rows", json={"number": LARGE})
    assert created.json() == {"id": 1, "number": LARGE}
    assert created.headers["location"] == "/rows/1"
    batch = await client.post("/rows/batch", json=[{}, {"number": 3}])
    assert [row["id"] for row in batch.json()] == [2, 3]
    assert (await client.patch("/rows/2", json={"number": 2})).json() == {"id": 2, "number": 2}
    items = [{"id": 1, "number": 1}, {"id": 3, "number": None}]
    assert (await client.patch("/rows/batch", json=items)).json() == items
    page = await client.get("/rows?limit=2")
    following = await client.get(page.links["next"]["url"])
    assert [row["id"] for row in (*page.json(), *following.json())] == [1, 2, 3]
    assert (await client.delete("/rows/1")).status_code == 204
    assert summary(await ask(client, "GET", "/rows/1")) == "404"
    assert summary(await ask(client, "GET", f"/rows/{2**63}")) == "404"


async def test_a_plain_big_integer_key_is_generated(databases: Databases, backend: str) -> None:
    database = Database(databases.empty(backend))
    app = create_app(database)
    await database.create_all(Base.metadata)
    async with calling(app) as client:
        await write_rows(client)


async def test_a_big_integer_key_of_the_client_is_kept(databases: Databases, backend: str) -> None:
    database = Database(databases.empty(backend))
    app = create_app(database, natural=True)
    await database.create_all(Base.metadata)
    async with calling(app) as client:
        created = await client.post("/rows", json={"id": LARGE})
        assert created.headers["location"] == f"/rows/{LARGE}"
        assert await get_json(client, f"/rows/{LARGE}") == {"id": LARGE, "number": None}


def create_by_hand(file: Path, key: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"CREATE TABLE rows (id {key} NOT NULL PRIMARY KEY, number BIGINT)")


async def test_an_existing_table_with_integer_keys_is_used(tmp_path: Path) -> None:
    create_by_hand(tmp_path / "rows.db", "INTEGER")
    database = Database(f"sqlite:///{tmp_path}/rows.db")
    app = create_app(database)
    await database.create_all(Base.metadata)
    async with calling(app) as client:
        await write_rows(client)


@pytest.mark.parametrize(
    ("key", "natural"), [("BIGINT", False), ("BIGINT", True), ("INTEGER", False)]
)
async def test_keys_that_sqlite_cannot_generate_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, key: str, *, natural: bool
) -> None:
    create_by_hand(tmp_path / "rows.db", key)
    database = Database(f"sqlite:///{tmp_path}/rows.db")
    app = create_app(database, natural=natural)
    await database.create_all(Base.metadata)
    async with serving(app):
        pass
    lines = [record.getMessage() for record in caplog.records if record.name == "brickwork"]
    expected = (
        "SQLite generates only INTEGER keys, but these have other types: rows.id. Rebuild their "
        "tables with INTEGER keys, or let clients send the keys."
    )
    assert lines == ([expected] if key == "BIGINT" and not natural else [])


def differences(connection: Connection) -> Any:
    return compare_metadata(MigrationContext.configure(connection), MODELS)


def test_migrations_see_no_difference_in_generated_keys(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/rows.db")
    with engine.begin() as connection:
        context = MigrationContext.configure(connection)
        Operations(context).create_table(
            "rows",
            Column("id", BigInteger, primary_key=True),
            Column("number", BigInteger),
        )
        assert differences(connection) == []
        sql = connection.exec_driver_sql("SELECT sql FROM sqlite_master").scalar_one()
        assert "id INTEGER NOT NULL" in sql
        assert "number BIGINT" in sql
    engine.dispose()


def test_migrations_see_other_differences_in_types(tmp_path: Path) -> None:
    create_by_hand(tmp_path / "rows.db", "TEXT")
    engine = create_engine(f"sqlite:///{tmp_path}/rows.db")
    with engine.begin() as connection:
        (((kind, *_),),) = differences(connection)
        assert kind == "modify_type"
    engine.dispose()
