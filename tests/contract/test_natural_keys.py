"""Keys of the client, under other names than `id`."""

from collections.abc import AsyncGenerator
from datetime import date
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import Field
from sqlalchemy import BigInteger, MetaData, String
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import (
    Audited,
    Database,
    Model,
    ReadSchema,
    Resource,
    Schema,
    Versioned,
    crud_router,
    install,
)
from tests.support.bodies import Body, ask, get_json, summary
from tests.support.calls import calling
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Holiday(Base, Audited, Versioned):
    __tablename__ = "holidays"

    day: Mapped[date] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Account(Base):
    __tablename__ = "accounts"

    number: Mapped[int] = mapped_column("no", BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(20))


class Currency(Base):
    __tablename__ = "currencies"

    code: Mapped[str] = mapped_column(String(3), primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class HolidayCreate(Schema):
    day: date
    name: str


class HolidayUpdate(HolidayCreate, partial=True): ...


class HolidayRead(ReadSchema):
    day: date
    name: str


class AccountCreate(Schema):
    number: Annotated[int, Field(alias="accountNumber")]
    name: str


class AccountUpdate(AccountCreate, partial=True): ...


class AccountRead(ReadSchema):
    number: Annotated[int, Field(alias="accountNumber")]
    name: str


class CurrencyCreate(Schema):
    code: str
    name: str


class CurrencyUpdate(CurrencyCreate, partial=True): ...


class CurrencyRead(ReadSchema):
    code: str
    name: str


class Holidays(Resource[Holiday]):
    allow_upsert = True


class Accounts(Resource[Account]):
    allow_upsert = True


class Currencies(Resource[Currency]):
    allow_upsert = True


def create_app(database: Database) -> FastAPI:
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    for router in (
        crud_router(
            "/holidays", Holidays, read=HolidayRead, create=HolidayCreate, update=HolidayUpdate
        ),
        crud_router(
            "/accounts", Accounts, read=AccountRead, create=AccountCreate, update=AccountUpdate
        ),
        crud_router(
            "/currencies",
            Currencies,
            read=CurrencyRead,
            create=CurrencyCreate,
            update=CurrencyUpdate,
        ),
    ):
        app.include_router(router)
    return app


@pytest.fixture
async def client(tables: Tables, backend: str) -> AsyncGenerator[AsyncClient]:
    create_app(Database("sqlite:///unused.db"))  # declares the companion tables
    database = Database(await tables.of(Base.metadata, backend))
    async with calling(create_app(database)) as client:
        yield client


KEYS: dict[str, tuple[str, list[Any]]] = {
    "/holidays": ("day", ["2024-02-29", "2026-01-02", "2026-12-31"]),
    "/accounts": ("accountNumber", [-5, 7, 2**62]),
    "/currencies": ("code", ["A%", "eur", "ß 1"]),
}
"""The name of the key and three of its values in order, by the path of the resource."""


@pytest.mark.parametrize("path", KEYS)
async def test_every_operation_takes_the_key(client: AsyncClient, path: str) -> None:
    name, (first, second, third) = KEYS[path]

    def body(key: Any, text: str = "x") -> Body:
        return {name: key, "name": text}

    created = await client.post(path, json=body(second))
    place = created.headers["location"]
    assert (created.status_code, created.json()) == (201, body(second))
    assert await get_json(client, place) == body(second)
    assert (await client.post(path, json=body(second))).json()["errors"][0][
        "pointer"
    ] == f"#/{name}"
    assert (await client.patch(place, json={"name": "y"})).json() == body(second, "y")
    for method in ("PATCH", "PUT"):
        other = await ask(client, method, place, body(third))
        assert summary(other) == f"409 #/{name} key_differs"
    assert (await client.put(place, json=body(second, "z"))).json() == body(second, "z")
    batch = await client.post(f"{path}/batch", json=[body(third), body(first)])
    assert batch.json() == [body(third), body(first)]
    changed = await client.patch(f"{path}/batch", json=[body(first, "1"), body(third, "3")])
    assert changed.json() == [body(first, "1"), body(third, "3")]
    url, found = f"{path}?limit=1", list[Any]()
    while url:
        page = await client.get(url)
        found += [row[name] for row in page.json()]
        url = page.links.get("next", {}).get("url") or ""
    assert found == [first, second, third]
    deleted = await client.delete(f"{path}/batch", params={"id": [first, third]})
    assert (deleted.status_code, len(await get_json(client, path))) == (204, 1)
    assert (await client.delete(place)).status_code == 204
    upserted = await client.put(place, json=body(second))
    assert (upserted.status_code, upserted.headers["location"]) == (201, place)


async def test_a_date_is_the_key_of_a_history(client: AsyncClient) -> None:
    await client.put("/holidays/2026-01-02", json={"day": "2026-01-02", "name": "a"})
    tag = {"If-Match": '"1"'}
    changed = await client.patch("/holidays/2026-01-02", json={"name": "b"}, headers=tag)
    assert changed.status_code == 200
    entries = await get_json(client, "/holidays/2026-01-02/history")
    assert [entry["action"] for entry in entries] == ["update", "create"]
    for key in ("2026-1-2", "20260102", "2026-02-30", "2026-01-03", "x", "2026-01-02T00:00:00"):
        assert summary(await ask(client, "GET", f"/holidays/{key}")) == "404"


def test_openapi_has_the_types_of_keys() -> None:
    document = create_app(Database("sqlite:///unused.db")).openapi()
    schemas = {
        path: document["paths"][f"{path}/{{id}}"]["get"]["parameters"][0]["schema"] for path in KEYS
    }
    assert {path: (part["type"], part.get("format")) for path, part in schemas.items()} == {
        "/holidays": ("string", "date"),
        "/accounts": ("integer", None),
        "/currencies": ("string", None),
    }
