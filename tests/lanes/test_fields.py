"""The fast lane of resources with fields and scopes: everyone is asked once, and sees their own."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from itertools import product
from typing import Annotated, Any

import pytest
from annotated_types import MaxLen
from fastapi import (
    BackgroundTasks,
    Body,
    Depends,
    FastAPI,
    HTTPException,
    Query,
    Request,
    Response,
    Security,
)
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import ARRAY, Select, String, any_, bindparam, exists, literal, select
from typing_extensions import override

from brickwork import (
    Problem,
    Resource,
    Session,
    crud_router,
    install,
)
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import Databases
from tests.support.notes import (
    Book,
    Friend,
    Note,
    NoteCreate,
    NoteRead,
    NoteUpdate,
    asked,
    current_user,
    notes,
    notes_app,
    yielding,
)
from tests.support.recording import record_fast_path

pytestmark = [pytest.mark.anyio, pytest.mark.lanes]


SCRIPT: list[tuple[str, str, str | None, Any, list[bool]]] = [
    ("GET", "/notes/1", "ada", None, [True]),
    ("GET", "/notes/1", "bob", None, [False]),
    ("GET", "/notes/1", None, None, [False]),
    ("GET", "/notes/1", "nobody", None, []),
    ("GET", "/notes", "ada", None, [True]),
    ("GET", "/notes?limit=3", "bob", None, [True]),
    ("GET", "/notes?sort=-rank,text&limit=2", "bob", None, [True]),
    ("GET", "/notes?text__contains=1&rank__gte=2", "ada", None, [True]),
    ("GET", "/notes?rank__in=1,2", "ada", None, [False]),
    ("GET", "/notes?offset=2&limit=2", "ada", None, [True]),
    ("GET", "/notes?limit=3", None, None, [False]),
    ("GET", "/notes", "eve", None, [True]),
    ("POST", "/notes", "eve", {"owner": "eve", "text": "new"}, [True]),
    ("POST", "/notes", "eve", {"owner": 1, "text": "new"}, [False]),
    ("POST", "/notes", "nobody", {"owner": "eve", "text": "new"}, []),
    ("POST", "/notes", None, {"owner": "eve", "text": "new"}, [False]),
    ("POST", "/notes", None, {"owner": 1, "text": "new"}, [False]),
    ("PATCH", "/notes/1", "ada", {"text": "changed"}, [True]),
    ("PATCH", "/notes/1", "bob", {"text": "stolen"}, [False]),
    ("PATCH", "/notes/3", "ada", {"owner": "bob"}, [True]),
    ("PATCH", "/notes/3", "ada", {"text": "mine"}, [False]),
    ("PATCH", "/notes/1", "nobody", {"text": "stolen"}, []),
    ("DELETE", "/notes/1", "bob", None, [False]),
    ("DELETE", "/notes/1", "nobody", None, []),
    ("DELETE", "/notes/1", "ada", None, [True]),
    ("GET", "/notes/1", "ada", None, [False]),
    ("GET", "/notes", "bob", None, [True]),
]


@pytest.mark.parametrize("options", [{}, {"coalesce": False}], ids=["together", "alone"])
async def test_both_lanes_show_everyone_their_own(
    empty_url: str, options: Mapping[str, bool]
) -> None:
    seen: list[list[object]] = []
    for fast in (True, False):
        asked.clear()
        async with calling(notes_app(empty_url, notes(), fast=fast, **options)) as client:
            seen.append([])
            for method, path, user, body, expected in SCRIPT:
                headers = {"authorization": user} if user else {}
                with record_fast_path() as taken:
                    answer = await client.request(method, path, headers=headers, json=body)
                assert (path, user, taken) == (path, user, expected if fast else taken)
                links = {key: each["url"] for key, each in answer.links.items()}
                kept = {"etag", "vary", "location", "content-type"}
                head = {k: v for k, v in answer.headers.items() if k in kept}
                shown = summary(answer) if answer.status_code >= 400 else answer.content
                seen[-1].append((path, user, answer.status_code, head, links, shown))
        seen[-1].append([*asked])  # everyone is asked once, whichever lane it is
    assert seen[0] == seen[1]


async def test_what_is_read_together_is_each_ones_own(empty_url: str) -> None:
    async with calling(notes_app(empty_url, notes())) as client:
        wanted = [(key, user) for key in range(1, 21) for user in ("ada", "bob")] * 2
        answers = await asyncio.gather(
            *(client.get(f"/notes/{key}", headers={"authorization": user}) for key, user in wanted)
        )
    for (key, user), answer in zip(wanted, answers, strict=True):
        own = user == ("ada" if key % 2 else "bob")
        assert answer.status_code == (200 if own else 404)
        assert not own or answer.json() == {"id": key, "owner": user, "text": f"note {key}"}


async def test_what_cannot_be_compared_is_read_alone(databases: Databases) -> None:
    class Several(Resource[Note]):
        user: Annotated[str, Depends(current_user)]

        @override
        def query(self) -> Select[Note]:
            owners = literal([self.user, "eve"], ARRAY(String))
            return super().query().where(Note.owner == any_(owners))

    async with calling(notes_app(databases.empty("postgresql"), notes(Several))) as client:
        with record_fast_path() as taken:
            found = [
                (await client.get(f"/notes/{key}", headers={"authorization": "ada"})).status_code
                for key in (1, 2)
            ]
    assert (found, taken) == ([200, 404], [True, False])


async def test_a_row_that_cannot_be_shown_is_a_500(empty_url: str) -> None:
    class Short(NoteRead):
        text: Annotated[str, MaxLen(3)]

    class Every(Resource[Note]): ...

    router = crud_router("/notes", Every, read=Short, create=NoteCreate, update=NoteUpdate)
    async with calling(notes_app(empty_url, router)) as client:
        with record_fast_path() as taken:
            assert (await client.get("/notes/1")).status_code == 500
    assert taken == [False]


async def test_a_walk_through_a_scope_ends_where_it_does(empty_url: str) -> None:
    async with calling(notes_app(empty_url, notes())) as client:
        for user, keys in (("ada", [*range(1, 21, 2)]), ("bob", [*range(2, 21, 2)])):
            target, found = "/notes?limit=3", list[int]()
            while target:
                page = await client.get(target, headers={"authorization": user})
                found += [each["id"] for each in page.json()]
                target = page.links.get("next", {}).get("url", "")
                if target:
                    other = {"authorization": "eve"}
                    assert (await client.get(target, headers=other)).status_code == 400
            assert found == keys


# --- What a resource may depend on ----------------------------------------------------------------


async def counted(request: Request, tenant: Annotated[str, Query()] = "") -> str:
    asked.append(request.url.path)
    return tenant


async def reading(request: Request) -> bytes:
    return await request.body()


def in_a_thread() -> str:
    return "ada"


class Answering:
    async def __call__(self) -> str:
        return "ada"


class Yielding:
    async def __call__(self) -> AsyncGenerator[str]:
        yield "ada"


async def of_session(session: Session) -> str:
    return str(await session.scalar(select(Friend.name)))


async def answering(response: Response) -> str:
    response.headers["x-seen"] = "ada"
    return "ada"


async def later(tasks: BackgroundTasks) -> str:
    tasks.add_task(len, "later")
    return "ada"


async def sent(body: Annotated[dict[str, Any] | None, Body()] = None) -> str:
    return str(body)


async def own_session() -> AsyncGenerator[Any]:
    yield None


DEPENDENCIES: list[tuple[Any, str]] = [
    (Depends(counted), "fast"),
    (Depends(reading), "fast"),
    (Depends(in_a_thread), "fast"),
    (Depends(Answering()), "fast"),
    (Depends(yielding), "ordinary"),
    (Depends(Yielding()), "ordinary"),
    (Depends(of_session), "ordinary"),
    (Depends(answering), "ordinary"),
    (Depends(later), "ordinary"),
    (Depends(counted, use_cache=False), "ordinary"),
    (Security(counted, scopes=["notes"]), "ordinary"),
]


@pytest.mark.parametrize(
    ("dependency", "lane"), DEPENDENCIES, ids=[str(number) for number in range(len(DEPENDENCIES))]
)
async def test_a_dependency_that_only_returns_a_value_is_no_hindrance(
    empty_url: str, dependency: Any, lane: str
) -> None:
    class Depending(Resource[Note]):
        given: Any = dependency

    async with calling(notes_app(empty_url, notes(Depending))) as client:
        asked.clear()
        with record_fast_path() as taken:
            row = await client.get("/notes/1")
            changed = await client.patch("/notes/1", json={"text": "changed"})
            missing = await client.patch("/notes/99", json={"text": "changed"})
    assert [each.status_code for each in (row, changed, missing)] == [200, 200, 404], changed.text
    assert taken == ([True, True, False] if lane == "fast" else [])
    assert len(asked) == (3 if dependency.dependency is counted else 0)


async def test_a_dependency_may_read_a_part_of_the_body(empty_url: str) -> None:
    class Sending(Resource[Note]):
        given: Annotated[str, Depends(sent)]

    async with calling(notes_app(empty_url, notes(Sending))) as client:
        with record_fast_path() as taken:
            body = {"data": {"text": "changed"}, "body": {}}
            changed = await client.patch("/notes/1", json=body)
    assert (changed.status_code, taken) == (200, [])


async def test_another_session_is_left_to_the_ordinary_lane(empty_url: str) -> None:
    class Detached(Resource[Note]):
        session: Annotated[Any, Depends(own_session)]

    async with calling(notes_app(empty_url, notes(Detached))) as client:
        with record_fast_path() as taken:
            assert (await client.get("/notes")).status_code == 500
    assert taken == []


async def test_a_router_that_came_first_is_left_to_the_ordinary_lane(empty_url: str) -> None:
    app = FastAPI(lifespan=Book(empty_url).lifespan)
    app.include_router(notes())
    install(app)
    async with calling(app) as client:
        with record_fast_path() as taken:
            row = await client.get("/notes/1", headers={"authorization": "ada"})
    assert (row.status_code, taken) == (200, [])


async def test_a_request_within_another_is_asked_for_itself(empty_url: str) -> None:
    """What is known of one request is not taken for known of those that are sent meanwhile."""
    app = notes_app(empty_url, notes())

    @app.get("/whoami")
    async def whoami(user: Annotated[str, Depends(current_user)]) -> str:
        return user

    async def handle(_: Request, __: Exception) -> Response:
        async with AsyncClient(transport=ASGITransport(app=app), base_url="http://in") as client:
            answer = await client.get("/whoami", headers={"authorization": "bob"})
        return Response(answer.content, status_code=404)

    app.add_exception_handler(Problem, handle)
    async with calling(app) as client:
        with record_fast_path() as taken:
            answer = await client.get("/notes/99", headers={"authorization": "ada"})
    assert (taken, answer.json()) == ([False], "bob")


class Friends(Resource[Friend]):
    user: Annotated[str, Depends(current_user)]

    @override
    def query(self) -> Select[Friend]:
        return super().query().where(Friend.name == self.user)


def of_friends(rows: Select[Note], friends: Friends) -> Select[Note]:
    return rows.where(Note.owner.in_(friends.query().with_only_columns(Friend.owner)))


class Sharing(Resource[Note]):
    friends: Annotated[Friends, Depends()]

    @override
    def query(self) -> Select[Note]:
        return of_friends(super().query(), self.friends)


class Bound(Friends):
    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.session.bind


class Binding(Resource[Note]):
    friends: Annotated[Bound, Depends()]

    @override
    def query(self) -> Select[Note]:
        return of_friends(super().query(), self.friends)


@pytest.mark.parametrize(("resource", "lanes"), [(Sharing, [True]), (Binding, [False])])
async def test_a_resource_may_depend_on_another(
    empty_url: str, resource: type[Resource[Note]], lanes: list[bool]
) -> None:
    async with calling(notes_app(empty_url, notes(resource))) as client:
        asked.clear()
        with record_fast_path() as taken:
            answer = await client.get("/notes?limit=1", headers={"authorization": "ada"})
    assert [each["owner"] for each in answer.json()] == ["bob"]
    assert (taken, asked) == (lanes, ["ada"])


# --- What a scope may be --------------------------------------------------------------------------


class Scope(Resource[Note]):
    user: Annotated[str, Depends(current_user)]


class Joined(Scope):
    @override
    def query(self) -> Select[Note]:
        return super().query().join(Friend, Friend.owner == Note.owner)


class Related(Scope):
    @override
    def query(self) -> Select[Note]:
        return (
            super()
            .query()
            .where(exists().where(Friend.owner == Note.owner, Friend.name == self.user))
        )


class Implied(Scope):
    @override
    def query(self) -> Select[Note]:
        return super().query().where(Friend.owner == Note.owner, Friend.name == self.user)


class Listed(Scope):
    @override
    def query(self) -> Select[Note]:
        return super().query().where(Note.owner.in_([self.user, "bob"]))


class Bare(Scope):
    @override
    def query(self) -> Select[Note]:
        return select(Note)


class Named(Scope):
    @override
    def query(self) -> Select[Note]:
        own = bindparam("brickwork_own", self.user, type_=String)
        return super().query().where(Note.owner == own)


class Given(Scope):
    @override
    def query(self) -> Select[Note]:
        own = bindparam("own", type_=String)
        return super().query().where(Note.owner == own).params(own=self.user)


class Clashing(Scope):
    @override
    def query(self) -> Select[Note]:
        return super().query().where(Note.owner == bindparam("text", self.user, type_=String))


class Asking(Scope):
    @override
    def query(self) -> Select[Note]:
        self.session.info["asked"] = self.session.bind
        return super().query().where(Note.owner == self.user)


class Refusing(Scope):
    @override
    def query(self) -> Select[Note]:
        raise HTTPException(403, "Not you.")


class Either(Scope):
    @override
    def query(self) -> Select[Note]:
        rows = super().query()
        return rows if self.user == "root" else rows.where(Note.owner == self.user)


class Latest(Scope):
    @override
    def query(self) -> Select[Note]:
        return super().query().where(Note.owner == self.user, Note.rank > 1).limit(1)


class Elsewhere(Scope):
    @override
    def query(self) -> Select[Note]:
        rows = super().query().where(Note.owner == self.user)
        return rows.execution_options(schema_translate_map={"there": None})


# The lanes of a row, a list, a PATCH and a DELETE: f for the fast one.
SCOPES: list[tuple[type[Resource[Note]], str]] = [
    (Joined, "ffoo"),
    (Related, "ffff"),
    (Implied, "ffoo"),
    (Listed, "oooo"),
    (Bare, "ffff"),
    (Named, "oooo"),
    (Given, "oooo"),
    (Clashing, "oooo"),
    (Asking, "oooo"),
    (Refusing, "oooo"),
    (Either, "ffff"),
    (Latest, "fooo"),
    (Elsewhere, "oooo"),
]


@pytest.mark.parametrize(("resource", "lanes"), SCOPES, ids=[each.__name__ for each, _ in SCOPES])
async def test_a_scope_is_kept_whatever_it_is(
    empty_url: str, resource: type[Resource[Note]], lanes: str
) -> None:
    seen: list[list[object]] = []
    hits: list[str] = []
    for fast in (True, False):
        async with calling(notes_app(empty_url, notes(resource), fast=fast)) as client:
            seen.append([])
            with record_fast_path() as taken:
                for user, key in product(("ada", "eve", "bob"), (10, 13)):
                    known = {"authorization": user}
                    for answer in (
                        await client.get(f"/notes/{key}", headers=known),
                        await client.get("/notes?limit=2", headers=known),
                        await client.patch(
                            f"/notes/{key}", json={"text": f"by {user}"}, headers=known
                        ),
                        await client.delete(f"/notes/{key + 2}", headers=known),
                    ):
                        body = summary(answer) if answer.status_code >= 400 else answer.text
                        seen[-1].append((user, answer.status_code, body))
            hits.append("".join("f" if any(taken[n::4]) else "o" for n in range(4)))
    assert seen[0] == seen[1]
    assert hits == [lanes, "oooo"]
