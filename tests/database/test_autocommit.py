"""Plain reads in autocommit on PostgreSQL."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from brickwork import Database
from brickwork.database.autocommit import is_plain
from brickwork.database.transactions import begin_snapshot
from tests.support.databases import Databases
from tests.support.shop import City, Shop

pytestmark = pytest.mark.anyio

PLAIN = select(City).where(City.id.in_([1, 2])).order_by(City.name).limit(2)
SET_TENANT = text("SELECT set_config('app.tenant', :name, true)")


@pytest.fixture
async def database(databases: Databases) -> AsyncGenerator[Database]:
    """Return a database on PostgreSQL with one connection for reads."""
    database = Shop(databases.empty("postgresql"), pool_size=1)
    async with database.lifespan(None):
        yield database


async def is_begun(session: AsyncSession) -> bool:
    """Return whether the driver has begun a transaction."""
    raw: Any = await (await session.connection()).get_raw_connection()
    begun: bool = raw.driver_connection.is_in_transaction()
    return begun


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM t WHERE a = $1::INTEGER AND (b IN ($2) OR c IS NULL) LIMIT $3",
        "SELECT a FROM t WHERE EXISTS (SELECT b FROM u WHERE NOT (u.a = t.a))",
        "SELECT information, format FROM t LEFT OUTER JOIN (u JOIN v ON (v.a = u.a)) ON u.a = t.a",
    ],
)
def test_select_from_tables_is_plain(sql: str) -> None:
    assert is_plain(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES ($1)",
        "SET LOCAL x = 1",
        "WITH gone AS (DELETE FROM t RETURNING a) SELECT a FROM gone",
        "SELECT f(a) FROM t",
        "SELECT f (a) FROM t",
        'SELECT "in"(a) FROM t',
        "SELECT s.exists_(a) FROM t",
        "SELECT f/**/(a) FROM t",
        "SELECT f--\n(a) FROM t",
        "SELECT a FROM t WHERE b < 'now'::timestamptz",
        "SELECT a FROM t WHERE b < $$now$$::timestamptz",
        "SELECT a FROM t WHERE b < $q$now$q$::timestamptz",
        "SELECT current_timestamp",
        "SELECT LOCALTIMESTAMP",
        "SELECT a FROM t FOR UPDATE",
        "SELECT a INTO u FROM t",
    ],
)
def test_statement_with_possible_side_effects_is_not_plain(sql: str) -> None:
    assert not is_plain(sql)


async def test_plain_read_begins_no_transaction(
    database: Database,
) -> None:
    async with database.session(readonly=True) as session:
        await session.scalars(PLAIN)
        before = await is_begun(session)
        await session.execute(SET_TENANT, {"name": "me"})
        await session.scalars(PLAIN)
        tenant = await session.scalar(select(func.current_setting("app.tenant")))
        after = await is_begun(session)
    async with database.session(readonly=True) as session:
        other = await session.scalar(text("SELECT current_setting('app.tenant', true)"))

    assert (before, tenant, after) == (False, "me", True)
    assert not other  # it was of that transaction alone


async def test_write_and_stream_begin_a_transaction(database: Database) -> None:
    async with database.session() as session:
        await session.scalars(PLAIN)
        assert await is_begun(session)
    async with database.session(readonly=True) as session:
        await begin_snapshot(session)
        await session.scalars(PLAIN)
        assert await is_begun(session)
    async with database.session(readonly=True) as session:
        assert [row async for row in await session.stream_scalars(PLAIN)] == []
        assert await is_begun(session)
    async with database.session(readonly=True) as session:
        await session.scalars(PLAIN)
        assert not await is_begun(session)


async def test_repeatable_reads_begin_a_transaction(databases: Databases) -> None:
    database = Shop(databases.empty("postgresql"), isolation_level="repeatable read")
    async with database.lifespan(None), database.session(readonly=True) as session:
        await session.scalars(PLAIN)
        assert await is_begun(session)


async def test_failed_plain_read_leaves_the_connection_usable(database: Database) -> None:
    async with database.session(readonly=True) as session:
        with pytest.raises(DBAPIError, match="nowhere"):
            await session.execute(text("SELECT a FROM nowhere"))
        await session.execute(select(func.now()))
        assert await is_begun(session)


async def test_reads_of_one_transaction_share_a_snapshot_on_sqlite(databases: Databases) -> None:
    database = Shop(databases.empty("sqlite"))
    async with database.lifespan(None), database.session(readonly=True) as reading:
        before = (await reading.scalars(select(City.id))).all()
        async with database.session() as writing:
            writing.add(City(name="Lisbon"))
        assert (await reading.scalars(select(City.id))).all() == before == []


async def test_concurrent_requests_have_separate_transactions(database: Database) -> None:
    async def tenant(name: str) -> object:
        async with database.session(readonly=True) as session:
            await session.scalars(PLAIN)
            await session.execute(SET_TENANT, {"name": name})
            await session.scalars(PLAIN)
            return await session.scalar(select(func.current_setting("app.tenant")))

    names = [str(number) for number in range(20)]
    assert await asyncio.gather(*map(tenant, names)) == names
