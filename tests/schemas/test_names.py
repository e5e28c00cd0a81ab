"""Names of fields in conflicts of custom endpoints."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, Depends, Query
from httpx2 import AsyncClient
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel
from sqlalchemy import MetaData, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import (
    Database,
    Model,
    ReadSchema,
    Resource,
    Schema,
    SessionDep,
    StrictRoute,
    crud_router,
)
from brickwork.schemas.names import mapped_names, request_names
from tests.support.bodies import summary
from tests.support.both import serving_routers
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Key(Base):
    """A key, with a name that is unique per tenant."""

    __tablename__ = "keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(String(10), default="one")
    short_name: Mapped[str] = mapped_column(String(10))

    __table_args__ = (UniqueConstraint("tenant", "short_name"),)


class Lock(Base):
    """A lock, which a client of the keys cannot write."""

    __tablename__ = "locks"

    id: Mapped[int] = mapped_column(primary_key=True)
    short_name: Mapped[str] = mapped_column(String(10), unique=True)


class KeyCreate(Schema):
    model_config = ConfigDict(alias_generator=to_camel)

    short_name: str


class KeyUpdate(KeyCreate, partial=True):
    pass


class Tagged(Schema):
    tag: str = ""


class KeyQuery(Schema):
    short_name: str = Field(alias="name")


class KeyRead(ReadSchema):
    id: int


class Keys(Resource[Key]):
    @override
    async def create(self, row: Key, /) -> None:
        self.session.add(Lock(short_name="taken"))
        await super().create(row)


routes = APIRouter(route_class=StrictRoute)
plain = APIRouter()


def add_key(session: SessionDep, name: str) -> None:
    session.add(Key(short_name=name))


@routes.post("/body")
async def create_from_body(session: SessionDep, data: KeyCreate) -> None:
    add_key(session, data.short_name)


@plain.post("/plain")
async def create_on_plain_route(session: SessionDep, data: KeyCreate) -> None:
    add_key(session, data.short_name)


@routes.post("/optional")
async def create_from_optional_body(session: SessionDep, data: KeyCreate | None = None) -> None:
    add_key(session, data.short_name if data else "taken")


@routes.post("/parts")
async def create_from_parts(session: SessionDep, data: KeyCreate, other: Tagged) -> None:
    add_key(session, data.short_name + other.tag)


@routes.post("/single")
async def create_from_embedded_field(
    session: SessionDep, short_name: Annotated[str, Body(embed=True, alias="short")]
) -> None:
    add_key(session, short_name)


@routes.post("/query")
async def create_from_query(session: SessionDep, short_name: str) -> None:
    add_key(session, short_name)


async def short_name_of_query(short_name: str) -> str:
    return short_name


@routes.post("/dependency")
async def create_from_dependency(
    session: SessionDep, name: Annotated[str, Depends(short_name_of_query)]
) -> None:
    add_key(session, name)


@routes.post("/model")
async def create_from_query_model(session: SessionDep, data: Annotated[KeyQuery, Query()]) -> None:
    add_key(session, data.short_name)


@routes.post("/nothing")
async def create_constant(session: SessionDep) -> None:
    add_key(session, "taken")


@routes.post("/list")
async def create_from_list(session: SessionDep, data: list[KeyCreate]) -> None:
    for item in data:
        add_key(session, item.short_name)


@routes.post("/free")
async def create_from_dict(session: SessionDep, data: dict[str, Any]) -> None:
    add_key(session, data["short_name"])


keys = crud_router("/keys", Keys, read=KeyRead, create=KeyCreate, update=KeyUpdate)


@pytest.fixture
async def client(tables: Tables, backend: str) -> AsyncIterator[AsyncClient]:
    """Return a client of a service that has the key `taken` and no lock."""
    url = await tables.of(Base.metadata, backend, {Key: [{"short_name": "taken"}]})
    async with serving_routers(Database(url), routes, plain, keys) as client:
        yield client


@pytest.mark.parametrize(
    ("target", "body", "answer"),
    [
        ("/body", {"shortName": "taken"}, "409 #/shortName not_unique"),
        ("/plain", {"shortName": "taken"}, "409 #/shortName not_unique"),
        ("/optional", {"shortName": "taken"}, "409 #/shortName not_unique"),
        (
            "/parts",
            {"data": {"shortName": "taken"}, "other": {}},
            "409 #/data/shortName not_unique",
        ),
        ("/single", {"short": "taken"}, "409 #/short not_unique"),
        ("/query?short_name=taken", None, "409 ?short_name not_unique"),
        ("/dependency?short_name=taken", None, "409 ?short_name not_unique"),
        ("/model?name=taken", None, "409 ?name not_unique"),
        ("/nothing", None, "409"),
        ("/list", [{"shortName": "taken"}], "409"),
        ("/free", {"short_name": "taken"}, "409"),
        ("/keys", {"shortName": "taken"}, "409 #/shortName not_unique"),
    ],
)
async def test_conflict_names_the_declared_field(
    client: AsyncClient, target: str, body: Any, answer: str
) -> None:
    assert summary(await client.post(target, json=body)) == answer


async def test_conflict_of_another_row_names_no_field(client: AsyncClient) -> None:
    assert summary(await client.post("/keys", json={"shortName": "a"})) == "201"
    assert summary(await client.post("/keys", json={"shortName": "b"})) == "409"


def test_scope_without_a_route_has_the_mapped_names() -> None:
    assert request_names({}) is mapped_names
