"""Constraints of every kind, and the fields in their errors."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx2 import AsyncClient
from pydantic import Field
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    UniqueConstraint,
    event,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from brickwork import Database, ReadSchema, Resource, Schema, crud_router
from tests.support.bodies import create_row, get_json, summary
from tests.support.both import FAST, apps_of, serving_routers
from tests.support.databases import postgres_only
from tests.support.running import Running
from tests.support.tables import Tables

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(DeclarativeBase):
    """Base of models whose constraints are named by the database."""


class Maker(Base):
    __tablename__ = "makers"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(10), unique=True)


class Part(Base):
    """A part; clients write all of its columns except the tenant."""

    __tablename__ = "parts"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(String(10), default="one")
    name: Mapped[str | None] = mapped_column(String(10))
    price: Mapped[int] = mapped_column(default=1)
    low: Mapped[int] = mapped_column(default=0)
    high: Mapped[int] = mapped_column(default=9)
    width: Mapped[int] = mapped_column("Total Width", default=1)
    length: Mapped[str] = mapped_column(String(20), default="a")
    x: Mapped[int | None]
    y: Mapped[int | None]
    maker_id: Mapped[int | None] = mapped_column(ForeignKey(Maker.id))
    maker_code: Mapped[str | None] = mapped_column(ForeignKey(Maker.code))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("parts.id"))
    above_x: Mapped[int | None]
    above_y: Mapped[int | None]

    __table_args__ = (
        CheckConstraint("price >= 0"),
        CheckConstraint("low <= high AND tenant <> 'nobody' /* x, y */", name="in_order"),
        CheckConstraint('"Total Width" > 0 AND length(tenant) < "Total Width" + high'),
        CheckConstraint("length(length) > 0 AND length <> 'price'"),
        CheckConstraint(literal_column("low") < 100),
        UniqueConstraint("tenant", "name"),
        UniqueConstraint("x", "y"),
        ForeignKeyConstraint(["above_x", "above_y"], ["parts.x", "parts.y"]),
        Index("named_in_lower_case", func.lower(name), "price", unique=True),
    )


class PartRead(ReadSchema):
    id: int
    tenant: str
    name: str | None


class PartCreate(Schema):
    name: str | None = None
    price: int = 1
    low: int = 0
    high: int = 9
    width: int = Field(default=1, alias="totalWidth")
    length: str = "a"
    x: int | None = None
    y: int | None = None
    maker_id: int | None = None
    maker_code: str | None = None
    parent_id: int | None = None
    above_x: int | None = None
    above_y: int | None = None


class PartUpdate(PartCreate, partial=True): ...


class Parts(Resource[Part]): ...


PARTS = crud_router("/parts", Parts, read=PartRead, create=PartCreate, update=PartUpdate)
PART_APPS = apps_of(PARTS)


@pytest.fixture(params=FAST)
def fast(request: pytest.FixtureRequest) -> bool:
    """Return whether the fast path is enabled."""
    return FAST[request.param]


@pytest.fixture
async def client(running: Running, tables: Tables, backend: str, fast: bool) -> AsyncClient:  # noqa: FBT001
    return await running.client(PART_APPS[fast], await tables.of(Base.metadata, backend))


REFUSED = [
    ({"price": -1}, "422 #/price check_failed"),
    ({"low": 5, "high": 4}, "422 #/high check_failed, #/low check_failed"),
    ({"totalWidth": 0}, "422 #/high check_failed, #/totalWidth check_failed"),
    ({"length": ""}, "422 #/length check_failed"),
    ({"low": 100, "high": 200}, "422 #/low check_failed"),
    ({"name": "a"}, "409 #/name not_unique"),
    ({"name": "A", "price": 2}, "409 #/name not_unique, #/price not_unique"),
    ({"x": 1, "y": 1}, "409 #/x not_unique, #/y not_unique"),
    ({"maker_id": 777}, "422 #/maker_id reference_not_found"),
    ({"maker_code": "z"}, "422 #/maker_code reference_not_found"),
    ({"parent_id": 777}, "422 #/parent_id reference_not_found"),
    (
        {"above_x": 1, "above_y": 2},
        "422 #/above_x reference_not_found, #/above_y reference_not_found",
    ),
]


@pytest.mark.parametrize(("body", "answer"), REFUSED, ids=[str(body) for body, _ in REFUSED])
async def test_constraint_names_the_writable_fields(
    client: AsyncClient, body: dict[str, Any], answer: str
) -> None:
    row = await create_row(client, "/parts", {"name": "a", "price": 2, "x": 1, "y": 1})
    other = await create_row(client, "/parts", {"name": "b"})
    responses = [
        await client.post("/parts", json=body),
        await client.patch(f"/parts/{other['id']}", json=body),
        await client.put(f"/parts/{other['id']}", json=body),
        await client.post("/parts/batch", json=[{"name": "c"}, body]),
        await client.patch("/parts/batch", json=[{"id": other["id"], **body}]),
    ]
    assert [summary(response) for response in responses] == [
        *[answer] * 3,
        answer.replace("#", "#/1"),
        answer.replace("#", "#/0"),
    ]
    assert await get_json(client, "/parts") == [row, other]


async def test_change_of_a_referenced_value_is_a_conflict(
    client: AsyncClient,
) -> None:
    row = await create_row(client, "/parts", {"x": 1, "y": 1})
    await create_row(client, "/parts", {"above_x": 1, "above_y": 1})
    assert summary(await client.patch(f"/parts/{row['id']}", json={"y": 2})) == "409"


# --- Unmapped constraints ----------------------------------------------------------------------


class Legacy(DeclarativeBase):
    """Base of models with fewer constraints than their tables."""


class Tool(Legacy):
    __tablename__ = "tools"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(String(10), default="one")
    name: Mapped[str | None] = mapped_column(String(10))
    size: Mapped[int] = mapped_column(default=1)
    weight: Mapped[int] = mapped_column(default=1)
    owner: Mapped[str | None] = mapped_column(String(10))


_IN_SQLITE = """
CREATE TABLE tools (
  id INTEGER PRIMARY KEY, tenant VARCHAR(10), name VARCHAR(10), owner VARCHAR(10),
  size INTEGER CONSTRAINT "is positive" CHECK ("size" > 0), weight INTEGER CHECK(weight > 0),
  CONSTRAINT fits CHECK (size < 100 AND (weight < 100 OR tenant = 'two'))
)"""
_IN_POSTGRESQL = """
ALTER TABLE tools ADD CONSTRAINT "is positive" CHECK ("size" > 0), ADD CHECK(weight > 0),
  ADD CONSTRAINT fits CHECK (size < 100 AND (weight < 100 OR tenant = 'two'))
"""


@event.listens_for(Tool.__table__, "after_create")
def _constrain(_: object, connection: Connection, **__: object) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    for statement in (
        *(["DROP TABLE tools", _IN_SQLITE] if is_sqlite else [_IN_POSTGRESQL]),
        "CREATE UNIQUE INDEX one_name ON tools (tenant, lower(name))",
        "CREATE UNIQUE INDEX one_owner ON tools (owner, tenant)",
    ):
        connection.execute(text(statement))


class ToolRead(ReadSchema):
    id: int


class ToolCreate(Schema):
    name: str | None = None
    size: int = 1
    weight: int = 1
    owner: str | None = None


class ToolUpdate(ToolCreate, partial=True): ...


class Tools(Resource[Tool]): ...


TOOLS = crud_router("/tools", Tools, read=ToolRead, create=ToolCreate, update=ToolUpdate)
TOOL_APPS = apps_of(TOOLS)


@pytest.fixture
async def tools(running: Running, tables: Tables, backend: str, fast: bool) -> AsyncClient:  # noqa: FBT001
    return await running.client(TOOL_APPS[fast], await tables.of(Legacy.metadata, backend))


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"size": 0}, "422 #/size check_failed"),
        ({"weight": 0}, "422 #/weight check_failed"),
        ({"size": 100}, "422 #/size check_failed, #/weight check_failed"),
        ({"name": "A"}, "409 #/name not_unique"),
        ({"owner": "o"}, "409 #/owner not_unique"),
    ],
)
async def test_unmapped_constraint_names_the_writable_fields(
    tools: AsyncClient, body: dict[str, Any], answer: str
) -> None:
    await create_row(tools, "/tools", {"name": "a", "owner": "o"})
    assert summary(await tools.post("/tools", json=body)) == answer


# --- Tables of PostgreSQL alone ----------------------------------------------------------------


class Special(DeclarativeBase):
    """Base of partitioned tables, and of tables in another schema."""


class Visit(Special):
    __tablename__ = "visits"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant: Mapped[str] = mapped_column(String(10), default="one")
    room: Mapped[str] = mapped_column(String(10), default="r")
    guests: Mapped[int] = mapped_column(default=1)
    label: Mapped[str | None] = mapped_column(String(10))

    __table_args__: Any = (
        UniqueConstraint("id", "tenant", "room"),
        CheckConstraint("guests > 0"),
        {"postgresql_partition_by": "RANGE (id)"},
    )


class Booking(Special):
    __tablename__ = "bookings"

    id: Mapped[int] = mapped_column(primary_key=True)
    first: Mapped[int]
    last: Mapped[int]

    __table_args__ = (
        ExcludeConstraint(
            (func.int4range(Column("first", Integer), Column("last", Integer)), "&&"), using="gist"
        ),
    )


class Near(Special):
    __tablename__ = "places"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(10))
    size: Mapped[int] = mapped_column(default=1)

    __table_args__ = (CheckConstraint("size > 0", name="fits"),)


class Far(Special):
    """Another table of the same name, with a constraint of the same name."""

    __tablename__ = "places"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(10))
    size: Mapped[int] = mapped_column(default=1)

    __table_args__: Any = (
        CheckConstraint("name <> 'bad'", name="fits"),
        UniqueConstraint("name"),
        {"schema": "far"},
    )


@event.listens_for(Special.metadata, "before_create")
def _make_schema(_: object, connection: Connection, **__: object) -> None:
    connection.execute(text("CREATE SCHEMA far"))


@event.listens_for(Special.metadata, "after_create")
def _make_partition(_: object, connection: Connection, **__: object) -> None:
    for statement in (
        "CREATE TABLE visits_of_today PARTITION OF visits FOR VALUES FROM (1) TO (100)",
        "CREATE UNIQUE INDEX one_label ON visits_of_today (tenant, label)",
        "ALTER TABLE visits_of_today ALTER COLUMN label SET NOT NULL",
    ):
        connection.execute(text(statement))


class SpecialRead(ReadSchema):
    id: int


class VisitCreate(Schema):
    id: int = 2
    room: str = "r"
    guests: int = 1
    label: str | None = "b"


class VisitUpdate(VisitCreate, partial=True): ...


class BookingCreate(Schema):
    first: int
    last: int


class BookingUpdate(BookingCreate, partial=True): ...


class PlaceCreate(Schema):
    name: str | None = None
    size: int = 1


class PlaceUpdate(PlaceCreate, partial=True): ...


class Visits(Resource[Visit]): ...


class Bookings(Resource[Booking]): ...


class NearPlaces(Resource[Near]): ...


class FarPlaces(Resource[Far]): ...


SPECIAL = [
    crud_router("/visits", Visits, read=SpecialRead, create=VisitCreate, update=VisitUpdate),
    crud_router(
        "/bookings", Bookings, read=SpecialRead, create=BookingCreate, update=BookingUpdate
    ),
    crud_router("/near", NearPlaces, read=SpecialRead, create=PlaceCreate, update=PlaceUpdate),
    crud_router("/far", FarPlaces, read=SpecialRead, create=PlaceCreate, update=PlaceUpdate),
]


@pytest.fixture
async def special(empty_url: str, fast: bool) -> AsyncIterator[AsyncClient]:  # noqa: FBT001
    """Yield a client of tables for PostgreSQL only, with one row each."""
    database = Database(empty_url, fast_path=fast)
    await database.create_all(Special.metadata)
    async with serving_routers(database, *SPECIAL) as client:
        await create_row(client, "/visits", {"id": 1, "label": "a"})
        await create_row(client, "/bookings", {"first": 1, "last": 5})
        await create_row(client, "/near", {"name": "bad"})
        await create_row(client, "/far", {"name": "a", "size": 0})
        yield client


@postgres_only
@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/visits", {"id": 1}, "409 #/id not_unique"),
        ("/visits", {"guests": 0}, "422 #/guests check_failed"),
        ("/visits", {"label": "a"}, "409 #/label not_unique"),
        ("/visits", {"label": None}, "422 #/label not_nullable"),
        ("/visits", {"id": 500}, "422 #/id check_failed"),
        ("/bookings", {"first": 4, "last": 9}, "409 #/first not_unique, #/last not_unique"),
        ("/bookings", {"first": 9, "last": 4}, "422"),
        ("/near", {"size": 0}, "422 #/size check_failed"),
        ("/far", {"name": "bad"}, "422 #/name check_failed"),
        ("/far", {"name": "a"}, "409 #/name not_unique"),
    ],
)
async def test_constraint_of_postgresql_names_the_writable_fields(
    special: AsyncClient, path: str, body: dict[str, Any], answer: str
) -> None:
    assert summary(await special.post(path, json=body)) == answer
    response = await special.post(f"{path}/batch", json=[body])
    at_0 = answer.replace("#", "#/0") if "#" in answer else f"{answer} #/0 invalid"
    assert summary(response) == at_0
