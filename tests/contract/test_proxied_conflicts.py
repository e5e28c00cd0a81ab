"""Places of values that association proxies set."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from httpx2 import AsyncClient
from pydantic import Field
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import Mapped, mapped_column, relationship

from brickwork import Model, ReadSchema, Resource, Schema, crud_router
from tests.support.bodies import create_row, get_json, summary
from tests.support.clients import Clients, clients_of
from tests.support.databases import Databases

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Label(Base):
    """A label, which belongs to parcels."""

    __tablename__ = "labels"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10), unique=True)


class Badge(Base):
    """The badge of a parcel."""

    __tablename__ = "badges"

    id: Mapped[int] = mapped_column(primary_key=True)
    nick: Mapped[str | None] = mapped_column(String(10), unique=True)
    rank: Mapped[int | None] = mapped_column(CheckConstraint("rank > 0", name="rank"))


class Mark(Base):
    """A mark of a parcel."""

    __tablename__ = "marks"
    __table_args__ = (UniqueConstraint("parcel_id", "value"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(String(10))
    parcel_id: Mapped[int] = mapped_column(ForeignKey("parcels.id"))


links = Table(
    "links",
    Base.metadata,
    Column("parcel_id", Integer, ForeignKey("parcels.id"), primary_key=True),
    Column("label_id", Integer, ForeignKey(Label.id), primary_key=True),
)


def new_label(name: str) -> Label:
    """Return a new label."""
    return Label(name=name)


def new_mark(value: str) -> Mark:
    """Return a new mark."""
    return Mark(value=value)


def new_badge(nick: str) -> Badge:
    """Return a new badge."""
    return Badge(nick=nick)


def ranked_badge(rank: int) -> Badge:
    """Return a new badge without a nick."""
    return Badge(rank=rank)


class Parcel(Base):
    """A parcel, with values of related rows."""

    __tablename__ = "parcels"

    id: Mapped[int] = mapped_column(primary_key=True)
    badge_id: Mapped[int | None] = mapped_column(ForeignKey(Badge.id))
    badge: Mapped[Badge | None] = relationship(foreign_keys=badge_id)
    spare_id: Mapped[int | None] = mapped_column(ForeignKey(Badge.id))
    spare: Mapped[Badge | None] = relationship(foreign_keys=spare_id)
    labels: Mapped[set[Label]] = relationship(secondary=links)
    marks: Mapped[list[Mark]] = relationship()
    label_names: AssociationProxy[Any] = association_proxy("labels", "name", creator=new_label)
    values: AssociationProxy[list[str]] = association_proxy("marks", "value", creator=new_mark)
    nick: AssociationProxy[str | None] = association_proxy("badge", "nick", creator=new_badge)
    rank: AssociationProxy[int | None] = association_proxy("badge", "rank", creator=ranked_badge)
    spare_nick: AssociationProxy[str | None] = association_proxy("spare", "nick", creator=new_badge)


class ParcelRead(ReadSchema):
    id: int
    nick: str | None
    values: list[str]


class ParcelCreate(Schema):
    label_names: list[str] = Field(default_factory=list, alias="labelNames")
    values: list[str] = Field(default_factory=list)
    nick: str | None = None
    rank: int | None = None
    spare_nick: str | None = Field(default=None, alias="spareNick")


class Parcels(Resource[Parcel]): ...


ROUTERS: Final = (
    crud_router("/parcels", Parcels, read=ParcelRead, create=ParcelCreate, omit={"replace"}),
)


@pytest.fixture(scope="module")
async def clients(templates: Databases) -> AsyncIterator[Clients]:
    """Yield the clients, each created at its first use."""
    async with clients_of(templates, [Base.metadata], ROUTERS) as clients:
        yield clients


@pytest.fixture
async def client(clients: Clients, backend: str) -> AsyncClient:
    """Return a client of the application with a parcel."""
    client = await clients.of(backend, fast=True)
    if not await get_json(client, "/parcels"):
        taken = {"labelNames": ["x"], "values": ["x"], "nick": "x", "rank": 1}
        await create_row(client, "/parcels", taken)
    return client


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"nick": "x"}, "409 #/nick not_unique"),
        ({"nick": "y", "spareNick": "x"}, "409 #/nick not_unique, #/spareNick not_unique"),
        ({"nick": "y", "spareNick": "y"}, "409 #/spareNick not_unique"),
        ({"labelNames": ["y", "x"]}, "409 #/labelNames not_unique"),
        ({"values": ["x", "y", "x"]}, "409 #/values/2 not_unique"),
        ({"nick": "y", "rank": 0}, "422 #/rank check_failed"),
        ({"rank": 0}, "422 #/rank check_failed"),
    ],
)
async def test_a_rejected_value_of_a_proxy_is_named(
    client: AsyncClient, body: dict[str, Any], answer: str
) -> None:
    before = await get_json(client, "/parcels")
    assert summary(await client.post("/parcels", json=body)) == answer
    batch = await client.post("/parcels/batch", json=[{"nick": "z"}, body])
    assert summary(batch) == answer.replace("#", "#/1")
    assert await get_json(client, "/parcels") == before
