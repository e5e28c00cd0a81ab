"""Outages: restarted and altered databases."""

import asyncio

import pytest
from sqlalchemy import func, select, text

from brickwork import Database
from brickwork.database.pool import FairPool
from tests.support.databases import postgres_only
from tests.support.journal import Log, execute, name
from tests.support.outages import BUSY, WELL, WRITTEN, ask, ask_all, driver_of, end_line
from tests.support.proxy import Proxy
from tests.support.shop import calling_stores
from tests.support.waiting import until, waiting_process

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


# --- Lost connections -----------------------------------------------------------------------------


@postgres_only
@pytest.mark.parametrize("kind", WELL)
async def test_lost_idle_connections_are_replaced(
    proxy: Proxy, log: Log, kind: str, *, fast: bool
) -> None:
    database = Database(proxy.url, fast_path=fast)
    async with calling_stores(database) as client:
        assert await ask_all(client) == WELL
        drivers = [await driver_of(engine) for engine in (database.reader, database.writer)]
        proxy.cut()
        await until(lambda: all(driver.is_closed() for driver in drivers))
        assert await ask(client, kind) == WELL[kind]
        assert await ask_all(client) == WELL
    assert log.take() == []


@pytest.mark.parametrize("kind", WELL)
async def test_invalidated_connections_are_replaced(
    url: str, log: Log, kind: str, *, fast: bool
) -> None:
    database = Database(url, fast_path=fast)
    async with calling_stores(database) as client:
        assert await ask_all(client) == WELL
        for engine in (database.reader, database.writer):
            assert isinstance(engine.pool, FairPool)
            engine.pool.invalidate_all()
        assert await ask(client, kind) == WELL[kind]
        assert await ask_all(client) == WELL
    assert log.take() == []


ONE_STATEMENT = {"create", "batch", "change"}
"""The writes in one statement: after a lost connection, they may be committed or not."""


@postgres_only
@pytest.mark.parametrize("kind", WELL)
async def test_lost_connection_is_a_retry_or_a_503(
    url: str, log: Log, kind: str, *, fast: bool
) -> None:
    mine, other = Database(url, fast_path=fast), Database(url)
    async with calling_stores(mine) as client, other.writer.connect() as connection:
        async with connection.begin():
            await connection.execute(text("LOCK TABLE stores IN ACCESS EXCLUSIVE MODE"))
            answer = asyncio.create_task(ask(client, kind))
            process = await waiting_process(other)
            await connection.execute(select(func.pg_terminate_backend(process)))
            await until(lambda: bool(mine.availability.outages))
        lost = fast and kind in {*ONE_STATEMENT, "remove"}
        assert await answer == (BUSY if lost else WELL[kind])
        assert await ask_all(client) == WELL
    await other.dispose()
    line, over = log.take()
    assert line.startswith(f"ERROR The database {name(url)} cannot be reached: ")
    assert over == end_line(url, "can be reached again")


@postgres_only
async def test_connection_lost_at_the_commit_is_a_503(url: str, *, fast: bool) -> None:
    await execute(
        url,
        "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER hang AFTER INSERT ON stores"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hang()",
    )
    mine, other = Database(url, fast_path=fast), Database(url)
    async with calling_stores(mine) as client, other.writer.begin() as connection:
        await connection.execute(select(func.pg_advisory_xact_lock(1)))
        answer = asyncio.create_task(ask(client, "create"))
        process = await waiting_process(other)
        await connection.execute(select(func.pg_terminate_backend(process)))
        assert await answer == BUSY
        assert mine.retries == 0  # it may be committed, or not
    await other.dispose()


# --- Another schema, other statements -----------------------------------------------


@postgres_only
@pytest.mark.parametrize(
    "changes",
    [
        ("ADD COLUMN extra integer", "DROP COLUMN extra"),
        ("ALTER COLUMN name TYPE text", "ALTER COLUMN name TYPE varchar(20)"),
        ("ALTER COLUMN rank TYPE bigint", "ALTER COLUMN rank TYPE integer"),
    ],
    ids=["a column more", "another text", "another number"],
)
async def test_altering_a_table_fails_no_request(
    url: str, log: Log, changes: tuple[str, str], *, fast: bool
) -> None:
    kinds = [kind for kind in WELL if kind != "export"] * 4
    async with calling_stores(Database(url, fast_path=fast, pool_size=3)) as client:
        for change in ("", *changes):
            if change:
                await execute(url, f"ALTER TABLE stores {change}")
            answers = await asyncio.gather(*(ask(client, kind) for kind in kinds))
            assert answers == [WELL[kind] for kind in kinds]
            assert await ask_all(client) == WELL
    assert log.take() == []


@postgres_only
@pytest.mark.parametrize("statement", ["DEALLOCATE ALL", "DISCARD ALL"])
async def test_discarded_prepared_statements_fail_no_request(
    url: str, log: Log, statement: str, *, fast: bool
) -> None:
    database = Database(url, fast_path=fast)
    async with calling_stores(database) as client:
        assert await ask_all(client) == WELL
        for kind in WELL:
            for engine in (database.reader, database.writer):
                await (await driver_of(engine)).execute(statement)
            assert (kind, await ask(client, kind)) == (kind, WELL[kind])
    assert log.take() == []


@postgres_only
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("26000", 'prepared statement "__asyncpg_stmt_1__" does not exist'),
        ("42P05", 'prepared statement "__asyncpg_stmt_1__" already exists'),
        ("XX000", "cache lookup failed for type 4711"),
    ],
)
async def test_outdated_prepared_statement_fails_no_write(
    url: str, log: Log, state: str, message: str, *, fast: bool
) -> None:
    await execute(
        url,
        "CREATE SEQUENCE changes",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('changes') % 2 = 1 THEN"
        f" RAISE EXCEPTION '{message}' USING ERRCODE = '{state}';"
        " END IF; RETURN NEW; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON stores"
        " FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    async with calling_stores(Database(url, fast_path=fast)) as client:
        for kind in ("create", "change", "replace"):
            assert (kind, await ask(client, kind)) == (kind, WRITTEN[kind])
    assert log.take() == []
