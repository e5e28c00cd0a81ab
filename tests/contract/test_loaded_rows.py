"""Rows that the model or a method has loaded before the response."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Final, Literal

import pytest
from httpx2 import AsyncClient
from pydantic import Field
from sqlalchemy import ForeignKey, MetaData, String, func, select
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import Limit, Model, ReadSchema, Resource, Schema, SoftDelete, crud_router
from tests.support.bodies import create_row, get_json, patch_row
from tests.support.clients import Clients, clients_of
from tests.support.databases import Databases
from tests.support.recording import statements

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Grower(Base, SoftDelete):
    """A row with a soft delete."""

    __tablename__ = "growers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))


class Root(Base):
    """A row whose model loads a related row."""

    __tablename__ = "roots"

    id: Mapped[int] = mapped_column(primary_key=True)
    fern_id: Mapped[int | None] = mapped_column(ForeignKey("ferns.id"))
    text: Mapped[str] = mapped_column(String(10))
    grower_id: Mapped[int | None] = mapped_column(ForeignKey(Grower.id))
    grower: Mapped[Grower | None] = relationship(lazy="selectin")


class Bee(Base):
    """A member of a swarm."""

    __tablename__ = "bees"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))
    swarm_id: Mapped[int | None] = mapped_column(ForeignKey("swarms.id"))


class Swarm(Base):
    """A row whose model loads a list with a join."""

    __tablename__ = "swarms"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))
    bees: Mapped[list[Bee]] = relationship(order_by=Bee.id, lazy="joined")


class Sting(Base):
    """A row that methods add."""

    __tablename__ = "stings"

    id: Mapped[int] = mapped_column(primary_key=True)
    bee_id: Mapped[int | None] = mapped_column(ForeignKey(Bee.id))
    bee: Mapped[Bee | None] = relationship()


class Fern(Base):
    """A row with relationships of each kind."""

    __tablename__ = "ferns"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))
    count: Mapped[int] = mapped_column(default=0)
    grower_id: Mapped[int | None] = mapped_column(ForeignKey(Grower.id))
    grower: Mapped[Grower | None] = relationship()
    swarm_id: Mapped[int | None] = mapped_column(ForeignKey(Swarm.id))
    swarm: Mapped[Swarm | None] = relationship(lazy="selectin")
    mate_id: Mapped[int | None] = mapped_column(ForeignKey("ferns.id"))
    mate: Mapped["Fern | None"] = relationship(remote_side="Fern.id")
    roots: Mapped[list[Root]] = relationship(order_by=Root.id, cascade="all, delete-orphan")
    ends: Mapped[list[Root]] = relationship(order_by=Root.id, viewonly=True)


class Named(ReadSchema):
    """The fields of each row."""

    id: int
    name: str


class RootEnd(ReadSchema):
    """A root without its grower."""

    id: int
    text: str


class RootRead(RootEnd):
    """A root."""

    grower: Named | None


class FernRead(Named):
    """Columns alone."""

    count: int


class EndsFirst(Named):
    """The same rows twice: the first list does not need the growers."""

    ends: Annotated[list[RootEnd], Limit(9)]
    roots: Annotated[list[RootRead], Limit(9)]


class EndsLast(Named):
    """The same rows twice."""

    roots: Annotated[list[RootRead], Limit(9)]
    ends: Annotated[list[RootEnd], Limit(9)]


class FernSwarm(Named):
    """A fern with its swarm."""

    swarm: Named | None


class FernFull(FernRead):
    """Columns and related rows."""

    grower: Named | None
    mate: Named | None
    roots: Annotated[list[RootEnd], Limit(9)]


class Name(Schema):
    """A name."""

    name: str


class BeeCreate(Name):
    """A bee."""

    swarm_id: int | None = None


class RootBody(Schema):
    """A root."""

    id: int | None = None
    text: str
    grower_id: int | None = None


class FernCreate(Name):
    """A fern."""

    swarm_id: int | None = None
    mate_id: int | None = None
    roots: list[RootBody] = Field(default=[])


class FernUpdate(FernCreate, partial=True):
    """A change of a fern."""


class NameUpdate(Name, partial=True):
    """A change of a name."""


class BeeRead(Named):
    """A bee."""

    swarm_id: int | None


class Growers(Resource[Grower]): ...


class Swarms(Resource[Swarm]): ...


class Bees(Resource[Bee]): ...


class Ferns(Resource[Fern]): ...


class CountedFerns(Resource[Fern]):
    """The database computes the count."""

    @override
    async def create(self, row: Fern) -> None:
        row.count = func.abs(-5)
        await super().create(row)

    @override
    async def update(self, row: Fern, changes: Any) -> None:
        await super().update(row, changes)
        row.count = Fern.count + 1


class GrownFerns(Resource[Fern]):
    """The first grower grows each fern that a request reads for a change."""

    @override
    async def get_many(self, keys: Sequence[object]) -> list[Fern | None]:
        rows = await super().get_many(keys)
        visible = select(Grower).where(Grower.deleted_at.is_(None))
        grower = await self.session.scalar(visible.order_by(Grower.id).limit(1))
        for row in rows:
            if row is not None:
                row.grower = grower
        return rows


class SwarmingFerns(Resource[Fern]):
    """A change adds a bee to the swarm that the fern had before."""

    @override
    async def get(self, key: object) -> Fern:
        row = await super().get(key)
        assert row.swarm is not None
        self.bees = row.swarm.bees
        return row

    @override
    async def update(self, row: Fern, changes: Any) -> None:
        await super().update(row, changes)
        self.bees.append(Bee(name="new"))


class StingingFerns(Resource[Fern]):
    """Whoever reads a fern is stung by each of its bees."""

    @override
    async def get(self, key: object) -> Fern:
        row = await super().get(key)
        assert row.swarm is not None
        self.session.add_all(Sting(bee=bee) for bee in row.swarm.bees)
        return row


# --- Rows of several classes ----------------------------------------------------------------------


class Seed(Base, SoftDelete):
    """An item of a list."""

    __tablename__ = "seeds"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))
    crop_id: Mapped[int | None] = mapped_column(ForeignKey("crops.id"))


class Crop(Base):
    """A row of one of two classes, whose model loads related rows."""

    __tablename__ = "crops"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_abstract": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(10))
    grower_id: Mapped[int | None] = mapped_column(ForeignKey(Grower.id))
    grower: Mapped[Grower | None] = relationship(lazy="selectin")
    seeds: Mapped[list[Seed]] = relationship(order_by=Seed.id, lazy="selectin")
    mate_id: Mapped[int | None] = mapped_column(ForeignKey("crops.id"))
    mate: Mapped["Crop | None"] = relationship(remote_side="Crop.id")


class Corn(Crop):
    """One class."""

    __mapper_args__ = {"polymorphic_identity": "corn"}  # noqa: RUF012


class Rice(Crop):
    """The other class."""

    __mapper_args__ = {"polymorphic_identity": "rice"}  # noqa: RUF012


class CornRead(Named):
    """A corn."""

    kind: Literal["corn"]
    grower: Named | None
    seeds: Annotated[list[Named], Limit(1)]
    mate: Named | None


class RiceRead(Named):
    """A rice."""

    kind: Literal["rice"]
    grower: Named | None
    seeds: Annotated[list[Named], Limit(1)]
    mate: Named | None


class CropCreate(Name):
    """A crop."""

    grower_id: int | None = None
    mate_id: int | None = None


class CropUpdate(CropCreate, partial=True):
    """A change of a crop."""


class SeedCreate(Name):
    """A seed."""

    crop_id: int


class Seeds(Resource[Seed]): ...


class Corns(Resource[Corn]): ...


class Rices(Resource[Rice]): ...


class Crops(Resource[Crop]): ...


def ferns(path: str, resource: type[Resource[Fern]], read: type[ReadSchema]) -> Any:
    return crud_router(path, resource, read=read, create=FernCreate, update=FernUpdate)


ROUTERS: Final = [
    crud_router("/growers", Growers, read=Named, create=Name),
    crud_router("/swarms", Swarms, read=Named, create=Name, update=NameUpdate),
    crud_router("/bees", Bees, read=BeeRead, create=BeeCreate),
    ferns("/ferns", Ferns, FernFull),
    ferns("/ends-first", Ferns, EndsFirst),
    ferns("/ends-last", Ferns, EndsLast),
    ferns("/counted", CountedFerns, FernRead),
    ferns("/counted-lists", CountedFerns, EndsLast),
    ferns("/grown", GrownFerns, FernFull),
    ferns("/swarming", SwarmingFerns, FernSwarm),
    ferns("/stinging", StingingFerns, FernRead),
    crud_router("/seeds", Seeds, read=Named, create=SeedCreate),
    crud_router("/corns", Corns, read=CornRead, create=CropCreate),
    crud_router("/rices", Rices, read=RiceRead, create=CropCreate),
    crud_router("/crops", Crops, read=CornRead | RiceRead, update=CropUpdate),
]


@pytest.fixture(scope="module")
async def clients(templates: Databases) -> AsyncIterator[Clients]:
    async with clients_of(templates, [Base.metadata], ROUTERS) as clients:
        yield clients


@pytest.fixture(params=["fast", "ORM"])
async def client(request: pytest.FixtureRequest, clients: Clients, backend: str) -> AsyncClient:
    return await clients.of(backend, fast=request.param == "fast")


async def create(client: AsyncClient, path: str, **body: object) -> Any:
    """Create a row at *path* and return it."""
    return await create_row(client, path, {"name": "a", **body})


async def grow(client: AsyncClient, size: int) -> tuple[int, Any]:
    """Create a fern with a root and a swarm of *size* bees, and return the swarm's id and it."""
    swarm = (await create(client, "/swarms"))["id"]
    for _ in range(size):
        await create(client, "/bees", swarm_id=swarm)
    return swarm, await create(client, "/ferns", swarm_id=swarm, roots=[{"text": "a"}])


@pytest.mark.parametrize("path", ["/ends-first", "/ends-last"])
async def test_rows_that_the_model_loads_are_hidden_after_their_deletion(
    client: AsyncClient, path: str
) -> None:
    grower = await create(client, "/growers")
    roots = [{"text": "a", "grower_id": grower["id"]}]
    row = await create(client, path, roots=roots)
    assert row["roots"][0]["grower"] == grower
    await client.delete(f"/growers/{grower['id']}")

    one = await get_json(client, f"{path}/{row['id']}")
    assert one["roots"][0]["grower"] is None
    assert one in await get_json(client, f"{path}?limit=100")
    changed = await patch_row(client, f"{path}/{row['id']}", {"name": "b"})
    assert changed == {**one, "name": "b"}


async def test_model_may_join_its_lists(client: AsyncClient) -> None:
    rows = (await client.post("/swarms/batch", json=[{"name": "a"}, {"name": "b"}])).json()
    for row in rows:
        for _ in range(3):
            await create(client, "/bees", swarm_id=row["id"])
    paths = [f"/swarms/{row['id']}" for row in rows]
    assert [await get_json(client, path) for path in paths] == rows
    assert (await get_json(client, "/swarms?limit=100"))[-2:] == rows
    assert len(await get_json(client, "/swarms?limit=2")) == 2
    lines = await client.get("/swarms", headers={"accept": "application/x-ndjson"})
    assert [line for line in lines.text.splitlines() if line][-2:] == [
        f'{{"id":{row["id"]},"name":"{row["name"]}"}}' for row in rows
    ]
    put = await client.put(paths[0], json={"name": "c"})
    assert put.json() == {**rows[0], "name": "c"}
    both = [{"id": row["id"], "name": "d"} for row in rows]
    assert (await client.patch("/swarms/batch", json=both)).json() == both
    bees = await get_json(client, "/bees?limit=100")
    own = {row["id"] for row in rows}
    ids = [bee["id"] for bee in bees if bee["swarm_id"] in own]
    assert (await client.delete("/bees/batch", params={"id": ids})).status_code == 204
    deleted = await client.delete("/swarms/batch", params={"id": [*own]})
    assert deleted.status_code == 204


@pytest.mark.parametrize("path", ["/counted", "/counted-lists"])
async def test_method_may_set_a_column_to_an_expression(client: AsyncClient, path: str) -> None:
    row = await create(client, path)
    batch = (await client.post(f"{path}/batch", json=[{"name": "a"}])).json()
    assert [one["name"] for one in (row, *batch)] == ["a", "a"]
    item = f"{path}/{row['id']}"
    assert (await patch_row(client, item, {"name": "b"}))["name"] == "b"
    assert (await client.put(item, json={"name": "c"})).json()["name"] == "c"
    changed = await client.patch(f"{path}/batch", json=[{"id": row["id"], "name": "d"}])
    assert [one["name"] for one in changed.json()] == ["d"]
    assert (await get_json(client, f"/counted/{row['id']}"))["count"] == 8


@pytest.mark.parametrize("sent", [(), ("id",)], ids=["", "with its id"])
async def test_put_keeps_the_change_of_a_method(client: AsyncClient, sent: tuple[str, ...]) -> None:
    await create(client, "/growers")
    row = await create(client, "/ferns")
    body = {"name": "b", **{name: row[name] for name in sent}}
    answer = await client.put(f"/grown/{row['id']}", json=body)
    assert answer.json()["grower"] is not None
    assert (await get_json(client, f"/ferns/{row['id']}"))["grower"] == answer.json()["grower"]


@pytest.mark.parametrize("roots", [[], [{"text": "b"}]], ids=["", "with other roots"])
@pytest.mark.parametrize("stays", [True, False])
async def test_put_of_a_row_that_refers_to_itself(
    client: AsyncClient, roots: list[Any], *, stays: bool
) -> None:
    row = await create(client, "/ferns", roots=[{"text": "a"}])
    item = f"/ferns/{row['id']}"
    await patch_row(client, item, {"mate_id": row["id"]})
    mate = {"mate_id": row["id"]} if stays else {}
    body = {"id": row["id"], "name": "b", "roots": roots, **mate}
    answer = await client.put(item, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["mate"] == ({"id": row["id"], "name": "b"} if stays else None)
    assert [root["text"] for root in answer.json()["roots"]] == [root["text"] for root in roots]
    assert await get_json(client, item) == answer.json()


async def test_method_may_hold_a_list_of_related_rows(client: AsyncClient) -> None:
    swarm, row = await grow(client, 1)
    roots = [{"id": row["roots"][0]["id"], "text": "b"}]
    item = f"/swarming/{row['id']}"
    await patch_row(client, item, {"roots": roots})
    body = {"id": row["id"], "name": "b", "swarm_id": swarm}
    assert (await client.put(item, json=body)).status_code == 200
    bees = await get_json(client, "/bees?limit=100")
    assert [bee["name"] for bee in bees if bee["swarm_id"] == swarm] == ["a", "new", "new"]


async def test_rows_that_a_method_adds_cost_no_queries(client: AsyncClient) -> None:
    counts = set[int]()
    for size in (1, 5):
        _, row = await grow(client, size)
        roots = [{"id": row["roots"][0]["id"], "text": "b"}]
        with statements() as sent:
            await patch_row(client, f"/stinging/{row['id']}", {"roots": roots})
        counts.add(sum(statement.startswith("SELECT") for statement in sent))
    assert len(counts) == 1


async def test_batch_of_several_classes_hides_as_get_does(client: AsyncClient) -> None:
    grower = (await create(client, "/growers"))["id"]
    corn = (await create(client, "/corns", grower_id=grower))["id"]
    rice = (await create(client, "/rices", grower_id=grower, mate_id=corn))["id"]
    await patch_row(client, f"/crops/{corn}", {"mate_id": rice})
    for crop in (corn, rice):
        for _ in range(2):
            await create(client, "/seeds", crop_id=crop)
    await client.delete(f"/growers/{grower}")
    for order in ([corn, rice], [rice, corn]):
        body = [{"id": crop, "name": "b"} for crop in order]
        answer = await client.patch("/crops/batch", json=body)
        assert answer.json() == [await get_json(client, f"/crops/{crop}") for crop in order]
        assert [(row["grower"], len(row["seeds"])) for row in answer.json()] == [(None, 1)] * 2
