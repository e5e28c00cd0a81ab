"""Related rows of other mappings, types and names."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel
from sqlalchemy import JSON, ForeignKey, MetaData, String, UniqueConstraint
from sqlalchemy.orm import Mapped, MappedAsDataclass, mapped_column, relationship

from brickwork import (
    Audited,
    Database,
    JSONDocument,
    Limit,
    Model,
    ReadSchema,
    Resource,
    Schema,
    Versioned,
    crud_router,
)
from tests.support.bodies import Body, create_row, get_json, patch_row, summary
from tests.support.recording import statements
from tests.support.running import Running
from tests.support.shop import app_of
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio


class Base(Model):
    """The base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Wagon(Base, Versioned, Audited):
    """A vehicle with seats, which has no time of change."""

    __tablename__ = "vehicles"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str | None] = mapped_column(String(10))
    seats: Mapped[list["VehicleSeat"]] = relationship(
        cascade="all, delete-orphan", order_by="VehicleSeat.code"
    )


class Bus(Wagon):
    """A vehicle of its own kind."""

    __mapper_args__ = {"polymorphic_identity": "bus"}  # noqa: RUF012


class VehicleSeat(Base, Audited):
    """A seat, whose code clients choose."""

    __tablename__ = "seats"

    code: Mapped[str] = mapped_column(String(5), primary_key=True)
    vehicle_id: Mapped[int] = mapped_column(ForeignKey("vehicles.id"))
    extras: Mapped[dict[str, Any] | None] = mapped_column(JSONDocument)
    tags: Mapped[list[str]] = mapped_column(JSON, default=["plain"])
    note: Mapped[str | None] = mapped_column(String(10), default="none")

    @property
    def label(self) -> str:
        """Return the note."""
        return self.note or ""

    @label.setter
    def label(self, value: str) -> None:
        self.note = value


class Camel(Schema):
    model_config = ConfigDict(alias_generator=to_camel)


class SeatBody(Camel):
    code: str
    extras: dict[str, Any] | None = None
    tags: list[str] | None = None
    label: str = "none"


class VehicleCreate(Camel):
    name: str | None = None
    seats: Annotated[list[SeatBody], Field(alias="allSeats", min_length=1, max_length=3)]


class VehicleUpdate(VehicleCreate, partial=True): ...


class VehicleSeatRead(ReadSchema):
    code: str
    extras: dict[str, Any] | None
    tags: list[str]
    note: str | None


class VehicleRead(ReadSchema):
    id: int
    version: int
    seats: Annotated[list[VehicleSeatRead], Limit(10)]


class Vehicles(Resource[Wagon]):
    """Vehicles of all kinds."""


class WallShelf(MappedAsDataclass, Base):
    """A shelf with books, as a dataclass, without columns but its key and name."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str] = mapped_column(String(10))
    books: Mapped[list["ShelfBook"]] = relationship(
        default_factory=list, cascade="all, delete-orphan", back_populates="shelf", lazy="selectin"
    )


class ShelfBook(MappedAsDataclass, Base):
    """A book on a shelf, as a dataclass."""

    __tablename__ = "books"
    __table_args__ = (UniqueConstraint("shelf_id", "title"),)

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelves.id"), init=False)
    title: Mapped[str] = mapped_column(String(10))
    shelf: Mapped[WallShelf] = relationship(init=False, back_populates="books")


class BookBody(Schema):
    title: str


class ShelfCreate(Schema):
    name: str
    books: list[BookBody] = Field(default_factory=list[BookBody])


class ShelfUpdate(ShelfCreate, partial=True): ...


class ShelfRead(ReadSchema):
    id: int
    name: str


class Shelves(Resource[WallShelf]):
    """Shelves as declared."""


vehicles = crud_router(
    "/vehicles", Vehicles, read=VehicleRead, create=VehicleCreate, update=VehicleUpdate
)
shelves = crud_router("/shelves", Shelves, read=ShelfRead, create=ShelfCreate, update=ShelfUpdate)


def create_app(url: str) -> FastAPI:
    """Create an application of the vehicles and the shelves."""
    return app_of(Database(url), vehicles, shelves)


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    """Return the URL of a database without rows."""
    return await tables.of(Base.metadata, backend)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Yield a database without rows."""
    database = Database(url)
    yield database
    await database.dispose()


@pytest.fixture
async def client(running: Running, url: str) -> AsyncClient:
    """Return a client of the vehicles and the shelves."""
    return await running.client(create_app, url)


def seat(code: str, **fields: object) -> Body:
    return {"code": code, **fields}


async def test_clients_choose_the_keys_of_related_rows(client: AsyncClient) -> None:
    made = await create_row(client, "/vehicles", {"allSeats": [seat("b"), seat("a")]})
    assert [one["code"] for one in made["seats"]] == ["a", "b"]
    path = f"/vehicles/{made['id']}"
    seats = [seat("b", label="new"), seat("c")]
    changed = await patch_row(client, path, {"allSeats": seats})
    assert [(one["code"], one["note"]) for one in changed["seats"]] == [("b", "new"), ("c", "none")]
    assert changed["version"] == 2
    assert await patch_row(client, path, {"allSeats": seats}) == changed
    answer = await client.post("/vehicles", json={"allSeats": [seat("d"), seat("b")]})
    assert summary(answer) == "409 #/allSeats not_unique"


async def test_related_rows_have_their_own_defaults(client: AsyncClient) -> None:
    seats = [
        seat("a"),
        seat("b", extras=None),
        seat("c", tags=["x"], extras={"a": 1, "b": {"c": None}}),
    ]
    made = await create_row(client, "/vehicles", {"allSeats": seats})
    shown = [(one["extras"], one["tags"]) for one in made["seats"]]
    assert shown[0] == (None, ["plain"])
    assert shown[2] == ({"a": 1, "b": {"c": None}}, ["x"])
    assert await get_json(client, f"/vehicles/{made['id']}") == made


async def test_bounds_of_the_schema_hold(client: AsyncClient) -> None:
    for seats, code in (([], "too_short"), ([seat(str(n)) for n in range(4)], "too_long")):
        for method, path in (("POST", "/vehicles"), ("PATCH", "/vehicles/1")):
            response = await client.request(method, path, json={"allSeats": seats})
            assert summary(response) == f"422 #/allSeats {code}"
    response = await client.post("/vehicles", json={"allSeats": [seat("a"), seat("a")]})
    assert summary(response) == "422 #/allSeats/1/code repeated"


async def test_rows_of_a_subclass_have_related_rows(
    client: AsyncClient, database: Database
) -> None:
    made = await create_row(client, "/vehicles", {"allSeats": [seat("a")]})
    async with database.session() as session:
        session.add(bus := Bus(seats=[VehicleSeat(code="z")]))
    items = [
        {"id": bus.id, "allSeats": [seat("y"), seat("z")]},
        {"id": made["id"], "allSeats": [seat("b")]},
    ]
    changed = await client.patch("/vehicles/batch", json=items)
    codes = [[one["code"] for one in row["seats"]] for row in changed.json()]
    assert codes == [["y", "z"], ["b"]]


async def test_changes_of_related_rows_are_audited(client: AsyncClient) -> None:
    made = await create_row(client, "/vehicles", {"allSeats": [seat("a")]})
    path = f"/vehicles/{made['id']}"
    await patch_row(client, path, {"allSeats": [seat("b")]})
    entries = await get_json(client, f"{path}/history")
    assert [entry["action"] for entry in entries] == ["update", "create"]
    assert entries[0]["changes"] == {"version": {"before": 1, "after": 2}}


async def test_related_rows_of_a_dataclass(client: AsyncClient) -> None:
    made = await create_row(client, "/shelves", {"name": "a", "books": [{"title": "x"}]})
    path = f"/shelves/{made['id']}"
    same = await client.post("/shelves", json={"name": "b", "books": [{"title": "x"}] * 2})
    assert summary(same) == "409 #/books/1/title not_unique"
    for books, sent in (
        ([{"title": "x"}, {"title": "y"}], ["INSERT", "UPDATE"]),
        ([{"title": "y"}, {"title": "x"}], []),
        ([{"title": "y"}], ["DELETE", "UPDATE"]),
    ):
        with statements() as log:
            await patch_row(client, path, {"books": books})
        verbs = sorted({line.split()[0] for line in log} - {"SELECT"})
        assert verbs == sent
