"""Resources over the tables of SQLModel."""

from collections.abc import AsyncGenerator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlmodel import Field, Relationship, SQLModel

from brickwork import (
    Database,
    Limit,
    ListQuery,
    ReadSchema,
    Resource,
    Schema,
    SortBy,
    crud_router,
    install,
)
from tests.support.bodies import create_row, get_json, patch_row, summary
from tests.support.calls import calling

pytestmark = pytest.mark.anyio


class Wearing(SQLModel, table=True):
    team_id: int = Field(foreign_key="team.id", primary_key=True)
    badge_id: int = Field(foreign_key="badge.id", primary_key=True)


class Badge(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=20)


class Rule(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    team_id: int | None = Field(default=None, foreign_key="team.id", nullable=False)
    text: str = Field(max_length=20)


class Team(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=20, unique=True)
    heroes: list["Hero"] = Relationship(back_populates="team")
    rules: list[Rule] = Relationship(
        sa_relationship_kwargs={"cascade": "all, delete-orphan", "order_by": Rule.id}
    )
    badges: list[Badge] = Relationship(link_model=Wearing)


class Hero(SQLModel, table=True):
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str = Field(index=True, max_length=50)
    age: int | None = None
    salary: Decimal = Field(default=Decimal("1.50"), max_digits=10, decimal_places=2)
    born: date | None = None
    seen_at: datetime | None = None
    rest: timedelta | None = None
    photo: bytes | None = None
    team_id: int | None = Field(default=None, foreign_key="team.id")
    team: Team | None = Relationship(back_populates="heroes")


class TeamCreate(Schema):
    name: str


class TeamUpdate(TeamCreate, partial=True): ...


class TeamRead(SQLModel):
    """A read schema of SQLModel."""

    id: int
    name: str


class HeroCreate(Schema):
    name: str
    age: int | None = None
    salary: Decimal = Decimal("1.50")
    born: date | None = None
    seen_at: datetime | None = None
    rest: timedelta | None = None
    photo: bytes | None = None
    team_id: int | None = None


class HeroUpdate(HeroCreate, partial=True): ...


class HeroRead(ReadSchema):
    id: UUID
    name: str
    age: int | None
    salary: Decimal
    born: date | None
    seen_at: datetime | None
    rest: timedelta | None
    photo: bytes | None
    team: TeamRead | None


class HeroQuery(ListQuery[Hero]):
    name__startswith: str | None = None
    age__gte: int | None = None
    salary__lt: Decimal | None = None
    seen_at__gt: datetime | None = None
    team__name: str | None = None
    sort: SortBy[Literal["name", "age", "salary"]] = None


class RuleBody(Schema):
    text: str


class FullTeamCreate(TeamCreate):
    rules: list[RuleBody]
    badge_ids: list[int]


class FullTeamUpdate(FullTeamCreate, partial=True): ...


class RuleRead(ReadSchema):
    text: str


class FullTeamRead(ReadSchema):
    id: int
    rules: Annotated[list[RuleRead], Limit(9)]
    badge_ids: Annotated[list[int], Limit(9)]


class BadgeCreate(Schema):
    name: str


class BadgeRead(ReadSchema):
    id: int


class Badges(Resource[Badge]): ...


class Heroes(Resource[Hero]): ...


class Teams(Resource[Team]): ...


HERO: dict[str, Any] = {
    "name": "Ada",
    "age": 36,
    "salary": "10.10",
    "born": "1815-12-10",
    "seen_at": "2026-01-02T03:04:05.000006Z",
    "rest": "PT30M",
    "photo": "AP8=",
}


@pytest.fixture
async def client(empty_url: str) -> AsyncGenerator[AsyncClient]:
    database = Database(empty_url)
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    schemas: dict[str, Any] = {"read": HeroRead, "create": HeroCreate, "update": HeroUpdate}
    app.include_router(crud_router("/heroes", Heroes, **schemas, query=HeroQuery))
    schemas = {"read": TeamRead, "create": TeamCreate, "update": TeamUpdate}
    app.include_router(crud_router("/teams", Teams, **schemas))
    schemas = {"read": FullTeamRead, "create": FullTeamCreate, "update": FullTeamUpdate}
    app.include_router(crud_router("/full-teams", Teams, **schemas))
    app.include_router(crud_router("/badges", Badges, read=BadgeRead, create=BadgeCreate))
    await database.create_all(SQLModel.metadata)
    async with calling(app) as client:
        yield client


async def test_related_rows_are_written_and_read(client: AsyncClient) -> None:
    for name in ("a", "b"):
        await create_row(client, "/badges", {"name": name})
    team = {"name": "A", "rules": [{"text": "one"}, {"text": "two"}], "badge_ids": [1, 2]}
    shown = {"id": 1, "rules": team["rules"], "badge_ids": [1, 2]}
    assert await create_row(client, "/full-teams", team) == shown
    assert await get_json(client, "/full-teams") == [shown]
    shown = {"id": 1, "rules": [{"text": "two"}], "badge_ids": [2]}
    changes = {"rules": shown["rules"], "badge_ids": [2]}
    assert await patch_row(client, "/full-teams/1", changes) == shown
    assert await get_json(client, "/full-teams/1") == shown


async def test_rows_are_written_and_read(client: AsyncClient) -> None:
    assert (await client.post("/teams", json={"name": "A"})).json() == {"id": 1, "name": "A"}
    created = await client.post("/heroes", json={**HERO, "team_id": 1})
    item, shown = created.headers["location"], created.json()
    assert shown == {**HERO, "id": shown["id"], "team": {"id": 1, "name": "A"}}
    assert (await client.get(item)).json() == shown
    changed = await client.patch(item, json={"salary": 5, "photo": None})
    assert changed.json() == {**shown, "salary": "5.00", "photo": None}
    replaced = (await client.put(item, json={"name": "Eve"})).json()
    assert (replaced["salary"], replaced["team"], replaced["age"]) == ("1.50", None, None)
    assert summary(await client.delete(item)) == "204"
    assert summary(await client.get(item)) == "404"


async def test_rows_are_filtered_and_sorted(client: AsyncClient) -> None:
    await client.post("/teams", json={"name": "A"})
    heroes = [
        {**HERO, "name": f"{name}", "age": age, "salary": f"{age}.05", "team_id": 1}
        for name, age in zip("abc", (9, 10, 8), strict=True)
    ]
    answer = await client.post("/heroes/batch", json=heroes)
    assert [row["name"] for row in answer.json()] == ["a", "b", "c"]

    async def names(query: str) -> list[str]:
        return [row["name"] for row in (await client.get(f"/heroes?{query}")).json()]

    assert await names("salary__lt=10&sort=-salary") == ["a", "c"]
    assert await names("age__gte=9&team__name=A&sort=age") == ["a", "b"]
    assert await names("seen_at__gt=2026-01-02T03:04:05.000005Z&sort=name") == ["a", "b", "c"]
    assert await names("name__startswith=b") == ["b"]


async def test_invalid_rows_are_rejected(client: AsyncClient) -> None:
    await client.post("/teams", json={"name": "A"})
    invalid = {
        "409 #/name not_unique": client.post("/teams", json={"name": "A"}),
        "422 #/name string_too_long": client.post("/heroes", json={"name": "a" * 51}),
        "422 #/team_id reference_not_found": client.post("/heroes", json={**HERO, "team_id": 2}),
        "422 #/salary decimal_max_places": client.post("/heroes", json={**HERO, "salary": "1.005"}),
        "422 #/name missing": client.post("/heroes", json={}),
    }
    for expected, request in invalid.items():
        assert summary(await request) == expected
    assert (await client.get("/heroes")).json() == []


async def test_key_is_stored_with_idempotency(client: AsyncClient) -> None:
    headers = {"idempotency-key": "k"}
    answers = [await client.post("/heroes", json=HERO, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len((await client.get("/heroes")).json()) == 1


class PhotoRead(SQLModel):
    photo: bytes | None


def test_bytes_need_a_schema_that_shows_base64() -> None:
    with pytest.raises(TypeError) as error:
        crud_router("/heroes", Heroes, read=PhotoRead)
    assert str(error.value) == (
        "PhotoRead.photo shows bytes as UTF-8, which most bytes are not. Let PhotoRead inherit "
        "from ReadSchema, which shows base64."
    )
