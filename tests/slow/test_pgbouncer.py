"""The service behind PgBouncer in transaction mode."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from brickwork import Database, IsolationLevel, SessionDep
from tests.support.calls import calling
from tests.support.databases import Databases
from tests.support.journal import Log, execute
from tests.support.outages import BUSY, WELL, ask, ask_all, begin_line, store_url
from tests.support.pgbouncer import behind_pgbouncer
from tests.support.shop import app_of, calling_stores, stores

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
def fast(request: pytest.FixtureRequest) -> bool:
    """Return whether the fast path is on."""
    return bool(request.param)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    """Return the log of the service."""
    return Log(caplog)


@pytest.fixture
async def direct(databases: Databases) -> str:
    """Return the URL of a database of this test alone, with the store `a`."""
    return await store_url(databases, "postgresql")


@pytest.fixture
def url(direct: str) -> Iterator[str]:
    """Return the URL of the same database behind PgBouncer."""
    with behind_pgbouncer(direct) as url:
        yield url


@pytest.mark.parametrize("way", ["an argument", "a parameter"])
async def test_requests_of_two_processes_use_three_servers(
    url: str, log: Log, way: str, *, fast: bool
) -> None:
    one, other = (
        Database(f"{url}?pgbouncer=true", fast_path=fast)
        if way == "a parameter"
        else Database(url, pooler=True, fast_path=fast)
        for _ in range(2)
    )
    kinds = [kind for kind in WELL if kind != "export"] * 10
    async with calling_stores(one) as first, calling_stores(other) as second:
        answers = await asyncio.gather(*(ask(c, kind) for c in (first, second) for kind in kinds))
        assert answers == [WELL[kind] for kind in kinds] * 2
        assert await ask_all(first) == WELL
    assert log.take() == []


async def test_reads_are_read_only(url: str, direct: str, *, fast: bool) -> None:
    await execute(
        direct,
        "ALTER TABLE stores RENAME TO others",
        "CREATE VIEW stores AS SELECT code, rank, country_code,"
        " current_setting('transaction_read_only') AS name FROM others",
    )
    async with calling_stores(Database(url, pooler=True, fast_path=fast)) as client:
        assert (await client.get("/stores/a")).json()["name"] == "ON"
        assert [store["name"] for store in (await client.get("/stores")).json()] == ["ON"]
        export = await client.get("/stores", headers={"accept": "application/x-ndjson"})
        assert export.json()["name"] == "ON"


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_writes_are_isolated_as_declared(
    url: str, direct: str, isolation: IsolationLevel, *, fast: bool
) -> None:
    await execute(
        direct,
        "CREATE FUNCTION show() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " NEW.name = current_setting('transaction_isolation'); RETURN NEW; END $$",
        "CREATE TRIGGER show BEFORE INSERT OR UPDATE ON stores"
        " FOR EACH ROW EXECUTE FUNCTION show()",
    )
    database = Database(url, pooler=True, isolation_level=isolation, fast_path=fast)
    async with calling_stores(database) as client:
        for kind in ("create", "batch", "change", "replace"):
            assert (kind, await ask(client, kind)) == (kind, WELL[kind])
        names = {store["name"].lower() for store in (await client.get("/stores")).json()}
        assert names == {isolation}


async def test_the_server_rejects_a_get_that_writes(url: str) -> None:
    app = app_of(Database(url, pooler=True), stores())

    @app.get("/write")
    async def write(session: SessionDep) -> None:
        await session.execute(text("DELETE FROM stores"))

    async with calling(app) as client:
        assert (await client.get("/write")).status_code == 500
        assert len((await client.get("/stores")).json()) == 1


async def test_an_export_reads_one_snapshot(url: str, direct: str, *, fast: bool) -> None:
    rows = ", ".join(f"('s{n}', 'bread', 1)" for n in range(500))
    await execute(direct, f"INSERT INTO stores (code, name, rank) VALUES {rows}")  # noqa: S608
    async with calling_stores(Database(url, pooler=True, fast_path=fast)) as client:
        accept = {"accept": "application/x-ndjson"}
        exports = (client.get("/stores", headers=accept) for _ in range(3))
        changes = (client.patch("/stores/a", json={"rank": n}) for n in range(3))
        lines, *_ = await asyncio.gather(*exports, *changes)
        assert len(lines.text.splitlines()) == 501


async def test_an_undeclared_pooler_is_logged_with_the_remedy(
    url: str, log: Log, *, fast: bool
) -> None:
    async with calling_stores(Database(url, fast_path=fast)) as client:
        assert await ask(client, "row") == BUSY
        assert await ask(client, "create") == BUSY
    cause = "unsupported startup parameter: default_transaction_isolation"
    remedy = "Behind a connection pooler, use Database(url, pooler=True)."
    assert log.take() == [begin_line(url, "cannot be reached", cause, remedy)]


@pytest.mark.parametrize(
    "dropped", ["default_transaction_isolation", "default_transaction_read_only"]
)
async def test_a_pooler_that_drops_a_setting_is_detected(
    direct: str, log: Log, dropped: str, *, fast: bool
) -> None:
    both = "default_transaction_isolation,default_transaction_read_only"
    with behind_pgbouncer(direct, ignored=both) as url:
        isolation: IsolationLevel = (
            "serializable" if dropped.endswith("isolation") else "read committed"
        )
        database = Database(url, isolation_level=isolation, fast_path=fast)
        async with calling_stores(database) as client:
            assert await ask(client, "row") == BUSY
        (line,) = log.take()
        assert f"cannot be reached: {dropped} is " in line
        assert line.endswith(". Behind a connection pooler, use Database(url, pooler=True).")
