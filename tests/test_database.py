"""A 2xx means committed; a request that is refused leaves nothing; readers cannot write."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import Engine, event, func, insert, select, text
from sqlalchemy.exc import SAWarning
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session as SyncSession

from app.main import create_app as create_service
from app.settings import Settings
from brickwork import Database, Session, Unavailable
from tests.support import shop
from tests.support.calls import calling
from tests.support.databases import Databases
from tests.support.recording import statements
from tests.support.shop import City, Shop

pytestmark = pytest.mark.anyio

LISBON = {"name": "Lisbon"}


@pytest.fixture
async def client(empty_url: str) -> AsyncGenerator[AsyncClient]:
    async with calling(shop.create_app(empty_url)) as client:
        yield client


@pytest.fixture
async def database(empty_url: str) -> AsyncGenerator[Database]:
    database = Shop(empty_url, pool_size=1, pool_timeout=0.2)
    async with database.lifespan(None):
        yield database


async def cities(client: AsyncClient) -> list[dict[str, Any]]:
    response = await client.get("/cities")
    assert response.status_code == 200
    rows: list[dict[str, Any]] = response.json()
    return rows


async def test_a_commit_that_the_database_refuses_is_no_2xx(client: AsyncClient) -> None:
    # The reference is checked at the commit: the statement itself succeeds.
    response = await client.post("/cities", json=LISBON | {"country_code": "PT"})

    assert response.status_code == 422
    assert [(e["pointer"], e["code"]) for e in response.json()["errors"]] == [
        ("#/country_code", "reference_not_found")
    ]
    assert await cities(client) == []


async def test_a_row_that_is_referred_to_at_the_commit_is_not_deleted(client: AsyncClient) -> None:
    await client.post("/countries", json={"code": "PT", "name": "Portugal"})
    await client.post("/cities", json=LISBON | {"country_code": "PT"})

    response = await client.delete("/countries/PT")

    assert response.status_code == 409
    assert (await client.get("/countries/PT")).status_code == 200


@pytest.mark.parametrize(("target", "name"), [(SyncSession, "before_commit"), (Engine, "commit")])
async def test_a_commit_hook_that_raises_makes_a_500_and_leaves_nothing(
    client: AsyncClient, target: Any, name: str
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("not today")

    await cities(client)
    event.listen(target, name, fail)
    try:
        response = await client.post("/cities", json=LISBON)
    finally:
        event.remove(target, name, fail)

    assert response.status_code == 500
    assert "not today" not in response.text
    assert await cities(client) == []
    # Nor does the next request on that connection commit what the last one left.
    assert (await client.post("/cities", json={"name": "Porto"})).status_code == 201
    assert [city["name"] for city in await cities(client)] == ["Porto"]


async def test_an_answer_that_cannot_be_serialised_leaves_nothing(empty_url: str) -> None:
    app = shop.create_app(empty_url)

    @app.post("/broken", response_model=shop.CountryRead)
    async def broken(session: Session) -> City:
        city = City(name="Lisbon")
        session.add(city)
        await session.flush()
        return city  # which has no code, as a country does

    async with calling(app) as client:
        assert (await client.post("/broken")).status_code == 500
        assert await cities(client) == []


async def test_a_get_cannot_write(empty_url: str) -> None:
    app = shop.create_app(empty_url)

    @app.get("/write")
    async def write(session: Session) -> None:
        session.add(City(name="Lisbon"))

    async with calling(app) as client:
        assert (await client.get("/write")).status_code == 500
        assert await cities(client) == []


async def test_of_50_equal_posts_at_once_one_is_created_and_49_conflict(
    client: AsyncClient,
) -> None:
    body = {"code": "PT", "name": "Portugal"}

    answers = await asyncio.gather(*(client.post("/countries", json=body) for _ in range(50)))

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}


async def test_of_100_updates_at_once_that_read_and_then_write_none_is_lost(
    client: AsyncClient,
) -> None:
    await client.post("/cities", json=LISBON)

    answers = await asyncio.gather(*(client.post("/cities/1/visit") for _ in range(100)))

    assert Counter(answer.status_code for answer in answers) == {200: 100}
    assert (await client.get("/cities/1")).json()["visits"] == 100


async def test_two_processes_lose_no_update_either(empty_url: str) -> None:
    # Two applications on one database share neither pool nor line to wait in.
    async with (
        calling(shop.create_app(empty_url)) as one,
        calling(shop.create_app(empty_url)) as other,
    ):
        await one.post("/cities", json=LISBON)
        visits = [client.post("/cities/1/visit") for client in (one, other) for _ in range(25)]
        answers = await asyncio.gather(*visits)

        done = Counter(answer.status_code for answer in answers)
        assert done.keys() <= {200, 503}
        assert (await one.get("/cities/1")).json()["visits"] == done[200]


async def test_a_request_sends_as_few_statements_as_it_can(service_url: str) -> None:
    async with calling(create_service(Settings(database_url=service_url))) as client:
        body = {"title": "A", "slug": "a"}
        path = (await client.post("/articles", json=body)).headers["location"]
        row = (await client.get(path)).json()
        with statements() as sent:
            counts: dict[str, int] = {}
            for name, request in {
                "get": client.get(path),
                "list": client.get("/articles"),
                "create": client.post("/articles", json=body | {"slug": "b"}),
                "update": client.patch(path, json={"title": "B"}),
                "update to what it is": client.patch(path, json={"title": "B"}),
                "replace": client.put(path, json=body | {"slug": "c"}),
                "delete": client.delete(path),
                "a key that names no row": client.get("/articles/abc"),
                "a body that fits no schema": client.post("/articles", json={}),
            }.items():
                sent.clear()
                assert (await request).status_code < 500
                counts[name] = len(sent)
        assert row["title"] == "A"
    assert counts == {
        "get": 1,
        "list": 1,
        "create": 1,
        "update": 2,
        "update to what it is": 1,
        "replace": 2,
        "delete": 2,
        "a key that names no row": 0,
        "a body that fits no schema": 0,
    }


async def test_a_request_that_is_refused_before_the_row_takes_no_connection(
    client: AsyncClient,
) -> None:
    taken: list[object] = []
    listen = (Engine, "engine_connect", taken.append)
    event.listen(*listen)
    try:
        for request in (
            client.get("/cities/abc"),
            client.patch("/cities/1", json={"people": "many"}),
            client.post("/cities", content=b"{"),
            client.delete("/cities/1?force=true"),
        ):
            assert (await request).status_code in {400, 404, 415, 422}
    finally:
        event.remove(*listen)
    assert taken == []


async def test_two_applications_in_one_process_have_two_databases(
    databases: Databases, backend: str
) -> None:
    async with (
        calling(shop.create_app(databases.empty(backend))) as one,
        calling(shop.create_app(databases.empty(backend))) as other,
    ):
        await one.post("/cities", json=LISBON)

        assert len(await cities(one)) == 1
        assert await cities(other) == []


async def test_a_script_uses_the_same_steps(database: Database) -> None:
    async with database.session() as session:
        await shop.Cities(session=session, tenant="t").create(City(name="lisbon"))
    async with database.session(readonly=True) as session:
        city = await shop.Cities(session=session, tenant="t").get(1)

    assert (city.name, city.tenant) == ("Lisbon", "t")


async def test_a_session_that_is_cancelled_half_way_writes_nothing_and_gives_back_its_connection(
    database: Database,
) -> None:
    async def write(begun: asyncio.Event) -> None:
        async with database.session() as session:
            session.add(City(name="Lisbon"))
            await session.flush()
            begun.set()
            await asyncio.sleep(60)

    for _ in range(3):
        begun = asyncio.Event()
        task = asyncio.create_task(write(begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async with database.session() as session:
        assert await session.scalar(select(func.count()).select_from(City)) == 0


async def test_a_connection_that_is_lost_half_way_is_closed_and_its_place_is_free(
    databases: Databases,
) -> None:
    database = Shop(databases.empty("sqlite"), pool_timeout=0.2)
    async with database.lifespan(None):
        with pytest.warns(SAWarning, match="garbage collector"):
            await lose_connection(database)
        async with database.session() as session:
            there = await session.scalar(select(func.count()).select_from(City))

    assert there == 0


async def lose_connection(database: Database) -> None:
    async def write() -> None:
        connection = await database.writer.connect()
        _ = await connection.execute(insert(City).values(name="Lisbon"))

    await write()
    gc.collect()


async def test_an_exhausted_pool_is_unavailable_within_its_timeout(database: Database) -> None:
    async with database.session() as first:
        await first.execute(text("SELECT 1"))  # which takes the only connection
        with pytest.raises(Unavailable) as refused:
            async with database.session() as second:
                await second.execute(text("SELECT 1"))

    assert refused.value.headers == {"Retry-After": "1"}


async def test_a_database_that_is_away_is_a_503_and_other_routes_still_answer() -> None:
    service = create_service(Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing"))
    async with calling(service) as client:
        response = await client.get("/articles")

        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert (await client.get("/openapi.json")).status_code == 200


async def test_an_error_that_is_no_refusal_of_data_is_raised_as_it_is(database: Database) -> None:
    with pytest.raises(Exception, match="nonsense"):
        async with database.session() as session:
            await session.execute(text("SELECT nonsense"))


async def test_a_missing_reference_of_an_update_is_found_too(client: AsyncClient) -> None:
    await client.post("/cities", json=LISBON)

    response = await client.patch("/cities/1", json={"country_code": "XX"})

    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "#/country_code"


async def test_sqlite_waits_for_locks_keeps_references_and_survives_a_power_cut(
    databases: Databases,
) -> None:
    database = Database(databases.empty("sqlite"))
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 1000,
    }
    async with database.lifespan(None):
        for readonly in (False, True):
            async with database.session(readonly=readonly) as session:
                assert {name: await pragma(session, name) for name in expected} == expected
                assert await pragma(session, "query_only") == readonly


async def pragma(session: AsyncSession, name: str) -> object:
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
async def test_a_url_needs_no_driver(url: str, driver: str) -> None:
    assert Database(url).url.drivername == driver


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("mysql://u@h/d", r"use postgresql\+asyncpg:// or sqlite\+aiosqlite://"),
        ("postgresql+psycopg://u@h/d", r"use postgresql\+asyncpg://"),
        ("sqlite://", "give it a file"),
        ("sqlite+aiosqlite:///:memory:", "give it a file"),
    ],
)
async def test_a_database_on_which_promises_cannot_be_kept_is_refused(
    url: str, remedy: str
) -> None:
    with pytest.raises(ValueError, match=remedy):
        Database(url)


async def test_an_application_without_a_database_says_how_to_give_it_one() -> None:
    app = FastAPI()
    app.include_router(shop.cities)
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://test") as client:
        with pytest.raises(TypeError, match="lifespan=Database"):
            await client.get("/cities")
