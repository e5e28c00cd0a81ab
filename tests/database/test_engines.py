"""Engines: Brickwork's own, and engines that users pass."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from sqlalchemy import DateTime, NullPool, func, literal_column, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from brickwork import Database, SessionDep
from brickwork.database.connections import PostgresConnection
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import Databases, postgres_only, sqlite_only
from tests.support.journal import Log
from tests.support.outages import (
    BUSY,
    TIMEOUT,
    WELL,
    ask,
    ask_all,
    end_line,
    store_url,
    wait_until_well,
)
from tests.support.postgres import Postgres
from tests.support.proxy import Proxy
from tests.support.recording import path_taken
from tests.support.shop import Store, app_of, calling_stores, stores
from tests.support.waiting import waiting_process

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    """Return the log of the service."""
    return Log(caplog)


@pytest.fixture
async def url(databases: Databases, backend: str) -> str:
    """Return the URL of a new database with the store `a`."""
    return await store_url(databases, backend)


async def setting_values(database: Database, name: str) -> set[object]:
    """Return the values of a setting for readers and for writers."""
    values: set[object] = set()
    for readonly in (True, False):
        async with database.session(readonly=readonly) as session:
            values.add(await session.scalar(text(f"SHOW {name}")))
    await database.dispose()
    return values


# --- Parameters -----------------------------------------------------------------------------------


@postgres_only
@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("application_name=web", "application_name", "web"),
        ("options=-csearch_path%3Dshop", "search_path", "shop"),
        ("sslmode=prefer&connect_timeout=5", "application_name", ""),
        ("statement_cache_size=0", "application_name", ""),
    ],
)
async def test_url_parameter_is_applied(url: str, query: str, name: str, value: str) -> None:
    assert await setting_values(Database(f"{url}?{query}"), name) == {value}


@postgres_only
async def test_driver_arguments_are_applied(url: str) -> None:
    parts = make_url(url)
    database = Database(
        parts.set(password="wrong"),  # noqa: S106 — of nobody
        connect_args={
            "password": lambda: parts.password,
            "server_settings": {"application_name": "web"},
        },
    )
    assert await setting_values(database, "application_name") == {"web"}


@sqlite_only
async def test_sqlite_arguments_are_applied(url: str) -> None:
    database = Database(url, connect_args={"cached_statements": 7})
    async with calling_stores(database) as client:
        assert await ask_all(client) == WELL


@postgres_only
async def test_create_engine_reaches_the_same_database(url: str) -> None:
    engine = Database(f"{url}?application_name=web&sslmode=disable").create_engine()
    async with engine.connect() as connection:
        assert await connection.scalar(text("SHOW application_name")) == "web"
        assert await connection.scalar(text("SHOW default_transaction_read_only")) == "off"
        assert await connection.scalar(select(Store.code)) == "a"
    await engine.dispose()


@sqlite_only
async def test_engine_that_was_used_keeps_time_zones(url: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    instant = select(literal_column("'2026-01-31 09:30:00'", DateTime(timezone=True)))
    async with engine.connect() as connection:
        await connection.scalar(instant)
    database = Database(engine)
    async with database.session() as session:
        assert await session.scalar(instant) == datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    await database.dispose()


@sqlite_only
async def test_create_engine_of_sqlite_sets_no_pragmas(url: str) -> None:
    engine = Database(url).create_engine(poolclass=NullPool)
    async with engine.connect() as connection:
        assert await connection.scalar(text("PRAGMA foreign_keys")) == 0
    await engine.dispose()


# --- Poolers --------------------------------------------------------------------------------------


@postgres_only
@pytest.mark.parametrize("fast", [True, False], ids=["fast", "ORM"])
async def test_pooled_transaction_sets_its_access_mode_and_isolation(
    url: str, *, fast: bool
) -> None:
    database = Database(url, pooler=True, isolation_level="serializable", fast_path=fast)
    for readonly, value in ((True, "on"), (False, "off")):
        async with database.session(readonly=readonly) as session:
            assert await session.scalar(text("SHOW transaction_read_only")) == value
            assert await session.scalar(text("SHOW transaction_isolation")) == "serializable"
            default = await session.scalar(text("SHOW default_transaction_isolation"))
            assert default == "read committed"
    async with calling_stores(database) as client:
        assert await ask_all(client) == WELL
        path = "fast" if fast else "ORM"
        assert await path_taken(client.get("/stores/a")) == f"200 {path}"
        assert await path_taken(client.post("/stores", json={"code": "b"})) == f"201 {path}"
        rejected = await client.post("/stores", json={"code": "b"})
        assert summary(rejected) == "409 #/code not_unique"
        assert await ask_all(client) == WELL


@postgres_only
@pytest.mark.parametrize("fast", [True, False], ids=["fast", "ORM"])
async def test_read_is_retried_after_a_lost_connection(url: str, *, fast: bool) -> None:
    mine, other = Database(url, pooler=True, fast_path=fast), Database(url)
    async with calling_stores(mine) as client:
        async with other.writer.begin() as connection:
            await connection.execute(text("LOCK TABLE stores IN ACCESS EXCLUSIVE MODE"))
            answer = asyncio.create_task(ask(client, "row"))
            process = await waiting_process(other)
            await connection.execute(select(func.pg_terminate_backend(process)))
        assert await answer == 200
    await other.dispose()


def test_connection_without_a_running_loop_is_terminated(postgres: Postgres) -> None:
    plain = make_url(postgres.url).set(drivername="postgresql")
    connecting = asyncpg.connect(
        plain.render_as_string(hide_password=False), connection_class=PostgresConnection
    )
    with asyncio.Runner() as runner:
        connection = runner.run(connecting)
        connection.terminate()
        assert connection.is_closed()


@postgres_only
async def test_ignored_server_settings_are_logged(url: str, log: Log) -> None:
    async def connect(**options: Any) -> asyncpg.Connection:
        options["server_settings"] = {}  # as some poolers do
        return await asyncpg.connect(**options)

    database = Database(url, connect_args={"async_creator_fn": connect})
    async with calling_stores(database) as client:
        assert await ask(client, "row") == BUSY
    (line,) = log.take()
    assert "cannot be reached: default_transaction_read_only is off, not on." in line
    assert line.endswith(" Behind a connection pooler, use Database(url, pooler=True).")


# --- Several hosts --------------------------------------------------------------------------------


@postgres_only
async def test_unreachable_host_is_skipped(url: str) -> None:
    server = make_url(url)
    hosts = f"host=127.0.0.1,{server.host}&port=1,{server.port}"
    own = f"postgresql://{server.username}:{server.password}@/{server.database}?{hosts}"
    async with calling_stores(Database(own)) as client:
        assert await ask_all(client) == WELL


@postgres_only
async def test_silent_host_is_skipped_within_the_timeout(url: str) -> None:
    async with Proxy(url) as proxy:
        proxy.freeze()
        server, silent = make_url(url), make_url(proxy.url)
        own = server.set(host=None, port=None, query={}).render_as_string(hide_password=False)
        own = f"postgresql://{server.username}:{server.password}@"
        own += f"{silent.host}:{silent.port},{server.host}:{server.port}/{server.database}"
        async with calling_stores(Database(own, pool_timeout=4)) as client:
            assert await ask(client, "row") == 200


@postgres_only
@pytest.mark.parametrize("attrs", ["any", "primary", "read-write", "prefer-standby"])
async def test_writable_server_serves_readers_too(url: str, attrs: str) -> None:
    server = make_url(url)
    own = f"postgresql://{server.username}:{server.password}@"
    own += f"127.0.0.1:1,{server.host}:{server.port}/{server.database}"
    database = Database(f"{own}?target_session_attrs={attrs}")
    async with calling_stores(database) as client:
        assert await ask_all(client) == WELL
    one = Database(f"{url}?target_session_attrs={attrs}")
    async with calling_stores(one) as client:
        assert await ask_all(client) == WELL


@postgres_only
async def test_primary_is_not_used_as_a_standby(url: str, log: Log) -> None:
    server = make_url(url)
    own = f"postgresql://{server.username}:{server.password}@"
    own += f"127.0.0.1:1,{server.host}:{server.port}/{server.database}"
    database = Database(f"{own}?target_session_attrs=standby")
    async with calling_stores(database) as client:
        assert await ask(client, "row") == BUSY
    assert "None of the hosts match the target attribute requirement" in log.take()[0]


# --- Engines of users -----------------------------------------------------------------------------


@pytest.fixture(params=["one", "one each", "without a pool"])
async def given_database(request: pytest.FixtureRequest, url: str) -> AsyncGenerator[Database]:
    """Return a database on one engine, or on one for reads and one for writes."""
    options: dict[str, Any] = {"poolclass": NullPool} if request.param == "without a pool" else {}
    engine = create_async_engine(url, **options)
    reader = create_async_engine(url) if request.param == "one each" else None
    database = Database(engine, reader=reader)
    yield database
    await database.dispose()


async def test_requests_on_a_given_engine_succeed(given_database: Database) -> None:
    async with calling_stores(given_database) as client:
        assert await ask_all(client) == WELL
        assert await ask_all(client) == WELL
        export = await client.get("/stores", headers={"accept": "application/x-ndjson"})
        assert len(export.text.splitlines()) == 7


async def test_read_on_a_given_engine_is_read_only(given_database: Database) -> None:
    app = app_of(given_database, stores())

    @app.get("/write")
    async def write(session: SessionDep) -> None:
        session.add(Store(code="b", name="b"))

    async with calling(app) as client:
        for _ in range(2):
            assert summary(await client.get("/write")) == "500"
            assert summary(await client.post("/stores", json={"code": f"c{_}"})) == "201"
        codes = [store["code"] for store in (await client.get("/stores")).json()]
        assert codes == ["a", "c0", "c1"]


@sqlite_only
async def test_given_sqlite_engine_has_the_pragmas(given_database: Database) -> None:
    async with given_database.session() as session:
        for pragma, value in {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2}.items():
            assert await session.scalar(text(f"PRAGMA {pragma}")) == value


async def test_given_engine_takes_the_orm_path(given_database: Database) -> None:
    async with calling_stores(given_database) as client:
        assert await path_taken(client.get("/stores/a")) == "200 ORM"


@postgres_only
@pytest.mark.parametrize(
    ("of_engine", "of_database", "level"),
    [
        (None, None, "read committed"),
        ("SERIALIZABLE", None, "serializable"),
        (None, "serializable", "serializable"),
        ("SERIALIZABLE", "repeatable read", "repeatable read"),
    ],
)
async def test_isolation_level_of_the_database_overrides_the_engine(
    url: str, of_engine: Any, of_database: Any, level: str
) -> None:
    other = Database(url)
    async with other.writer.begin() as connection:
        await connection.execute(
            text(
                "CREATE FUNCTION show() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " NEW.name = current_setting('transaction_isolation'); RETURN NEW; END $$"
            )
        )
        await connection.execute(
            text(
                "CREATE TRIGGER show BEFORE INSERT OR UPDATE ON stores"
                " FOR EACH ROW EXECUTE FUNCTION show()"
            )
        )
    await other.dispose()
    options = {"isolation_level": of_engine} if of_engine else {}
    database = Database(create_async_engine(url, **options), isolation_level=of_database)
    async with calling_stores(database) as client:
        for kind in ("create", "batch", "change", "replace"):
            assert (kind, await ask(client, kind)) == (kind, WELL[kind])
        assert {store["name"].lower() for store in (await client.get("/stores")).json()} == {level}


@pytest.fixture
async def away(url: str) -> AsyncGenerator[tuple[Proxy, AsyncEngine]]:
    """Return a proxy that can be closed and frozen, and an engine behind it."""
    async with Proxy(url) as proxy:
        engine = create_async_engine(make_url(proxy.url).set(query={}), pool_size=1, max_overflow=0)
        yield proxy, engine
        await engine.dispose()


@postgres_only
async def test_given_engine_of_a_stopped_server_is_a_503(
    away: tuple[Proxy, AsyncEngine], log: Log
) -> None:
    proxy, engine = away
    async with calling_stores(Database(engine)) as client:
        assert await ask(client, "row") == 200
        await proxy.close()
        assert await ask(client, "row") == BUSY
        assert await ask(client, "create") == BUSY
        assert len(log.take()) == 1
        await proxy.open()
        await wait_until_well(client)
    assert log.take()[0] == end_line(proxy.url, "can be reached again")


@postgres_only
@pytest.mark.parametrize("warm", [True, False], ids=["open connections", "no connection"])
async def test_given_engine_of_a_silent_server_times_out(
    away: tuple[Proxy, AsyncEngine], log: Log, *, warm: bool
) -> None:
    proxy, engine = away
    async with calling_stores(Database(engine, pool_timeout=TIMEOUT)) as client:
        if warm:
            await wait_until_well(client)
            log.take()
        proxy.freeze()
        assert await ask(client, "row") == BUSY
        assert await ask(client, "create") == BUSY
        assert len(log.take()) == 1
        proxy.thaw()
        await wait_until_well(client)
    assert log.take()[-1] == end_line(proxy.url, "answers in time again")


@postgres_only
async def test_connection_of_a_users_creator_times_out_too(url: str, log: Log) -> None:
    async with Proxy(url) as proxy:
        parts = make_url(proxy.url)

        async def connect() -> Any:
            return await asyncpg.connect(
                host=parts.host,
                port=parts.port,
                user=parts.username,
                password=parts.password,
                database=parts.database,
                ssl=False,
            )

        engine = create_async_engine("postgresql+asyncpg://", async_creator=connect)
        async with calling_stores(Database(engine, pool_timeout=TIMEOUT)) as client:
            await wait_until_well(client)
            await engine.dispose()
            log.take()
            proxy.freeze()
            assert await ask(client, "row") == BUSY
            proxy.thaw()
            await wait_until_well(client)
            await proxy.close()
            assert await ask(client, "row") == BUSY
        begun = [line for line in log.take() if line.startswith("ERROR")]
        assert len(begun) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"isolation_level": "AUTOCOMMIT"},
        {"execution_options": {"isolation_level": "AUTOCOMMIT"}},
    ],
    ids=["of the dialect", "of the engine"],
)
async def test_autocommit_engine_is_rejected(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="create it without AUTOCOMMIT"):
        Database(create_async_engine(url, **options))


async def test_in_memory_engine_is_rejected() -> None:
    with pytest.raises(ValueError, match="use a file"):
        Database(create_async_engine("sqlite+aiosqlite://"))


@sqlite_only
async def test_connected_sqlite_engine_is_rejected(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.connect():
        pass
    with pytest.raises(ValueError, match="pass it to Database before it connects"):
        Database(engine)
    await engine.dispose()


@pytest.mark.parametrize("options", [{"pooler": True}, {"connect_args": {"uri": True}}])
async def test_connection_options_beside_an_engine_are_rejected(
    url: str, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="connect_args and pooler have no effect on an engine"):
        Database(create_async_engine(url), **options)


async def test_reader_engine_needs_a_writer_engine(url: str) -> None:
    with pytest.raises(ValueError, match="reader needs an engine as url"):
        Database(url, reader=create_async_engine(url))


async def test_database_on_an_engine_creates_no_other_engine(given_database: Database) -> None:
    with pytest.raises(TypeError, match="call create_async_engine with its arguments"):
        given_database.create_engine()


async def test_engine_can_be_given_twice(url: str) -> None:
    engine = create_async_engine(url)
    for _ in range(2):
        async with calling_stores(Database(engine)) as client:
            assert await ask_all(client) == WELL


# --- The log of statements ------------------------------------------------------------------------


async def logged_statements(caplog: pytest.LogCaptureFixture, database: Database) -> list[str]:
    """Return the lines that `sqlalchemy.engine` logs for a read and a write on the fast path."""
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    async with calling_stores(database) as client:
        await ask_all(client)  # and connect
        caplog.clear()
        assert await path_taken(client.get("/stores/a")) == "200 fast"
        assert await path_taken(client.post("/stores", json={"code": "secret"})) == "201 fast"
    lines = [
        record.getMessage() for record in caplog.records if record.name.startswith("sqlalchemy.eng")
    ]
    return [line.partition("\n")[0] for line in lines]


async def test_statements_of_the_fast_path_are_logged(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    hidden = "[fast path] [SQL parameters hidden due to hide_parameters=True]"
    select_, first, insert, second = await logged_statements(caplog, Database(url))
    assert select_.startswith("SELECT stores.code, stores.name")
    assert insert.startswith("INSERT INTO stores (code, name, rank, country_code)")
    assert (first, second) == (hidden, hidden)


async def test_statements_are_not_logged_by_default(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with calling_stores(Database(url)) as client:
        await ask(client, "row")
    assert [record for record in caplog.records if record.name.startswith("sqlalchemy")] == []
