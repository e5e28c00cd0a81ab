"""Outages: refused, silent, slow and exhausted connections."""

import asyncio
import sqlite3
import time
from contextlib import closing

import pytest
from sqlalchemy import make_url, text

from brickwork import Database
from tests.support.databases import postgres_only, sqlite_only
from tests.support.journal import Log, execute, name
from tests.support.outages import (
    BUSY,
    OUT,
    READ,
    TIMEOUT,
    WRITTEN,
    ask,
    ask_all,
    begin_line,
    end_line,
    impatient,
    wait_until_answered,
    wait_until_well,
)
from tests.support.proxy import Proxy, rejecting
from tests.support.shop import calling_stores

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


# --- Refused connections --------------------------------------------------------------------------

START = "Start the database, or correct its URL."
ACCOUNT = "Correct the user and the password in its URL."

REFUSALS = {
    "08P01": (
        "unsupported startup parameter: default_transaction_isolation",
        "Behind a connection pooler, use Database(url, pooler=True).",
    ),
    "28000": ('role "ada" does not exist', ACCOUNT),
    "28P01": ('password authentication failed for user "ada"', ACCOUNT),
    "3D000": (
        'database "shop" does not exist',
        "Create the database, or correct its name in the URL.",
    ),
    "53300": (
        "sorry, too many clients already",
        "Lower pool_size, or raise max_connections of the server.",
    ),
    "57P01": ("terminating connection due to administrator command", START),
    "57P03": ("the database system is starting up", "Wait until the server has started."),
    "XX000": ("out of luck", START),
}


@pytest.mark.parametrize("state", REFUSALS)
async def test_refused_connection_is_a_503(state: str, log: Log, *, fast: bool) -> None:
    cause, remedy = REFUSALS[state]
    # The server answers immediately, however busy the machine is: no deadline matters here.
    async with (
        rejecting(state, cause) as url,
        calling_stores(Database(url, fast_path=fast, pool_size=5)) as client,
    ):
        assert await ask_all(client) == OUT
        assert log.take() == [begin_line(url, "cannot be reached", cause, remedy)]


async def test_unknown_host_is_a_503(log: Log, *, fast: bool) -> None:
    url = "postgresql://ada@nowhere.invalid/shop"
    async with calling_stores(Database(url, fast_path=fast, pool_timeout=5)) as client:
        assert await ask(client, "row") == BUSY
        assert await ask(client, "create") == BUSY
    (line,) = log.take()
    assert line.startswith(f"ERROR The database {name(url)} cannot be reached: [Errno -")


@postgres_only
async def test_stopped_server_is_a_503_until_it_restarts(
    proxy: Proxy, log: Log, *, fast: bool
) -> None:
    async with calling_stores(Database(proxy.url, fast_path=fast)) as client:
        await wait_until_well(client)
        await proxy.close()
        assert await ask_all(client) == OUT
        (line,) = log.take()
        assert line.startswith(f"ERROR The database {name(proxy.url)} cannot be reached: ")
        await proxy.open()
        await wait_until_well(client)
    assert log.take() == [end_line(proxy.url, "can be reached again")]


# --- Silence --------------------------------------------------------------------------------------

HANGS = "Check for a hanging server, locks and slow statements, or raise pool_timeout."


def timeout_lines(url: str) -> set[str]:
    """Return the possible log lines of a timeout."""
    causes = (f"no answer in {TIMEOUT} s", f"no connection in {TIMEOUT} s")
    return {begin_line(url, "does not answer in time", cause, HANGS) for cause in causes}


@postgres_only
@pytest.mark.parametrize("warm", [True, False], ids=["open connections", "no connection"])
async def test_silent_server_is_a_503_after_the_timeout(
    proxy: Proxy, log: Log, *, warm: bool, fast: bool
) -> None:
    async with calling_stores(impatient(proxy.url, fast=fast)) as client:
        if warm:
            await wait_until_well(client)
        log.take()
        proxy.freeze()
        assert await ask_all(client) == OUT
        (line,) = log.take()
        assert line in timeout_lines(proxy.url)
        proxy.thaw()
        await wait_until_well(client)
    assert log.take()[-1] == end_line(proxy.url, "answers in time again")


@postgres_only
async def test_locked_table_is_a_503_after_the_timeout(url: str, log: Log, *, fast: bool) -> None:
    other = Database(url)
    async with calling_stores(impatient(url, fast=fast)) as client:
        await wait_until_well(client)
        log.take()
        async with other.writer.begin() as connection:
            await connection.execute(text("LOCK TABLE stores IN ACCESS EXCLUSIVE MODE"))
            assert await ask_all(client) == OUT
        (line,) = log.take()
        assert line in timeout_lines(url)
        await wait_until_well(client)
    await other.dispose()
    assert log.take()[-1] == end_line(url, "answers in time again")


@postgres_only
async def test_statement_timeout_of_the_server_is_a_503(url: str, log: Log, *, fast: bool) -> None:
    other = Database(url)
    hurried = Database(f"{url}?options=-cstatement_timeout%3D100", fast_path=fast)
    async with calling_stores(hurried) as client:
        await wait_until_well(client)  # else queries about triggers may succeed meanwhile
        log.take()
        async with other.writer.begin() as connection:
            await connection.execute(text("LOCK TABLE stores IN ACCESS EXCLUSIVE MODE"))
            assert await ask_all(client) == OUT
        cause = "canceling statement due to statement timeout"
        assert log.take() == [begin_line(url, "does not answer in time", cause, HANGS)]
        await wait_until_well(client)
    await other.dispose()
    assert log.take()[-1] == end_line(url, "answers in time again")


COUNT = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000000000)"
ENDLESS = {
    "postgresql": [
        """CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$""",
        """CREATE TRIGGER hang BEFORE INSERT OR UPDATE ON stores
        FOR EACH ROW EXECUTE FUNCTION hang()""",
    ],
    "sqlite": [
        f"""CREATE TRIGGER hang_{verb} BEFORE {verb} ON stores
        BEGIN SELECT count(*) FROM ({COUNT} SELECT n FROM c); END"""  # noqa: S608 — ours
        for verb in ("insert", "update")
    ],
}


async def test_slow_write_is_a_503(url: str, backend: str, log: Log, *, fast: bool) -> None:
    await execute(url, *ENDLESS[backend])
    async with calling_stores(impatient(url, fast=fast)) as client:
        slow = [kind for kind in WRITTEN if kind != "remove"]
        assert [await ask(client, kind) for kind in slow] == [BUSY] * len(slow)
        (line,) = log.take()
        assert line in timeout_lines(url)
        rows = await wait_until_answered(client, "/stores")
        assert len(rows.json()) == 1


async def test_slow_read_is_a_503(url: str, backend: str, log: Log, *, fast: bool) -> None:
    count = f"{COUNT} SELECT max(n) FROM c"  # noqa: S608 — ours
    hang = "SELECT pg_sleep(60)" if backend == "postgresql" else count
    view = f"CREATE VIEW stores AS SELECT * FROM others WHERE ({hang}) IS NOT NULL"  # noqa: S608
    await execute(url, "ALTER TABLE stores RENAME TO others", view)
    async with calling_stores(impatient(url, fast=fast)) as client:
        assert await asyncio.gather(*(ask(client, kind) for kind in READ)) == [BUSY] * len(READ)
        (line,) = log.take()
        assert line in timeout_lines(url)


@sqlite_only
async def test_locked_file_is_a_503_after_the_timeout(url: str, *, fast: bool) -> None:
    async with calling_stores(impatient(url, fast=fast)) as client:
        await wait_until_well(client)
        with closing(sqlite3.connect(make_url(url).database or "", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()
            kinds = ("create", "batch", "change", "replace")
            answers = await asyncio.gather(*(ask(client, kind) for kind in kinds))
            assert {answer if isinstance(answer, int) else answer[0] for answer in answers} == {503}
            assert time.monotonic() - begun < 2  # one after the other, 0.3 s each
        await wait_until_well(client)


# --- No free connection ---------------------------------------------------------------------------


async def test_exhausted_pool_is_a_503_after_the_timeout(url: str, log: Log, *, fast: bool) -> None:
    small = Database(url, fast_path=fast, pool_size=1, pool_timeout=TIMEOUT)
    async with calling_stores(small) as client:
        await wait_until_well(client)
        log.take()
        async with small.reader.connect(), small.writer.connect():
            assert await ask_all(client) == OUT
        cause = f"all 1 were in use for {TIMEOUT} s"
        remedy = "Raise pool_size, or look for long transactions."
        assert log.take() == [begin_line(url, "has no free connection", cause, remedy)]
        await wait_until_well(client)
    assert log.take()[0] == end_line(url, "has free connections again")
