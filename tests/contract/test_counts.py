"""Counts: an estimate reveals no hidden rows."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final
from uuid import uuid4

import pytest
from fastapi import Depends, FastAPI, Header
from httpx2 import AsyncClient
from sqlalchemy import ForeignKey, MetaData, Select, String, event, insert, text
from sqlalchemy.orm import (
    Mapped,
    ORMExecuteState,
    Session as SyncSession,
    mapped_column,
    relationship,
    with_loader_criteria,
)
from typing_extensions import override

from brickwork import (
    CustomFilter,
    Database,
    ListQuery,
    Model,
    ReadSchema,
    Resource,
    Schema,
    SessionDep,
    SoftDelete,
    crud_router,
    install,
)
from brickwork.models.model import now
from tests.support.calls import calling
from tests.support.databases import postgres_only
from tests.support.recording import statements

pytestmark = [pytest.mark.anyio]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Bank(Base):
    """A bank."""

    __tablename__ = "banks"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Account(Base):
    """An account of a tenant."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(String(20))
    bank_id: Mapped[int | None] = mapped_column(ForeignKey(Bank.id))
    bank: Mapped[Bank | None] = relationship()


class Memo(Base, SoftDelete):
    """A memo that may be deleted."""

    __tablename__ = "memos"

    id: Mapped[int] = mapped_column(primary_key=True)


class View(Base):
    """An account of Ada, mapped to a view."""

    __tablename__ = "own_accounts"

    id: Mapped[int] = mapped_column(primary_key=True)


class Key(ReadSchema):
    id: int


NEW: Final = ("create", "create_batch", "replace")
"""The operations of new rows."""


class Nothing(Schema): ...


class Change(Nothing, partial=True): ...


class AccountQuery(ListQuery[Account]):
    tenant: str | None = None
    bank__name: str | None = None


class OwnQuery(AccountQuery):
    """A query with a custom filter."""

    own: Annotated[bool, CustomFilter] = True

    @override
    def filter(self, statement: Select[Account]) -> Select[Account]:
        statement = super().filter(statement)
        return statement.where(Account.tenant == "ada") if self.own else statement


class Accounts(Resource[Account]): ...


class OwnAccounts(Accounts):
    """The accounts of a tenant."""

    tenant: Annotated[str, Header()] = "ada"

    @override
    def query(self) -> Select[Account]:
        return super().query().where(Account.tenant == self.tenant)


class HintedAccounts(Accounts):
    """The accounts, with an execution option."""

    @override
    def query(self) -> Select[Account]:
        return super().query().execution_options(schema_translate_map={None: None})


class RestrictedAccounts(Accounts):
    """The accounts, with loader criteria."""

    @override
    def query(self) -> Select[Account]:
        return super().query().options(with_loader_criteria(Account, Account.tenant == "ada"))


class Memos(Resource[Memo]): ...


class Views(Resource[View]): ...


def app_of(
    database: Database,
    resource: type[Resource[Any]] = Accounts,
    query: type[ListQuery[Any]] = AccountQuery,
    **options: Any,
) -> FastAPI:
    """Return an application of *resource* at `/rows`."""
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    router = crud_router(
        "/rows", resource, read=Key, create=Nothing, update=Change, omit=NEW, query=query
    )
    app.include_router(router, **options)
    return app


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    """Yield an analyzed database with ten accounts of Ada and ninety of Bob."""
    database = Database(empty_url)
    async with database.writer.begin() as connection:
        tables = [
            table for table in Base.metadata.sorted_tables if table.name != View.__tablename__
        ]
        await connection.run_sync(lambda sync: Base.metadata.create_all(sync, tables))
        await connection.execute(insert(Bank), [{"name": "old"}, {"name": "new"}])
        accounts = [
            {"tenant": "ada" if n < 10 else "bob", "bank_id": n % 2 + 1} for n in range(100)
        ]
        await connection.execute(insert(Account), accounts)
        memos = [{"deleted_at": now() if n < 90 else None} for n in range(100)]
        await connection.execute(insert(Memo), memos)
        view = "CREATE VIEW own_accounts AS SELECT * FROM accounts WHERE tenant = 'ada'"
        await connection.execute(text(view))
        await connection.execute(text("ANALYZE"))
    yield database
    await database.dispose()


async def estimated_count(client: AsyncClient, query: str = "") -> tuple[str, bool]:
    """Return an estimated count, and whether the planner made it."""
    with statements() as sent:
        response = await client.get(f"/rows?count=estimated&limit=1{query}")
    assert response.status_code == 200, response.text
    return response.headers["x-total-count"], any("EXPLAIN" in statement for statement in sent)


async def test_planner_estimates_all_rows(database: Database, backend: str) -> None:
    async with calling(app_of(database)) as client:
        assert await estimated_count(client) == ("100", backend == "postgresql")


async def test_planner_estimates_filtered_rows(database: Database, backend: str) -> None:
    async with calling(app_of(database)) as client:
        assert await estimated_count(client, "&tenant=ada") == ("10", backend == "postgresql")
        assert (await estimated_count(client, "&bank__name=old"))[1] == (backend == "postgresql")


@pytest.mark.parametrize(
    ("resource", "query"),
    [
        (OwnAccounts, AccountQuery),
        (RestrictedAccounts, AccountQuery),
        (Accounts, OwnQuery),
        (Memos, ListQuery[Memo]),
        (Views, ListQuery[View]),
    ],
    ids=["query()", "an option", "filter()", "deleted rows", "a view"],
)
async def test_hidden_rows_disable_the_estimate(
    database: Database, resource: type[Resource[Any]], query: type[ListQuery[Any]]
) -> None:
    async with calling(app_of(database, resource, query)) as client:
        assert await estimated_count(client) == ("10", False)


async def test_execution_options_disable_the_estimate(database: Database) -> None:
    async with calling(app_of(database, HintedAccounts)) as client:
        assert await estimated_count(client) == ("100", False)


async def test_rows_are_estimated_if_deleted_rows_are_included(
    database: Database, backend: str
) -> None:
    async with calling(app_of(database, Memos, ListQuery[Memo])) as client:
        assert await estimated_count(client, "&deleted=include") == ("100", backend == "postgresql")
        assert await estimated_count(client, "&deleted=only") == ("90", False)


async def test_filtering_listener_disables_the_estimate(database: Database) -> None:
    def narrow(state: ORMExecuteState) -> None:
        if state.is_select:
            own = with_loader_criteria(Account, Account.tenant == "ada")
            state.statement = state.statement.options(own)

    event.listen(SyncSession, "do_orm_execute", narrow)
    try:
        async with calling(app_of(database)) as client:
            assert await estimated_count(client) == ("10", False)
    finally:
        event.remove(SyncSession, "do_orm_execute", narrow)


async def test_rewriting_listener_disables_the_estimate(database: Database) -> None:
    def rewrite(_: object, statement: object, *rest: object) -> tuple[object, ...]:
        return statement, *rest[:2]

    engine = database.reader.sync_engine
    event.listen(engine, "before_execute", rewrite, retval=True)
    try:
        async with calling(app_of(database)) as client:
            assert await estimated_count(client) == ("100", False)
    finally:
        event.remove(engine, "before_execute", rewrite)


# --- Row level security ---------------------------------------------------------------------------


@pytest.fixture
async def teller(database: Database) -> AsyncIterator[str]:
    """Yield a role of PostgreSQL that may read."""
    role = f"teller_{uuid4().hex}"
    async with database.writer.begin() as connection:
        await connection.execute(text(f"CREATE ROLE {role}"))
        await connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))
    yield role
    async with database.writer.begin() as connection:
        await connection.execute(text(f"DROP OWNED BY {role}"))
        await connection.execute(text(f"DROP ROLE {role}"))


@asynccontextmanager
async def calling_as(database: Database, role: str) -> AsyncGenerator[AsyncClient]:
    """Yield a client of the accounts, whose requests have a *role* in the database."""

    async def take_role(session: SessionDep) -> None:
        await session.execute(text(f"SET LOCAL ROLE {role}"))

    async with calling(app_of(database, dependencies=[Depends(take_role)])) as client:
        yield client


async def restrict(database: Database, table: str, rule: str) -> None:
    """Restrict roles to the rows of *table* that satisfy *rule*."""
    async with database.writer.begin() as connection:
        await connection.execute(text(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"))
        await connection.execute(text(f"CREATE POLICY own ON {table} USING ({rule})"))


@postgres_only
async def test_row_level_security_disables_the_estimate(database: Database, teller: str) -> None:
    async with calling_as(database, teller) as client:
        assert await estimated_count(client) == ("100", True)
        await restrict(database, "accounts", "tenant = 'ada'")
        assert await estimated_count(client) == ("10", False)
        assert await estimated_count(client, "&tenant=bob") == ("0", False)


@postgres_only
async def test_row_level_security_of_a_joined_table_disables_the_estimate(
    database: Database, teller: str
) -> None:
    async with calling_as(database, teller) as client:
        await restrict(database, "banks", "name = 'new'")
        assert await estimated_count(client) == ("100", True)
        assert await estimated_count(client, "&bank__name=old") == ("0", False)
        assert await estimated_count(client, "&bank__name=new") == ("50", False)


@postgres_only
async def test_rows_are_estimated_for_a_superuser(database: Database) -> None:
    await restrict(database, "accounts", "tenant = 'ada'")
    async with calling(app_of(database)) as client:  # as a superuser
        assert await estimated_count(client) == ("100", True)
