"""The removal of rows that other rows refer to."""

from collections.abc import AsyncIterator
from itertools import product
from types import new_class
from typing import Any

import pytest
from httpx2 import AsyncClient
from sqlalchemy import ForeignKey, MetaData, select
from sqlalchemy.exc import CircularDependencyError
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import Conflict, Database, Model, ReadSchema, Resource, Schema, crud_router
from tests.support.bodies import create_row, get_json, patch_row, summary
from tests.support.both import FAST, serving_routers
from tests.support.tables import Tables

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Paired(Model):
    """The base of the models in pairs."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Numbered:
    id: Mapped[int] = mapped_column(primary_key=True)


RELATIONSHIPS: dict[str, dict[str, Any]] = {
    "plain": {},
    "to_one": {"uselist": False},
    "passive": {"passive_deletes": True},
    "left_alone": {"passive_deletes": "all"},
    "selectin": {"lazy": "selectin"},
    "raising": {"lazy": "raise"},
    "dynamic": {"lazy": "dynamic"},
    "write_only": {"lazy": "write_only"},
    "cascade": {"cascade": "all, delete-orphan"},
}


class Pair:
    """Two models: the first has a relationship to the second, which has the foreign key."""

    def __init__(self, kind: str, ending: str | None, *, nullable: bool) -> None:
        self.case = (kind, ending, nullable)
        self.name = f"{kind}_{ending or 'nothing'}_{nullable}".lower().replace(" ", "_")
        owners, owned = f"{self.name}_owners", f"{self.name}_owned"
        key = mapped_column(ForeignKey(f"{owners}.id", ondelete=ending), nullable=nullable)
        members = {"__tablename__": owners, "owned": relationship(owned, **RELATIONSHIPS[kind])}
        owner: Any = type(owners, (Numbered, Paired), members)
        self.owned: Any = type(owned, (Numbered, Paired), {"__tablename__": owned, "owner_id": key})
        resource: Any = new_class(f"{self.name}_rows", (Resource[owner],))
        self.router = crud_router(
            f"/{self.name}", resource, read=Read, create=Create, update=Update
        )

    @property
    def expected(self) -> tuple[int, list[str]]:
        """Return the expected status, and the expected reference of the second row."""
        kind, ending, nullable = self.case
        if kind == "cascade" or ending == "CASCADE":
            return 204, []
        return (204, ["nothing"]) if ending == "SET NULL" and nullable else (409, ["it"])

    async def delete_owner(self, client: AsyncClient, database: Database) -> tuple[int, list[str]]:
        """Delete the first row, and return the status and the reference of the second row."""
        owner = await create_row(client, f"/{self.name}", {})
        async with database.session() as session:
            session.add(self.owned(owner_id=owner["id"]))
        response = await client.delete(f"/{self.name}/{owner['id']}")
        async with database.session(readonly=True) as session:
            left = await session.scalars(select(self.owned.owner_id))
        return response.status_code, ["nothing" if key is None else "it" for key in left]


class Read(ReadSchema):
    id: int


class Create(Schema): ...


class Update(Create, partial=True): ...


CASES = dict.fromkeys(
    [
        *product(["plain"], (None, "RESTRICT", "CASCADE", "SET NULL"), (True, False)),
        *product(RELATIONSHIPS, (None, "CASCADE"), (True,)),
        *product(RELATIONSHIPS, (None,), (False,)),
    ]
)
PAIRS = [Pair(kind, ending, nullable=nullable) for kind, ending, nullable in CASES]


class Node(Base):
    """A row of a tree, with relationships to its parent and its children."""

    __tablename__ = "nodes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id"))
    parent: Mapped["Node | None"] = relationship(back_populates="children", remote_side="Node.id")
    children: Mapped[list["Node"]] = relationship(back_populates="parent")


class LeafNode(Base):
    """A row of a tree, with a relationship to its parent."""

    __tablename__ = "leaves"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("leaves.id"))
    parent: Mapped["LeafNode | None"] = relationship(remote_side="LeafNode.id")


class TwigNode(Base):
    """A row of a tree without relationships."""

    __tablename__ = "twigs"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("twigs.id"))


class BookShelf(Base):
    """A row whose resource detaches its books before the deletion."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    books: Mapped[list["ShelvedBook"]] = relationship()
    boxes: Mapped[list["BookBox"]] = relationship()


class ShelvedBook(Base):
    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey(BookShelf.id))


class BookBox(Base):
    __tablename__ = "boxes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    shelf_id: Mapped[int] = mapped_column(ForeignKey(BookShelf.id))


class TreeRead(Read):
    parent_id: int | None


class TreeCreate(Schema):
    id: int
    parent_id: int | None = None


class TreeUpdate(TreeCreate, partial=True): ...


class BookShelfCreate(Schema):
    id: int


class BookShelfUpdate(BookShelfCreate, partial=True): ...


class Nodes(Resource[Node]): ...


class Leaves(Resource[LeafNode]): ...


class Twigs(Resource[TwigNode]): ...


class Shelves(Resource[BookShelf]):
    @override
    async def delete(self, row: BookShelf, /) -> None:
        await self.session.refresh(row, ["books"])
        row.books.clear()
        await super().delete(row)


ROUTERS = [
    crud_router("/nodes", Nodes, read=TreeRead, create=TreeCreate, update=TreeUpdate),
    crud_router("/leaves", Leaves, read=TreeRead, create=TreeCreate, update=TreeUpdate),
    crud_router("/twigs", Twigs, read=TreeRead, create=TreeCreate, update=TreeUpdate),
    crud_router("/shelves", Shelves, read=Read, create=BookShelfCreate, update=BookShelfUpdate),
]


@pytest.fixture(params=FAST)
async def database(
    request: pytest.FixtureRequest, tables: Tables, backend: str
) -> AsyncIterator[Database]:
    database = Database(await tables.of(Base.metadata, backend), fast_path=FAST[request.param])
    yield database
    await database.dispose()


@pytest.fixture
async def client(database: Database) -> AsyncIterator[AsyncClient]:
    async with serving_routers(database, *ROUTERS) as client:
        yield client


@pytest.mark.parametrize("fast", FAST.values(), ids=FAST)
async def test_foreign_key_decides_the_fate_of_referring_rows(
    tables: Tables,
    backend: str,
    fast: bool,  # noqa: FBT001 — a parameter of the test
) -> None:
    database = Database(await tables.of(Paired.metadata, backend), fast_path=fast)
    async with serving_routers(database, *(pair.router for pair in PAIRS)) as client:
        answers = {pair.case: await pair.delete_owner(client, database) for pair in PAIRS}
    assert answers == {pair.case: pair.expected for pair in PAIRS}


@pytest.mark.parametrize("path", ["/nodes", "/leaves", "/twigs"])
async def test_self_referencing_row_is_removed(client: AsyncClient, path: str) -> None:
    await create_row(client, path, {"id": 1, "parent_id": 1})
    await create_row(client, path, {"id": 2})
    await patch_row(client, f"{path}/2", {"parent_id": 2})
    assert summary(await client.delete(f"{path}/1")) == "204"
    assert summary(await client.delete(f"{path}/batch?id=2")) == "204"


@pytest.mark.parametrize("path", ["/nodes", "/leaves", "/twigs"])
async def test_self_referencing_row_with_a_child_stays(client: AsyncClient, path: str) -> None:
    rows = [
        await create_row(client, path, {"id": 1, "parent_id": 1}),
        await create_row(client, path, {"id": 2, "parent_id": 1}),
    ]
    assert summary(await client.delete(f"{path}/1")) == "409"
    assert await get_json(client, path) == rows


@pytest.mark.parametrize("path", ["/nodes", "/leaves"])
async def test_batch_removes_children_before_parents(client: AsyncClient, path: str) -> None:
    for key, parent in ((1, None), (2, 1), (3, 2)):
        await create_row(client, path, {"id": key, "parent_id": parent})
    assert summary(await client.delete(f"{path}/batch?id=1&id=3&id=2")) == "204"


@pytest.mark.parametrize("path", ["/nodes", "/leaves", "/twigs"])
async def test_rows_in_a_reference_cycle_stay(client: AsyncClient, path: str) -> None:
    await create_row(client, path, {"id": 1})
    await create_row(client, path, {"id": 2, "parent_id": 1})
    await patch_row(client, f"{path}/1", {"parent_id": 2})
    rows = await get_json(client, path)
    assert (await client.delete(f"{path}/1")).status_code == 409
    assert (await client.delete(f"{path}/batch?id=1&id=2")).status_code == 409
    assert await get_json(client, path) == rows


async def test_rows_detached_by_the_resource_stay(client: AsyncClient, database: Database) -> None:
    await create_row(client, "/shelves", {"id": 1})
    async with database.session() as session:
        session.add(ShelvedBook(id=1, shelf_id=1))
    assert summary(await client.delete("/shelves/1")) == "204"
    async with database.session(readonly=True) as session:
        assert (await session.get_one(ShelvedBook, 1)).shelf_id is None


async def test_not_null_reference_in_a_script_is_a_conflict(database: Database) -> None:
    async def remove() -> None:
        async with database.session() as session:
            session.add(shelf := BookShelf(id=1, boxes=[BookBox(id=1)]))
            await session.flush()
            await session.refresh(shelf, ["boxes"])
            await session.delete(shelf)

    with pytest.raises(Conflict, match="Other rows refer to this one"):
        await remove()


async def test_circular_dependency_in_a_script_is_raised(database: Database) -> None:
    async def add() -> None:
        async with database.session() as session:
            one, two = Node(id=1), Node(id=2)
            one.parent, two.parent = two, one
            session.add_all([one, two])

    with pytest.raises(CircularDependencyError):
        await add()
