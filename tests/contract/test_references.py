"""References and their scopes."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from httpx2 import AsyncClient
from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    Database,
    Model,
    ReadSchema,
    ReferenceScopes,
    Resource,
    Schema,
    UnprocessableContent,
    crud_router,
)
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.notes import current_user, notes_app
from tests.support.recording import statements
from tests.support.running import Running
from tests.support.tables import Rows, Tables

pytestmark = pytest.mark.anyio


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Shelf(Base):
    """A shelf of a user, with a label that boxes refer to."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(10))
    label: Mapped[str] = mapped_column(String(10), unique=True)
    volumes: Mapped[list["Volume"]] = relationship(
        back_populates="shelf", foreign_keys="Volume.shelf_id"
    )
    boxes: Mapped[list["Box"]] = relationship()


tagged = Table(
    "tagged",
    Base.metadata,
    Column("volume_id", Integer, ForeignKey("volumes.id"), primary_key=True),
    Column("tag_id", Integer, ForeignKey("tags.id"), primary_key=True),
)


class Tag(Base):
    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(10))
    volumes: Mapped[list["Volume"]] = relationship(secondary=tagged, back_populates="tags")


class Volume(Base):
    __tablename__ = "volumes"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(20))
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey(Shelf.id))
    shelf: Mapped[Shelf | None] = relationship(back_populates="volumes", foreign_keys=shelf_id)
    spare_id: Mapped[int | None] = mapped_column(ForeignKey(Shelf.id))
    spare: Mapped[Shelf | None] = relationship(foreign_keys=spare_id, post_update=True)
    tags: Mapped[list[Tag]] = relationship(secondary=tagged, back_populates="volumes")


class Box(Base):
    """A box, with a relationship on the side of its shelf only."""

    __tablename__ = "boxes"

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str | None] = mapped_column(ForeignKey(Shelf.label))


ROWS: Rows = {
    Shelf: [{"owner": "ada", "label": "A"}, {"owner": "bob", "label": "B"}],
    Tag: [{"owner": "ada"}, {"owner": "bob"}],
    Volume: [{"title": "one", "shelf_id": 1}],
}
"""A shelf and a tag of Ada, the same of Bob, and a volume on Ada's shelf."""


class Leaf(Base):
    """A page of a volume, by its number and side."""

    __tablename__ = "leaves"

    number: Mapped[int] = mapped_column(primary_key=True)
    side: Mapped[str] = mapped_column(String(1), primary_key=True)


class Passage(Base):
    __tablename__ = "passages"
    __table_args__ = (ForeignKeyConstraint(["number", "side"], [Leaf.number, Leaf.side]),)

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]
    side: Mapped[str] = mapped_column(String(1))
    page: Mapped[Leaf] = relationship()


class Shelves(Resource[Shelf]):
    user: Annotated[str, Depends(current_user)]

    @override
    def query(self) -> Select[Shelf]:
        return super().query().where(Shelf.owner == self.user)


class Tags(Resource[Tag]):
    user: Annotated[str, Depends(current_user)]

    @override
    def query(self) -> Select[Tag]:
        return super().query().where(Tag.owner == self.user)


class Boxes(Resource[Box]):
    shelves: Annotated[Shelves, Depends()]

    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {"label": self.shelves.query()}


class Volumes(Resource[Volume]):
    """The volumes; the title of a volume chooses how it is put on a shelf."""

    shelves: Annotated[Shelves, Depends()]
    tags: Annotated[Tags, Depends()]
    boxes: Annotated[Boxes, Depends()]

    @override
    def reference_scopes(self) -> ReferenceScopes:
        shelves = self.shelves.query()
        return {"shelf_id": shelves, "spare_id": shelves, "tags": self.tags.query()}

    @override
    async def create(self, row: Volume, /) -> None:
        await super().create(row)
        await self.place(row)

    @override
    async def update(self, row: Volume, /, changes: Mapping[str, Any]) -> None:
        await super().update(row, changes)
        await self.place(row)

    async def place(self, row: Volume) -> None:  # noqa: C901 — one case for each way
        way, _, number = row.title.rpartition(" ")
        session, key = self.session, int(number) if way else 1
        match way:
            case "key":
                row.shelf_id = key
            case "relationship":
                row.shelf = await session.get_one(Shelf, key)
            case "later statement":
                row.spare = await session.get_one(Shelf, key)
            case "collection":
                shelf = await session.get_one(Shelf, key)
                await session.refresh(shelf, ["volumes"])
                shelf.volumes.append(row)
            case "expression":
                row.shelf_id = select(func.max(Shelf.id)).where(Shelf.id == key).scalar_subquery()
                await session.flush()
                await session.refresh(row)
            case "cascade":
                owner = "ada" if key == 1 else "bob"
                session.add(Shelf(owner=owner, label=f"new {key}", volumes=[row]))
            case "tag":
                await session.flush()
                await session.refresh(row, ["tags"])
                row.tags.append(await session.get_one(Tag, key))
            case "tagged":
                tag = await session.get_one(Tag, key)
                await session.refresh(tag, ["volumes"])
                tag.volumes.append(row)
            case "box":
                session.add(Box(label="AB"[key - 1]))
            case "boxes":
                shelf = await session.get_one(Shelf, key)
                await session.refresh(shelf, ["boxes"])
                shelf.boxes.append(Box())
            case _:
                assert row.title in {"one", "two"}


class ByRelationship(Volumes):
    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {"shelf": self.shelves.query()}


class VolumeCreate(Schema):
    title: str
    shelf_id: int | None = None


class VolumeUpdate(VolumeCreate, partial=True): ...


class VolumeRead(ReadSchema):
    id: int
    title: str
    shelf_id: int | None


class BoxCreate(Schema):
    label: str


class BoxUpdate(BoxCreate, partial=True): ...


class BoxRead(ReadSchema):
    id: int


def volumes(resource: type[Resource[Volume]] = Volumes) -> APIRouter:
    return crud_router(
        "/volumes", resource, read=VolumeRead, create=VolumeCreate, update=VolumeUpdate
    )


ROUTERS = (
    volumes(),
    crud_router("/boxes", Boxes, read=BoxRead, create=BoxCreate, update=BoxUpdate),
)


def create_app(url: str) -> FastAPI:
    """Create an application of the volumes and boxes."""
    return notes_app(Database(url), *ROUTERS)


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    """Return the URL of a database with the rows above."""
    return await tables.of(Base.metadata, backend, ROWS)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Yield a database with the rows above."""
    database = Database(url)
    yield database
    await database.dispose()


@pytest.fixture
async def client(running: Running, url: str) -> AsyncClient:
    """Return a client for Ada."""
    client = await running.client(create_app, url)
    client.headers["authorization"] = "ada"
    return client


async def counts(database: Database) -> list[int]:
    """Return the number of rows in each table."""
    async with database.session(readonly=True) as session:
        tables = [model.__table__ for model in (Shelf, Tag, Volume, Box)]
        sizes = [select(func.count()).select_from(table) for table in (*tables, tagged)]
        return [await session.scalar(size) or 0 for size in sizes]


WAYS = {
    "key": "422 #/shelf_id reference_not_found",
    "relationship": "422 #/shelf_id reference_not_found",
    "collection": "422 #/shelf_id reference_not_found",
    "expression": "422 #/shelf_id reference_not_found",
    "cascade": "422 #/shelf_id reference_not_found",
    "later statement": "422",
    "tag": "422",
    "tagged": "422",
    "box": "422",
    "boxes": "422",
}
"""The ways to refer to a row, and the responses, which name writable fields only."""


@pytest.mark.parametrize(("way", "answer"), WAYS.items())
async def test_new_row_refers_only_to_rows_in_scope(
    client: AsyncClient, database: Database, way: str, answer: str
) -> None:
    before = await counts(database)
    response = await client.post("/volumes", json={"title": f"{way} 2"})
    assert summary(response) == answer
    assert await counts(database) == before

    assert summary(await client.post("/volumes", json={"title": f"{way} 1"})) == "201"


@pytest.mark.parametrize(("way", "answer"), WAYS.items())
async def test_changed_row_refers_only_to_rows_in_scope(
    client: AsyncClient, database: Database, way: str, answer: str
) -> None:
    before = await counts(database)
    response = await client.patch("/volumes/1", json={"title": f"{way} 2"})
    assert summary(response) == answer
    assert await counts(database) == before
    assert (await client.get("/volumes/1")).json() == {"id": 1, "title": "one", "shelf_id": 1}

    assert summary(await client.patch("/volumes/1", json={"title": f"{way} 1"})) == "200"


@pytest.mark.parametrize(("way", "answer"), WAYS.items())
async def test_batch_item_refers_only_to_rows_in_scope(
    client: AsyncClient, database: Database, way: str, answer: str
) -> None:
    before = await counts(database)
    batch = [{"title": f"{way} {key}"} for key in (1, 2)]
    response = await client.post("/volumes/batch", json=batch)

    in_batch = answer.replace("#", "#/1") if "#" in answer else "422 #/1 invalid"
    assert summary(response) == in_batch
    assert await counts(database) == before


async def test_scope_may_be_declared_for_a_relationship(database: Database) -> None:
    async with calling(notes_app(database, volumes(ByRelationship))) as client:
        client.headers["authorization"] = "ada"
        for way in ("key", "relationship", "collection"):
            response = await client.post("/volumes", json={"title": f"{way} 2"})
            assert summary(response) == "422 #/shelf_id reference_not_found"
            assert summary(await client.post("/volumes", json={"title": f"{way} 1"})) == "201"


async def test_foreign_key_may_refer_to_a_unique_column(client: AsyncClient) -> None:
    for label, answer in {"A": "201", "B": "422 #/label reference_not_found"}.items():
        assert summary(await client.post("/boxes", json={"label": label})) == answer


async def test_unchanged_reference_is_not_queried(client: AsyncClient) -> None:
    client.headers["authorization"] = "bob"
    with statements() as sent:
        assert summary(await client.patch("/volumes/1", json={"title": "two"})) == "200"

    assert not any("shelves" in statement for statement in sent)


class Unbounded(Volumes):
    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {}


class Misnamed(Volumes):
    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {"shelves": self.shelves.query()}


class PagePassages(Resource[Passage]):
    """Passages of pages on front sides, by the relationship."""

    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {"page": select(Leaf).where(Leaf.side != "b")}


class NumberPassages(Resource[Passage]):
    """Passages of pages on front sides, by a column of the foreign key."""

    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {"number": select(Leaf).where(Leaf.side != "b")}


def for_ada(session: AsyncSession, resource: type[Volumes]) -> Volumes:
    """Return *resource* for Ada."""
    shelves = Shelves(session=session, user="ada")
    boxes = Boxes(session=session, shelves=shelves)
    tags = Tags(session=session, user="ada")
    return resource(session=session, shelves=shelves, tags=tags, boxes=boxes)


async def test_each_resource_applies_its_own_reference_scopes(database: Database) -> None:
    async with database.session() as session:
        bounded, unbounded = for_ada(session, Volumes), for_ada(session, Unbounded)
        await unbounded.create(Volume(title="two", shelf_id=2))
        await session.flush()
        await bounded.create(Volume(title="two", shelf_id=2))
        with pytest.raises(UnprocessableContent):
            await session.flush()
        await session.rollback()


async def test_unknown_attribute_is_an_error(database: Database) -> None:
    async with database.session() as session:
        await for_ada(session, Misnamed).create(Volume(title="one"))
        with pytest.raises(TypeError, match=r"names shelves, which Volume lacks"):
            await session.flush()
        await session.rollback()


@pytest.mark.parametrize("kind", [PagePassages, NumberPassages])
async def test_reference_of_two_columns_is_checked_as_one(
    database: Database, kind: type[Resource[Passage]]
) -> None:
    async with database.session() as session:
        leaves = [Leaf(number=1, side="a"), Leaf(number=1, side="b"), Leaf(number=2, side="c")]
        session.add_all(leaves)
        await session.flush()
        passage, other = Passage(number=1, side="a"), Passage(page=leaves[2])
        for row in (passage, other):
            await kind(session=session).create(row)
        await session.flush()
        passage.side = "b"
        with pytest.raises(UnprocessableContent) as caught:
            await session.flush()
        await session.rollback()
    pointers = [error.pointer for error in caught.value.errors]
    assert pointers == ["#/number", "#/side"]
