"""PATCH of rows whose stored values the read schema may reject."""

from collections.abc import AsyncGenerator
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Le
from sqlalchemy import Enum as EnumType, MetaData, String, Text, insert, text
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import (
    Database,
    Model,
    ReadSchema,
    Resource,
    Schema,
    Versioned,
    crud_router,
)
from tests.support.calls import calling
from tests.support.databases import postgres_only, sqlite_only
from tests.support.recording import driver_statements, path_taken
from tests.support.shop import app_of
from tests.support.tables import Tables

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Mood(Enum):
    GLAD = "glad"
    SAD = "sad"


def mood_values(moods: type[Mood]) -> list[str]:
    """Return the stored values of *moods*."""
    return [mood.value for mood in moods]


class Label(Model, Versioned):
    """A row that other programs write, too."""

    __tablename__ = "labels"
    metadata = MetaData()

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    status: Mapped[str | None] = mapped_column(String(20))
    code: Mapped[str] = mapped_column(Text)
    rank: Mapped[int] = mapped_column()
    size: Mapped[int | None] = mapped_column()
    live: Mapped[bool] = mapped_column()
    mood: Mapped[str] = mapped_column(String(10))
    kind: Mapped[Mood] = mapped_column(EnumType(Mood, values_callable=mood_values))
    folded: Mapped[str] = mapped_column(
        String(10).with_variant(String(10, collation="NOCASE"), "sqlite")
    )


class LabelCreate(Schema):
    id: int
    name: str
    status: Literal["draft", "published"] | None = None
    code: Literal["", "x"] = ""
    rank: Annotated[int, Ge(0), Le(9)] = 0
    size: int = 0
    live: Literal[True] = True
    mood: Literal["glad", "sad"] = "glad"
    kind: Mood = Mood.GLAD
    folded: Literal["a"] = "a"


class LabelUpdate(LabelCreate, partial=True): ...


class LabelRead(ReadSchema):
    id: int
    name: str
    status: Literal["draft", "published"] | None
    code: Literal["", "x"]
    rank: Annotated[int, Ge(0), Le(9)]
    size: int
    live: Literal[True]
    mood: Mood
    kind: Mood
    folded: Literal["a"]
    version: int


class Labels(Resource[Label]): ...


labels = crud_router("/labels", Labels, read=LabelRead, create=LabelCreate, update=LabelUpdate)

GOOD: dict[str, Any] = {
    "id": 1,
    "name": "a",
    "status": "draft",
    "code": "",
    "rank": 0,
    "size": 0,
    "live": True,
    "mood": "glad",
    "kind": "glad",
    "folded": "a",
    "version": 1,
}


@pytest.fixture
async def database(tables: Tables, backend: str) -> AsyncGenerator[Database]:
    """Return a database with one label, which its read schema accepts."""
    database = Database(await tables.of(Label.metadata, backend))
    async with database.session() as session:
        await session.execute(insert(Label).values({**GOOD, "kind": Mood.GLAD}))
    yield database
    await database.dispose()


async def store(database: Database, values: dict[str, Any]) -> None:
    """Store *values* in the label, as another program does."""
    values = {"name": "a", **values}
    names = ", ".join(f"{name} = :{name}" for name in values)
    async with database.writer.begin() as connection:
        await connection.execute(text(f"UPDATE labels SET {names}"), values)  # noqa: S608 — names


async def stored(database: Database) -> dict[str, Any]:
    """Return the label as it is stored."""
    async with database.reader.connect() as connection:
        rows = await connection.execute(text("SELECT * FROM labels"))
        return dict(rows.mappings().one())


ACCEPTED: list[dict[str, Any]] = [
    {},
    {"status": "published"},
    {"status": None},
    {"code": "x"},
    {"rank": 9},
    {"size": -5},
    {"mood": "sad"},
    {"kind": "sad"},
]

REJECTED: list[dict[str, Any]] = [
    {"status": "Draft"},
    {"status": "draft "},
    {"status": " draft"},
    {"status": ""},
    {"status": "odd"},
    {"code": " "},
    {"code": "X"},
    {"rank": -1},
    {"rank": 10},
    {"size": None},
    {"live": False},
    {"mood": "GLAD"},
    {"folded": "A"},
]


@pytest.mark.parametrize("values", ACCEPTED, ids=str)
async def test_accepted_row_is_changed_without_a_select(
    database: Database, values: dict[str, Any]
) -> None:
    await store(database, values)
    fast = Database(database.url)
    with driver_statements() as read:
        async with calling(app_of(fast, labels)) as client:
            assert await path_taken(client.patch("/labels/1", json={"name": "b"})) == "200 fast"
            shown = (await client.get("/labels/1")).json()
    assert shown == {**GOOD, **values, "name": "b", "version": 2}
    assert len([sql for sql in read if "labels.status" in sql]) == 1  # of the GET
    await fast.dispose()


@pytest.mark.parametrize("values", REJECTED, ids=str)
async def test_rejected_row_is_not_changed(database: Database, values: dict[str, Any]) -> None:
    await store(database, values)
    async with calling(app_of(database, labels)) as client:
        assert await path_taken(client.patch("/labels/1", json={"name": "b"})) == "500 ORM"
        assert await stored(database) == {**await stored(database), **values, "name": "a"}
        mended = {name: GOOD[name] for name in values}
        assert (await client.patch("/labels/1", json=mended)).status_code == 200
        assert (await client.get("/labels/1")).json() == {**GOOD, "version": 2}


@postgres_only
async def test_padded_text_is_not_accepted(tables: Tables, backend: str) -> None:
    # A cast to text would remove the padding of CHAR.
    url = await tables.of(Label.metadata, backend)
    database = Database(url)
    async with database.writer.begin() as connection:
        await connection.execute(insert(Label).values({**GOOD, "kind": Mood.GLAD}))
        await connection.execute(text("ALTER TABLE labels ALTER status TYPE CHAR(9)"))
    try:
        async with calling(app_of(database, labels)) as client:
            patch = client.patch("/labels/1", json={"name": "b"})
            assert await path_taken(patch) == "500 ORM"
            assert (await stored(database))["name"] == "a"
            await store(database, {"status": "published"})
            patch = client.patch("/labels/1", json={"name": "b"})
            assert await path_taken(patch) == "200 fast"
    finally:
        async with database.writer.begin() as connection:
            await connection.execute(text("ALTER TABLE labels ALTER status TYPE VARCHAR(20)"))
        await database.dispose()


CASE_INSENSITIVE = {
    "citext": ("CREATE EXTENSION IF NOT EXISTS citext", "CITEXT"),
    "collation": (
        """CREATE COLLATION IF NOT EXISTS folded
           (provider = icu, locale = 'und-u-ks-level2', deterministic = false)""",
        "VARCHAR(20) COLLATE folded",
    ),
}
"""Types of PostgreSQL for which texts that differ in case are equal, with their preparation."""


@postgres_only
@pytest.mark.parametrize("kind", CASE_INSENSITIVE)
async def test_other_case_is_not_accepted(database: Database, kind: str) -> None:
    prepare, column_type = CASE_INSENSITIVE[kind]
    async with database.writer.begin() as connection:
        await connection.execute(text(prepare))
        await connection.execute(text(f"ALTER TABLE labels ALTER status TYPE {column_type}"))
    try:
        async with calling(app_of(database, labels)) as client:
            await store(database, {"status": "Draft"})
            patch = client.patch("/labels/1", json={"name": "b"})
            assert await path_taken(patch) == "500 ORM"
            assert (await stored(database))["name"] == "a"
            mended = await client.patch("/labels/1", json={"status": "draft"})
            assert mended.json() == {**GOOD, "version": 2}
            patch = client.patch("/labels/1", json={"name": "b"})
            assert await path_taken(patch) == "200 fast"
            assert (await client.get("/labels/1")).json() == {**GOOD, "name": "b", "version": 3}
    finally:
        async with database.writer.begin() as connection:
            await connection.execute(text("ALTER TABLE labels ALTER status TYPE VARCHAR(20)"))


@sqlite_only
async def test_text_with_a_null_character_is_not_accepted(database: Database) -> None:
    await store(database, {"status": "draft\0x"})
    async with calling(app_of(database, labels)) as client:
        assert await path_taken(client.patch("/labels/1", json={"name": "b"})) == "500 ORM"
    assert (await stored(database))["name"] == "a"
