"""Inheritance: child classes, and rows of several classes."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import pytest
from fastapi import Depends, Header
from httpx2 import AsyncClient
from sqlalchemy import ForeignKey, MetaData, String
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    Audited,
    ListQuery,
    Model,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    SortBy,
    Timestamped,
    Versioned,
    crud_router,
)
from tests.support.bodies import summary, version_tag
from tests.support.clients import Clients, clients_of, remove_all
from tests.support.databases import Databases
from tests.support.recording import path_taken, statements

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Owner(Base):
    """An owner of animals."""

    __tablename__ = "owners"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    animals: Mapped[list["Animal"]] = relationship(order_by="Animal.id", viewonly=True)


class Animal(Base, Timestamped, Versioned, SoftDelete, Audited):
    """An animal; each kind has a table of its own."""

    __tablename__ = "animals"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(20))
    owner_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id))


class Dog(Animal):
    """A dog, with a deferred column and a related row."""

    __tablename__ = "dogs"
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(ForeignKey(Animal.id), primary_key=True)
    bark: Mapped[str | None] = mapped_column(String(20))
    story: Mapped[str | None] = mapped_column(String(20), deferred=True)
    keeper_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id))
    keeper: Mapped[Owner | None] = relationship(foreign_keys=keeper_id)


class Puppy(Dog):
    """A young dog, in the table of dogs."""

    __mapper_args__ = {"polymorphic_identity": "puppy"}  # noqa: RUF012


class Cat(Animal):
    """A cat."""

    __tablename__ = "cats"
    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(ForeignKey(Animal.id), primary_key=True)
    lives: Mapped[int] = mapped_column(default=9)


class Vehicle(Base, Timestamped, Versioned):
    """A vehicle; all kinds are in one table, and there is none without a kind."""

    __tablename__ = "vehicles"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_abstract": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(20))


class Car(Vehicle):
    """A car."""

    __mapper_args__ = {"polymorphic_identity": "car"}  # noqa: RUF012

    doors: Mapped[int | None] = mapped_column(use_existing_column=True)


class Truck(Vehicle):
    """A truck."""

    __mapper_args__ = {"polymorphic_identity": "truck"}  # noqa: RUF012

    load: Mapped[int | None] = mapped_column(use_existing_column=True)


class OwnerRead(ReadSchema):
    id: int
    name: str


class AnimalRead(ReadSchema):
    id: int
    kind: Literal["animal"]
    name: str


class DogRead(ReadSchema):
    id: int
    kind: Literal["dog", "puppy"]
    name: str
    bark: str | None
    story: str | None
    keeper: OwnerRead | None
    version: int


class CatRead(ReadSchema):
    id: int
    kind: Literal["cat"]
    name: str
    lives: int
    updated_at: datetime


class NameRead(ReadSchema):
    name: str


class NameCreate(Schema):
    name: str
    owner_id: int | None = None


class NameUpdate(NameCreate, partial=True): ...


class DogCreate(NameCreate):
    bark: str | None = None
    story: str | None = None
    keeper_id: int | None = None


class DogUpdate(DogCreate, partial=True): ...


class CatCreate(NameCreate):
    lives: int = 9


class CatUpdate(CatCreate, partial=True): ...


class CarRead(ReadSchema):
    id: int
    name: str
    doors: int | None


class TruckRead(ReadSchema):
    id: int
    name: str
    load: int | None


class VehicleCreate(Schema):
    name: str


class VehicleUpdate(VehicleCreate, partial=True): ...


class CarCreate(VehicleCreate):
    doors: int | None = None


class CarUpdate(CarCreate, partial=True): ...


class TruckCreate(VehicleCreate):
    load: int | None = None


class TruckUpdate(TruckCreate, partial=True): ...


class AnimalQuery(ListQuery[Animal]):
    name__ne: str | None = None
    kind: str | None = None
    sort: SortBy[Literal["name", "kind"]] = None


class DogQuery(ListQuery[Dog]):
    name: str | None = None
    bark__startswith: str | None = None
    sort: SortBy[Literal["name", "bark", "story", "updated_at"]] = None


class CarQuery(ListQuery[Car]):
    doors__gte: int | None = None
    sort: SortBy[Literal["name", "doors"]] = None


class VehicleQuery(ListQuery[Vehicle]):
    sort: SortBy[Literal["name"]] = None


async def role(role: Annotated[str, Header()] = "user") -> str:
    """Return the role of the caller."""
    return role


class Animals(Resource[Animal]):
    """Animals of every kind, of which guests see the names."""

    role: Annotated[str, Depends(role)]

    @override
    def read_schema(self) -> type[NameRead] | None:
        return NameRead if self.role == "guest" else None


class Dogs(Resource[Dog]): ...


class Puppies(Resource[Puppy]): ...


class Cats(Resource[Cat]): ...


class Owners(Resource[Owner]): ...


class Vehicles(Resource[Vehicle]): ...


class Cars(Resource[Car]): ...


class Trucks(Resource[Truck]): ...


class OwnerCreate(Schema):
    name: str


class OwnerUpdate(OwnerCreate, partial=True): ...


ROUTERS: Final = (
    crud_router(
        "/animals",
        Animals,
        read=AnimalRead | DogRead | CatRead,
        create=NameCreate,
        update=NameUpdate,
        query=AnimalQuery,
    ),
    crud_router("/dogs", Dogs, read=DogRead, create=DogCreate, update=DogUpdate, query=DogQuery),
    crud_router("/puppies", Puppies, read=DogRead, create=DogCreate, update=DogUpdate),
    crud_router("/cats", Cats, read=CatRead, create=CatCreate, update=CatUpdate),
    crud_router("/owners", Owners, read=OwnerRead, create=OwnerCreate, update=OwnerUpdate),
    crud_router(
        "/vehicles", Vehicles, read=CarRead | TruckRead, update=VehicleUpdate, query=VehicleQuery
    ),
    crud_router("/cars", Cars, read=CarRead, create=CarCreate, update=CarUpdate, query=CarQuery),
    crud_router("/trucks", Trucks, read=TruckRead, create=TruckCreate, update=TruckUpdate),
)


@pytest.fixture(scope="module")
async def clients(templates: Databases) -> AsyncIterator[Clients]:
    """Yield the clients, each created at its first use."""
    async with clients_of(templates, [Base.metadata], ROUTERS) as clients:
        yield clients


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
async def client(request: pytest.FixtureRequest, clients: Clients, backend: str) -> AsyncClient:
    """Return a client of the application without animals and vehicles."""
    client = await clients.of(backend, fast=request.param)
    for path in ("/animals", "/vehicles"):
        await remove_all(client, path)
    return client


async def created(client: AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """Return the representation of a new row."""
    response = await client.post(path, json=body)
    assert response.status_code == 201, response.text
    row: dict[str, Any] = response.json()
    return row


async def zoo(client: AsyncClient) -> list[dict[str, Any]]:
    """Return the representations of four new animals of four classes."""
    keeper = await created(client, "/owners", name="ada")
    return [
        await created(client, "/dogs", name="b", bark="wow", story="s", keeper_id=keeper["id"]),
        await created(client, "/cats", name="a", lives=7),
        await created(client, "/animals", name="d"),
        await created(client, "/puppies", name="c"),
    ]


async def pages(client: AsyncClient, url: str | None) -> list[Any]:
    """Return the rows of all pages from *url*."""
    found: list[Any] = []
    while url:
        page = await client.get(url)
        assert page.status_code == 200, page.text
        found += page.json()
        url = page.links.get("next", {}).get("url")
    return found


# --- Rows of several classes ----------------------------------------------------------------------


async def test_each_row_has_the_schema_of_its_class(client: AsyncClient) -> None:
    rows = await zoo(client)
    assert [{*row} for row in rows] == [
        {"id", "kind", "name", "bark", "story", "keeper", "version"},
        {"id", "kind", "name", "lives", "updated_at"},
        {"id", "kind", "name"},
        {"id", "kind", "name", "bark", "story", "keeper", "version"},
    ]
    assert [row["kind"] for row in rows] == ["dog", "cat", "animal", "puppy"]
    assert (await client.get("/animals")).json() == rows
    for row in rows:
        item = await client.get(f"/animals/{row['id']}")
        assert item.json() == row
        unchanged = {"if-none-match": item.headers["etag"]}
        assert (await client.get(f"/animals/{row['id']}", headers=unchanged)).status_code == 304
    lines = await client.get("/animals", headers={"accept": "application/x-ndjson"})
    assert f"[{','.join(lines.text.splitlines())}]" == (await client.get("/animals")).text


async def test_pages_filters_and_sorts_have_rows_of_all_classes(client: AsyncClient) -> None:
    rows = await zoo(client)
    dog, cat, animal, puppy = rows
    assert await pages(client, "/animals?limit=1") == rows
    assert await pages(client, "/animals?limit=1&sort=name") == [cat, dog, puppy, animal]
    assert await pages(client, "/animals?limit=3&sort=-kind") == [puppy, dog, cat, animal]
    assert await pages(client, "/animals?name__ne=b&limit=2") == [cat, animal, puppy]
    assert await pages(client, "/animals?kind=cat") == [cat]
    counted = await client.get("/animals?count=exact&limit=1")
    assert counted.headers["x-total-count"] == "4"


async def test_a_row_of_any_class_is_changed_by_the_parent(client: AsyncClient) -> None:
    for row in await zoo(client):
        item = f"/animals/{row['id']}"
        changed = await client.patch(item, json={"name": "z"}, headers={"if-match": '"1"'})
        assert changed.status_code == 200, changed.text
        assert version_tag(changed) == '"2"'
        known = changed.json()
        times = {name: known[name] for name in ("updated_at", "version") if name in known}
        assert known == {**row, "name": "z", **times}
        assert (await client.get(item)).json() == known
        stale = await client.patch(item, json={"name": "y"}, headers={"if-match": '"1"'})
        assert (summary(stale), stale.headers["etag"]) == ("412", changed.headers["etag"])
        returned = await client.put(item, json={**known, "name": "x"})
        assert returned.status_code == 200, returned.text
        assert summary(await client.put(item, json={"name": "x", "lives": 1})) == (
            "422 #/lives read_only"
        )
        assert (await client.get(f"{item}/history")).json()[-1]["action"] == "create"
        assert summary(await client.delete(item)) == "204"
        deleted = await client.get("/animals?deleted=only&sort=-name")
        assert row["id"] in [shown["id"] for shown in deleted.json()]
        assert all({"deleted_at", "kind"} <= {*shown} for shown in deleted.json())
        restored = await client.post(f"{item}/restore")
        assert {*restored.json()} == {*row}
        assert summary(await client.delete(f"{item}?purge=true")) == "204"
        assert summary(await client.get(f"{item}?")) == "404"


async def test_a_batch_changes_rows_of_several_classes(client: AsyncClient) -> None:
    rows = await zoo(client)
    changes = [{"id": row["id"], "name": "z"} for row in rows]
    changed = await client.patch("/animals/batch", json=changes)
    assert [{*row} for row in changed.json()] == [{*row} for row in rows]
    assert (await client.get("/animals")).json() == changed.json()
    batch = await client.post("/animals/batch", json=[{"name": "e"}, {"name": "f"}])
    assert [row["kind"] for row in batch.json()] == ["animal"] * 2


async def test_a_list_of_several_classes_takes_few_statements(
    clients: Clients, backend: str
) -> None:
    client = await clients.of(backend, fast=False)
    await remove_all(client, "/animals")
    counts: list[int] = []
    for _ in range(2):
        rows = await zoo(client)
        with statements() as sent:
            assert (await client.get("/animals")).json()[-len(rows) :] == rows
        counts.append(len(sent))
    assert counts[0] == counts[1] <= 4


async def test_a_caller_may_have_one_schema_for_all_classes(client: AsyncClient) -> None:
    rows = await zoo(client)
    guest = {"role": "guest"}
    listed = await client.get("/animals", headers=guest)
    assert listed.json() == [{"name": row["name"]} for row in rows]
    item = await client.get(f"/animals/{rows[0]['id']}", headers=guest)
    assert item.json() == {"name": "b"}


async def test_a_schema_without_a_kind_is_found_by_its_attributes(client: AsyncClient) -> None:
    car = await created(client, "/cars", name="b", doors=3)
    truck = await created(client, "/trucks", name="a", load=4)
    assert (await client.get("/vehicles")).json() == [car, truck]
    assert await pages(client, "/vehicles?limit=1&sort=name") == [truck, car]
    item = f"/vehicles/{truck['id']}"
    changed = await client.patch(item, json={"name": "c"})
    assert changed.json() == {**truck, "name": "c"} == (await client.get(item)).json()
    assert (await client.post("/vehicles", json={"name": "d"})).status_code == 405


async def test_rows_of_several_classes_take_the_orm_path(clients: Clients, backend: str) -> None:
    client = await clients.of(backend, fast=True)
    row = await created(client, "/cars", name="b", doors=3)
    assert await path_taken(client.get(f"/vehicles/{row['id']}")) == "200 ORM"
    assert await path_taken(client.get("/animals")) == "200 ORM"


async def test_the_document_has_a_discriminator(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    document = paths["/animals/{id}"]["get"]["responses"]["200"]["content"]["application/json"]
    union = document["schema"]["anyOf"][0]
    assert union["discriminator"]["propertyName"] == "kind"
    assert {*union["discriminator"]["mapping"]} == {"animal", "dog", "puppy", "cat"}
    assert len(union["oneOf"]) == 3
    document = paths["/vehicles/{id}"]["get"]["responses"]["200"]["content"]["application/json"]
    assert len(document["schema"]["anyOf"]) == 2


# --- Resources of a child class -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("sort=bark", "b c a"),
        ("sort=-bark,name", "a c b"),
        ("sort=name", "a b c"),
        ("sort=-story", "a b c"),
        ("sort=-updated_at", "a b c"),
        ("name=c", "c"),
        ("bark__startswith=w", "c b"),
    ],
)
async def test_a_child_is_filtered_and_sorted_across_both_tables(
    client: AsyncClient, query: str, names: str
) -> None:
    await created(client, "/dogs", name="c", bark="wuff", story="a")
    await created(client, "/puppies", name="b", bark="wow", story="b")
    await created(client, "/dogs", name="a", bark=None, story=None)
    await created(client, "/cats", name="b")
    rows = await pages(client, f"/dogs?{query}&limit=1")
    assert [row["name"] for row in rows] == names.split()


async def test_a_child_in_one_table_is_filtered_and_sorted(client: AsyncClient) -> None:
    rows = [await created(client, "/cars", name=name, doors=n) for n, name in enumerate("cab")]
    await created(client, "/trucks", name="d", load=5)
    assert await pages(client, "/cars?limit=1&sort=-doors") == rows[::-1]
    assert await pages(client, "/cars?doors__gte=1&limit=1") == rows[1:]
    item = f"/cars/{rows[0]['id']}"
    changed = await client.patch(item, json={"doors": 7}, headers={"if-match": '"1"'})
    assert (changed.json(), version_tag(changed)) == ({**rows[0], "doors": 7}, '"2"')
    assert summary(await client.get(f"/trucks/{rows[0]['id']}")) == "404"
