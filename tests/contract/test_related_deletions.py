"""Deletions of rows that own other rows: the number of their statements."""

from collections import Counter

import pytest
from sqlalchemy import ForeignKey, MetaData
from sqlalchemy.orm import Mapped, mapped_column, relationship

from brickwork import Database, Model, ReadSchema, Resource, Schema, crud_router
from tests.support.bodies import create_row, summary
from tests.support.both import serving_routers
from tests.support.calls import calling
from tests.support.purchases import ROWS, Base, create_app
from tests.support.recording import statements
from tests.support.tables import Rows, Tables

pytestmark = pytest.mark.anyio


class ShelfBase(Model):
    """The base of models that remove rows at depth."""

    __abstract__ = True
    metadata = MetaData()


class StoredShelf(ShelfBase):
    """A shelf with boxes, which have toys."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    boxes: Mapped[list["StoredBox"]] = relationship(cascade="all, delete-orphan")


class StoredBox(ShelfBase):
    """A box on a shelf."""

    __tablename__ = "boxes"

    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelves.id"))
    toys: Mapped[list["Toy"]] = relationship(cascade="all, delete-orphan")


class Toy(ShelfBase):
    """A toy in a box."""

    __tablename__ = "toys"

    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("boxes.id"))


class ShelfCreate(Schema):
    id: int


class ShelfRead(ReadSchema):
    id: int


class Shelves(Resource[StoredShelf]): ...


def verbs(sent: list[str]) -> Counter[str]:
    """Count the statements by their first word, or by their table if they delete."""
    words = (statement.split() for statement in sent)
    return Counter(" ".join(w[:3]) if w[0] == "DELETE" else w[0] for w in words)


@pytest.mark.parametrize("count", [2, 10])
async def test_the_statements_of_a_batch_deletion_do_not_grow(
    tables: Tables, backend: str, count: int
) -> None:
    lines = [{"productId": 1}, {"productId": 2}]
    async with calling(create_app(await tables.of(Base.metadata, backend, ROWS))) as client:
        for n in range(count):
            await create_row(client, "/orders", {"number": f"{n}", "lines": lines, "tag_ids": [1]})
        ids = "&".join(f"id={n + 1}" for n in range(count))
        with statements() as sent:
            assert summary(await client.delete(f"/orders/batch?{ids}")) == "204"
    assert verbs(sent)["DELETE FROM lines"] == 1
    assert verbs(sent)["SELECT"] == 5


@pytest.mark.parametrize("count", [2, 40])
async def test_the_statements_of_a_deep_deletion_do_not_grow(
    tables: Tables, backend: str, count: int
) -> None:
    rows: Rows = {
        StoredShelf: [{"id": 1}],
        StoredBox: [{"id": n, "shelf_id": 1} for n in range(count)],
        Toy: [{"id": n, "box_id": n} for n in range(count)],
    }
    database = Database(await tables.of(ShelfBase.metadata, backend, rows))
    shelves = crud_router("/shelves", Shelves, read=ShelfRead, create=ShelfCreate)
    async with serving_routers(database, shelves) as client:
        with statements() as sent:
            assert summary(await client.delete("/shelves/1")) == "204"
        assert verbs(sent) == {
            "SELECT": 4,
            "DELETE FROM toys": 1,
            "DELETE FROM boxes": 1,
            "DELETE FROM shelves": 1,
        }
