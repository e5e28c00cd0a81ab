"""Reads that take the fast path."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

import pytest
from fastapi import Depends
from pydantic import Field, field_validator, model_validator
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session as SyncSession
from typing_extensions import override

from brickwork import Database, ListQuery, NotFound, ReadSchema, Resource, SortBy, SortKey, get_db
from tests.support.calls import calling
from tests.support.databases import sqlite_only
from tests.support.recording import event_listener, path_taken
from tests.support.shop import Store, Stores, app_of, calling_stores, stores
from tests.support.tables import Rows, insert_rows

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

BREAD: Final[Rows] = {Store: [{"code": "a", "name": "Bread"}]}


@pytest.fixture
async def database(shop_url: str) -> AsyncGenerator[Database]:
    """Return a database with one store."""
    database = Database(shop_url)
    await insert_rows(database, BREAD)
    yield database
    await database.dispose()


# --- The resource ---------------------------------------------------------------------------------


class WithGet(Stores):
    @override
    async def get(self, key: object, /) -> Store:
        return await super().get(key)


class WithPage(Stores):
    @override
    async def page(self, at: ListQuery[Store], /) -> Any:
        return await super().page(at)


class Named(ReadSchema):
    code: str
    name: str


class Aliased(ReadSchema):
    title: str = Field(validation_alias="name")


class Computed(Named):
    sign: str


class FromRow(Named):
    @model_validator(mode="before")
    @classmethod
    def read(cls, row: Store) -> dict[str, object]:
        return {"code": row.code, "name": row.name}


class WithValidators(Named):
    @field_validator("name")
    @classmethod
    def framed(cls, value: str) -> str:
        if value == "ODD":
            raise ValueError("It cannot be shown.")
        return f"<{value}>"

    @model_validator(mode="after")
    def framed_again(self) -> Self:
        self.name = f"[{self.name}]"
        return self


class Filtered(ListQuery[Store]):
    name: str | None = "bread"

    @override
    def sort_keys(self) -> Sequence[SortKey[str]]:
        return (SortKey("rank", descending=True),)


class Timed(ListQuery[Store]):
    name__ne: str | None = Field(default_factory=lambda: str(datetime.now(UTC)))


class Required(ListQuery[Store]):
    name: str


class Counted(ListQuery[Store]):
    count: Literal["exact", "estimated"] | None = "exact"


class SortedByComputed(ListQuery[Store]):
    sort: SortBy[Literal["sign"]] = None


@sqlite_only
@pytest.mark.parametrize(
    ("resource", "schemas", "row", "rows"),
    [
        pytest.param(Stores, {}, "200 fast", "200 fast", id="plain"),
        pytest.param(WithGet, {}, "200 ORM", "200 fast", id="get overridden"),
        pytest.param(WithPage, {}, "200 fast", "200 ORM", id="page overridden"),
        pytest.param(Stores, {"read": Aliased}, "200 ORM", "200 ORM", id="alias"),
        pytest.param(Stores, {"read": Computed}, "200 ORM", "200 ORM", id="computed column"),
        pytest.param(Stores, {"read": FromRow}, "200 ORM", "200 ORM", id="validator of the row"),
        pytest.param(Stores, {"read": WithValidators}, "200 ORM", "200 ORM", id="other validators"),
        pytest.param(Stores, {"query": Filtered}, "200 fast", "200 fast", id="default filter"),
        pytest.param(Stores, {"query": Timed}, "200 fast", "200 fast", id="filter by the clock"),
        pytest.param(Stores, {"query": Required}, "200 fast", "422 ORM", id="required filter"),
        pytest.param(Stores, {"query": Counted}, "200 fast", "200 ORM", id="count"),
        pytest.param(Stores, {"query": SortedByComputed}, "200 fast", "200 fast", id="odd sort"),
    ],
)
async def test_resource_decides_the_path(
    database: Database, resource: type[Resource[Store]], schemas: Any, row: str, rows: str
) -> None:
    async with calling(app_of(database, stores(resource, **schemas))) as client:
        assert await path_taken(client.get("/stores/a")) == row
        assert await path_taken(client.get("/stores?limit=5")) == rows


async def test_a_list_sorted_by_an_expression_takes_the_orm_path(database: Database) -> None:
    async with calling(app_of(database, stores(query=SortedByComputed))) as client:
        assert await path_taken(client.get("/stores")) == "200 fast"
        assert await path_taken(client.get("/stores?sort=sign")) == "200 ORM"


async def test_types_and_validators_process_the_values(database: Database) -> None:
    async with calling(app_of(database, stores(read=WithValidators))) as client:
        assert (await client.get("/stores/a")).json() == {"code": "a", "name": "[<BREAD>]"}
        assert await path_taken(client.get("/stores/a")) == "200 ORM"


@pytest.mark.parametrize("path", ["/stores/b", "/stores"])
async def test_unserialisable_row_is_a_500(database: Database, path: str) -> None:
    await insert_rows(database, {Store: [{"code": "b", "name": "odd"}]})
    async with calling(app_of(database, stores(read=WithValidators))) as client:
        assert await path_taken(client.get(path)) == "500 ORM"


# --- The application ------------------------------------------------------------------------------


@sqlite_only
async def test_dependencies_of_an_application_are_called(database: Database) -> None:
    calls: list[str] = []
    app = app_of(database, stores(), dependencies=[Depends(lambda: calls.append("called"))])
    async with calling(app) as client:
        assert await path_taken(client.get("/stores/a")) == "200 fast"
    assert calls == ["called"]


@sqlite_only
async def test_dependencies_of_a_router_are_called(database: Database) -> None:
    calls: list[str] = []
    app = app_of(database)
    app.include_router(stores(), dependencies=[Depends(lambda: calls.append("called"))])
    async with calling(app) as client:
        assert await path_taken(client.get("/stores/a")) == "200 fast"
    assert calls == ["called"]


@sqlite_only
async def test_overridden_session_takes_the_orm_path(database: Database) -> None:
    app = app_of(database, stores())
    async with calling(app) as client:
        app.dependency_overrides[lambda: None] = lambda: None
        assert await path_taken(client.get("/stores/a")) == "200 fast"
        app.dependency_overrides[get_db] = get_db
        assert await path_taken(client.get("/stores/a")) == "200 ORM"


@sqlite_only
async def test_overridden_session_method_takes_the_orm_path(database: Database) -> None:
    class CountingDatabase(Database):
        @override
        @asynccontextmanager
        async def session(self, *, readonly: bool = False) -> AsyncGenerator[AsyncSession]:
            async with super().session(readonly=readonly) as session:
                opened.append(readonly)
                yield session

    opened: list[bool] = []
    async with calling_stores(CountingDatabase(database.url)) as client:
        assert await path_taken(client.get("/stores/a")) == "200 ORM"
        assert await path_taken(client.get("/stores?limit=5")) == "200 ORM"
    assert opened == [True, True]


@sqlite_only
@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Engine, "before_cursor_execute"),
        (Engine, "after_execute"),
        (SyncSession, "do_orm_execute"),
        (Store, "load"),
    ],
)
async def test_listener_disables_the_fast_path(
    database: Database, target: object, name: str
) -> None:
    async with calling_stores(database) as client:
        with event_listener(target, name):
            assert await path_taken(client.get("/stores/a")) == "200 ORM"
            assert await path_taken(client.get("/stores")) == "200 ORM"
        assert await path_taken(client.get("/stores/a")) == "200 fast"
        assert await path_taken(client.get("/stores")) == "200 fast"


async def test_patched_method_is_called(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hide(_: object, key: str, /) -> Store:
        raise NotFound(f"{key} is hidden")

    async with calling(app_of(database, stores(Stores))) as client:
        assert await path_taken(client.get("/stores/a")) == "200 fast"
        monkeypatch.setattr(Stores, "get", hide)
        assert await path_taken(client.get("/stores/a")) == "404 ORM"
