"""Statements on the driver's connection, and their failures."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import date
from typing import Any

import pytest
from asyncpg import InternalClientError
from sqlalchemy import QueuePool, func, insert, select, text
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from brickwork import Database
from brickwork.database.compiled import compile_statement
from brickwork.database.driver import (
    StatementFailed,
    _match_inserted,  # pyright: ignore[reportPrivateUsage]
    fetch_rows,
)
from tests.support.bodies import summary
from tests.support.databases import postgres_only, sqlite_only
from tests.support.memberships import Slot
from tests.support.recording import connections_in_use, path_taken, record_fast_path
from tests.support.shop import Base, Store, calling_stores
from tests.support.tables import Rows, insert_rows
from tests.support.waiting import waiting_process

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

BREAD: Rows = {Store: [{"code": "a", "name": "Bread"}]}

LOCK = text("LOCK TABLE stores IN ACCESS EXCLUSIVE MODE")


@pytest.fixture
async def database(shop_url: str) -> AsyncGenerator[Database]:
    """Return a database with the store `a`."""
    database = Database(shop_url)
    await insert_rows(database, BREAD)
    yield database
    await database.dispose()


def count_connections(engine: AsyncEngine) -> int:
    """Count the connections in the pool of *engine*, in use or not."""
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedin() + pool.checkedout()


async def test_sequential_reads_use_one_connection(database: Database) -> None:
    async with calling_stores(database) as client:
        for _ in range(5):
            assert await path_taken(client.get("/stores")) == "200 fast"
        assert count_connections(database.reader) == 1


# --- No connection --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "paths",
    [["/stores/a"], ["/stores"], [f"/stores/{key}" for key in "abcdefgh"], ["/stores"] * 5],
    ids=["row", "list", "several rows", "one list for several"],
)
async def test_read_without_a_connection_is_a_503(database: Database, paths: list[str]) -> None:
    small = Database(database.url, pool_size=1, pool_timeout=0.5)
    async with calling_stores(small) as client:
        async with small.reader.connect():
            with record_fast_path() as taken:
                responses = await asyncio.gather(*(client.get(path) for path in paths))
        answers = {(summary(response), response.headers["retry-after"]) for response in responses}
        assert (answers, {*taken}) == ({("503", "1")}, {True})
        assert await path_taken(client.get("/stores")) == "200 fast"


async def test_write_without_a_connection_is_a_503(database: Database) -> None:
    small = Database(database.url, pool_size=1, pool_timeout=0.5)
    async with calling_stores(small) as client:
        async with small.writer.connect():
            posts = (client.post("/stores", json={"code": code}) for code in "bcd")
            assert {summary(response) for response in await asyncio.gather(*posts)} == {"503"}
        assert summary(await client.post("/stores", json={"code": "e"})) == "201"
        assert [store["code"] for store in (await client.get("/stores")).json()] == ["a", "e"]


@postgres_only
async def test_cancelled_read_gives_its_connection_back(database: Database) -> None:
    rows = select(Store.code)
    statement = compile_statement(rows, {"code": Store.__table__.c.code}, database.reader.dialect)
    assert statement
    async with database.writer.begin() as connection:
        await connection.execute(LOCK)
        reading = asyncio.create_task(fetch_rows(database, statement, {}))
        await waiting_process(database)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert connections_in_use(database) == 0
    assert await fetch_rows(database, statement, {}) == [("a",)]


# --- Lost connections, and statements that fail ---------------------------------------------------


@postgres_only
@pytest.mark.parametrize("path", ["/stores/a", "/stores"])
async def test_lost_connection_is_replaced(database: Database, path: str) -> None:
    small = Database(database.url, pool_size=1)
    async with calling_stores(small) as client:
        assert await path_taken(client.get(path)) == "200 fast"
        async with small.reader.connect() as connection:
            process = await connection.scalar(select(func.pg_backend_pid()))
        async with database.writer.connect() as connection:
            assert await connection.scalar(select(func.pg_terminate_backend(process, 30_000)))
        assert summary(await client.get(path)) in {"200", "503"}
        assert await path_taken(client.get(path)) == "200 fast"


@postgres_only
@pytest.mark.parametrize("path", ["/stores/a", "/stores"])
async def test_read_cancelled_by_the_server_is_unavailable(database: Database, path: str) -> None:
    async with calling_stores(Database(database.url)) as client:
        async with database.writer.begin() as connection:
            await connection.execute(LOCK)
            reading = asyncio.create_task(client.get(path))
            process = await waiting_process(database)
            await connection.execute(select(func.pg_cancel_backend(process)))
        assert summary(await reading) == "503"  # a second attempt would take as long again
        assert await path_taken(client.get(path)) == "200 fast"


@postgres_only
@pytest.mark.parametrize("coalesce", [True, False], ids=["coalesced", "single"])
async def test_write_with_a_lost_result_is_a_503(database: Database, *, coalesce: bool) -> None:
    mine = Database(database.url, coalesce=coalesce)
    async with calling_stores(mine) as client:
        async with mine.writer.connect(), mine.writer.connect():
            pass  # now there is another connection on which the write could be repeated
        async with database.writer.begin() as connection:
            await connection.execute(LOCK)
            writing = asyncio.create_task(client.post("/stores", json={"code": "b"}))
            process = await waiting_process(database)
            await connection.execute(select(func.pg_terminate_backend(process)))
        response = await writing
        assert (summary(response), response.headers["retry-after"]) == ("503", "1")
        assert [store["code"] for store in (await client.get("/stores")).json()] == ["a"]
        assert summary(await client.post("/stores", json={"code": "c"})) == "201"


@sqlite_only
async def test_write_that_rolls_back_fails_no_other_write(empty_url: str) -> None:
    database = Database(empty_url)
    await database.create_all(Base.metadata)
    async with database.writer.begin() as connection:
        await connection.execute(
            text(
                "CREATE TRIGGER stop BEFORE INSERT ON stores WHEN NEW.code = 'stop'"
                " BEGIN SELECT RAISE(ROLLBACK, 'no'); END"
            )
        )
    async with calling_stores(database) as client:
        codes = [*"abcdefg", "stop", *"hijklmnopqrs"]
        posts = (client.post("/stores", json={"code": code}) for code in codes)
        answers = [response.status_code for response in await asyncio.gather(*posts)]
        assert answers == [201] * 7 + [422] + [201] * 12
        assert len((await client.get("/stores")).json()) == 19


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/stores/a"), ("GET", "/stores"), ("POST", "/stores"), ("DELETE", "/stores/a")],
)
async def test_missing_table_is_a_500_from_the_orm_path(
    notes_url: str, method: str, path: str
) -> None:
    body = {"code": "b"} if method == "POST" else None
    async with calling_stores(Database(notes_url, pool_size=2)) as client:
        answers = [await path_taken(client.request(method, path, json=body)) for _ in range(3)]
        assert answers == ["500 ORM"] * 3  # more than there are connections


@postgres_only
async def test_write_on_a_closed_connection_is_retried(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def raise_closed(*_: object, **__: object) -> None:
        raise InternalClientError("cannot switch to state 12; another operation (2) is in progress")

    async with calling_stores(Database(database.url)) as client:
        monkeypatch.setattr("brickwork.database.connections.PostgresConnection.fetch", raise_closed)
        assert await path_taken(client.post("/stores", json={"code": "b"})) == "201 ORM"


# --- Batches of new rows --------------------------------------------------------------------------


def test_a_skipped_row_differs_in_any_key_column() -> None:
    columns = {
        name: column for name, column in Slot.__table__.columns.items() if column.primary_key
    }
    inserted = insert(Slot).returning(*columns.values())
    dialect: Any = asyncpg.dialect
    statement = compile_statement(inserted, columns, dialect())
    assert statement is not None
    days = [date(2026, 1, 1), date(2026, 1, 2)]
    rows = [{"room": 1, "day": day, "title": "a"} for day in days]
    results = [*_match_inserted(statement, [(1, days[1])], rows)]
    assert isinstance(results[0], StatementFailed)
    assert not isinstance(results[1], StatementFailed)
