"""Embedded rows that the fast path joins."""

from collections.abc import AsyncGenerator
from typing import Any, Final

import pytest
from fastapi import APIRouter
from sqlalchemy import ForeignKey, MetaData, String, update
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
from brickwork.cli.explain import explain_resource
from brickwork.models.model import now
from tests.support.bodies import version_tag
from tests.support.calls import calling
from tests.support.recording import path_taken, record_fast_path
from tests.support.shop import app_of
from tests.support.tables import Rows, Tables

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Team(Base, SoftDelete):
    __tablename__ = "teams"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Match(Base, Versioned, SoftDelete):
    """A row with several relationships to teams, and one to itself."""

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


def match_router(read: type[ReadSchema]) -> APIRouter:
    return crud_router("/matches", Matches, read=read, create=MatchCreate, update=MatchUpdate)


@pytest.fixture
async def database(tables: Tables, backend: str) -> AsyncGenerator[Database]:
    """Return a database with three teams, two of them with the same name."""
    database = Database(await tables.of(Base.metadata, backend, TEAMS))
    yield database
    await database.dispose()


BOTH: Final = {"note": "x", "home_id": 1, "away_id": 2}


async def test_row_embeds_two_references(database: Database) -> None:
    shown = {"id": 1, "note": "x", "home": {"name": "a"}, "away": {"name": "b"}}
    async with calling(app_of(database, match_router(Shown))) as client:
        with record_fast_path() as taken:
            made = await client.post("/matches", json=BOTH)
            assert made.json() == shown | {"version": 1}
            changed = await client.patch("/matches/1", json={"away_id": None})
            assert changed.json() == shown | {"version": 2, "away": None}
            assert version_tag(changed) == '"2"'
        assert taken == [True, True]


@pytest.mark.parametrize(
    ("version", "expected"), [('"1"', "200 fast"), ('"2"', "412 ORM")], ids=["current", "stale"]
)
async def test_if_match_applies_to_a_row_with_references(
    database: Database, version: str, expected: str
) -> None:
    async with calling(app_of(database, match_router(Shown))) as client:
        await client.post("/matches", json=BOTH)
        headers = {"If-Match": version}
        request = client.patch("/matches/1", json={"away_id": None}, headers=headers)
        assert await path_taken(request) == expected


async def test_row_with_references_is_deleted(database: Database) -> None:
    async with calling(app_of(database, match_router(Shown))) as client:
        await client.post("/matches", json=BOTH)
        assert await path_taken(client.delete("/matches/1")) == "204 fast"
        assert await path_taken(client.patch("/matches/1", json={"note": "y"})) == "404 ORM"


async def test_soft_deleted_reference_is_not_embedded(database: Database) -> None:
    async with calling(app_of(database, match_router(Shown))) as client:
        await client.post("/matches", json=BOTH)
        async with database.session() as session:
            await session.execute(update(Team).where(Team.id == 2).values(deleted_at=now()))
        with record_fast_path() as taken:
            made = await client.post("/matches", json=BOTH)
            changed = await client.patch("/matches/1", json={"note": "y"})
    assert [response.json()["home"] for response in (made, changed)] == [{"name": "a"}] * 2
    assert [response.json()["away"] for response in (made, changed)] == [None] * 2
    assert taken == [False, False]


@pytest.mark.parametrize(
    ("note", "alike", "fast"),
    [("a", {"name": "a"}, True), ("c", None, False)],
    ids=["one", "none"],
)
async def test_reference_by_another_column_is_embedded(
    database: Database, note: str, alike: object, *, fast: bool
) -> None:
    async with calling(app_of(database, match_router(Alike))) as client:
        with record_fast_path() as taken:
            made = await client.post("/matches", json={"note": note, "home_id": 1})
    assert (made.json()["alike"], taken) == (alike, [fast])


async def test_ambiguous_reference_takes_the_orm_path(database: Database) -> None:
    async with calling(app_of(database, match_router(Alike))) as client:
        with record_fast_path() as taken, pytest.warns(SAWarning, match="Multiple rows returned"):
            made = await client.post("/matches", json={"note": "b", "home_id": 1})
    assert (made.json()["alike"], taken) == ({"name": "b"}, [False])


NO_STATEMENT: Final = "ORM path, since {} has no statement of its own for it"


@pytest.mark.parametrize(
    ("read", "create", "change"),
    [
        (Shown, "fast path", "fast path"),
        (Usual, "ORM path, since the database generates usual_id", "fast path"),
        (Moving, *["ORM path, since moving_id has an onupdate default"] * 2),
        (Before, *["ORM path, since Before embeds rows of Match itself"] * 2),
        (Known, NO_STATEMENT, NO_STATEMENT),
    ],
)
async def test_explain_gives_the_reason_for_the_orm_path(
    database: Database, backend: str, read: type[ReadSchema], create: str, change: str
) -> None:
    app = app_of(database, match_router(read))
    paths = {plan.operation: plan.path for plan in explain_resource(app, database, "matches")}
    assert paths["POST /matches"] == create.format(backend)
    assert paths["PATCH /matches/{id}"] == change.format(backend)
    assert paths["DELETE /matches/{id}"] == "fast path"


async def test_references_are_joined_in_the_first_statement(database: Database) -> None:
    app = app_of(database, match_router(Shown))
    sent = {plan.operation: plan.statements for plan in explain_resource(app, database, "matches")}
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
async def test_references_take_the_expected_path(
    database: Database, read: type[ReadSchema], create: str, change: str, shown: Any
) -> None:
    async with calling(app_of(database, match_router(read))) as client:
        new = {"note": "a", "home_id": 1}
        assert await path_taken(client.post("/matches", json=new)) == create
        assert await path_taken(client.patch("/matches/1", json={"note": "b"})) == change
        assert (await client.get("/matches/1")).json() == {"note": "b"} | shown
