"""Batches in the transaction of their dependencies."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, Header, Request
from httpx2 import AsyncClient
from sqlalchemy import ForeignKey, MetaData, Select, String, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import Database, Model, ReadSchema, Resource, Schema, SessionDep, crud_router
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import Databases, postgres_only
from tests.support.notes import notes_app
from tests.support.tables import Rows, Tables, insert_rows

pytestmark = pytest.mark.anyio

KEY = {"idempotency-key": "one"}


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Visit(Base):
    """A visit, written by a dependency."""

    __tablename__ = "visits"

    id: Mapped[int] = mapped_column(primary_key=True)


class Crew(Base):
    __tablename__ = "crews"

    name: Mapped[str] = mapped_column(String(10), primary_key=True)


class Seat(Base):
    """A seat of a team; no two have the same number."""

    __tablename__ = "seats"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    team: Mapped[str] = mapped_column(ForeignKey(Crew.name))


class SeatCreate(Schema):
    number: int
    team: str = "a"


class SeatUpdate(SeatCreate, partial=True): ...


class SeatRead(ReadSchema):
    id: int
    number: int
    team: str


ROWS: Rows = {
    Crew: [{"name": "a"}, {"name": "b"}],
    Seat: [{"number": number, "team": "a"} for number in (1, 2, 3)],
}

SHIFT = [{"id": 2, "number": 9}, {"id": 1, "number": 2}]
"""Two changes that succeed only in this order."""


async def visit(request: Request, session: SessionDep) -> None:
    """Write a visit in the transaction of the request."""
    if request.method != "GET":
        session.add(Visit())
        await session.flush()


class Seats(Resource[Seat]):
    visit: Annotated[None, Depends(visit)]


def seats(resource: type[Resource[Seat]] = Seats) -> APIRouter:
    return crud_router("/seats", resource, read=SeatRead, create=SeatCreate, update=SeatUpdate)


@pytest.fixture
async def database(tables: Tables, backend: str) -> AsyncIterator[Database]:
    """Yield a database with three seats of the team a."""
    seats()  # which adds tables of its own
    database = Database(await tables.of(Base.metadata, backend, ROWS))
    yield database
    await database.dispose()


@pytest.fixture
async def client(database: Database) -> AsyncIterator[AsyncClient]:
    """Yield a client whose requests write visits."""
    async with calling(notes_app(database, seats())) as client:
        yield client


async def count_visits(database: Database) -> int:
    async with database.session(readonly=True) as session:
        return await session.scalar(select(func.count(Visit.id))) or 0


async def seat_numbers(client: AsyncClient) -> list[int]:
    response = await client.get("/seats", headers={"team": "a"})
    return [seat["number"] for seat in response.json()]


async def test_retried_batch_keeps_the_writes_of_a_dependency(
    client: AsyncClient, database: Database
) -> None:
    assert summary(await client.patch("/seats/batch", json=SHIFT)) == "200"
    assert await seat_numbers(client) == [2, 9, 3]
    assert await count_visits(database) == 1
    assert database.retries == 0


async def test_rejected_batch_rolls_back_the_writes_of_a_dependency(
    client: AsyncClient, database: Database
) -> None:
    batch = [*SHIFT, {"id": 3, "number": 9}]
    assert summary(await client.patch("/seats/batch", json=batch)) == "409 #/2/number not_unique"
    assert await seat_numbers(client) == [1, 2, 3]
    assert await count_visits(database) == 0


async def test_retried_batch_is_replayed(client: AsyncClient) -> None:
    first = await client.patch("/seats/batch", json=SHIFT, headers=KEY)
    again = await client.patch("/seats/batch", json=SHIFT, headers=KEY)

    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"


async def set_team(session: SessionDep, team: Annotated[str, Header()]) -> None:
    """Set the team of the transaction."""
    await session.execute(text("SELECT set_config('app.team', :team, true)"), {"team": team})


class OfTeam(Resource[Seat]):
    """The seats of the team that is set in the transaction."""

    team: Annotated[None, Depends(set_team)]

    @override
    def query(self) -> Select[Seat]:
        return super().query().where(Seat.team == func.current_setting("app.team", true()))


@postgres_only
async def test_setting_of_a_dependency_applies_to_each_item(database: Database) -> None:
    async with calling(notes_app(database, seats(OfTeam))) as client:
        client.headers["team"] = "a"
        assert summary(await client.patch("/seats/batch", json=SHIFT)) == "200"
        batch = [{"id": 1, "number": 4}, {"id": 2, "number": 5}, {"id": 3, "team": "b"}]
        assert summary(await client.patch("/seats/batch", json=batch)) == "403 #/2 forbidden"
        assert await seat_numbers(client) == [2, 9, 3]


async def test_reference_is_looked_up_in_the_database_of_the_session(
    database: Database, databases: Databases, backend: str
) -> None:
    other = Database(databases.empty(backend))
    await other.create_all(Base.metadata)
    await insert_rows(other, {Crew: [{"name": "z"}]})

    async def session_of() -> AsyncGenerator[AsyncSession]:
        async with other.session() as session:
            yield session

    class Elsewhere(Resource[Seat]):
        session: Annotated[AsyncSession, Depends(session_of, scope="function")]

    batch = [{"number": n, "team": team} for n, team in enumerate("zaz", start=1)]
    async with calling(notes_app(database, seats(Elsewhere))) as client:
        response = await client.post("/seats/batch", json=batch)
        assert summary(response) == "422 #/1/team reference_not_found"
        one, two = (await client.post("/seats/batch", json=batch[::2])).json()
        changes = [{"id": one["id"], "number": 7}, {"id": two["id"], "team": "a"}]
        response = await client.patch("/seats/batch", json=changes)
        assert summary(response) == "422 #/1/team reference_not_found"
    await other.dispose()


async def test_reference_to_an_earlier_item_is_found(database: Database) -> None:
    class Founding(Resource[Seat]):
        @override
        async def create(self, row: Seat, /) -> None:
            if row.number == 4:
                self.session.add(Crew(name=row.team))
                await self.session.flush()
            await super().create(row)

    batch = [{"number": 4, "team": "new"}, {"number": 5, "team": "new"}, {"number": 6, "team": "x"}]
    async with calling(notes_app(database, seats(Founding))) as client:
        response = await client.post("/seats/batch", json=batch)
        assert summary(response) == "422 #/2/team reference_not_found"
        assert summary(await client.post("/seats/batch", json=batch[:2])) == "201"
