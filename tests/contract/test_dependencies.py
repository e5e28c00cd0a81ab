"""Dependencies that prepare the scope, state or session."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Annotated, Any, Final, Literal

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request
from httpx2 import AsyncClient
from sqlalchemy import ColumnElement, Select, true
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import override

from brickwork import Database, Resource, SessionDep, get_db
from brickwork.problems import ServiceUnavailable
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.contention import contention
from tests.support.databases import Databases
from tests.support.notes import Base, Note, notes, notes_app
from tests.support.tables import Rows, Tables, insert_rows
from tests.support.waiting import DEADLINE

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

USER: Final = ContextVar("user", default="")

ROWS: Final[Rows] = {
    Note: [{"owner": owner, "text": owner} for owner in ("ada", "bob", "ada", "bob", "ada", "bob")]
}
"""Notes 1, 3 and 5 belong to Ada, the others to Bob."""


# --- A user in the scope, the state or a context variable -----------------------------------------


async def in_scope(request: Request, user: Annotated[str, Header()]) -> None:
    request.scope["user"] = user


async def in_state(request: Request, user: Annotated[str, Header()]) -> None:
    request.state.user = user


async def in_context(user: Annotated[str, Header()]) -> None:
    USER.set(user)


async def in_session(session: SessionDep, user: Annotated[str, Header()]) -> None:
    session.info["user"] = user


async def yielded(request: Request, user: Annotated[str, Header()]) -> AsyncGenerator[None]:
    request.scope["user"] = user
    yield
    request.scope["user"] = "nobody"


def owned_by(user: object) -> ColumnElement[bool]:
    return Note.owner == user if user else true()


class Requesting(Resource[Note]):
    request: Request

    @override
    def query(self) -> Select[Note]:
        state = getattr(self.request.state, "user", None)
        return super().query().where(owned_by(self.request.scope.get("user") or state))


class Context(Resource[Note]):
    @override
    def query(self) -> Select[Note]:
        return super().query().where(owned_by(USER.get()))


class OfSession(Resource[Note]):
    @override
    def query(self) -> Select[Note]:
        return super().query().where(owned_by(self.session.info.get("user")))


PREPARED: Final = [
    pytest.param(in_scope, Requesting, id="scope"),
    pytest.param(in_state, Requesting, id="state"),
    pytest.param(yielded, Requesting, id="yielded"),
    pytest.param(in_context, Context, id="context variable"),
    pytest.param(in_session, OfSession, id="session"),
]
PATHS: Final = pytest.mark.parametrize("fast", [True, False], ids=["fast", "ORM"])


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    """Return the URL of a database with the notes of two users."""
    return await tables.of(Base.metadata, backend, ROWS)


def app_of(database: Database, router: APIRouter, *dependencies: Callable[..., Any]) -> FastAPI:
    app = notes_app(database)
    app.include_router(router, dependencies=[Depends(dependency) for dependency in dependencies])
    return app


async def statuses(client: AsyncClient, requests: Sequence[tuple[str, str, Any]]) -> list[int]:
    """Return the status of the response to each request of Ada."""
    found: list[int] = []
    for method, path, body in requests:
        sent: Mapping[str, Any] = {} if body is None else {"json": body}
        answer = await client.request(method, path, headers={"user": "ada"}, **sent)
        found.append(answer.status_code)
    return found


ASKED: Final = [
    ("GET", "/notes/2", None),
    ("GET", "/notes/2?x=1", None),
    ("PATCH", "/notes/2", {"text": "taken"}),
    ("PATCH", "/notes/2", {"text": "taken", "owner": "bob", "rank": 7}),
    ("PUT", "/notes/2", {"owner": "bob", "text": "taken"}),
    ("DELETE", "/notes/2", None),
    ("PATCH", "/notes/batch", [{"id": 2, "text": "taken"}]),
    ("DELETE", "/notes/batch?id=2", None),
    ("POST", "/notes/2/restore", None),
]
"""Requests for a note of Bob."""


@PATHS
@pytest.mark.parametrize(("prepare", "resource"), PREPARED)
async def test_row_of_another_user_is_not_found(
    url: str, prepare: Callable[..., Any], resource: type[Resource[Note]], *, fast: bool
) -> None:
    app = app_of(database := Database(url, fast_path=fast), notes(resource), prepare)
    async with calling(app) as client:
        assert await statuses(client, ASKED) == [404, 422, *[404] * 7]
        listed = await client.get("/notes?limit=10&count=exact", headers={"user": "ada"})
        assert {note["owner"] for note in listed.json()} == {"ada"}
        assert listed.headers["x-total-count"] == "3"
        assert await statuses(client, [("DELETE", "/notes/1", None)]) == [204]
        bobs = await client.get("/notes?limit=10", headers={"user": "bob"})
        assert [note["text"] for note in bobs.json()] == ["bob"] * 3
    await database.dispose()


@PATHS
async def test_rejecting_dependency_precedes_all_checks(url: str, *, fast: bool) -> None:
    async def refuse() -> None:
        raise HTTPException(401, "Who are you?")

    app = app_of(Database(url, fast_path=fast), notes(Requesting), refuse)
    async with calling(app) as client:
        assert await statuses(client, ASKED) == [401] * len(ASKED)


# --- A database of the dependency's ---------------------------------------------------------------


@PATHS
@pytest.mark.parametrize("asked", [*ASKED, ("GET", "/notes", None)], ids=str)
async def test_dependency_chooses_the_database(
    databases: Databases, url: str, backend: str, asked: tuple[str, str, Any], *, fast: bool
) -> None:
    other = Database(databases.empty(backend), fast_path=fast)
    await other.create_all(Base.metadata)
    await insert_rows(other, {Note: [{"owner": "eve", "text": "eve"}]})

    async def tenant(request: Request) -> None:
        request.state.database = other

    app = app_of(database := Database(url, fast_path=fast), notes(Requesting), tenant)
    async with calling(app) as client:
        answer = await statuses(client, [asked])
        assert answer == [{"/notes": 200, "/notes/2?x=1": 422}.get(asked[1], 404)]
        assert [note["owner"] for note in (await client.get("/notes")).json()] == ["eve"]
    async with database.session(readonly=True) as session:
        assert (await session.get_one(Note, 2)).text == "bob"
    await database.dispose()
    await other.dispose()
    databases.drop()


# --- What a dependency makes of the request -------------------------------------------------------


@PATHS
async def test_dependency_cannot_change_the_query(url: str, *, fast: bool) -> None:
    async def change(request: Request, user: Annotated[str, Header()]) -> None:
        request.scope.update(query_string=b"limit=1", user=user)

    app = app_of(Database(url, fast_path=fast), notes(Requesting), change)
    async with calling(app) as client:
        listed = await client.get("/notes?limit=2", headers={"user": "ada"})
        assert [note["id"] for note in listed.json()] == [1, 3]
        asked = [("GET", "/notes?rank__gte=x", None), ("GET", "/notes/1?x=1", None)]
        assert await statuses(client, asked) == [422, 422]


class All(Resource[Note]): ...


@PATHS
async def test_dependency_cannot_change_the_headers(url: str, *, fast: bool) -> None:
    async def change(request: Request) -> None:
        kept = [header for header in request.scope["headers"] if header[0] != b"if-match"]
        request.scope["headers"] = kept

    app = app_of(Database(url, fast_path=fast), notes(All), change)
    async with calling(app) as client:
        stale = {"if-match": '"9"'}
        answer = await client.patch("/notes/1", json={"text": "new"}, headers=stale)
        assert summary(answer) == "412"


# --- Dependencies that yield ----------------------------------------------------------------------


@PATHS
async def test_dependency_of_a_failed_attempt_ends_before_the_next(url: str, *, fast: bool) -> None:
    lock, seen = asyncio.Lock(), list[str]()

    async def locking() -> AsyncGenerator[None]:
        async with lock:
            try:
                yield
            except ServiceUnavailable:
                seen.append("failed")
                raise
            seen.append("succeeded")

    app = app_of(database := Database(url, fast_path=fast), notes(All), locking)
    async with calling(app) as client:
        with contention(2):
            body = {"owner": "ada", "text": "new"}
            async with asyncio.timeout(DEADLINE):
                answer = await client.put("/notes/1", json=body)
    assert (answer.status_code, seen) == (200, ["failed", "failed", "succeeded"])
    await database.dispose()


@pytest.mark.parametrize("scope", ["function", "request"])
async def test_dependency_cannot_suppress_a_failed_commit(
    url: str, scope: Literal["function", "request"]
) -> None:
    async def suppressing() -> AsyncGenerator[None]:
        with suppress(ServiceUnavailable):
            yield

    app = notes_app(database := Database(url))
    app.include_router(notes(All), dependencies=[Depends(suppressing, scope=scope)])
    async with calling(app) as client:
        with contention(1):
            body = {"owner": "ada", "text": "new"}
            assert summary(await client.put("/notes/1", json=body)) == "500"
        assert (await client.get("/notes/1")).json()["text"] == "ada"
    await database.dispose()


async def late_session(request: Request) -> AsyncGenerator[AsyncSession]:
    async with request.state.database.session(readonly=request.method == "GET") as session:
        yield session


class Late(Resource[Note]):
    session: Annotated[AsyncSession, Depends(late_session)]


class Default(Resource[Note]):
    session: Annotated[AsyncSession, Depends(get_db)]


@pytest.mark.parametrize("resource", [Late, Default])
async def test_session_of_the_scope_request_is_committed_before_the_response(
    url: str, resource: type[Resource[Note]]
) -> None:
    app = notes_app(database := Database(url))
    app.include_router(notes(resource))
    body = {"owner": "ada", "text": "new"}
    async with calling(app) as client:
        with contention(2) as commits:
            assert (await client.put("/notes/1", json=body)).status_code == 200
        assert commits[:3] == [1, 2, 3]
        with contention(100):
            assert summary(await client.put("/notes/3", json=body)) == "503"
        texts = [(await client.get(f"/notes/{key}")).json()["text"] for key in (1, 3)]
        assert texts == ["new", "ada"]
    await database.dispose()
