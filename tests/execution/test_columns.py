"""Columns of lists, and columns with the names of parameters."""

import asyncio
from typing import Final
from uuid import UUID

import pytest
from sqlalchemy import ARRAY, JSON, MetaData, String
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import Database, Model, ReadSchema, Resource, Schema, crud_router
from brickwork.models.model import new_key
from tests.support.bodies import create_row
from tests.support.calls import calling
from tests.support.recording import path_taken, record_fast_path
from tests.support.shop import app_of
from tests.support.tables import Tables

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    """The base of these models, with its own metadata."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Labelled(Base):
    """A row that holds a list."""

    __tablename__ = "labelled"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_key)
    labels: Mapped[list[str]] = mapped_column(ARRAY(String(20)).with_variant(JSON(), "sqlite"))


class LabelledCreate(Schema):
    labels: list[str]


class LabelledUpdate(LabelledCreate, partial=True): ...


class LabelledRead(LabelledCreate, ReadSchema):
    id: UUID


class Labels(Resource[Labelled]): ...


labels = crud_router(
    "/labelled", Labels, read=LabelledRead, create=LabelledCreate, update=LabelledUpdate
)


@pytest.fixture
async def columns_url(tables: Tables, backend: str) -> str:
    """Return the URL of a database with the tables of this module."""
    return await tables.of(Base.metadata, backend)


async def test_list_is_stored_and_changed(columns_url: str) -> None:
    async with calling(app_of(Database(columns_url), labels)) as client:
        row = await create_row(client, "/labelled", {"labels": ["a", "b"]})
        assert row["labels"] == ["a", "b"]
        changed = await client.patch(f"/labelled/{row['id']}", json={"labels": ["c"]})
        assert changed.json() == {"id": row["id"], "labels": ["c"]}


async def test_lists_of_concurrent_rows_are_stored(columns_url: str) -> None:
    sent = [["a", "b"], [], ["c"]]
    async with calling(app_of(Database(columns_url), labels)) as client:
        posts = (client.post("/labelled", json={"labels": labels}) for labels in sent)
        assert [response.json()["labels"] for response in await asyncio.gather(*posts)] == sent


async def test_lists_of_a_batch_are_stored(columns_url: str) -> None:
    sent: list[dict[str, list[str]]] = [{"labels": ["a", "b"]}, {"labels": []}]
    async with calling(app_of(Database(columns_url), labels)) as client:
        made = await client.post("/labelled/batch", json=sent)
    assert [{"labels": row["labels"]} for row in made.json()] == sent


class Oddly(Base):
    """A row with columns that are named like parameters of statements."""

    __tablename__ = "oddly"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[int]
    keys: Mapped[int]
    limit: Mapped[int]
    expected: Mapped[int]
    statement: Mapped[int]
    database: Mapped[int]
    self: Mapped[int]


class OddlyCreate(Schema):
    id: int
    key: int
    keys: int
    limit: int
    expected: int
    statement: int
    database: int
    self: int


class OddlyUpdate(OddlyCreate, partial=True): ...


class OddlyRead(OddlyCreate, ReadSchema): ...


class Oddities(Resource[Oddly]): ...


oddities = crud_router("/rows", Oddities, read=OddlyRead, create=OddlyCreate, update=OddlyUpdate)

ODD: Final = {name: number for number, name in enumerate(OddlyRead.model_fields, start=1)}


async def test_column_of_any_name_is_stored(columns_url: str) -> None:
    bodies = [ODD | {"id": n} for n in range(1, 6)]
    async with calling(app_of(Database(columns_url), oddities)) as client:
        with record_fast_path() as taken:
            posts = await asyncio.gather(*(client.post("/rows", json=body) for body in bodies))
            assert [response.json() for response in posts] == bodies
            assert (await client.get("/rows")).json() == bodies
            assert (await client.get("/rows/2")).json() == bodies[1]
        assert taken == [True] * 7


@pytest.mark.parametrize("name", [*OddlyRead.model_fields][1:])
async def test_column_of_any_name_is_changed(columns_url: str, name: str) -> None:
    async with calling(app_of(Database(columns_url), oddities)) as client:
        await client.post("/rows", json=ODD)
        with record_fast_path() as taken:
            changed = await client.patch("/rows/1", json={name: 99})
        assert (changed.json(), taken) == (ODD | {name: 99}, [True])
        assert await path_taken(client.patch("/rows/1", json={name: 99})) == "200 ORM"
