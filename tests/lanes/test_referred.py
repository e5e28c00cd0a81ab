"""Rows that are shown with the rows they refer to: these are found before the write."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final
from uuid import UUID

import pytest
from fastapi import APIRouter
from httpx2 import Response
from sqlalchemy import ForeignKey, MetaData, String, text, update
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
)
from brickwork.explanations import explain
from brickwork.lanes.referred import References, Referred
from brickwork.models import now
from tests.support.calls import calling
from tests.support.databases import sqlite_only
from tests.support.library import Book, Nation, Writer
from tests.support.paths import Paths, Step
from tests.support.recording import event_listener, path_taken, record_fast_path
from tests.support.shop import app_of
from tests.support.tables import Rows, Tables

pytestmark = [pytest.mark.anyio, pytest.mark.lanes]


# --- The same answers -----------------------------------------------------------------------------

W1, W2, B1, B2, NONE = (str(UUID(int=n)) for n in (0xA1, 0xA2, 0xB1, 0xB2, 0xF))
"""The keys of writers and of books; that of no row."""

ROWS: Final[Rows] = {
    Nation: [{"id": UUID(int=1), "name": "n"}],
    Writer: [
        {"id": UUID(W1), "name": "w1", "nation_id": UUID(int=1)},
        {"id": UUID(W2), "name": "w2", "nation_id": None},
    ],
    Book: [
        {"id": UUID(B1), "title": "b1", "writer_id": UUID(W1)},
        {"id": UUID(B2), "title": "b2", "writer_id": None},
    ],
}


def post(json: Any, path: str = "/books", status: int = 201, **options: Any) -> Step:
    return Step("POST", path, json, status=status, **options)


def patch(key: str, json: Any, **options: Any) -> Step:
    return Step("PATCH", f"/books/{key}", json, **options)


STEPS: Final = [
    Step("GET", f"/books/{B1}", id="row"),
    Step("GET", f"/books/{B2}", id="row without a writer"),
    Step("GET", "/books?limit=100", id="list"),
    post({"title": "a", "writer_id": W1}, id="new with a writer"),
    post({"title": "b", "writer_id": W2}, id="new with a writer of no nation"),
    post({"title": "c", "writer_id": None}, id="new without a writer"),
    post({"title": "d"}, id="new that says nothing of a writer"),
    post({"title": "e", "writer_id": NONE}, status=422, fast=False, id="new with a missing writer"),
    post({"title": "e", "writer_id": 1}, status=422, fast=False, id="new with an odd writer"),
    post([{"title": "f", "writer_id": W1}], "/books/batch", fast=False, id="batch"),
    patch(B1, {"title": "x"}, id="change"),
    patch(B2, {"title": "y"}, id="change without a writer"),
    patch(B1, {"title": "z", "writer_id": W1}, id="change with the same writer"),
    patch(B1, {"writer_id": W2}, id="change to another writer"),
    patch(B1, {"writer_id": None}, id="change to no writer"),
    patch(B1, {"title": "b1"}, fast=False, id="no change"),
    patch(B2, {"writer_id": None}, fast=False, id="no change of no writer"),
    patch(B1, {"writer_id": NONE}, status=422, fast=False, id="change to a missing writer"),
    patch(NONE, {"title": "x"}, status=404, fast=False, id="change of a missing row"),
    patch(NONE, {"writer_id": W1}, status=404, fast=False, id="new writer of a missing row"),
    Step("DELETE", f"/books/{B1}", status=204, fast=False, id="delete"),
]


@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_book_on_each_path(library_paths: Paths, step: Step) -> None:
    together, alone, orm = await library_paths.outcomes(step, ROWS)
    assert together.status == step.status
    assert together == alone == orm
    assert [together.fast, alone.fast, orm.fast] == [step.fast, step.fast, False]


# --- Rows that change meanwhile -------------------------------------------------------------------


def writer_of(answer: Response) -> object:
    writer: Any = answer.json()["writer"]
    return writer and writer["name"]


@pytest.mark.parametrize(
    ("book", "writer", "name"),
    [
        pytest.param(B1, W2, "w2", id="another writer"),
        pytest.param(B1, None, None, id="no writer"),
        pytest.param(B2, W1, "w1", id="a writer for none"),
    ],
)
async def test_writer_that_changes_before_the_write(
    library_paths: Paths,
    monkeypatch: pytest.MonkeyPatch,
    book: str,
    writer: str | None,
    name: object,
) -> None:
    find = References[Any].of

    async def of(self: Any, database: Database, *rest: Any) -> Referred | None:
        found = await find(self, database, *rest)
        async with database.session() as session:  # as another client, just then
            await session.execute(update(Book).values(writer_id=writer and UUID(writer)))
        return found

    await library_paths.fill(ROWS)
    monkeypatch.setattr(References, "of", of)
    async with library_paths.client(library_paths.fast) as client:
        with record_fast_path() as taken:
            answer = await client.patch(f"/books/{book}", json={"title": "x"})
    assert (answer.json()["title"], writer_of(answer), taken) == ("x", name, [False])


async def test_writer_that_is_gone_before_the_write(
    library_paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = References[Any].of

    async def of(self: Any, database: Database, *rest: Any) -> Referred | None:
        found = await find(self, database, *rest)
        async with database.session() as session:
            await session.execute(text("DELETE FROM books"))
            await session.execute(text("DELETE FROM writers"))
        return found

    await library_paths.fill(ROWS)
    monkeypatch.setattr(References, "of", of)
    async with library_paths.client(library_paths.fast) as client:
        answer = await client.post("/books", json={"title": "x", "writer_id": W1})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/writer_id"
        assert (await client.get("/books")).json() == []


async def test_concurrent_rows_show_their_own_writers(library_paths: Paths) -> None:
    writers = [W1, W2, None] * 4
    await library_paths.fill(ROWS)
    async with library_paths.client(library_paths.fast) as client:
        with record_fast_path() as taken:
            bodies = ({"title": "t", "writer_id": each} for each in writers)
            posts = (client.post("/books", json=each) for each in bodies)
            answers = await asyncio.gather(*posts)
        assert taken == [True] * 12
        assert [writer_of(each) for each in answers] == ["w1", "w2", None] * 4
        for each in answers:
            assert (await client.get(each.headers["location"])).content == each.content


@sqlite_only
@pytest.mark.parametrize("target", [Writer, Nation])
async def test_listener_to_shown_rows_closes_the_fast_path(
    library_paths: Paths, target: type[Model]
) -> None:
    body = {"title": "x", "writer_id": W1}
    await library_paths.fill(ROWS)
    async with library_paths.client(library_paths.fast) as client:
        with event_listener(target, "load"):
            assert await path_taken(client.post("/books", json=body)) == "201 ORM"
            assert await path_taken(client.patch(f"/books/{B1}", json=body)) == "200 ORM"


# --- Rows that refer to several, and in other ways ------------------------------------------------


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


TEAMS: Final[Rows] = {
    Team: [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "b"}]
}


def matches(read: type[ReadSchema]) -> APIRouter:
    return crud_router("/matches", Matches, read=read, create=MatchCreate, update=MatchUpdate)


@pytest.fixture
async def database(tables: Tables, backend: str) -> AsyncGenerator[Database]:
    """A database with three teams, two of which have one name."""
    database = Database(await tables.of(Base.metadata, backend, TEAMS))
    yield database
    await database.dispose()


BOTH: Final = {"note": "x", "home_id": 1, "away_id": 2}


async def test_row_refers_to_two(database: Database) -> None:
    shown = {"id": 1, "note": "x", "home": {"name": "a"}, "away": {"name": "b"}}
    async with calling(app_of(database, matches(Shown))) as client:
        with record_fast_path() as taken:
            made = await client.post("/matches", json=BOTH)
            assert made.json() == shown | {"version": 1}
            changed = await client.patch("/matches/1", json={"away_id": None})
            assert changed.json() == shown | {"version": 2, "away": None}
            assert changed.headers["etag"] == '"2"'
        assert taken == [True, True]


@pytest.mark.parametrize(
    ("version", "expected"), [('"1"', "200 fast"), ('"2"', "412 ORM")], ids=["current", "stale"]
)
async def test_row_with_references_has_a_version(
    database: Database, version: str, expected: str
) -> None:
    async with calling(app_of(database, matches(Shown))) as client:
        await client.post("/matches", json=BOTH)
        headers = {"If-Match": version}
        request = client.patch("/matches/1", json={"away_id": None}, headers=headers)
        assert await path_taken(request) == expected


async def test_row_with_references_is_deleted(database: Database) -> None:
    async with calling(app_of(database, matches(Shown))) as client:
        await client.post("/matches", json=BOTH)
        assert await path_taken(client.delete("/matches/1")) == "204 fast"
        assert await path_taken(client.patch("/matches/1", json={"note": "y"})) == "404 ORM"


async def test_deleted_row_is_not_shown(database: Database) -> None:
    async with calling(app_of(database, matches(Shown))) as client:
        await client.post("/matches", json=BOTH)
        async with database.session() as session:
            await session.execute(update(Team).where(Team.id == 2).values(deleted_at=now()))
        with record_fast_path() as taken:
            made = await client.post("/matches", json=BOTH)
            changed = await client.patch("/matches/1", json={"note": "y"})
    assert [each.json()["home"] for each in (made, changed)] == [{"name": "a"}] * 2
    assert [each.json()["away"] for each in (made, changed)] == [None] * 2
    assert taken == [False, False]


@pytest.mark.parametrize(
    ("note", "alike", "fast"),
    [("a", {"name": "a"}, True), ("c", None, False)],
    ids=["one", "none"],
)
async def test_row_is_found_by_another_column(
    database: Database, note: str, alike: object, *, fast: bool
) -> None:
    async with calling(app_of(database, matches(Alike))) as client:
        with record_fast_path() as taken:
            made = await client.post("/matches", json={"note": note, "home_id": 1})
    assert (made.json()["alike"], taken) == (alike, [fast])


async def test_one_of_two_rows_with_the_value_is_shown(database: Database) -> None:
    async with calling(app_of(database, matches(Alike))) as client:
        with record_fast_path() as taken, pytest.warns(SAWarning, match="Multiple rows returned"):
            made = await client.post("/matches", json={"note": "b", "home_id": 1})
    assert (made.json()["alike"], taken) == ({"name": "b"}, [False])


NO_STATEMENT: Final = "ordinary, since {} has no statement of its own for it"


@pytest.mark.parametrize(
    ("read", "create", "change"),
    [
        (Shown, "fast", "fast"),
        (Usual, "ordinary, since the database makes usual_id", "fast"),
        (Moving, *["ordinary, since moving_id changes with the row"] * 2),
        (Before, *["ordinary, since Before shows rows of Match itself"] * 2),
        (Known, NO_STATEMENT, NO_STATEMENT),
    ],
)
async def test_explanation_of_references(
    database: Database, backend: str, read: type[ReadSchema], create: str, change: str
) -> None:
    app = app_of(database, matches(read))
    lanes = {each.operation: each.lane for each in explain(app, database, "matches")}
    assert lanes["POST /matches"] == create.format(backend)
    assert lanes["PATCH /matches/{id}"] == change.format(backend)
    assert lanes["DELETE /matches/{id}"] == "fast"


async def test_references_are_joined_in_the_first_statement(database: Database) -> None:
    app = app_of(database, matches(Shown))
    sent = {each.operation: each.statements for each in explain(app, database, "matches")}
    for operation in ("POST /matches", "PATCH /matches/{id}"):
        assert "LEFT OUTER JOIN teams" in sent[operation][0]


@pytest.mark.parametrize(
    ("read", "create", "change", "shown"),
    [
        (Usual, "201 ORM", "200 fast", {"usual": {"name": "a"}}),
        (Moving, "201 ORM", "200 ORM", {"moving": {"name": "a"}}),
        (Before, "201 ORM", "200 ORM", {"before": None}),
        (Known, "201 ORM", "200 ORM", {"known": {"name": "a"}}),
    ],
)
async def test_path_of_references(
    database: Database, read: type[ReadSchema], create: str, change: str, shown: Any
) -> None:
    async with calling(app_of(database, matches(read))) as client:
        new = {"note": "a", "home_id": 1}
        assert await path_taken(client.post("/matches", json=new)) == create
        assert await path_taken(client.patch("/matches/1", json={"note": "b"})) == change
        assert (await client.get("/matches/1")).json() == {"note": "b"} | shown
