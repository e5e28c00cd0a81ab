"""Related rows whose keys are UUIDs, stored as texts in Python."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import pytest
from httpx2 import AsyncClient
from pydantic import Field
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, Uuid
from sqlalchemy.orm import Mapped, mapped_column, relationship

from brickwork import Database, Limit, Model, ReadSchema, Resource, Schema, Versioned, crud_router
from brickwork.models.model import new_key
from tests.support.bodies import create_row, get_json, patch_row, summary
from tests.support.both import serving_routers
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio


class Base(Model):
    """The base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


def new_text() -> str:
    return str(new_key())


PLANTED = Table(
    "planted",
    Base.metadata,
    Column("bed_id", Integer, ForeignKey("beds.id"), primary_key=True),
    Column("herb_id", Uuid(as_uuid=False), ForeignKey("herbs.id"), primary_key=True),
)


class Bed(Base, Versioned):
    """A bed, which owns its rows and refers to herbs."""

    __tablename__ = "beds"

    id: Mapped[int] = mapped_column(primary_key=True)
    rows: Mapped[list["BedRow"]] = relationship(
        cascade="all, delete-orphan", order_by="BedRow.length"
    )
    herbs: Mapped[list["Herb"]] = relationship(secondary=PLANTED)


class BedRow(Base):
    """A row of a bed."""

    __tablename__ = "bed_rows"

    id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True, default=new_text)
    bed_id: Mapped[int] = mapped_column(ForeignKey("beds.id"))
    length: Mapped[int]


class Herb(Base):
    """A herb, whose key clients choose."""

    __tablename__ = "herbs"

    id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)


class RowBody(Schema):
    id: UUID | None = None
    length: int


class BedCreate(Schema):
    rows: list[RowBody] = Field(default_factory=list[RowBody])
    herb_ids: list[UUID] = Field(default_factory=list[UUID])


class BedUpdate(BedCreate, partial=True): ...


class RowRead(ReadSchema):
    id: UUID
    length: int


class BedRead(ReadSchema):
    id: int
    version: int
    rows: Annotated[list[RowRead], Limit(9)]
    herb_ids: Annotated[list[UUID], Limit(9)]


class HerbCreate(Schema):
    id: UUID


class HerbRead(ReadSchema):
    id: UUID


class Beds(Resource[Bed]): ...


class Herbs(Resource[Herb]): ...


@pytest.fixture
async def client(tables: Tables, backend: str) -> AsyncIterator[AsyncClient]:
    database = Database(await tables.of(Base.metadata, backend))
    beds = crud_router("/beds", Beds, read=BedRead, create=BedCreate, update=BedUpdate)
    herbs = crud_router("/herbs", Herbs, read=HerbRead, create=HerbCreate)
    async with serving_routers(database, beds, herbs) as client:
        yield client


ONE, TWO = "0189abcd-0000-7000-8000-00000000000a", "0189abcd-0000-7000-8000-00000000000b"


async def test_keys_name_rows_whatever_python_has_for_them(client: AsyncClient) -> None:
    for key in (ONE, TWO):
        await create_row(client, "/herbs", {"id": key})
    await create_row(client, "/beds", {"herb_ids": [ONE.upper(), TWO], "rows": [{"length": 3}]})
    bed = await get_json(client, "/beds/1")
    assert bed["herb_ids"] == [ONE, TWO]
    (row,) = bed["rows"]
    await patch_row(client, "/beds/1", {"rows": [row | {"id": row["id"].upper(), "length": 4}]})
    await patch_row(client, "/beds/1", {"herb_ids": [TWO]})
    changed = await get_json(client, "/beds/1")
    assert changed == bed | {"version": 3, "rows": [row | {"length": 4}], "herb_ids": [TWO]}
    missing = await client.patch("/beds/1", json={"herb_ids": [row["id"]]})
    assert summary(missing) == "422 #/herb_ids/0 reference_not_found"
    missing = await client.patch("/beds/1", json={"rows": [{"id": ONE, "length": 4}]})
    assert summary(missing) == "422 #/rows/0/id reference_not_found"


async def test_a_change_of_two_lists_is_one_version(client: AsyncClient) -> None:
    await create_row(client, "/herbs", {"id": ONE})
    await create_row(client, "/beds", {"rows": [{"length": 3}]})
    await patch_row(client, "/beds/1", {"rows": [], "herb_ids": [ONE]})
    assert (await get_json(client, "/beds/1"))["version"] == 2
