"""Responses that their read schema rejects."""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, Literal

import pytest
from annotated_types import Len
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import FetchedValue, MetaData, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import (
    Database,
    JSONDocument,
    Model,
    ReadSchema,
    Resource,
    Schema,
    UTCDateTime,
    Versioned,
    crud_router,
    install,
)
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import sqlite_only
from tests.support.recording import path_taken
from tests.support.running import Running
from tests.support.tables import Tables, insert_rows

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Part(Base, Versioned):
    __tablename__ = "parts"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    note: Mapped[str | None] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(String(20), server_default="old")
    data: Mapped[dict[str, Any] | None] = mapped_column(JSONDocument)
    made: Mapped[datetime | None] = mapped_column(UTCDateTime)
    editor: Mapped[str | None] = mapped_column(String(20), onupdate=lambda: "eve")
    author: Mapped[str | None] = mapped_column(String(20), onupdate=func.lower("EVE"))
    code: Mapped[str | None] = mapped_column(String(20))
    seal: Mapped[str | None] = mapped_column(String(20), server_onupdate=FetchedValue())


class Parts(Resource[Part]): ...


class Named(Schema):
    name: str


class NamedUpdate(Named, partial=True): ...


class PartCreate(Named):
    code: str = "c"


class PartUpdate(PartCreate, partial=True): ...


class PartRead(ReadSchema):
    id: int
    name: str


class Authored(PartRead):
    author: Annotated[str | None, Len(1, 1)]


class Coded(PartRead):
    code: str


class Documented(PartRead):
    data: dict[str, str] | None


class Edited(PartRead):
    editor: Annotated[str | None, Len(1, 1)]


class FirstVersion(PartRead):
    version: Literal[1]


class Kept(PartRead):
    """A part with any value of the row."""

    note: str | None
    kind: str
    made: datetime | None
    data: Any
    editor: str | None
    version: int


class New(PartRead):
    kind: Literal["new"]


class Noted(PartRead):
    note: Annotated[str | None, Len(2)]


class Sealed(PartRead):
    seal: Annotated[str | None, Len(2)]


class Short(PartRead):
    kind: Annotated[str, Len(0, 2)]


class Settings(PartRead, str_max_length=2):
    kind: str


PATHS: Final = pytest.mark.parametrize("fast", [True, False], ids=["fast", "ORM"])
GIVEN: Final = {"id": 9, "name": "bolt", "note": "a", "data": {"a": 1}, "editor": "a", "seal": "a"}
"""A row that no client can write: its code is null."""


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    return await tables.of(Base.metadata, backend)


@pytest.fixture
async def database(url: str, *, fast: bool) -> AsyncGenerator[Database]:
    database = Database(url, fast_path=fast)
    await insert_rows(database, {Part: [GIVEN]})
    yield database
    await database.dispose()


def app_of(database: Database, read: type[ReadSchema]) -> FastAPI:
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    app.include_router(
        crud_router("/parts", Parts, read=read, create=PartCreate, update=PartUpdate)
    )
    return app


def create_app(url: str, *, fast: bool) -> FastAPI:
    return app_of(Database(url, fast_path=fast), Kept)


CREATE_APP: Final = {fast: partial(create_app, fast=fast) for fast in (True, False)}


@pytest.fixture
async def kept(running: Running, url: str, *, fast: bool) -> AsyncClient:
    """Return a client of parts as they are."""
    return await running.client(CREATE_APP[fast], url)


async def parts(kept: AsyncClient) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = (await kept.get("/parts")).json()
    return found


@PATHS
@pytest.mark.parametrize(
    "read",
    [Authored, Coded, Documented, Edited, FirstVersion, New, Noted, Sealed, Settings, Short],
)
async def test_rejected_response_rolls_back_a_change(
    database: Database, kept: AsyncClient, read: type[ReadSchema]
) -> None:
    before = await parts(kept)
    async with calling(app_of(database, read)) as client:
        answer = await client.patch("/parts/9", json={"name": "nut"})
        assert summary(answer) == "500"
    assert await parts(kept) == before


@PATHS
@pytest.mark.parametrize("read", [New, Settings, Short])
async def test_rejected_response_rolls_back_a_new_row(
    database: Database, kept: AsyncClient, read: type[ReadSchema]
) -> None:
    before = await parts(kept)
    async with calling(app_of(database, read)) as client:
        assert summary(await client.post("/parts", json={"name": "nut"})) == "500"
    assert await parts(kept) == before


@pytest.mark.parametrize("fast", [True])
async def test_permissive_read_schema_uses_the_fast_path(database: Database) -> None:
    async with calling(app_of(database, Kept)) as client:
        assert await path_taken(client.patch("/parts/9", json={"name": "nut"})) == "200 fast"
        assert await path_taken(client.post("/parts", json={"name": "nut"})) == "201 fast"


@pytest.mark.parametrize("fast", [True])
@pytest.mark.parametrize(("read", "status"), [(Noted, "200 fast"), (Short, "500 ORM")])
async def test_strict_read_schema_validates_the_written_row(
    database: Database, read: type[ReadSchema], status: str
) -> None:
    async with database.session() as session:
        (await session.get_one(Part, 9)).note = "long"
    async with calling(app_of(database, read)) as client:
        assert await path_taken(client.patch("/parts/9", json={"name": "nut"})) == status
        assert await path_taken(client.patch("/parts/8", json={"name": "nut"})) == "404 ORM"


class Loose(Model):
    """A model with text in a number column, as SQLite allows."""

    __tablename__ = "loose"
    metadata = MetaData()

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    size: Mapped[int] = mapped_column(server_default=text("'large'"))


class LooseRows(Resource[Loose]): ...


class LooseRead(PartRead):
    size: int


@sqlite_only
async def test_text_in_a_number_column_of_sqlite_is_a_500(tables: Tables, backend: str) -> None:
    database = Database(await tables.of(Loose.metadata, backend))
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    schemas: Mapping[str, Any] = {"read": LooseRead, "create": Named, "update": NamedUpdate}
    app.include_router(crud_router("/loose", LooseRows, **schemas))
    async with calling(app) as client:
        assert summary(await client.post("/loose", json={"name": "nut"})) == "500"
