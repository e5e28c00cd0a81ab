"""Validated input, and fields without a column."""

from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from httpx2 import AsyncClient
from pydantic import Field
from sqlalchemy import ForeignKey, MetaData, String
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    Database,
    Model,
    NotStored,
    ReadSchema,
    Resource,
    Schema,
    Versioned,
    crud_router,
)
from tests.support.bodies import create_row, get_json, patch_row, summary
from tests.support.recording import path_taken
from tests.support.running import Running
from tests.support.shop import app_of
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio


class Base(Model):
    """The base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Account(Base, Versioned):
    """An account with a digest of its phrase, and the sum of its fees."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)
    digest: Mapped[str] = mapped_column(String(40))
    total: Mapped[int] = mapped_column(default=0)
    fees: Mapped[list["Fee"]] = relationship(cascade="all, delete-orphan")


class Fee(Base):
    """A fee of an account."""

    __tablename__ = "fees"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    amount: Mapped[int]


class FeeBody(Schema):
    amount: int


class AccountCreate(Schema):
    name: str
    phrase: Annotated[str, NotStored(), Field(min_length=3)]
    fees: list[FeeBody] = Field(default_factory=list[FeeBody])


class AccountUpdate(AccountCreate, partial=True): ...


class AccountRead(ReadSchema):
    id: int
    name: str
    digest: str
    total: int


class Accounts(Resource[Account]):
    """Accounts that store a digest of the phrase, and the sum of the fees."""

    @override
    async def create(self, row: Account, /) -> None:
        self._complete(row)
        await super().create(row)

    @override
    async def update(self, row: Account, /, changes: Mapping[str, Any]) -> None:
        await super().update(row, changes)
        self._complete(row, only="fees" in changes)

    def _complete(self, row: Account, *, only: bool = True) -> None:
        if (data := self.validated_data(row, AccountCreate)) and data.phrase:
            row.digest = data.phrase[::-1]
        if only:
            row.total = sum(fee.amount for fee in row.fees)


accounts = crud_router(
    "/accounts", Accounts, read=AccountRead, create=AccountCreate, update=AccountUpdate
)


@accounts.post("/{key}/rename", response_model=AccountRead)
async def rename(key: str, resource: Annotated[Accounts, Depends()]) -> Account:
    account = await resource.get(key)
    await resource.update(account, {"name": "renamed"})
    await resource.session.flush()
    return account


def create_app(url: str) -> FastAPI:
    """Create an application of the accounts."""
    return app_of(Database(url), accounts)


@pytest.fixture
async def client(running: Running, tables: Tables, backend: str) -> AsyncClient:
    """Return a client of the accounts."""
    return await running.client(create_app, await tables.of(Base.metadata, backend))


def body(name: str = "ada", phrase: str = "abc", *amounts: int) -> dict[str, Any]:
    return {"name": name, "phrase": phrase, "fees": [{"amount": n} for n in amounts]}


async def test_a_method_reads_a_field_without_a_column(client: AsyncClient) -> None:
    made = await create_row(client, "/accounts", body("ada", "abc", 1, 2))
    assert made == {"id": made["id"], "name": "ada", "digest": "cba", "total": 3}
    path = f"/accounts/{made['id']}"
    changed = await patch_row(client, path, {"phrase": "xyz"})
    assert changed == made | {"digest": "zyx"}
    changed = await patch_row(client, path, {"fees": [{"amount": 4}]})
    assert changed == made | {"digest": "zyx", "total": 4}
    put = await client.put(path, json=body("bob", "klm"))
    assert put.json() == {"id": made["id"], "name": "bob", "digest": "mlk", "total": 0}
    assert await get_json(client, path) == put.json()


async def test_each_item_of_a_batch_has_its_own_input(client: AsyncClient) -> None:
    made = await client.post("/accounts/batch", json=[body("a", "abc", 1), body("b", "xyz", 2, 3)])
    assert [(row["digest"], row["total"]) for row in made.json()] == [("cba", 1), ("zyx", 5)]
    first, second = (row["id"] for row in made.json())
    items = [{"id": second, "phrase": "123"}, {"id": first, "fees": [{"amount": 9}]}]
    changed = await client.patch("/accounts/batch", json=items)
    assert [(row["digest"], row["total"]) for row in changed.json()] == [("321", 5), ("cba", 9)]
    # The first item fails, so that each is written by itself.
    items = [{"id": second, "name": "a"}, {"id": first, "phrase": "456"}]
    assert summary(await client.patch("/accounts/batch", json=items)) == "409 #/0/name not_unique"


async def test_a_change_by_other_code_has_no_input(client: AsyncClient) -> None:
    made = await create_row(client, "/accounts", body())
    response = await client.post(f"/accounts/{made['id']}/rename")
    assert response.json() == made | {"name": "renamed"}


async def test_a_field_without_a_column_is_validated(client: AsyncClient) -> None:
    answer = "422 #/phrase string_too_short"
    assert summary(await client.post("/accounts", json=body(phrase="a"))) == answer
    assert summary(await client.post("/accounts", json={"name": "x"})) == "422 #/phrase missing"
    response = await client.patch("/accounts/1", json={"phrase": None})
    assert summary(response) == "422 #/phrase not_nullable"


async def test_openapi_marks_a_field_without_a_column(client: AsyncClient) -> None:
    schemas = (await get_json(client, "/openapi.json"))["components"]["schemas"]
    assert schemas["AccountCreate"]["properties"]["phrase"]["writeOnly"] is True
    assert schemas["AccountUpdate"]["properties"]["phrase"]["writeOnly"] is True


async def test_the_statement_executor_declines_such_writes(client: AsyncClient) -> None:
    assert await path_taken(client.post("/accounts", json=body())) == "201 ORM"
