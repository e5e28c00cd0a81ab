"""`Database.create_all`: atomic and concurrent creation of tables."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, nullcontext
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, inspect, text
from sqlalchemy.exc import DBAPIError

from brickwork import Database, IsolationLevel
from tests.support.databases import Databases

METADATA = MetaData()
AUTHORS = Table("authors", METADATA, Column("id", Integer, primary_key=True))
ARTICLES = Table(
    "articles",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("author_id", Integer, ForeignKey("authors.id")),
)


@pytest.fixture
async def database(empty_url: str) -> AsyncGenerator[Database]:
    database = Database(empty_url)
    async with database.lifespan(None):
        yield database


async def table_names(database: Database) -> set[str]:
    async with database.reader.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_create_all_creates_the_tables(database: Database) -> None:
    await database.create_all(METADATA)

    assert await table_names(database) == {"authors", "articles"}


async def test_create_all_keeps_existing_tables_and_rows(database: Database) -> None:
    await database.create_all(METADATA)
    async with database.session() as session:
        await session.execute(AUTHORS.insert(), [{"id": 1}])

    await database.create_all(METADATA)

    async with database.session(readonly=True) as session:
        assert (await session.execute(AUTHORS.select())).all() == [(1,)]


async def test_create_all_creates_all_tables_or_none(database: Database) -> None:
    metadata = MetaData()
    Table("a", metadata, Column("id", Integer, primary_key=True))
    Table("b", metadata, Column("id", Integer, server_default=text("no such default")))

    with pytest.raises(DBAPIError):
        await database.create_all(metadata)

    assert await table_names(database) == set()


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
async def test_concurrent_processes_can_create_the_tables(
    empty_url: str, isolation: IsolationLevel
) -> None:
    databases = [Database(empty_url, isolation_level=isolation) for _ in range(8)]
    async with AsyncExitStack() as stack:
        for database in databases:
            await stack.enter_async_context(database.lifespan(None))

        # Wait for all: an error must not cancel the others in the middle of a statement.
        results = await asyncio.gather(
            *(database.create_all(METADATA) for database in databases), return_exceptions=True
        )

        assert results == [None] * 8
        assert await table_names(databases[0]) == {"authors", "articles"}


class Locked(sqlite3.OperationalError):
    sqlite_errorname = "SQLITE_BUSY"


@pytest.mark.parametrize(
    ("failures", "outcome"), [(9, nullcontext()), (10, pytest.raises(DBAPIError))]
)
async def test_create_all_tries_a_locked_file_ten_times(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, failures: int, outcome: Any
) -> None:
    errors = [Locked("database is locked")] * failures

    async def create(*_: object) -> None:
        if errors:
            raise DBAPIError(None, None, errors.pop())

    monkeypatch.setattr(Database, "_create_all", create)
    monkeypatch.setattr("brickwork.database.database._CREATE_PAUSE", 0)
    with outcome:
        await Database(databases.empty("sqlite")).create_all(METADATA)
    assert errors == []
