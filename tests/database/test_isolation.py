"""Isolation levels of resources on PostgreSQL."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, params
from fastapi.routing import APIRoute
from httpx2 import AsyncClient
from sqlalchemy import event, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session as SyncSession
from typing_extensions import override

from brickwork import (
    Database,
    IsolationLevel,
    Resource,
    SessionDep,
    StrictRoute,
    crud_router,
    install,
)
from brickwork.database.isolation import strictest_isolation
from tests.support import shop
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import postgres_only
from tests.support.services import Service
from tests.support.shop import Cities, City, Country
from tests.support.waiting import DEADLINE

LEVEL: Final = text("SELECT current_setting('transaction_isolation')")
SCHEMAS: Final[dict[str, Any]] = {
    "read": shop.CityRead,
    "create": shop.CityCreate,
    "update": shop.CityUpdate,
}


async def read_before(session: SessionDep) -> None:
    """Read before the resource is created, as a dependency for authentication does."""
    await session.scalar(select(func.count(City.id)))


def app_over(
    database: Database, *routers: APIRouter, first: Sequence[params.Depends] = ()
) -> FastAPI:
    """Return an application of *routers*; its requests resolve the dependencies *first*."""
    app = FastAPI(lifespan=database.lifespan, dependencies=first)
    install(app)
    for router in routers:
        app.include_router(router)
    return app


# --- The level ---------------------------------------------------------------------------------


class SerializableCities(Cities):
    """Cities with serializable transactions."""

    isolation_level = "serializable"


@contextmanager
def isolation_levels() -> Generator[list[str]]:
    """Collect the isolation levels of the transactions that commit on PostgreSQL."""
    levels: list[str] = []

    def record_level(session: SyncSession) -> None:
        levels.append(session.scalar(LEVEL) or "")

    event.listen(SyncSession, "before_commit", record_level)
    try:
        yield levels
    finally:
        event.remove(SyncSession, "before_commit", record_level)


@postgres_only
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", "/cities", {"name": "B"}, id="POST"),
        pytest.param("PATCH", "/cities/1", {"name": "B"}, id="PATCH"),
        pytest.param("PUT", "/cities/1", {"name": "B"}, id="PUT"),
        pytest.param("DELETE", "/cities/1", None, id="DELETE"),
        pytest.param("POST", "/cities/batch", [{"name": "B"}], id="POST batch"),
        pytest.param("PATCH", "/cities/batch", [{"id": 1, "name": "B"}], id="PATCH batch"),
        pytest.param("DELETE", "/cities/batch?id=1", None, id="DELETE batch"),
    ],
)
async def test_operation_has_the_level_of_its_resource(
    shop_service: Service, method: str, path: str, body: object
) -> None:
    app = app_over(
        Database(shop_service.url),
        crud_router("/cities", SerializableCities, **SCHEMAS),
        first=[Depends(read_before)],
    )
    async with calling(app) as client:
        await client.post("/cities", json={"name": "A"})
        with isolation_levels() as levels:
            response = await client.request(method, path, json=body)

    assert response.is_success
    assert {*levels} == {"serializable"}  # of the transaction and its savepoints


@postgres_only
async def test_resource_without_a_level_has_the_database_level(shop_service: Service) -> None:
    async with shop_service.client() as client:
        with isolation_levels() as levels:
            await client.post("/cities", json={"name": "A"})

    assert levels == ["read committed"]


class Repeatable(Resource[City]):
    isolation_level = "repeatable read"


class Serializable(Resource[Country]):
    isolation_level = "serializable"


def make_serializable(_: Annotated[Serializable, Depends()]) -> None: ...


async def one(rows: Annotated[Repeatable, Depends()]) -> str:
    return await rows.session.scalar(LEVEL) or ""


async def two(rows: Annotated[Repeatable, Depends()], _: Annotated[Serializable, Depends()]) -> str:
    return await rows.session.scalar(LEVEL) or ""


async def none(session: SessionDep) -> str:
    return await session.scalar(LEVEL) or ""


async def nested(session: SessionDep, _: Annotated[None, Depends(make_serializable)]) -> str:
    return await session.scalar(LEVEL) or ""


def level_router(route_class: type[APIRoute]) -> APIRouter:
    """Return a router of endpoints that answer with their level."""
    router = APIRouter(route_class=route_class)
    router.add_api_route("/one", one, methods=["GET", "POST"])
    router.add_api_route("/two", two, methods=["GET", "POST"])
    router.add_api_route("/none", none, methods=["POST"])
    router.add_api_route("/nested", nested, methods=["POST"])
    return router


@postgres_only
@pytest.mark.parametrize(
    ("path", "level"),
    [
        ("/one", "repeatable read"),
        ("/two", "serializable"),
        ("/none", "read committed"),
        ("/nested", "serializable"),
    ],
)
async def test_endpoint_has_the_strictest_level_of_its_resources(
    shop_service: Service, path: str, level: str
) -> None:
    app = app_over(
        Database(shop_service.url), level_router(StrictRoute), first=[Depends(read_before)]
    )
    async with calling(app) as client:
        assert (await client.post(path)).json() == level


@postgres_only
@pytest.mark.parametrize("path", ["/one", "/two", "/none", "/nested"])
async def test_endpoint_has_the_level_of_its_router(shop_service: Service, path: str) -> None:
    app = app_over(Database(shop_service.url))
    guards = [Depends(read_before), Depends(make_serializable)]
    app.include_router(level_router(StrictRoute), dependencies=guards)
    async with calling(app) as client:
        assert (await client.post(path)).json() == "serializable"


@postgres_only
@pytest.mark.parametrize("path", ["/one", "/two"])
async def test_read_request_has_the_level_of_the_database(shop_service: Service, path: str) -> None:
    async with calling(app_over(Database(shop_service.url), level_router(StrictRoute))) as client:
        assert (await client.get(path)).json() == "read committed"
        assert (await client.head(path)).status_code == 200


@postgres_only
@pytest.mark.parametrize(("path", "level"), [("/one", "repeatable read"), ("/two", "serializable")])
async def test_plain_endpoint_has_the_level_before_a_read(
    shop_service: Service, path: str, level: str
) -> None:
    async with calling(app_over(Database(shop_service.url), level_router(APIRoute))) as client:
        assert (await client.post(path)).json() == level


async def test_plain_endpoint_fails_after_a_read(shop_service: Service) -> None:
    app = app_over(
        Database(shop_service.url),
        level_router(APIRoute),
        first=[Depends(read_before)],
    )
    async with calling(app) as client:
        assert summary(await client.post("/one")) == "500"


# --- In a script -------------------------------------------------------------------------------


async def test_second_resource_with_a_weaker_level_is_accepted(shop_service: Service) -> None:
    async with shop_service.database.session() as session:
        Serializable(session=session)
        await session.scalar(select(City.id))
        assert isinstance(Repeatable(session=session), Repeatable)


async def test_resource_with_a_stricter_level_after_a_read_is_rejected(
    shop_service: Service,
) -> None:
    async with shop_service.database.session() as session:
        Repeatable(session=session)
        await session.scalar(select(City.id))
        with pytest.raises(TypeError, match="Serializable needs serializable isolation"):
            Serializable(session=session)


async def test_readonly_resource_is_accepted_after_a_read(shop_service: Service) -> None:
    async with shop_service.database.session(readonly=True) as session:
        await session.scalar(select(City.id))
        assert isinstance(Serializable(session=session), Serializable)


@pytest.mark.parametrize(
    ("levels", "level"),
    [
        pytest.param([], None, id="no resource"),
        pytest.param([None, None], None, id="no level"),
        pytest.param([None, "read committed"], "read committed", id="one level"),
        pytest.param(["repeatable read", "read committed"], "repeatable read", id="two levels"),
        pytest.param(["serializable", "repeatable read"], "serializable", id="two stricter ones"),
    ],
)
def test_strictest_isolation_level_applies(
    levels: Sequence[IsolationLevel | None], level: IsolationLevel | None
) -> None:
    assert strictest_isolation(levels) == level


# --- Failures ----------------------------------------------------------------------------------


def count_attempts(request: Request) -> int:
    number: int = request.scope.get("attempt", 0) + 1
    request.scope["attempt"] = number
    return number


Attempt = Annotated[int, Depends(count_attempts)]


async def wait_for(both: asyncio.Barrier) -> None:
    async with asyncio.timeout(DEADLINE):
        await both.wait()


@postgres_only
@pytest.mark.parametrize("declared", ["by the database", "by the resource"])
async def test_serialization_failure_is_retried(shop_service: Service, declared: str) -> None:
    level: IsolationLevel = "repeatable read" if declared == "by the database" else "read committed"
    database = Database(shop_service.url, isolation_level=level)

    class IsolatedCities(Cities):
        isolation_level = None if declared == "by the database" else "repeatable read"

    async def overtake(session: SessionDep, attempt: Attempt) -> None:
        assert await session.scalar(select(City.people)) is not None
        if attempt == 1:
            async with database.session() as other:
                await other.execute(update(City).values(visits=100))

    app = app_over(
        database,
        crud_router("/cities", IsolatedCities, **SCHEMAS),
        first=[Depends(overtake)],
    )
    async with shop_service.client() as client:
        await client.post("/cities", json={"name": "Lisbon"})
    async with calling(app) as client:
        response = await client.patch("/cities/1", json={"people": 1})

    assert (response.json()["people"], response.json()["visits"]) == (1, 100)
    assert database.retries == 1


@postgres_only
async def test_serialization_failure_at_commit_is_retried(shop_service: Service) -> None:
    both = asyncio.Barrier(2)

    class Census(Cities):
        """Cities that count the people of all other cities."""

        isolation_level = "serializable"
        attempt: Attempt

        @override
        async def create(self, row: City, /) -> None:
            await super().create(row)
            with self.session.no_autoflush:
                row.people += await self.session.scalar(select(func.sum(City.people))) or 0
            await self.session.flush()
            if self.attempt == 1:
                await wait_for(both)

    database = Database(shop_service.url)
    async with calling(app_over(database, crud_router("/cities", Census, **SCHEMAS))) as client:
        posts = [client.post("/cities", json={"name": name, "people": 1}) for name in "ab"]
        answers = await asyncio.gather(*posts)

    assert [answer.status_code for answer in answers] == [201, 201]
    assert sorted(answer.json()["people"] for answer in answers) == [1, 2]
    assert database.retries == 1


@postgres_only
async def test_deadlock_is_retried(shop_service: Service) -> None:
    database, both = Database(shop_service.url), asyncio.Barrier(2)
    router = APIRouter(route_class=StrictRoute)

    async def add(session: AsyncSession, key: int) -> None:
        city = update(City).where(City.id == key)
        await session.execute(city.values(people=City.people + 1))

    @router.post("/add/{first}/{second}")
    async def add_to_both(first: int, second: int, session: SessionDep, attempt: Attempt) -> None:
        await session.execute(text("SET LOCAL deadlock_timeout = '5ms'"))
        await add(session, first)
        if attempt == 1:
            await wait_for(both)
        await add(session, second)

    async with shop_service.client() as client:
        await create_cities(client, "a", "b")
    async with calling(app_over(database, router)) as client:
        answers = await asyncio.gather(client.post("/add/1/2"), client.post("/add/2/1"))
    async with shop_service.client() as client:
        cities = (await client.get("/cities")).json()

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [city["people"] for city in cities] == [2, 2]
    assert database.retries == 1


async def create_cities(client: AsyncClient, *names: str) -> None:
    for name in names:
        await client.post("/cities", json={"name": name})
