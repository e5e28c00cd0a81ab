"""The fast lane of rows that are shown with those they refer to: found before they are written."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import Response
from sqlalchemy import ForeignKey, MetaData, String, insert, text, update
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship, remote

from brickwork import (
    Database,
    Model,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    Versioned,
    crud_router,
    install,
)
from brickwork.explanations import explain
from brickwork.lanes.referred import References, Referred
from brickwork.models import now
from tests.support import library
from tests.support.calls import calling
from tests.support.databases import Databases
from tests.support.library import Book, Nation, Writer
from tests.support.recording import event_listener, record_fast_path

pytestmark = [pytest.mark.anyio, pytest.mark.lanes]

MISSING: Final = str(UUID(int=999))


def key(number: int) -> str:
    return str(UUID(int=number))


async def fill(url: str, rows: dict[type[Model], Sequence[dict[str, Any]]]) -> None:
    database = Database(url)
    async with database.lifespan(None), database.session() as session:
        for model, values in rows.items():
            await session.execute(insert(model), values)


# --- The same answers ---------------------------------------------------------------------------

# Method, path, body, and whether the fast lane answers.
SCRIPT: Final[Sequence[tuple[str, str, Any, bool]]] = [
    ("POST", "/books", {"title": "a", "writer_id": key(1)}, True),
    ("POST", "/books", {"title": "b", "writer_id": key(2)}, True),
    ("POST", "/books", {"title": "c", "writer_id": None}, True),
    ("POST", "/books", {"title": "d"}, True),
    ("POST", "/books", {"title": "e", "writer_id": MISSING}, False),
    ("POST", "/books", {"title": "e", "writer_id": 1}, False),
    ("POST", "/books/batch", [{"title": "f", "writer_id": key(1)}], False),
    ("PATCH", f"/books/{key(1)}", {"title": "x"}, True),
    ("PATCH", f"/books/{key(1)}", {"title": "x"}, False),
    ("PATCH", f"/books/{key(2)}", {"title": "y"}, True),
    ("PATCH", f"/books/{key(2)}", {"title": "z", "writer_id": key(2)}, True),
    ("PATCH", f"/books/{key(1)}", {"writer_id": key(2)}, True),
    ("PATCH", f"/books/{key(1)}", {"writer_id": None}, True),
    ("PATCH", f"/books/{key(1)}", {"writer_id": None}, False),
    ("PATCH", f"/books/{key(1)}", {"writer_id": MISSING}, False),
    ("PATCH", f"/books/{MISSING}", {"title": "x"}, False),
    ("PATCH", f"/books/{MISSING}", {"writer_id": key(1)}, False),
    ("DELETE", f"/books/{key(1)}", None, False),
    ("GET", f"/books/{key(2)}", None, True),
    ("GET", "/books?limit=100", None, True),
]

FILLED: Final[dict[type[Model], Sequence[dict[str, Any]]]] = {
    Nation: [{"id": UUID(key(1)), "name": "n"}],
    Writer: [
        {"id": UUID(key(1)), "name": "w1", "nation_id": UUID(key(1))},
        {"id": UUID(key(2)), "name": "w2", "nation_id": None},
    ],
    Book: [
        {"id": UUID(key(1)), "title": "b1", "writer_id": UUID(key(1))},
        {"id": UUID(key(2)), "title": "b2", "writer_id": None},
    ],
}


async def test_both_lanes_show_what_rows_refer_to(databases: Databases, backend: str) -> None:
    seen: list[list[object]] = []
    for fast in (True, False):
        seen.append([])
        url, lanes = databases.empty(backend), list[list[bool]]()
        async with calling(shelves(url, fast=fast)) as client:
            await fill(url, FILLED)
            for method, path, body, _ in SCRIPT:
                with record_fast_path() as taken:
                    response = await client.request(method, path, json=body)
                seen[-1].append((response.status_code, masked(response.text)))
                lanes.append(taken)
        assert [each == [True] for each in lanes] == [fast and each for *_, each in SCRIPT]
    assert seen[0] == seen[1]


def shelves(url: str, **options: Any) -> FastAPI:
    app = library.create_app(url)
    app.router.lifespan_context = library.Library(url, **options).lifespan
    return app


def masked(told: str) -> str:
    """Return *told* without the keys that are made anew each time."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "KEY", told)


def name_of_writer(answer: Response) -> object:
    writer: Any = answer.json()["writer"]
    return writer and writer["name"]


async def test_whom_a_row_refers_to_may_change_while_it_is_written(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [
        update(Book).values(writer_id=UUID(key(2))),
        update(Book).values(writer_id=None),
        update(Book).values(writer_id=UUID(key(1))),
    ]
    find = References[Any].of

    async def of(self: Any, database: Database, *rest: Any) -> Referred | None:
        found = await find(self, database, *rest)
        async with database.session() as session:  # as another client, just then
            await session.execute(changes.pop(0))
        return found

    async with calling(shelves(empty_url)) as client:
        await fill(empty_url, FILLED)
        monkeypatch.setattr(References, "of", of)
        for title, writer in (("x", "w2"), ("y", None), ("z", "w1")):
            with record_fast_path() as taken:
                answer = await client.patch(f"/books/{key(1)}", json={"title": title})
            assert (answer.json()["title"], name_of_writer(answer)) == (title, writer)
            assert taken == [False]


async def test_whom_a_row_refers_to_may_be_gone_when_it_is_made(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = References[Any].of

    async def of(self: Any, database: Database, *rest: Any) -> Referred | None:
        found = await find(self, database, *rest)
        async with database.session() as session:
            await session.execute(text("DELETE FROM books"))
            await session.execute(text("DELETE FROM writers"))
        return found

    async with calling(shelves(empty_url)) as client:
        await fill(empty_url, FILLED)
        monkeypatch.setattr(References, "of", of)
        answer = await client.post("/books", json={"title": "x", "writer_id": key(1)})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/writer_id"
        assert (await client.get("/books")).json() == []


async def test_rows_that_are_made_at_once_show_each_their_own(empty_url: str) -> None:
    async with calling(shelves(empty_url)) as client:
        await fill(empty_url, FILLED)
        bodies = [{"title": f"t{n}", "writer_id": [key(1), key(2), None][n % 3]} for n in range(30)]
        with record_fast_path() as taken:
            posts = (client.post("/books", json=each) for each in bodies)
            answers = await asyncio.gather(*posts)
        assert taken == [True] * 30
        for n, each in enumerate(answers):
            assert name_of_writer(each) == ["w1", "w2", None][n % 3]
            assert (await client.get(each.headers["location"])).content == each.content


@pytest.mark.parametrize("target", [Writer, Nation])
async def test_who_listens_to_what_is_shown_is_heeded(empty_url: str, target: type[Model]) -> None:
    body = {"title": "x", "writer_id": key(1)}
    async with calling(shelves(empty_url)) as client:
        await fill(empty_url, FILLED)
        for method, path in (("POST", "/books"), ("PATCH", f"/books/{key(1)}")):
            with record_fast_path() as taken, event_listener(target, "load"):
                assert (await client.request(method, path, json=body)).is_success
            assert taken == [False]


# --- What is in its way ------------------------------------------------------------------------


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Team(Base, SoftDelete):
    __tablename__ = "teams"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Match(Base, Versioned, SoftDelete):
    """Refers to the same kind of row twice, and to some that are found in other ways."""

    __tablename__ = "matches"

    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str] = mapped_column(String(20))
    home_id: Mapped[int] = mapped_column(ForeignKey(Team.id))
    away_id: Mapped[int | None] = mapped_column(ForeignKey(Team.id))
    usual_id: Mapped[int | None] = mapped_column(ForeignKey(Team.id), server_default="1")
    moving_id: Mapped[int | None] = mapped_column(ForeignKey(Team.id), onupdate=1)
    before_id: Mapped[int | None] = mapped_column(ForeignKey("matches.id"))
    home: Mapped[Team] = relationship(foreign_keys=home_id)
    away: Mapped[Team | None] = relationship(foreign_keys=away_id)
    usual: Mapped[Team | None] = relationship(foreign_keys=usual_id)
    moving: Mapped[Team | None] = relationship(foreign_keys=moving_id)
    before: Mapped["Match | None"] = relationship(remote_side="Match.id")
    alike: Mapped[Team | None] = relationship(
        primaryjoin=lambda: foreign(Match.note) == remote(Team.name), viewonly=True
    )
    known: Mapped[Team | None] = relationship(
        primaryjoin=lambda: (
            (foreign(Match.home_id) == remote(Team.id)) & remote(Team.name).in_(["a", "b"])
        ),
        viewonly=True,
    )


class Named(ReadSchema):
    name: str


class Noted(ReadSchema):
    note: str


class MatchCreate(Schema):
    note: str
    home_id: int
    away_id: int | None = None


class MatchUpdate(MatchCreate, partial=True): ...


class Matches(Resource[Match]): ...


class Shown(ReadSchema):
    id: int
    note: str
    version: int
    home: Named | None
    away: Named | None


class Usual(Noted):
    usual: Named | None


class Moving(Noted):
    moving: Named | None


class Before(Noted):
    before: Noted | None


class Alike(Noted):
    alike: Named | None


class Known(Noted):
    known: Named | None


TEAMS: Final = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "b"}]


async def stadium(url: str, read: type[ReadSchema]) -> FastAPI:
    database = Database(url)
    async with database.writer.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await database.dispose()
    await fill(url, {Team: TEAMS})
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app)
    router = crud_router("/matches", Matches, read=read, create=MatchCreate, update=MatchUpdate)
    app.include_router(router)
    return app


async def test_a_row_may_refer_to_several(empty_url: str) -> None:
    async with calling(await stadium(empty_url, Shown)) as client:
        with record_fast_path() as taken:
            body = {"note": "x", "home_id": 1, "away_id": 2}
            made = await client.post("/matches", json=body)
            assert made.json() == {
                "id": 1,
                "note": "x",
                "version": 1,
                "home": {"name": "a"},
                "away": {"name": "b"},
            }
            changed = await client.patch(
                "/matches/1", json={"away_id": None}, headers={"If-Match": '"1"'}
            )
            assert changed.json() == {**made.json(), "version": 2, "away": None}
            assert changed.headers["etag"] == '"2"'
            stale = await client.patch(
                "/matches/1", json={"away_id": 1}, headers={"If-Match": '"1"'}
            )
            assert stale.status_code == 412
            assert (await client.delete("/matches/1")).status_code == 204
            assert (await client.patch("/matches/1", json={"note": "y"})).status_code == 404
        assert taken == [True, True, False, True, False]


async def test_a_row_that_is_deleted_is_not_shown_by_one_that_refers_to_it(empty_url: str) -> None:
    async with calling(await stadium(empty_url, Shown)) as client:
        body = {"note": "x", "home_id": 1, "away_id": 2}
        assert (await client.post("/matches", json=body)).status_code == 201
        database = Database(empty_url)
        async with database.lifespan(None), database.session() as session:
            await session.execute(update(Team).where(Team.id == 2).values(deleted_at=now()))
        with record_fast_path() as taken:
            made = await client.post("/matches", json=body)
            changed = await client.patch("/matches/1", json={"note": "y"})
        assert [made.json()["away"], changed.json()["away"]] == [None, None]
        assert changed.json()["home"] == {"name": "a"}
        assert taken == [False, False]


async def test_a_row_may_be_shown_with_one_of_several_alike(empty_url: str) -> None:
    async with calling(await stadium(empty_url, Alike)) as client:
        with record_fast_path() as taken:
            one = await client.post("/matches", json={"note": "a", "home_id": 1})
            none = await client.post("/matches", json={"note": "c", "home_id": 1})
            with pytest.warns(SAWarning, match="Multiple rows returned"):
                two = await client.post("/matches", json={"note": "b", "home_id": 1})
        shown = [each.json()["alike"] for each in (one, none, two)]
        assert shown == [{"name": "a"}, None, {"name": "b"}]
        assert taken == [True, False, False]


@pytest.mark.parametrize(
    ("read", "create", "change"),
    [
        (Shown, "fast", "fast"),
        (Usual, "ordinary, since the database makes usual_id", "fast"),
        (Moving, *["ordinary, since moving_id changes with the row"] * 2),
        (Before, *["ordinary, since Before shows rows of Match itself"] * 2),
        (Known, *["ordinary, since {} has no statement of its own for it"] * 2),
    ],
)
async def test_why_the_ordinary_lane_is_taken_is_told(
    empty_url: str, backend: str, read: type[ReadSchema], create: str, change: str
) -> None:
    app = await stadium(empty_url, read)
    told = {each.operation: each for each in explain(app, Database(empty_url), "matches")}
    assert told["POST /matches"].lane == create.format(backend)
    assert told["PATCH /matches/{id}"].lane == change.format(backend)
    assert told["DELETE /matches/{id}"].lane == "fast"
    if create == "fast":
        for operation in ("POST /matches", "PATCH /matches/{id}"):
            first, *_ = told[operation].statements
            assert "LEFT OUTER JOIN teams" in first
    async with calling(app) as client:
        answer = await client.post("/matches", json={"note": "a", "home_id": 1})
        assert answer.status_code == 201
        assert (await client.patch("/matches/1", json={"note": "b"})).json() == {
            **answer.json(),
            "note": "b",
            **({"version": 2} if read is Shown else {}),
            **({"moving": {"name": "a"}} if read is Moving else {}),
        }
