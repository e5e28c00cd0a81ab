"""The private parts of aiosqlite, each by what it is used for."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator

import aiosqlite
import pytest

from brickwork.database import driver_internals as internals

pytestmark = pytest.mark.anyio

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


@pytest.fixture
async def driver() -> AsyncIterator[aiosqlite.Connection]:
    async with aiosqlite.connect(":memory:") as driver:
        yield driver


async def test_thread_runs_while_the_connection_is_open() -> None:
    connection = aiosqlite.connect(":memory:")
    thread = internals.connection_thread(connection)
    assert not thread.is_alive(), "it can still become a daemon"
    async with connection:
        assert thread.is_alive()
    thread.join(10)
    assert not thread.is_alive()


async def test_connection_of_sqlite_interrupts_a_statement(driver: aiosqlite.Connection) -> None:
    connection = internals.sqlite_connection(driver)
    assert isinstance(connection, sqlite3.Connection)
    asyncio.get_running_loop().call_later(0.05, connection.interrupt)
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        await driver.execute(ENDLESS)


async def test_function_runs_in_the_thread_of_the_connection(driver: aiosqlite.Connection) -> None:
    def run(connection: sqlite3.Connection, sql: str) -> tuple[object, threading.Thread]:
        return connection.execute(sql).fetchone(), threading.current_thread()

    row, thread = await internals.run_in_thread(driver, run, "SELECT 7")
    assert row == (7,)
    assert thread is internals.connection_thread(driver)


async def test_error_of_a_function_is_raised(driver: aiosqlite.Connection) -> None:
    def fail(_: sqlite3.Connection, text: str) -> None:
        raise LookupError(text)

    with pytest.raises(LookupError, match="here"):
        await internals.run_in_thread(driver, fail, "here")
