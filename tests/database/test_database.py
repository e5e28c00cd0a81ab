"""Transactions and connections of a `Database`."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import Engine, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError, SAWarning
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session as SyncSession

from app.main import create_app as create_service
from app.settings import Settings
from brickwork import Database, ServiceUnavailable, SessionDep, install
from tests.support import shop
from tests.support.bodies import summary
from tests.support.calls import calling, client_of
from tests.support.databases import Databases
from tests.support.garbage import collected_garbage
from tests.support.recording import connections_in_use, statements
from tests.support.services import Service
from tests.support.shop import Cities, City

LISBON = {"name": "Lisbon"}


@pytest.fixture
async def client(shop_service: Service) -> AsyncIterator[AsyncClient]:
    """Return a client of the shop."""
    async with shop_service.client() as client:
        yield client


@pytest.fixture
async def database(shop_service: Service) -> AsyncIterator[Database]:
    """Return the shop's database, with one connection for reads and one for writes."""
    database = Database(shop_service.url, pool_size=1, pool_timeout=0.5)
    async with database.lifespan(None):
        yield database


async def city_names(client: AsyncClient) -> list[str]:
    response = await client.get("/cities")
    assert response.status_code == 200, response.text
    return [city["name"] for city in response.json()]


async def count_cities(database: Database) -> int:
    async with database.session(readonly=True) as session:
        return await session.scalar(select(func.count()).select_from(City)) or 0


# --- Commits -----------------------------------------------------------------------------------


async def test_failed_commit_of_a_create_is_a_422(client: AsyncClient) -> None:
    # The reference is checked at the commit: the statement itself succeeds.
    response = await client.post("/cities", json=LISBON | {"country_code": "PT"})

    assert summary(response) == "422 #/country_code reference_not_found"
    assert await city_names(client) == []


async def test_failed_commit_of_an_update_is_a_422(client: AsyncClient) -> None:
    await client.post("/cities", json=LISBON)
    response = await client.patch("/cities/1", json={"country_code": "XX"})

    assert summary(response) == "422 #/country_code reference_not_found"


async def test_failed_commit_of_a_delete_is_a_409(client: AsyncClient) -> None:
    await client.post("/countries", json={"code": "PT", "name": "Portugal"})
    await client.post("/cities", json=LISBON | {"country_code": "PT"})
    response = await client.delete("/countries/PT")

    assert summary(response) == "409"
    assert (await client.get("/countries/PT")).status_code == 200


@pytest.mark.parametrize(("target", "name"), [(SyncSession, "before_commit"), (Engine, "commit")])
async def test_error_in_a_commit_hook_rolls_back(
    client: AsyncClient, target: Any, name: str
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("not today")

    event.listen(target, name, fail)
    try:
        response = await client.post("/cities", json=LISBON)
    finally:
        event.remove(target, name, fail)

    assert summary(response) == "500"
    assert "not today" not in response.text
    # Nor does the next request on the same connection commit it.
    assert (await client.post("/cities", json={"name": "Porto"})).status_code == 201
    assert await city_names(client) == ["Porto"]


async def test_unserialisable_response_rolls_back(shop_service: Service) -> None:
    app = shop.create_app(shop_service.url)

    @app.post("/broken", response_model=shop.CountryRead)
    async def broken(session: SessionDep) -> City:
        session.add(city := City(name="Lisbon"))
        await session.flush()
        return city  # which has no code, as a country does

    async with calling(app) as client:
        assert summary(await client.post("/broken")) == "500"
        assert await city_names(client) == []


async def test_get_cannot_write(shop_service: Service) -> None:
    app = shop.create_app(shop_service.url)

    @app.get("/write")
    async def write(session: SessionDep) -> None:
        session.add(City(name="Lisbon"))

    async with calling(app) as client:
        assert summary(await client.get("/write")) == "500"
        assert await city_names(client) == []


async def test_cancelled_session_rolls_back_and_returns_its_connection(
    database: Database,
) -> None:
    begun = asyncio.Event()

    async def write() -> None:
        async with database.session() as session:
            session.add(City(name="Lisbon"))
            await session.flush()
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert connections_in_use(database) == 0
    assert await count_cities(database) == 0
    async with database.session() as session:
        session.add(City(name="Lisbon"))
    assert await count_cities(database) == 1


async def test_script_uses_the_methods_of_a_resource(database: Database) -> None:
    async with database.session() as session:
        await Cities(session=session, tenant="t").create(City(name="lisbon"))
    async with database.session(readonly=True) as session:
        city = await Cities(session=session, tenant="t").get(1)

    assert (city.name, city.tenant) == ("Lisbon", "t")


async def test_programming_error_is_raised_unchanged(database: Database) -> None:
    with pytest.raises(DBAPIError, match="nonsense"):
        async with database.session() as session:
            await session.execute(text("SELECT nonsense"))


# --- Concurrent requests -----------------------------------------------------------------------


async def test_one_of_50_equal_posts_succeeds(client: AsyncClient) -> None:
    body = {"code": "PT", "name": "Portugal"}
    answers = await asyncio.gather(*(client.post("/countries", json=body) for _ in range(50)))

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}


async def test_concurrent_read_modify_writes_lose_no_update(client: AsyncClient) -> None:
    await client.post("/cities", json=LISBON)
    answers = await asyncio.gather(*(client.post("/cities/1/visit") for _ in range(20)))

    assert Counter(answer.status_code for answer in answers) == {200: 20}
    assert (await client.get("/cities/1")).json()["visits"] == 20


async def test_updates_through_two_databases_lose_no_update(
    client: AsyncClient, shop_service: Service
) -> None:
    # Two databases share neither a pool nor a line to wait in.
    await client.post("/cities", json=LISBON)
    async with calling(shop.create_app(shop_service.url)) as other:
        visits = [caller.post("/cities/1/visit") for caller in (client, other) for _ in range(10)]
        done = Counter(answer.status_code for answer in await asyncio.gather(*visits))

    assert done.keys() <= {200, 503}
    assert (await client.get("/cities/1")).json()["visits"] == done[200]


# --- Statements and connections ----------------------------------------------------------------

B = {"title": "B", "slug": "b"}


@pytest.mark.parametrize(
    ("method", "target", "body", "count"),
    [
        pytest.param("GET", "{path}", None, 1, id="GET"),
        pytest.param("GET", "/articles", None, 1, id="GET a list"),
        pytest.param("POST", "/articles", B, 1, id="POST"),
        pytest.param("PATCH", "{path}", B, 2, id="PATCH"),
        pytest.param("PATCH", "{path}", {"slug": "a"}, 1, id="PATCH of nothing"),
        pytest.param("PUT", "{path}", B, 2, id="PUT"),
        pytest.param("DELETE", "{path}", None, 2, id="DELETE"),
        pytest.param("GET", "/articles/abc", None, 0, id="no key"),
        pytest.param("POST", "/articles", {}, 0, id="no field"),
    ],
)
async def test_request_sends_few_statements(
    service: Service, method: str, target: str, body: object, count: int
) -> None:
    async with service.client() as client:
        response = await client.post("/articles", json={"title": "A", "slug": "a"})
        with statements() as sent:
            path = response.headers["location"]
            await client.request(method, target.format(path=path), json=body)

    assert len(sent) == count


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/cities/abc", "", 404),
        ("PATCH", "/cities/1", '{"people": "many"}', 422),
        ("POST", "/cities", "{", 400),
        ("DELETE", "/cities/1?force=true", "", 422),
    ],
)
async def test_request_rejected_before_its_row_takes_no_connection(
    client: AsyncClient, method: str, path: str, content: str, status: int
) -> None:
    headers = {"content-type": "application/json"} if content else {}
    connections: list[object] = []
    listen = (Engine, "engine_connect", connections.append)
    event.listen(*listen)
    try:
        response = await client.request(method, path, content=content, headers=headers)
    finally:
        event.remove(*listen)

    assert (response.status_code, connections) == (status, [])


async def test_leaked_connection_is_closed_and_frees_its_pool_slot(shop_service: Service) -> None:
    database = Database(shop_service.url, pool_size=1, pool_timeout=0.5)

    async def lose_a_connection() -> None:
        connection = await database.writer.connect()
        _ = await connection.execute(insert(City).values(name="Lisbon"))

    async with database.lifespan(None):
        with pytest.warns(SAWarning, match="garbage collector"), collected_garbage():
            await lose_a_connection()
        assert await count_cities(database) == 0
        async with database.session() as session:
            assert await session.scalar(select(func.count()).select_from(City)) == 0


async def test_session_without_a_connection_is_unavailable(database: Database) -> None:
    async with database.session() as first:
        await first.execute(text("SELECT 1"))  # which takes the only connection
        with pytest.raises(ServiceUnavailable) as raised:
            async with database.session() as second:
                await second.execute(text("SELECT 1"))

    assert (raised.value.headers, raised.value.retryable) == ({"Retry-After": "1"}, False)


async def test_request_without_a_connection_is_not_retried(
    shop_service: Service, database: Database
) -> None:
    async with (
        client_of(shop_service.app, {"database": database}) as client,
        database.session() as session,
    ):
        await session.execute(text("SELECT 1"))
        response = await client.post("/cities", json=LISBON)

    assert (summary(response), response.headers["retry-after"]) == ("503", "1")
    assert database.retries == 0


async def test_request_to_an_unreachable_database_is_a_503() -> None:
    service = create_service(Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing"))
    async with calling(service) as client:
        response = await client.get("/articles")
        assert (summary(response), response.headers["retry-after"]) == ("503", "1")
        assert (await client.get("/openapi.json")).status_code == 200


async def test_applications_in_one_process_have_separate_databases(
    client: AsyncClient, empty_url: str
) -> None:
    await client.post("/cities", json=LISBON)
    async with calling(shop.create_app(empty_url)) as other:
        assert await city_names(other) == []
    assert await city_names(client) == ["Lisbon"]


# --- Settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("readonly", [False, True])
async def test_sqlite_connection_has_the_documented_pragmas(
    databases: Databases, *, readonly: bool
) -> None:
    database = Database(databases.empty("sqlite"))
    async with database.lifespan(None), database.session(readonly=readonly) as session:
        assert await pragma_value(session, "journal_mode") == "wal"
        assert await pragma_value(session, "synchronous") == 2
        assert await pragma_value(session, "foreign_keys") == 1
        assert await pragma_value(session, "busy_timeout") == 1000
        assert await pragma_value(session, "query_only") == readonly


async def pragma_value(session: AsyncSession, name: str) -> object:
    return await session.scalar(text(f"PRAGMA {name}"))


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgres://u@h/d", "postgresql+asyncpg"),
        ("postgresql://u@h/d", "postgresql+asyncpg"),
        ("postgresql+asyncpg://u@h/d", "postgresql+asyncpg"),
        ("sqlite:///file.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///file.db", "sqlite+aiosqlite"),
    ],
)
async def test_url_needs_no_driver(url: str, driver: str) -> None:
    assert Database(url).url.drivername == driver


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("mysql://u@h/d", r"use postgresql\+asyncpg:// or sqlite\+aiosqlite://"),
        ("postgresql+psycopg://u@h/d", r"use postgresql\+asyncpg://"),
        ("sqlite://", "use a file"),
        ("sqlite+aiosqlite:///:memory:", "use a file"),
    ],
)
async def test_url_of_an_unsupported_database_is_rejected(url: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        Database(url)


async def test_application_without_a_database_names_the_remedy() -> None:
    app = FastAPI()
    install(app)
    app.include_router(shop.cities)
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://test") as client:
        with pytest.raises(TypeError, match="lifespan=Database"):
            await client.get("/cities")
