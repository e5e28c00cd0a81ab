"""Columns of UUIDs whose values are texts in Python: `Uuid(as_uuid=False)`."""

from types import new_class
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import Field
from sqlalchemy import ForeignKey, MetaData, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column, relationship

from brickwork import (
    Audited,
    Database,
    Limit,
    ListQuery,
    Model,
    OneOf,
    ReadSchema,
    Resource,
    Schema,
    Search,
    SortBy,
    crud_router,
)
from tests.support.bodies import MISSING, ask, create_row, get_json, summary
from tests.support.running import Running
from tests.support.shop import app_of
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio

ID = "0189abcd-0000-7000-8000-00000000000a"
OTHER = "0189abcd-0000-7000-8000-00000000000b"


def new_text() -> str:
    return str(uuid4())


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Plot(Base):
    """A row with a generated key."""

    __tablename__ = "plots"

    id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True, default=new_text)
    name: Mapped[str] = mapped_column(String(20))
    plants: Mapped[list["Plant"]] = relationship(back_populates="plot", viewonly=True)


class Plant(Base, Audited):
    """A row with a key of the client, and references."""

    __tablename__ = "plants"

    id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    plot_id: Mapped[str] = mapped_column(ForeignKey("plots.id"))
    batch: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    plot: Mapped[Plot] = relationship(viewonly=True)


class Pair(Base):
    """A row with a key of two such columns."""

    __tablename__ = "pairs"

    one: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    two: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    note: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))


class PlotCreate(Schema):
    name: str


class PlotUpdate(PlotCreate, partial=True): ...


class PlantBrief(ReadSchema):
    id: str


class PlotRead(ReadSchema):
    id: str
    name: str
    plants: Annotated[list[PlantBrief], Limit(5)]


class PlantCreate(Schema):
    id: UUID
    plot_id: str
    batch: Annotated[str | None, Field(alias="batchId")] = None


class PlantUpdate(PlantCreate, partial=True): ...


class PlantRead(ReadSchema):
    id: UUID
    plot_id: str
    batch: Annotated[str | None, Field(alias="batchId")]


class PlantQuery(ListQuery[Plant]):
    id__gt: UUID | None = None
    batch: UUID | None = None
    batch__ne: UUID | None = None
    batch__in: OneOf[UUID] | None = None
    batch__isnull: bool | None = None
    sort: SortBy[Literal["id", "batch"]] = None


class PairCreate(Schema):
    one: str
    two: str
    note: str | None = None


class PairUpdate(PairCreate, partial=True): ...


class PairRead(ReadSchema):
    one: str
    two: str
    note: str | None


class Plots(Resource[Plot]): ...


class Plants(Resource[Plant]):
    allow_upsert = True


class Pairs(Resource[Pair]):
    allow_upsert = True


ROUTERS = (
    crud_router("/plots", Plots, read=PlotRead, create=PlotCreate, update=PlotUpdate),
    crud_router(
        "/plants", Plants, read=PlantRead, create=PlantCreate, update=PlantUpdate, query=PlantQuery
    ),
    crud_router("/pairs", Pairs, read=PairRead, create=PairCreate, update=PairUpdate),
)


def create_app(url: str) -> FastAPI:
    return app_of(Database(url), *ROUTERS)


@pytest.fixture
async def client(running: Running, tables: Tables, backend: str) -> AsyncClient:
    return await running.client(create_app, await tables.of(Base.metadata, backend))


async def create_plant(client: AsyncClient, **fields: Any) -> dict[str, Any]:
    plot = fields.pop("plot_id", None) or (await create_row(client, "/plots", {"name": "p"}))["id"]
    return await create_row(client, "/plants", {"id": ID, "plot_id": plot, **fields})


async def test_a_generated_key_is_a_uuid(client: AsyncClient) -> None:
    created = await client.post("/plots", json={"name": "a"})
    row = created.json()
    assert str(UUID(row["id"])) == row["id"]
    assert created.headers["location"] == f"/plots/{row['id']}"
    for key in (row["id"], row["id"].upper()):
        assert await get_json(client, f"/plots/{key}") == row
    changed = await client.patch(f"/plots/{row['id'].upper()}", json={"name": "b"})
    assert changed.json() == {**row, "name": "b"}
    same = {**changed.json(), "id": row["id"].upper()}
    assert (await client.put(f"/plots/{row['id']}", json=same)).json() == changed.json()
    assert summary(await client.delete(f"/plots/{row['id'].upper()}")) == "204"


@pytest.mark.parametrize(
    "key", ["abc", ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}", f"{ID}%00", OTHER, "%20"]
)
async def test_another_form_of_a_uuid_is_404(client: AsyncClient, key: str) -> None:
    await create_plant(client)
    for method in ("GET", "DELETE"):
        assert summary(await ask(client, method, f"/plants/{key}")) == "404"


async def test_upper_case_is_the_same_uuid(client: AsyncClient) -> None:
    plot = (await create_row(client, "/plots", {"name": "p"}))["id"]
    body = {"id": ID.upper(), "plot_id": plot.upper(), "batchId": OTHER.upper()}
    created = await client.post("/plants", json=body)
    row = {"id": ID, "plot_id": plot, "batchId": OTHER}
    assert (created.status_code, created.json()) == (201, row)
    assert created.headers["location"] == f"/plants/{ID}"
    assert (await client.post("/plants", json={**body, "id": ID})).status_code == 409
    assert (await client.patch(f"/plants/{ID}", json=body)).json() == row
    assert (await client.put(f"/plants/{ID.upper()}", json=body)).json() == row
    assert [entry["action"] for entry in await get_json(client, f"/plants/{ID}/history")] == [
        "create"
    ]
    assert (await get_json(client, f"/plots/{plot}"))["plants"] == [{"id": ID}]
    other = await client.patch(f"/plants/{ID}", json={"id": OTHER})
    assert other.json()["errors"][0]["code"] == "key_differs"


@pytest.mark.parametrize("text", ["abc", ID.replace("-", ""), "", f"{{{ID}}}", f"{ID}\n", 5, True])
async def test_another_value_is_rejected(client: AsyncClient, text: object) -> None:
    plot = (await create_row(client, "/plots", {"name": "p"}))["id"]
    body = {"id": ID, "plot_id": plot, "batchId": None}
    for name in body:
        response = await client.post("/plants", json={**body, name: text})
        assert response.status_code == 422
        assert [error["pointer"] for error in response.json()["errors"]] == [f"#/{name}"]
    assert await get_json(client, "/plants") == []


async def test_a_reference_to_no_row_is_rejected(client: AsyncClient) -> None:
    response = await client.post("/plants", json={"id": ID, "plot_id": MISSING})
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert (error["pointer"], error["code"]) == ("#/plot_id", "reference_not_found")
    row = await create_plant(client)
    assert (await client.delete(f"/plots/{row['plot_id']}")).status_code == 409


async def test_filters_take_uuids(client: AsyncClient) -> None:
    row = await create_plant(client, batchId=OTHER)
    other = await create_plant(client, id=OTHER, plot_id=row["plot_id"])
    queries = {
        f"batch={OTHER}": [row],
        f"batch={OTHER.upper()}": [row],
        f"batch={ID}": [],
        f"batch__ne={OTHER.upper()}": [other],
        f"batch__in={ID},{OTHER.upper()}": [row],
        "batch__isnull=true": [other],
        f"id__gt={ID.upper()}": [other],
        "sort=-id": [other, row],
        "sort=batchId": [row, other],
    }
    for query, rows in queries.items():
        assert await get_json(client, f"/plants?{query}") == rows, query
    assert (await client.get("/plants?batch=abc")).status_code == 422


async def test_cursors_follow_uuids(client: AsyncClient) -> None:
    plot = (await create_row(client, "/plots", {"name": "p"}))["id"]
    keys = [f"0189{n:04x}-0000-7000-8000-00000000000a" for n in (0xA000, 1, 0xF, 0x10)]
    items = [
        {"id": key, "plot_id": plot, "batchId": [None, key][n % 2]} for n, key in enumerate(keys)
    ]
    assert (await client.post("/plants/batch", json=items)).status_code == 201
    for sort, ordered in (("id", sorted(keys)), ("-batchId", None)):
        url: str | None = f"/plants?limit=1&sort={sort}"
        found: list[str] = []
        while url:
            page = await client.get(url)
            found += [row["id"] for row in page.json()]
            url = page.links.get("next", {}).get("url")
        assert sorted(found) == sorted(keys)
        assert ordered is None or found == ordered


async def test_a_batch_takes_uuids(client: AsyncClient) -> None:
    plot = (await create_row(client, "/plots", {"name": "p"}))["id"]
    for key in (ID, OTHER):
        await create_plant(client, id=key, plot_id=plot)
    items = [{"id": OTHER.upper(), "batchId": ID}, {"id": ID, "batchId": ID.upper()}]
    changed = await client.patch("/plants/batch", json=items)
    assert [(row["id"], row["batchId"]) for row in changed.json()] == [(OTHER, ID), (ID, ID)]
    twice = [{"id": ID}, {"id": ID.upper()}]
    assert (await client.patch("/plants/batch", json=twice)).status_code == 422
    assert (await client.delete(f"/plants/batch?id={ID}&id={ID.upper()}")).status_code == 422
    assert (await client.delete(f"/plants/batch?id={ID.upper()}&id={OTHER}")).status_code == 204


async def test_a_key_of_two_uuids(client: AsyncClient) -> None:
    body = {"one": ID.upper(), "two": OTHER}
    created = await client.put(f"/pairs/{ID}/{OTHER.upper()}", json=body)
    row = {"one": ID, "two": OTHER, "note": None}
    assert (created.status_code, created.json()) == (201, row)
    assert created.headers["location"] == f"/pairs/{ID}/{OTHER}"
    assert await get_json(client, f"/pairs/{ID.upper()}/{OTHER}") == row
    items = [{**body, "note": ID.upper()}]
    assert (await client.patch("/pairs/batch", json=items)).json() == [{**row, "note": ID}]
    assert (await client.delete(f"/pairs/batch?id={ID.upper()}/{OTHER}")).status_code == 204


def test_other_filters_are_rejected() -> None:
    def declare(**fields: Any) -> None:
        annotations = {name: kind for name, (kind, _) in fields.items()}
        values = {name: value for name, (_, value) in fields.items()}
        body = {"__annotations__": annotations, "__module__": __name__, **values}
        new_class("Query", (ListQuery[Plant],), {}, lambda names: names.update(body))

    with pytest.raises(TypeError, match=r"Plant\.batch is UUID, but is compared with str"):
        declare(batch=(str | None, None))

    with pytest.raises(TypeError, match=r"Plant\.batch is UUID, which contains does not compare"):
        declare(batch__contains=(UUID | None, None))

    with pytest.raises(TypeError, match=r"Plant\.batch is UUID, which icontains does not compare"):
        declare(q=(Search, None), search_fields=(ClassVar[tuple[str, ...]], ("batch",)))


def test_openapi_has_the_format() -> None:
    document = create_app("sqlite:///unused.db").openapi()
    parameters = document["paths"]["/pairs/{one}/{two}"]["get"]["parameters"]
    schemas = {part["name"]: part["schema"] for part in parameters if part["in"] == "path"}
    assert {name: schema["format"] for name, schema in schemas.items()} == {
        "one": "uuid",
        "two": "uuid",
    }
