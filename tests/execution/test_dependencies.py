"""Dependencies of a resource and its scope on each path."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final

import pytest
from annotated_types import MaxLen
from fastapi import BackgroundTasks, Body, Depends, FastAPI, Query, Request, Response, Security
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import Select, select
from typing_extensions import override

from brickwork import Database, Problem, Resource, SessionDep, install
from tests.support.calls import calling
from tests.support.databases import sqlite_only
from tests.support.notes import (
    TWENTY,
    Friend,
    Note,
    NoteCreate,
    NoteRead,
    calling_notes,
    current_user,
    notes,
    notes_app,
    yielded_user,
)
from tests.support.paths import Paths, Step
from tests.support.recording import path_taken

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


# --- The user -------------------------------------------------------------------------------------


def request_of(user: str, method: str, path: str, json: Any = None, **options: Any) -> Step:
    headers = {"authorization": user} if user else {}
    return Step(method, path, json, headers=headers, **options)


NEW: Final = {"owner": "eve", "text": "new"}

STEPS: Final = [
    request_of("ada", "GET", "/notes/1"),
    request_of("bob", "GET", "/notes/1", status=404),
    request_of("nobody", "GET", "/notes/1", status=401, fast=False),
    request_of("", "GET", "/notes/1", status=422, fast=False),
    request_of("ada", "GET", "/notes"),
    request_of("eve", "GET", "/notes"),
    request_of("bob", "GET", "/notes?limit=3"),
    request_of("bob", "GET", "/notes?sort=-rank,text&limit=2"),
    request_of("ada", "GET", "/notes?text__contains=1&rank__gte=2"),
    request_of("ada", "GET", "/notes?offset=2&limit=2"),
    request_of("ada", "GET", "/notes?rank__in=1,2", fast=False),
    request_of("", "GET", "/notes?limit=3", status=422, fast=False),
    request_of("eve", "POST", "/notes", NEW, status=201),
    request_of("ada", "POST", "/notes", NEW, status=403, fast=False, id="POST, out of scope"),
    request_of(
        "eve", "POST", "/notes", NEW | {"owner": 1}, status=422, fast=False, id="POST, odd owner"
    ),
    request_of("nobody", "POST", "/notes", NEW, status=401, fast=False),
    request_of("", "POST", "/notes", NEW, status=422, fast=False),
    request_of(
        "", "POST", "/notes", NEW | {"owner": 1}, status=422, fast=False, id="POST, two faults"
    ),
    request_of("ada", "PATCH", "/notes/1", {"text": "changed"}),
    request_of("bob", "PATCH", "/notes/1", {"text": "stolen"}, status=404, fast=False),
    request_of("nobody", "PATCH", "/notes/1", {"text": "stolen"}, status=401, fast=False),
    request_of("ada", "PATCH", "/notes/3", {"owner": "bob"}, status=403, fast=False),
    request_of("ada", "DELETE", "/notes/1", status=204),
    request_of("bob", "DELETE", "/notes/1", status=404, fast=False),
    request_of("nobody", "DELETE", "/notes/1", status=401, fast=False),
]


@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_request_of_a_user_is_the_same_on_each_path(notes_paths: Paths, step: Step) -> None:
    with current_user.recorded() as calls:
        together, alone, orm = await notes_paths.outcomes(step, TWENTY)
    assert together.status == step.status
    assert together == alone == orm
    assert [together.fast, alone.fast, orm.fast] == [step.fast, step.fast, False]
    assert calls == [*step.headers.values()] * 3  # once a request


async def test_concurrent_reads_return_each_users_own_rows(notes_url: str) -> None:
    requests = [(key, user) for key in range(1, 7) for user in ("ada", "bob")] * 2
    async with calling_notes(Database(notes_url)) as client:
        gets = (client.get(f"/notes/{key}", headers={"authorization": u}) for key, u in requests)
        answers = await asyncio.gather(*gets)
    owners = [answer.json().get("owner") for answer in answers]
    assert owners == ["ada", None, None, "bob"] * 6


@pytest.mark.parametrize(
    ("user", "keys"), [("ada", [*range(1, 21, 2)]), ("bob", [*range(2, 21, 2)])]
)
async def test_pages_have_only_the_rows_of_the_user(
    notes_url: str, user: str, keys: list[int]
) -> None:
    async with calling_notes(Database(notes_url)) as client:
        target, found = "/notes?limit=3", list[int]()
        while target:
            page = await client.get(target, headers={"authorization": user})
            found += [row["id"] for row in page.json()]
            target = page.links.get("next", {}).get("url", "")
    assert found == keys


async def test_cursor_of_another_user_is_rejected(notes_url: str) -> None:
    async with calling_notes(Database(notes_url)) as client:
        page = await client.get("/notes?limit=3", headers={"authorization": "ada"})
        following = page.links["next"]["url"]
        other = await client.get(following, headers={"authorization": "eve"})
    assert other.status_code == 400


async def test_unserialisable_row_is_a_500(notes_url: str) -> None:
    class Short(NoteRead):
        text: Annotated[str, MaxLen(3)]  # the rows of another program have more

    class ShortCreate(NoteCreate):
        text: Annotated[str, MaxLen(3)]

    class ShortUpdate(ShortCreate, partial=True): ...

    class Every(Resource[Note]): ...

    router = notes(Every, read=Short, create=ShortCreate, update=ShortUpdate)
    async with calling(notes_app(Database(notes_url), router)) as client:
        assert await path_taken(client.get("/notes/1")) == "500 ORM"


# --- The dependencies of a resource ---------------------------------------------------------------


async def read_request(request: Request, tenant: Annotated[str, Query()] = "") -> str:
    return f"{request.url.path} {tenant}"


async def read_body(request: Request) -> bytes:
    return await request.body()


def run_in_a_thread() -> str:
    return "ada"


class CallableDependency:
    async def __call__(self) -> str:
        return "ada"


class GeneratorDependency:
    async def __call__(self) -> AsyncGenerator[str]:
        yield "ada"


async def read_with_session(session: SessionDep) -> str:
    return str(await session.scalar(select(Friend.name)))


async def set_header(response: Response) -> str:
    response.headers["x-seen"] = "ada"
    return "ada"


async def add_task(tasks: BackgroundTasks) -> str:
    tasks.add_task(len, "later")
    return "ada"


@sqlite_only
@pytest.mark.parametrize(
    ("dependency", "path"),
    [
        pytest.param(Depends(read_request), "fast", id="request"),
        pytest.param(Depends(read_body), "fast", id="body"),
        pytest.param(Depends(run_in_a_thread), "fast", id="thread"),
        pytest.param(Depends(CallableDependency()), "fast", id="object"),
        pytest.param(Depends(yielded_user), "fast", id="generator"),
        pytest.param(Depends(GeneratorDependency()), "fast", id="generator of an object"),
        pytest.param(Depends(read_with_session), "ORM", id="session"),
        pytest.param(Depends(set_header), "fast", id="response"),
        pytest.param(Depends(add_task), "fast", id="background tasks"),
        pytest.param(Depends(read_request, use_cache=False), "fast", id="not cached"),
        pytest.param(Security(read_request, scopes=["notes"]), "fast", id="security scopes"),
    ],
)
async def test_dependency_decides_the_path(notes_url: str, dependency: Any, path: str) -> None:
    class Depending(Resource[Note]):
        given: Any = dependency

    async with calling(notes_app(Database(notes_url), notes(Depending))) as client:
        change = {"text": "changed"}
        assert await path_taken(client.get("/notes/1")) == f"200 {path}"
        assert await path_taken(client.patch("/notes/1", json=change)) == f"200 {path}"
        assert await path_taken(client.patch("/notes/99", json=change)) == "404 ORM"


@sqlite_only
async def test_dependency_on_the_body_takes_the_fast_path(notes_url: str) -> None:
    async def sent(body: Annotated[dict[str, Any] | None, Body()] = None) -> str:
        return str(body)

    class Sending(Resource[Note]):
        given: Annotated[str, Depends(sent)]

    async with calling(notes_app(Database(notes_url), notes(Sending))) as client:
        body = {"data": {"text": "changed"}, "body": {}}
        assert await path_taken(client.patch("/notes/1", json=body)) == "200 fast"


@sqlite_only
async def test_overridden_session_takes_the_orm_path(notes_url: str) -> None:
    async def own_session() -> None: ...

    class Detached(Resource[Note]):
        session: Annotated[Any, Depends(own_session)]

    async with calling(notes_app(Database(notes_url), notes(Detached))) as client:
        assert await path_taken(client.get("/notes")) == "500 ORM"


@sqlite_only
async def test_router_included_before_install_takes_the_fast_path(notes_url: str) -> None:
    app = FastAPI(lifespan=Database(notes_url).lifespan)
    app.include_router(notes())
    install(app)
    async with calling(app) as client:
        request = client.get("/notes/1", headers={"authorization": "ada"})
        assert await path_taken(request) == "200 fast"


@sqlite_only
async def test_nested_request_has_its_own_user(notes_url: str) -> None:
    app = notes_app(Database(notes_url), notes())

    @app.get("/whoami")
    async def whoami(user: Annotated[str, Depends(current_user)]) -> str:
        return user

    async def handle(_: Request, __: Exception) -> Response:
        async with AsyncClient(transport=ASGITransport(app=app), base_url="http://in") as client:
            answer = await client.get("/whoami", headers={"authorization": "bob"})
        return Response(answer.content, status_code=404)

    app.add_exception_handler(Problem, handle)
    async with calling(app) as client:
        answer = await client.get("/notes/99", headers={"authorization": "ada"})
    assert answer.json() == "bob"


class Friends(Resource[Friend]):
    user: Annotated[str, Depends(current_user)]

    @override
    def query(self) -> Select[Friend]:
        return super().query().where(Friend.name == self.user)


class FriendsOfSession(Friends):
    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.session.bind


def filter_by_friends(rows: Select[Note], friends: Friends) -> Select[Note]:
    return rows.where(Note.owner.in_(friends.query().with_only_columns(Friend.owner)))


class NotesOfFriends(Resource[Note]):
    friends: Annotated[Friends, Depends()]

    @override
    def query(self) -> Select[Note]:
        return filter_by_friends(super().query(), self.friends)


class NotesOfFriendsOfSession(Resource[Note]):
    friends: Annotated[FriendsOfSession, Depends()]

    @override
    def query(self) -> Select[Note]:
        return filter_by_friends(super().query(), self.friends)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [(NotesOfFriends, "200 fast"), (NotesOfFriendsOfSession, "200 ORM")],
)
async def test_resource_can_depend_on_another_resource(
    notes_url: str, resource: type[Resource[Note]], expected: str
) -> None:
    async with calling(notes_app(Database(notes_url), notes(resource))) as client:
        client.headers["authorization"] = "ada"
        with current_user.recorded() as calls:
            assert await path_taken(client.get("/notes?limit=1")) == expected
        assert calls == ["ada"]
        assert [note["owner"] for note in (await client.get("/notes?limit=1")).json()] == ["bob"]
