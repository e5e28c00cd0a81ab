"""Custom sessions of an application."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import uuid4

import asyncpg
import pytest
from fastapi import Depends, FastAPI, params
from httpx2 import AsyncClient
from sqlalchemy import create_engine, event, func, make_url, select
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session as SyncSession
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from brickwork import Database, ListQuery, Resource, get_db, install
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import postgres_only
from tests.support.journal import Log, name
from tests.support.proxy import Proxy
from tests.support.shop import Country, Store, stores
from tests.support.tables import insert_rows

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

Maker: TypeAlias = async_sessionmaker[AsyncSession]
GetSession: TypeAlias = Callable[[], AsyncGenerator[AsyncSession]]


@pytest.fixture
async def engine(shop_url: str) -> AsyncGenerator[AsyncEngine]:
    """Yield a custom engine for a database with one country."""
    database = Database(shop_url)
    await insert_rows(database, {Country: [{"code": "fr", "name": "France"}]})
    engine = create_async_engine(database.url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", keep_references)
    yield engine
    await engine.dispose()
    await database.dispose()


def keep_references(connection: Any, _: object) -> None:
    connection.cursor().execute("PRAGMA foreign_keys = ON")


# --- Ways to make a session -----------------------------------------------------------------------


def without_commit(maker: Maker) -> GetSession:
    async def get_session() -> AsyncGenerator[AsyncSession]:
        async with maker() as session:
            yield session

    return get_session


def with_commit(maker: Maker) -> GetSession:
    async def get_session() -> AsyncGenerator[AsyncSession]:
        async with maker() as session:
            yield session
            await session.commit()

    return get_session


def within_begin(maker: Maker) -> GetSession:
    async def get_session() -> AsyncGenerator[AsyncSession]:
        async with maker.begin() as session:
            yield session

    return get_session


def with_rollback(maker: Maker) -> GetSession:
    async def get_session() -> AsyncGenerator[AsyncSession]:
        session = maker()
        try:
            yield session
            await session.commit()
        except Exception:
            await session.rollback()
            raise
        finally:
            await session.close()

    return get_session


WAYS: Final = pytest.mark.parametrize(
    "way", [without_commit, with_commit, within_begin, with_rollback]
)


def app_with_dependency(
    get_session: GetSession, scope: Literal["function", "request"] | None = None
) -> FastAPI:
    """Return an application with a custom session, and without `Database`."""
    depends: Any = params.Depends(get_session, scope=scope)

    class Own(Resource[Store]):
        session: Annotated[AsyncSession, depends]

    app = FastAPI()
    install(app)
    app.include_router(stores(Own))
    return app


def app_with_override(get_session: GetSession, url: str) -> FastAPI:
    """Return an application that overrides the session."""
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app)
    app.include_router(stores())
    app.dependency_overrides[get_db] = get_session
    return app


def apps(engine: AsyncEngine, way: Callable[[Maker], GetSession]) -> Generator[FastAPI]:
    """Yield an application for each way to depend on the session."""
    get_session = way(async_sessionmaker(engine))
    yield app_with_dependency(get_session)
    yield app_with_dependency(get_session, "function")
    yield app_with_override(get_session, engine.url.render_as_string(hide_password=False))


# --- Common to all sessions -----------------------------------------------------------------------


async def stored_codes(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return [*await connection.scalars(select(Store.code).order_by(Store.code))]


class StoredRowsMiddleware:
    """Middleware that adds the stored rows to the headers of a response."""

    def __init__(self, app: ASGIApp, engine: AsyncEngine) -> None:
        """Read the rows with *engine*."""
        self.app = app
        self.engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application."""

        async def look_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                codes = ",".join(await stored_codes(self.engine))
                message["headers"].append((b"stored", codes.encode()))
            await send(message)

        await self.app(scope, receive, look_and_send)


@WAYS
async def test_row_is_committed_before_the_answer(engine: AsyncEngine, way: Any) -> None:
    for number, app in enumerate(apps(engine, way)):
        app.add_middleware(StoredRowsMiddleware, engine=engine)
        code = f"s{number}"
        async with calling(app) as client:
            posted = await client.post("/stores", json={"code": code})
            assert (posted.status_code, posted.headers["stored"]) == (201, code)
            patched = await client.patch(f"/stores/{code}", json={"rank": 5})
            assert (patched.status_code, patched.json()["rank"]) == (200, 5)
            assert (await client.get(f"/stores/{code}")).json()["rank"] == 5
            deleted = await client.delete(f"/stores/{code}")
            assert (deleted.status_code, deleted.headers["stored"]) == (204, "")


@WAYS
async def test_database_errors_are_reported(engine: AsyncEngine, way: Any) -> None:
    for app in apps(engine, way):
        async with calling(app) as client:
            await client.post("/stores", json={"code": "a"})
            again = await client.post("/stores", json={"code": "a"})
            assert summary(again) == "409 #/code not_unique"
            broken = await client.post("/stores", json={"code": "b", "country_code": "xx"})
            assert summary(broken) == "422 #/country_code reference_not_found"
            check = await client.patch("/stores/a", json={"rank": 200})
            assert check.status_code == 422
            assert (await client.delete("/stores/a")).status_code == 204
        assert await stored_codes(engine) == []


@WAYS
async def test_idempotency_key_is_stored(engine: AsyncEngine, way: Any) -> None:
    for number, app in enumerate(apps(engine, way)):
        async with calling(app) as client:
            key = {"idempotency-key": f"k{number}"}
            first = await client.post("/stores", json={"code": f"s{number}"}, headers=key)
            again = await client.post("/stores", json={"code": f"s{number}"}, headers=key)
            assert (first.status_code, again.status_code) == (201, 201)
            assert again.headers["idempotency-replayed"] == "true"


@WAYS
async def test_failing_method_stores_nothing(engine: AsyncEngine, way: Any) -> None:
    get_session = way(async_sessionmaker(engine))

    class Failing(Resource[Store]):
        session: Annotated[AsyncSession, Depends(get_session)]

        @override
        async def create(self, row: Store, /) -> None:
            await super().create(row)
            await self.session.flush()
            raise RuntimeError("No.")

    app = FastAPI()
    install(app)
    app.include_router(stores(Failing))
    async with calling(app) as client:
        assert (await client.post("/stores", json={"code": "a"})).status_code == 500
    assert await stored_codes(engine) == []


@postgres_only
async def test_session_may_join_an_outer_transaction(engine: AsyncEngine) -> None:
    """Roll everything back at the end, as test suites do."""
    async with engine.connect() as connection, connection.begin() as outer:
        maker = async_sessionmaker(connection, join_transaction_mode="create_savepoint")
        app = app_with_dependency(without_commit(maker))
        async with calling(app) as client:
            assert (await client.post("/stores", json={"code": "a"})).status_code == 201
            assert (await client.post("/stores", json={"code": "a"})).status_code == 409
            assert (await client.get("/stores/a")).status_code == 200
        assert await connection.scalar(select(func.count()).select_from(Store)) == 1
        await outer.rollback()
    assert await stored_codes(engine) == []


async def test_custom_session_supports_search(engine: AsyncEngine) -> None:
    class Named(ListQuery[Store]):
        name__icontains: str | None = None

    get_session = without_commit(async_sessionmaker(engine))

    class Own(Resource[Store]):
        session: Annotated[AsyncSession, Depends(get_session)]

    app = FastAPI()
    install(app)
    app.include_router(stores(Own, query=Named))
    async with calling(app) as client:
        await client.post("/stores", json={"code": "a", "name": "ÄPFEL"})
        found = await client.get("/stores?name__icontains=äpf")
        assert [store["code"] for store in found.json()] == ["a"]


# --- Unsupported sessions -------------------------------------------------------------------------


def sync_session() -> Generator[SyncSession]:
    with SyncSession(create_engine("sqlite://")) as session:
        yield session


def test_synchronous_session_is_rejected_by_the_router() -> None:
    class Sync(Resource[Store]):
        session: Annotated[SyncSession, Depends(sync_session)]  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]

    with pytest.raises(TypeError, match=r"Sync\.session is a Session: make it an AsyncSession"):
        stores(Sync)


async def test_synchronous_session_in_an_override_is_a_500(shop_url: str) -> None:
    app = FastAPI(lifespan=Database(shop_url).lifespan)
    install(app)
    app.include_router(stores())
    app.dependency_overrides[get_db] = sync_session
    async with calling(app) as client:
        assert (await client.get("/stores")).status_code == 500


# --- Outages --------------------------------------------------------------------------------------


@postgres_only
@pytest.mark.parametrize("way", [without_commit, with_commit])
async def test_stopped_or_silent_server_is_a_503(
    engine: AsyncEngine, caplog: pytest.LogCaptureFixture, way: Any
) -> None:
    log = Log(caplog)
    async with Proxy(engine.url.render_as_string(hide_password=False)) as proxy:
        url = make_url(proxy.url).set(query={})
        bounded = {"timeout": 0.5, "command_timeout": 0.5, "ssl": False}
        own = create_async_engine(url, connect_args=bounded)
        async with calling(app_with_dependency(way(async_sessionmaker(own)))) as client:
            assert await outcome(client) == ("200", "201")
            await proxy.close()
            assert await outcome(client) == ("503", "503")
            assert await outcome(client) == ("503", "503")
            (begin,) = log.take()
            assert begin.startswith(f"ERROR The database {name(proxy.url)} cannot be reached: ")
            await proxy.open()
            assert await outcome(client) == ("200", "201")
            assert log.take() == [f"WARNING The database {name(proxy.url)} can be reached again."]
            proxy.freeze()
            assert await outcome(client) == ("503", "503")
            proxy.thaw()
            assert await outcome(client) == ("200", "201")
        await own.dispose()
    begin, end = log.take()
    assert begin.startswith(f"ERROR The database {name(proxy.url)} does not answer in time: ")
    assert end == f"WARNING The database {name(proxy.url)} answers in time again."


async def outcome(client: AsyncClient) -> tuple[str, str]:
    """Return the summaries of a read and a write."""
    read = await client.get("/stores")
    return summary(read), summary(await client.post("/stores", json={"code": uuid4().hex[:20]}))


@postgres_only
async def test_refused_connection_is_a_503(engine: AsyncEngine) -> None:
    nowhere = create_async_engine(engine.url.set(database="nowhere"))
    async with calling(app_with_dependency(without_commit(async_sessionmaker(nowhere)))) as client:
        assert await outcome(client) == ("503", "503")


async def test_exhausted_pool_is_a_503(engine: AsyncEngine) -> None:
    options: Any = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    small = create_async_engine(engine.url, **options)
    async with calling(app_with_dependency(without_commit(async_sessionmaker(small)))) as client:
        async with small.connect():
            assert await outcome(client) == ("503", "503")
        assert await outcome(client) == ("200", "201")
    await small.dispose()


async def test_connection_error_in_a_method_is_a_500(engine: AsyncEngine) -> None:
    get_session = without_commit(async_sessionmaker(engine))

    class Failing(Resource[Store]):
        session: Annotated[AsyncSession, Depends(get_session)]

        @override
        async def create(self, row: Store, /) -> None:
            raise ConnectionError("of something else")

    app = FastAPI()
    install(app)
    app.include_router(stores(Failing))
    async with calling(app) as client:
        assert await outcome(client) == ("200", "500")


@postgres_only
async def test_outdated_or_lost_connection_is_replaced(engine: AsyncEngine) -> None:
    async with calling(app_with_dependency(without_commit(async_sessionmaker(engine)))) as client:
        for statement in ("DEALLOCATE ALL", "SELECT pg_terminate_backend(pg_backend_pid())"):
            assert await outcome(client) == ("200", "201")
            async with engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                with suppress(asyncpg.PostgresError):
                    await driver.execute(statement)
            assert await outcome(client) == ("200", "201")


async def test_session_without_an_engine_is_a_500() -> None:
    async def get_session() -> AsyncGenerator[AsyncSession]:
        async with AsyncSession() as session:
            yield session

    async with calling(app_with_dependency(get_session)) as client:
        assert await outcome(client) == ("500", "500")
