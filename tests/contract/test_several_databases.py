"""Two databases in one application, and a database for each tenant."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request
from httpx2 import AsyncClient

from brickwork import Database, Resource, install
from tests.support.bodies import summary
from tests.support.databases import BACKENDS, Databases
from tests.support.journal import Base, Log, Note, create, missing_line, router
from tests.support.recording import path_taken
from tests.support.server import serving

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

TEXT = {"text": "first"}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


@pytest.fixture
def other_url(databases: Databases, backend: str) -> str:
    """Return the URL of an empty database of the other kind."""
    (other,) = {*BACKENDS} - {backend}
    return databases.empty(other)


class ArchivedNotes(Resource[Note]): ...


def archived() -> APIRouter:
    """Return routes of a class of its own, since both have one table."""
    return router(ArchivedNotes)


def two_databases(first: Database, archive: Database) -> FastAPI:
    """Return an application with notes in *first* and in *archive*."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        async with first.lifespan(app) as state, archive.lifespan(app):
            yield state

    app = FastAPI(lifespan=lifespan)
    install(app)
    app.include_router(router())
    dependencies = [Depends(archive.use)]
    app.include_router(archived(), prefix="/archive", dependencies=dependencies)
    return app


async def texts(client: AsyncClient, path: str, **headers: str) -> list[str]:
    return [row["text"] for row in (await client.get(path, headers=headers)).json()]


@pytest.mark.parametrize("fast", [True, False])
async def test_resources_may_have_different_databases(
    empty_url: str, other_url: str, log: Log, *, fast: bool
) -> None:
    for url in (empty_url, other_url):
        await create(url)
    first, archive = (Database(url, fast_path=fast) for url in (empty_url, other_url))
    taken = "201 fast" if fast else "201 ORM"
    async with serving(two_databases(first, archive)) as client:
        assert await path_taken(client.post("/notes", json=TEXT)) == taken
        location = (await client.post("/archive/notes", json={"text": "old"})).headers["location"]
        assert location.startswith("/archive/notes/")
        assert await texts(client, "/notes") == ["first"]
        assert await texts(client, "/archive/notes") == ["old"]
        assert summary(await client.patch(location, json={"text": "older"})) == "200"
        headers = {"idempotency-key": "k"}
        for replayed in (None, "true"):
            answer = await client.post("/archive/notes", json=TEXT, headers=headers)
            assert answer.headers.get("idempotency-replayed") == replayed
        assert summary(await client.delete(location)) == "204"
        assert await texts(client, "/archive/notes") == ["first"]
        assert await texts(client, "/notes") == ["first"]
    assert log.take() == []


async def test_databases_are_checked_for_their_own_tables(
    empty_url: str, other_url: str, log: Log
) -> None:
    await create(empty_url)
    async with serving(two_databases(Database(empty_url), Database(other_url))):
        pass
    assert log.take() == [missing_line(other_url, "idempotency_keys, notes")]


async def test_application_without_a_default_database_is_checked(empty_url: str, log: Log) -> None:
    database = Database(empty_url)
    app = FastAPI()
    install(app)
    app.include_router(router(), dependencies=[Depends(database.use)])
    async with serving(app) as client:
        assert log.take() == [missing_line(empty_url, "idempotency_keys, notes")]
        await create(empty_url)
        assert summary(await client.post("/notes", json=TEXT)) == "201"
    await database.dispose()


# --- A database for each tenant -------------------------------------------------------------------


@pytest.mark.parametrize("fast", [True, False])
async def test_tenants_may_have_databases_of_their_own(
    databases: Databases, backend: str, *, fast: bool
) -> None:
    tenants = {name: Database(databases.empty(backend), fast_path=fast) for name in ("a", "b")}

    async def use_tenant(request: Request, tenant: Annotated[str, Header()]) -> None:
        if tenant not in tenants:
            raise HTTPException(401, "Who are you?")
        await tenants[tenant].use(request)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            for database in tenants.values():
                await stack.enter_async_context(database.lifespan(app))
                await database.create_all(Base.metadata)
            yield

    app = FastAPI(lifespan=lifespan)
    install(app)
    app.include_router(router(), dependencies=[Depends(use_tenant)])
    async with serving(app) as client:
        for tenant in tenants:
            answer = await client.post("/notes", json={"text": tenant}, headers={"tenant": tenant})
            assert summary(answer) == "201"
            item = answer.headers["location"]
            for other in tenants:
                status = (await client.get(item, headers={"tenant": other})).status_code
                assert status == (200 if other == tenant else 404)
        assert [await texts(client, "/notes", tenant=name) for name in tenants] == [["a"], ["b"]]
        assert summary(await client.get("/notes", headers={"tenant": "c"})) == "401"
        assert summary(await client.get("/notes")) == "422 tenant missing"
