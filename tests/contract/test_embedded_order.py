"""Order of embedded lists."""

from enum import Enum
from typing import Annotated, Any, Final

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, func, insert
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship

from brickwork import Database, Limit, Model, ReadSchema, Resource, Schema, crud_router, install
from brickwork.http.negotiation import NDJSON
from tests.support.databases import sqlite_only
from tests.support.running import Running
from tests.support.tables import Rows, Tables

pytestmark = [pytest.mark.anyio]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Side(Enum):
    """The side of an album; names and members differ in their order."""

    SECOND = "2"
    FIRST = "1"


ENTRIES: Final = Table(
    "entries",
    Base.metadata,
    Column("album_id", Integer, ForeignKey("albums.id"), primary_key=True),
    Column("guest_id", String(10), ForeignKey("guests.id"), primary_key=True),
    Column("rank", Integer),
)


class Guest(Base):
    """A guest on albums."""

    __tablename__ = "guests"

    id: Mapped[str] = mapped_column(String(10), primary_key=True)


class Track(Base):
    """A track of an album, perhaps a part of another."""

    __tablename__ = "tracks"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(20))
    number: Mapped[int | None]
    side: Mapped[Side]
    album_id: Mapped[int | None] = mapped_column(ForeignKey("albums.id"))
    whole_id: Mapped[int | None] = mapped_column(ForeignKey("tracks.id"))
    parts: Mapped[list["Track"]] = relationship(order_by="Track.number")


def tracks(*order: Any) -> Any:
    """Return a relationship to the tracks of an album, in this *order*."""
    options: dict[str, Any] = {"order_by": order} if order else {}
    return relationship(Track, viewonly=True, **options)


class Album(Base):
    """An album, with its tracks in every order."""

    __tablename__ = "albums"

    id: Mapped[int] = mapped_column(primary_key=True)
    unordered: Mapped[list[Track]] = tracks()
    by_number: Mapped[list[Track]] = tracks(Track.number)
    by_number_down: Mapped[list[Track]] = tracks(Track.number.desc())
    by_number_null_first: Mapped[list[Track]] = tracks(Track.number.asc().nulls_first())
    by_number_down_null_last: Mapped[list[Track]] = tracks(Track.number.desc().nulls_last())
    by_title: Mapped[list[Track]] = tracks(Track.title)
    by_small_title: Mapped[list[Track]] = tracks(
        func.lower(Track.title, type_=String), Track.title.desc()
    )
    by_side: Mapped[list[Track]] = tracks(Track.side, Track.id.desc())
    guests: Mapped[list[Guest]] = relationship(
        secondary=ENTRIES, order_by=ENTRIES.c.rank.desc(), viewonly=True
    )
    guests_unordered: Mapped[list[Guest]] = relationship(secondary=ENTRIES, viewonly=True)


class Reissue(Base):
    """An album, with its tracks sorted by a collation of SQLite."""

    __tablename__ = "reissues"

    id: Mapped[int] = mapped_column(primary_key=True)
    tracks: Mapped[list[Track]] = relationship(
        primaryjoin=lambda: foreign(Track.album_id) == Reissue.id,
        order_by=Track.title.collate("NOCASE"),
        viewonly=True,
    )


class Key(ReadSchema):
    id: int


class Name(ReadSchema):
    id: str


class TrackRead(Key):
    parts: Annotated[list[Key], Limit(2)]


Tracks = Annotated[list[Key], Limit(5)]


class AlbumRead(Key):
    unordered: Tracks
    by_number: Tracks
    by_number_down: Tracks
    by_number_null_first: Tracks
    by_number_down_null_last: Tracks
    by_title: Tracks
    by_small_title: Tracks
    by_side: Tracks
    guests: Annotated[list[Name], Limit(2)]
    guests_unordered: Annotated[list[Name], Limit(2)]


class ReissueRead(Key):
    tracks: Tracks


NEW: Final = ("create", "create_batch", "replace")
"""The operations of new rows."""


class Nothing(Schema): ...


class Change(Nothing, partial=True): ...


class AlbumRows(Resource[Album]): ...


class ReissueRows(Resource[Reissue]): ...


class TrackRows(Resource[Track]): ...


def track(title: str, number: int | None, side: Side, *, album: int | None = 1) -> dict[str, Any]:
    return {"title": title, "number": number, "side": side, "album_id": album}


ROWS: Final[Rows] = {
    Album: [{}, {}],
    Reissue: [{}],
    Track: [
        track("b", 2, Side.FIRST),
        track("B", None, Side.SECOND),
        track("a", 1, Side.SECOND),
        track("é", 2, Side.FIRST),
        track("Z", None, Side.FIRST),
        track("_", 3, Side.SECOND),
        track("c", 5, Side.FIRST, album=2),
        *(track("d", n, Side.FIRST, album=None) | {"whole_id": 1} for n in (3, 1, 2)),
    ],
    Guest: [{"id": name} for name in ("b", "A", "a")],
}


ROUTERS: Final = (
    crud_router("/albums", AlbumRows, read=AlbumRead, create=Nothing, update=Change, omit=NEW),
    crud_router(
        "/reissues", ReissueRows, read=ReissueRead, create=Nothing, update=Change, omit=NEW
    ),
    crud_router("/tracks", TrackRows, read=TrackRead, create=Nothing, update=Change, omit=NEW),
)


def create_app(url: str) -> FastAPI:
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app


@pytest.fixture
async def client(running: Running, tables: Tables, backend: str) -> AsyncClient:
    """Return a client of the albums and the tracks."""
    url = await tables.of(Base.metadata, backend, ROWS)
    database = Database(url)
    async with database.session() as session:
        entries = [{"album_id": 1, "guest_id": name, "rank": n} for n, name in enumerate("Aab")]
        await session.execute(insert(ENTRIES), entries)
    await database.dispose()
    return await running.client(create_app, url)


ORDERS: Final = {
    "unordered": [6, 5, 4, 3, 2],
    "by_number": [3, 1, 4, 6, 2],  # of equal numbers, the lower key
    "by_number_down": [5, 2, 6, 4, 1],
    "by_number_null_first": [2, 5, 3, 1, 4],
    "by_number_down_null_last": [6, 4, 1, 3, 5],
    "by_title": [2, 5, 6, 3, 1],  # by code point
    "by_small_title": [6, 3, 1, 2, 5],
    "by_side": [5, 4, 1, 6, 3],
}


@pytest.mark.parametrize("name", ORDERS)
async def test_embedded_rows_are_in_the_order_of_the_relationship(
    client: AsyncClient, name: str
) -> None:
    row = (await client.get("/albums/1")).json()
    assert [item["id"] for item in row[name]] == ORDERS[name]


async def test_embedded_rows_have_the_same_order_in_every_operation(client: AsyncClient) -> None:
    row = (await client.get("/albums/1")).json()
    assert (await client.get("/albums")).json()[0] == row
    export = await client.get("/albums", headers={"accept": NDJSON})
    assert export.content.splitlines()[0] == (await client.get("/albums/1")).content
    assert (await client.patch("/albums/1", json={})).json() == row


async def test_embedded_rows_may_be_ordered_by_their_association(client: AsyncClient) -> None:
    row = (await client.get("/albums/1")).json()
    assert [guest["id"] for guest in row["guests"]] == ["b", "a"]
    assert [guest["id"] for guest in row["guests_unordered"]] == ["b", "a"]  # by code point


async def test_rows_of_a_self_reference_are_embedded_in_order(client: AsyncClient) -> None:
    row = (await client.get("/tracks/1")).json()
    assert [part["id"] for part in row["parts"]] == [9, 10]


@sqlite_only
async def test_collation_of_the_relationship_applies(client: AsyncClient) -> None:
    row = (await client.get("/reissues/1")).json()
    assert [item["id"] for item in row["tracks"]] == [6, 3, 1, 2, 5]
