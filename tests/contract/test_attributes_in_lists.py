"""Attributes and classes of rows beside other features."""

from collections.abc import AsyncIterator
from json import loads
from typing import Annotated, Any, Final, Literal

import pytest
from httpx2 import AsyncClient
from pydantic import Field
from sqlalchemy import ColumnElement, ForeignKey, MetaData, String
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from brickwork import (
    Fields,
    Filter,
    Limit,
    ListQuery,
    Model,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    SortBy,
    Versioned,
    crud_router,
)
from brickwork.http.negotiation import NDJSON
from tests.support.clients import Clients, clients_of
from tests.support.databases import Databases

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Creature(Base, SoftDelete):
    """A creature with a key of two columns; all kinds are in one table."""

    __tablename__ = "creatures"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_abstract": True}  # noqa: RUF012

    zone: Mapped[str] = mapped_column(String(5), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(10))
    note: Mapped[str | None] = mapped_column(String(10), deferred=True)

    @hybrid_property
    def rank(self) -> int:
        """Return the rank. Unlike the database, Python rounds it to tens."""
        return -self.number // 10 * 10

    @rank.inplace.expression
    @classmethod
    def _rank(cls) -> ColumnElement[int]:
        return -cls.number


class Perch(Creature):
    """A perch."""

    __mapper_args__ = {"polymorphic_identity": "fish"}  # noqa: RUF012

    fins: Mapped[int | None]


class Heron(Creature):
    """A heron."""

    __mapper_args__ = {"polymorphic_identity": "bird"}  # noqa: RUF012

    song: Mapped[str | None] = mapped_column(String(10), deferred=True)


class Trip(Base, Versioned):
    """A trip with stops."""

    __tablename__ = "trips"

    id: Mapped[int] = mapped_column(primary_key=True)
    depot_id: Mapped[int | None] = mapped_column(ForeignKey("depots.id"))
    depot: Mapped["Depot | None"] = relationship()
    depot_code: AssociationProxy[str | None] = association_proxy("depot", "code")
    stops: Mapped[list["Stop"]] = relationship(cascade="all, delete-orphan", order_by="Stop.id")


class Depot(Base):
    """The depot of a trip."""

    __tablename__ = "depots"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str | None] = mapped_column(String(10))


class Stop(Base):
    """A stop of a trip, with a deferred column."""

    __tablename__ = "stops"

    id: Mapped[int] = mapped_column(primary_key=True)
    trip_id: Mapped[int] = mapped_column(ForeignKey(Trip.id))
    place: Mapped[str] = mapped_column(String(10))
    remark: Mapped[str | None] = mapped_column(String(10), deferred=True)


class FishRead(ReadSchema):
    zone: str
    number: int
    name: str
    rank: int
    fins: int | None = Field(serialization_alias="finCount")


class BirdRead(ReadSchema):
    zone: str
    number: int
    name: str = Field(serialization_alias="title")
    note: str | None
    song: str | None


class FishCreate(Schema):
    zone: str
    number: int
    name: str
    fins: int | None = None


class BirdCreate(Schema):
    zone: str
    number: int
    name: str
    note: str | None = None
    song: str | None = None


class CreatureUpdate(Schema, partial=True):
    name: str
    note: str | None


class CreatureQuery(ListQuery[Creature], envelope=True):
    rank: Filter[int] = None
    note: Filter[str] = None
    fields: Fields = None
    sort: SortBy[Literal["rank", "note", "name", "number"]] = None


class BirdQuery(ListQuery[Heron]):
    fields: Fields = None
    sort: SortBy[Literal["rank", "song", "number"]] = None


class Creatures(Resource[Creature]): ...


class Fishes(Resource[Perch]): ...


class Birds(Resource[Heron]): ...


class StopRead(ReadSchema):
    id: int
    place: str
    remark: str | None


class StopItem(Schema):
    place: str
    remark: str | None = None


class KeyedItem(StopItem):
    id: int | None = None


class TripRead(ReadSchema):
    id: int
    depot_code: str | None
    stops: Annotated[list[StopRead], Limit(10)]
    version: int


class TripCreate(Schema):
    depot_id: int | None = None
    stops: list[StopItem] = Field(default=[])


class TripUpdate(TripCreate, partial=True): ...


class TourCreate(Schema):
    stops: list[KeyedItem] = Field(default=[])


class TourUpdate(TourCreate, partial=True): ...


class TripQuery(ListQuery[Trip]):
    depot_code: Filter[str] = None
    fields: Fields = None


class Trips(Resource[Trip]): ...


class Tours(Resource[Trip]): ...


class DepotRead(ReadSchema):
    id: int


class DepotCreate(Schema):
    code: str


class Depots(Resource[Depot]): ...


ROUTERS: Final = (
    crud_router(
        "/creatures",
        Creatures,
        read=FishRead | BirdRead,
        update=CreatureUpdate,
        query=CreatureQuery,
    ),
    crud_router("/fishes", Fishes, read=FishRead, create=FishCreate),
    crud_router("/birds", Birds, read=BirdRead, create=BirdCreate, query=BirdQuery),
    crud_router(
        "/trips", Trips, read=TripRead, create=TripCreate, update=TripUpdate, query=TripQuery
    ),
    crud_router("/tours", Tours, read=TripRead, create=TourCreate, update=TourUpdate),
    crud_router("/depots", Depots, read=DepotRead, create=DepotCreate),
)


@pytest.fixture(scope="module")
async def clients(templates: Databases) -> AsyncIterator[Clients]:
    """Yield the clients, each created at its first use."""
    async with clients_of(templates, [Base.metadata], ROUTERS) as clients:
        yield clients


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
async def client(request: pytest.FixtureRequest, clients: Clients, backend: str) -> AsyncClient:
    """Return a client of the application with four creatures."""
    client = await clients.of(backend, fast=request.param)
    for number, name, path in (
        (3, "a", "fishes"),
        (14, "b", "birds"),
        (25, "c", "birds"),
        (36, "d", "fishes"),
    ):
        extra = {"fins": number} if path == "fishes" else {"note": f"n{number}", "song": "la"}
        body = {"zone": "z", "number": number, "name": name, **extra}
        response = await client.post(f"/{path}", json=body)
        assert response.status_code in {201, 409}, response.text
    return client


# --- Rows of several classes ----------------------------------------------------------------------


@pytest.mark.parametrize("sort", ["rank", "-rank", "note", "-note", "name", "-number"])
@pytest.mark.parametrize("fields", [None, "finCount,title", "zone,song", "number,rank,name"])
async def test_rows_of_several_classes_have_chosen_fields(
    client: AsyncClient, sort: str, fields: str | None
) -> None:
    whole = (await client.get("/creatures", params={"sort": sort})).json()
    assert {*whole} == {"items", "total", "next", "prev"}
    expected = whole["items"]
    assert {row["number"] for row in expected} >= {3, 14, 25, 36}
    if fields:
        chosen = fields.split(",")
        expected = [{k: v for k, v in row.items() if k in chosen} for row in expected]

    query = {"sort": sort} | ({"fields": fields} if fields else {})
    found: list[Any] = []
    page = (await client.get("/creatures", params={**query, "limit": 1})).json()
    for _ in expected:
        found += page["items"]
        if page["next"]:
            page = (await client.get(page["next"])).json()
    assert found == expected
    assert page["next"] is None

    export = await client.get("/creatures", params=query, headers={"Accept": NDJSON})
    assert [*map(loads, export.text.splitlines())] == expected


async def test_the_fields_of_several_classes_are_described(client: AsyncClient) -> None:
    unknown = await client.get("/creatures?fields=fins")
    assert unknown.status_code == 422, unknown.text
    document = (await client.get("/openapi.json")).json()
    components = document["components"]["schemas"]
    items = components["CreaturePage"]["properties"]["items"]["items"]
    assert items == {
        "anyOf": [
            {"$ref": "#/components/schemas/FishFields"},
            {"$ref": "#/components/schemas/BirdFields"},
        ]
    }
    assert "required" not in components["FishFields"]
    parameters = document["paths"]["/creatures"]["get"]["parameters"]
    (fields,) = [one for one in parameters if one["name"] == "fields"]
    for name in ("finCount", "title", "song"):
        assert name in str(fields)


async def test_filters_compare_expressions_and_deferred_columns(client: AsyncClient) -> None:
    found = await client.get("/creatures?rank__lt=-3&note__in=n14,n25&rank__ne=-25")
    assert [row["number"] for row in found.json()["items"]] == [14], found.text


async def test_a_row_with_a_composite_key_is_restored(
    client: AsyncClient,
) -> None:
    body = {"zone": "y", "number": 5, "name": "e", "song": "lo"}
    assert (await client.post("/birds", json=body)).status_code in {201, 409}
    item = "/creatures/y/5"
    changed = await client.patch(item, json={"name": "E", "note": "new"})
    shown = {"zone": "y", "number": 5, "title": "E", "note": "new", "song": "lo"}
    assert changed.json() == shown, changed.text
    assert (await client.get(item)).json() == shown
    assert (await client.delete(item)).status_code == 204

    deleted = await client.get("/creatures?deleted=only&fields=song,finCount")
    (row,) = deleted.json()["items"]
    assert {*row} == {"song", "deleted_at"}
    (whole,) = (await client.get("/creatures?deleted=only")).json()["items"]
    assert {*whole} == {*shown, "deleted_at"}
    lines = await client.get("/creatures?deleted=only&fields=song", headers={"Accept": NDJSON})
    assert loads(lines.text) == row
    restored = await client.post(f"{item}/restore")
    assert restored.json() == shown, restored.text
    assert (await client.delete(item)).status_code == 204


# --- Chosen fields --------------------------------------------------------------------------------


@pytest.mark.parametrize("sort", ["rank", "-rank", "song,-rank", "number"])
@pytest.mark.parametrize("fields", ["number", "note,number", "title", "song"])
async def test_chosen_fields_are_sorted_by_expressions_and_deferred_columns(
    client: AsyncClient, sort: str, fields: str
) -> None:
    whole = (await client.get("/birds", params={"sort": sort})).json()
    query: dict[str, Any] = {"sort": sort, "fields": fields, "limit": 1}
    found: list[Any] = []
    response = await client.get("/birds", params=query)
    while True:
        found += response.json()
        if "next" not in response.links or len(found) > len(whole):
            break
        response = await client.get(response.links["next"]["url"])
    assert found == [{name: row[name] for name in fields.split(",")} for row in whole]


# --- Related rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/trips", "/tours"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_related_rows_with_a_deferred_column_are_compared_and_shown(
    client: AsyncClient, path: str, method: str
) -> None:
    stops: list[dict[str, Any]] = [{"place": "a", "remark": "x"}, {"place": "b", "remark": None}]
    created = await client.post(path, json={"stops": stops})
    trip = created.json()
    assert [stop["remark"] for stop in trip["stops"]] == ["x", None], created.text
    item = f"{path}/{trip['id']}"
    sent: list[dict[str, Any]] = trip["stops"] if path == "/tours" else stops

    same = await client.request(method, item, json={"stops": sent})
    assert same.json() == trip, same.text

    other = [sent[0] | {"remark": "y"}, sent[1]]
    changed = (await client.request(method, item, json={"stops": other})).json()
    assert changed["version"] == trip["version"] + 1
    assert {(stop["place"], stop["remark"]) for stop in changed["stops"]} == {
        ("a", "y"),
        ("b", None),
    }
    assert changed["stops"] == (await client.get(item)).json()["stops"]


async def test_a_filter_of_an_association_proxy_has_operators(client: AsyncClient) -> None:
    await client.post("/depots", json={"code": "north"})
    depot = (await client.get("/depots?limit=1")).json()[0]["id"]
    trip = (await client.post("/trips", json={"depot_id": depot})).json()
    assert trip["depot_code"] == "north"
    found = (await client.get("/trips?depot_code__startswith=no&fields=id,depot_code")).json()
    assert {"id": trip["id"], "depot_code": "north"} in found
    others = (await client.get("/trips?depot_code__ne=north")).json()
    assert trip["id"] not in {row["id"] for row in others}
