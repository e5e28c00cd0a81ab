"""Writes that take the fast path."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from types import new_class
from typing import Annotated, Any, ClassVar, Final

import pytest
from fastapi import Depends
from httpx2 import AsyncClient
from sqlalchemy import Engine, MetaData
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, Session as SyncSession, mapped_column, validates
from typing_extensions import override

from brickwork import Audited, Database, Model, ReadSchema, Resource, Schema, Versioned, crud_router
from brickwork.cli.explain import explain_resource
from brickwork.database.isolation import IsolationLevel
from tests.support.calls import calling
from tests.support.databases import sqlite_only
from tests.support.recording import event_listener, path_taken
from tests.support.shop import Store, Stores, app_of, calling_stores, stores
from tests.support.tables import Tables

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

FAST: Final = ["201 fast", "200 fast", "204 fast"]
ORM: Final = ["201 ORM", "200 ORM", "204 ORM"]


async def paths_taken(client: AsyncClient) -> list[str]:
    """Create, change and delete a store, and return the paths."""
    return [
        await path_taken(client.post("/stores", json={"code": "a"})),
        await path_taken(client.patch("/stores/a", json={"rank": 2})),
        await path_taken(client.delete("/stores/a")),
    ]


# --- The resource ---------------------------------------------------------------------------------


class WithCreate(Stores):
    @override
    async def create(self, row: Store, /) -> None:
        await super().create(row)


class WithUpdate(Stores):
    @override
    async def update(self, row: Store, /, changes: Mapping[str, Any]) -> None:
        await super().update(row, changes)


class WithDelete(Stores):
    @override
    async def delete(self, row: Store, /) -> None:
        await super().delete(row)


class WithGet(Stores):
    @override
    async def get(self, key: object, /) -> Store:
        return await super().get(key)


class WithReferenceScopes(Stores):
    @override
    def reference_scopes(self) -> Mapping[str, Any]:
        return {}


class Isolated(Stores):
    isolation_level: ClassVar[IsolationLevel | None] = "serializable"


class WithOthers(Stores):
    others: Annotated[Isolated, Depends()]


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (Stores, ["201 fast", "200 fast", "204 fast"]),
        (WithCreate, ["201 ORM", "200 fast", "204 fast"]),
        (WithUpdate, ["201 fast", "200 ORM", "204 fast"]),
        (WithDelete, ["201 fast", "200 fast", "204 ORM"]),
        (WithGet, ["201 fast", "200 ORM", "204 ORM"]),
        (WithReferenceScopes, ["201 ORM", "200 ORM", "204 ORM"]),
        (Isolated, ["201 ORM", "200 ORM", "204 ORM"]),
        (WithOthers, ["201 ORM", "200 ORM", "204 ORM"]),
    ],
)
async def test_overridden_method_takes_the_orm_path(
    shop_url: str, resource: type[Resource[Store]], expected: list[str]
) -> None:
    async with calling(app_of(Database(shop_url), stores(resource))) as client:
        assert await paths_taken(client) == expected


# --- The database and its listeners ---------------------------------------------------------------


@sqlite_only
@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Engine, "before_cursor_execute"),
        (SyncSession, "before_flush"),
        (SyncSession, "after_commit"),
        (Store, "before_insert"),
        (Store, "after_delete"),
        (Store, "init"),
        (Store.rank, "set"),
    ],
    ids=str,
)
async def test_listener_disables_the_fast_path(shop_url: str, target: object, name: str) -> None:
    async with calling_stores(Database(shop_url)) as client:
        with event_listener(target, name):
            assert await paths_taken(client) == ORM
        assert await paths_taken(client) == FAST


class OverridingDatabase(Database):
    @override
    @asynccontextmanager
    async def session(self, *, readonly: bool = False) -> AsyncGenerator[AsyncSession]:
        async with super().session(readonly=readonly) as session:
            yield session


@sqlite_only
async def test_overridden_session_method_takes_the_orm_path(shop_url: str) -> None:
    async with calling_stores(OverridingDatabase(shop_url)) as client:
        assert await paths_taken(client) == ORM


@sqlite_only
async def test_database_without_the_fast_path_takes_the_orm_path(shop_url: str) -> None:
    async with calling_stores(Database(shop_url, fast_path=False)) as client:
        assert await paths_taken(client) == ORM


@sqlite_only
async def test_database_without_coalescing_takes_the_fast_path(shop_url: str) -> None:
    async with calling_stores(Database(shop_url, coalesce=False)) as client:
        assert await paths_taken(client) == FAST


# --- The model ------------------------------------------------------------------------------------


class Base(Model):
    """The base of these models, with its own metadata."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class WithHistory(Base, Audited):
    __tablename__ = "with_history"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class WithValidator(Base):
    __tablename__ = "with_validator"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    @validates("name")
    def check(self, _: str, value: str) -> str:
        return value


class WithConstructor(Base):
    __tablename__ = "with_constructor"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


class Parent(Base):
    __tablename__ = "parents"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    __mapper_args__: Any = {"polymorphic_on": "kind", "polymorphic_identity": "parent"}  # noqa: RUF012 — as SQLAlchemy declares it


class Inheriting(Parent):
    __mapper_args__: Any = {"polymorphic_identity": "child"}  # noqa: RUF012 — as above


def _increment_by_two(version: int | None) -> int:
    return (version or 0) + 2


class VersionedByTwo(Base, Versioned):
    __tablename__ = "counting_by_two"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    __mapper_args__: Any = {"version_id_generator": _increment_by_two}  # noqa: RUF012 — as above


class WithRevision(Base):
    __tablename__ = "counting_elsewhere"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    revision: Mapped[int] = mapped_column()
    __mapper_args__: Any = {"version_id_col": revision}  # noqa: RUF012 — as above


def _double_name(context: Any) -> str:
    return str(context.get_current_parameters()["name"]) * 2


class WithOddDefault(Base):
    __tablename__ = "with_odd_default"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    twice: Mapped[str] = mapped_column(default=_double_name, onupdate=_double_name)


class RowCreate(Schema):
    name: str


class RowUpdate(RowCreate, partial=True): ...


class RowRead(ReadSchema):
    id: int
    name: str


@sqlite_only
@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (WithHistory, "changes of WithHistory are recorded"),
        (WithValidator, "WithValidator has validators"),
        (WithConstructor, "WithConstructor has its own constructor"),
        (Inheriting, "Inheriting uses inheritance or several tables"),
        (VersionedByTwo, "VersionedByTwo has its own version counter"),
        (WithRevision, "WithRevision has its own version counter"),
        (WithOddDefault, "the default of twice takes the execution context"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_model_that_needs_a_flush_takes_the_orm_path(
    tables: Tables, backend: str, model: type[Model], reason: str
) -> None:
    resource: Any = new_class("Rows", (Resource[model],))  # type: ignore[valid-type]
    rows = crud_router("/rows", resource, read=RowRead, create=RowCreate, update=RowUpdate)
    database = Database(await tables.of(Base.metadata, backend))
    app = app_of(database, rows)
    async with calling(app) as client:
        assert await path_taken(client.post("/rows", json={"name": "a"})) == "201 ORM"
        assert await path_taken(client.patch("/rows/1", json={"name": "b"})) == "200 ORM"
        assert await path_taken(client.delete("/rows/1")) == "204 ORM"
    paths = {plan.operation: plan.path for plan in explain_resource(app, database, "rows")}
    for operation in ("POST /rows", "PATCH /rows/{id}", "DELETE /rows/{id}"):
        assert paths[operation] == f"ORM path, since {reason}"
