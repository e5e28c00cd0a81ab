"""Responses that show one row several times."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import pytest
from httpx2 import AsyncClient
from pydantic import Field
from sqlalchemy import ForeignKey, MetaData, String, func
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from brickwork import Limit, Model, ReadSchema, Resource, Schema, SoftDelete, Versioned, crud_router
from tests.support.bodies import create_row, get_json
from tests.support.clients import Clients, clients_of
from tests.support.databases import Databases
from tests.support.recording import statements

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Vet(Base):
    """A vet, with a deferred column."""

    __tablename__ = "vets"

    id: Mapped[int] = mapped_column(primary_key=True)
    phone: Mapped[str | None] = mapped_column(String(10), deferred=True)


class Cow(Base):
    """A cow, with deferred columns."""

    __tablename__ = "cows"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "cow"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(10))
    note: Mapped[str | None] = mapped_column(String(10), deferred=True)
    farm_id: Mapped[int | None] = mapped_column(ForeignKey("farms.id"))
    vet_id: Mapped[int | None] = mapped_column(ForeignKey(Vet.id))
    vet: Mapped[Vet | None] = relationship()
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("cows.id"))
    parent: Mapped["Cow | None"] = relationship(remote_side="Cow.id", back_populates="calves")
    calves: Mapped[list["Cow"]] = relationship(
        back_populates="parent", cascade="all, delete-orphan", order_by="Cow.id"
    )
    herd: Mapped[list["Cow"]] = relationship(
        primaryjoin="Cow.farm_id == foreign(remote(Cow.farm_id))",
        order_by="Cow.id",
        viewonly=True,
    )
    loud: Mapped[str] = column_property(func.upper(note, type_=String(10)))


class Bull(Cow):
    """A cow with a column of its own."""

    __tablename__ = "bulls"
    __mapper_args__ = {"polymorphic_identity": "bull"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(ForeignKey(Cow.id), primary_key=True)
    horns: Mapped[int | None] = mapped_column(deferred=True)


class Farm(Base, Versioned, SoftDelete):
    """A farm that shows its cows in several ways."""

    __tablename__ = "farms"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))
    best_id: Mapped[int | None] = mapped_column(ForeignKey(Cow.id, use_alter=True))
    best: Mapped[Cow | None] = relationship(foreign_keys=best_id)
    cows: Mapped[list[Cow]] = relationship(
        foreign_keys=Cow.farm_id, cascade="all, delete-orphan", order_by=Cow.id
    )
    others: Mapped[list[Cow]] = relationship(
        foreign_keys=Cow.farm_id, order_by=Cow.id.desc(), viewonly=True
    )
    bulls: Mapped[list[Bull]] = relationship(
        primaryjoin="Farm.id == Bull.farm_id",
        foreign_keys="Bull.farm_id",
        order_by="Bull.id",
        viewonly=True,
    )


class VetRead(ReadSchema):
    id: int
    phone: str | None


class VetBrief(ReadSchema):
    id: int


class NameRead(ReadSchema):
    id: int
    name: str


class NoteRead(NameRead):
    note: str | None
    loud: str | None


class VisitRead(NameRead):
    vet: VetRead | None


class BriefVisitRead(NameRead):
    vet: VetBrief | None


class HornsRead(NameRead):
    horns: int | None


class FarmRead(ReadSchema):
    id: int
    name: str
    version: int


class ListsRead(FarmRead):
    cows: Annotated[list[NoteRead], Limit(9)]
    others: Annotated[list[NameRead], Limit(9)]


class FewRead(FarmRead):
    cows: Annotated[list[NoteRead], Limit(9)]
    others: Annotated[list[NameRead], Limit(1)]


class ClassesRead(FarmRead):
    cows: Annotated[list[NoteRead], Limit(9)]
    bulls: Annotated[list[HornsRead], Limit(9)]
    others: Annotated[list[NameRead], Limit(9)]


class LastRead(FarmRead):
    cows: Annotated[list[NameRead], Limit(9)]
    best: NoteRead | None


class FirstRead(FarmRead):
    best: NameRead | None
    cows: Annotated[list[NoteRead], Limit(9)]


class VisitsRead(FarmRead):
    cows: Annotated[list[VisitRead], Limit(9)]
    others: Annotated[list[BriefVisitRead], Limit(9)]
    best: NoteRead | None


class CowRead(NameRead):
    note: str | None
    parent: NameRead | None
    calves: Annotated[list[NameRead], Limit(9)]
    herd: Annotated[list[VisitRead], Limit(9)]


class CowItem(Schema):
    id: int | None = None
    name: str
    note: str | None = None


class FarmCreate(Schema):
    name: str
    best_id: int | None = None
    cows: list[CowItem] = Field(default=[])


class FarmUpdate(FarmCreate, partial=True): ...


class KeyedCreate(FarmCreate):
    id: int


class CowCreate(Schema):
    name: str
    note: str | None = None
    farm_id: int | None = None
    vet_id: int | None = None
    parent_id: int | None = None


class CowUpdate(Schema, partial=True):
    name: str
    note: str | None
    vet_id: int | None
    calves: list[CowItem]


class BullCreate(CowCreate):
    horns: int | None = None


class VetCreate(Schema):
    phone: str | None = None


class Farms(Resource[Farm]): ...


class KeyedFarms(Resource[Farm]):
    allow_upsert = True


class Cows(Resource[Cow]): ...


class Bulls(Resource[Bull]): ...


class Vets(Resource[Vet]): ...


READS: Final[dict[str, Any]] = {
    "lists": ListsRead,
    "few": FewRead,
    "classes": ClassesRead,
    "last": LastRead,
    "first": FirstRead,
    "visits": VisitsRead,
}
ROUTERS: Final = (
    *(
        crud_router(f"/{path}", Farms, read=read, create=FarmCreate, update=FarmUpdate)
        for path, read in READS.items()
    ),
    *(
        crud_router(f"/keyed-{path}", KeyedFarms, read=read, create=KeyedCreate)
        for path, read in READS.items()
    ),
    crud_router("/cows", Cows, read=CowRead, create=CowCreate, update=CowUpdate),
    crud_router("/bulls", Bulls, read=NameRead, create=BullCreate),
    crud_router("/vets", Vets, read=VetRead, create=VetCreate),
)


@pytest.fixture(scope="module")
async def clients(templates: Databases) -> AsyncIterator[Clients]:
    """Yield the clients, each created at its first use."""
    async with clients_of(templates, [Base.metadata], ROUTERS) as clients:
        yield clients


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
async def client(request: pytest.FixtureRequest, clients: Clients, backend: str) -> AsyncClient:
    """Return a client of the application."""
    return await clients.of(backend, fast=request.param)


async def new_farm(client: AsyncClient, path: str) -> dict[str, Any]:
    """Return a farm with two cows and a bull, of which each has a vet."""
    farm = await create_row(client, path, {"name": "f"})
    vet = await create_row(client, "/vets", {"phone": "1"})
    body = {"name": "c", "note": "n", "farm_id": farm["id"], "vet_id": vet["id"]}
    await create_row(client, "/cows", body)
    await create_row(client, "/bulls", {**body, "horns": 2})
    best = await create_row(client, "/cows", body)
    return {**farm, "best_id": best["id"]}


@pytest.mark.parametrize("path", READS)
async def test_a_change_shows_each_row_as_a_read_does(client: AsyncClient, path: str) -> None:
    farm = await new_farm(client, f"/{path}")
    item, best = f"/{path}/{farm['id']}", farm["best_id"]
    first = await client.patch(item, json={"best_id": best})
    assert first.status_code == 200, first.text
    assert first.json() == await get_json(client, item)
    stored = (await get_json(client, f"/lists/{farm['id']}"))["cows"]
    cows = [{name: row[name] for name in ("id", "name", "note")} for row in stored]
    changed = [{**row, "note": "m"} for row in cows]
    for method, body in (
        ("PATCH", {"cows": changed}),
        ("PUT", {"name": "g", "best_id": best, "cows": [*cows, {"name": "new", "note": "o"}]}),
    ):
        response = await client.request(method, item, json=body)
        assert response.status_code == 200, response.text
        assert response.json() == await get_json(client, item)
    assert (await client.delete(item)).status_code == 204
    restored = await client.post(f"{item}/restore")
    assert restored.json() == await get_json(client, item), restored.text


@pytest.mark.parametrize("path", READS)
async def test_a_new_row_shows_each_row_as_a_read_does(client: AsyncClient, path: str) -> None:
    farm = await new_farm(client, f"/{path}")
    body = {"name": "g", "best_id": farm["best_id"], "cows": [{"name": "a", "note": "n"}]}
    made = await create_row(client, f"/{path}", body)
    assert made == await get_json(client, f"/{path}/{made['id']}")
    key = made["id"] + 1000
    put = await client.put(f"/keyed-{path}/{key}", json={"id": key, **body})
    assert put.status_code == 201, put.text
    assert put.json() == await get_json(client, f"/{path}/{key}")


@pytest.mark.parametrize("path", READS)
async def test_a_batch_shows_each_row_as_reads_do(client: AsyncClient, path: str) -> None:
    farms = [await new_farm(client, f"/{path}") for _ in range(2)]
    one, other = farms
    items = [
        {"id": one["id"], "best_id": other["best_id"], "version": 1},
        {"id": other["id"], "best_id": one["best_id"], "version": 1},
    ]
    response = await client.patch(f"/{path}/batch", json=items)
    assert response.status_code == 200, response.text
    assert response.json() == [await get_json(client, f"/{path}/{farm['id']}") for farm in farms]
    news = [{"name": "g", "best_id": farm["best_id"]} for farm in farms]
    made = await client.post(f"/{path}/batch", json=news)
    assert made.status_code == 201, made.text
    assert made.json() == [await get_json(client, f"/{path}/{row['id']}") for row in made.json()]


async def test_written_rows_show_each_other(client: AsyncClient) -> None:
    farm = await new_farm(client, "/lists")
    first, _, last = (row["id"] for row in (await get_json(client, f"/lists/{farm['id']}"))["cows"])
    calf = await create_row(
        client, "/cows", {"name": "c", "note": "n", "farm_id": farm["id"], "parent_id": first}
    )
    items = [
        {"id": first, "note": "x", "calves": [{"id": calf["id"], "name": "d", "note": "y"}]},
        {"id": calf["id"], "name": "e"},
        {"id": last, "vet_id": None},
    ]
    response = await client.patch("/cows/batch", json=items)
    assert response.status_code == 200, response.text
    assert response.json() == [await get_json(client, f"/cows/{item['id']}") for item in items]


@pytest.mark.parametrize("path", READS)
async def test_repeated_rows_take_no_more_statements(
    clients: Clients, backend: str, path: str
) -> None:
    client = await clients.of(backend, fast=False)
    counts: list[int] = []
    for size in (1, 4):
        farm = await create_row(client, f"/{path}", {"name": "f"})
        best = await create_row(client, "/bulls", {"name": "b", "farm_id": farm["id"]})
        for _ in range(size):
            await create_row(client, "/cows", {"name": "c", "farm_id": farm["id"]})
        with statements() as sent:
            changed = await client.patch(f"/{path}/{farm['id']}", json={"best_id": best["id"]})
        assert changed.status_code == 200, changed.text
        counts.append(len(sent))
    assert counts[0] == counts[1]
