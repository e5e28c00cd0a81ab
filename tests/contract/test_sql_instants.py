"""Instants and times that SQL functions set: filtered and sorted as others."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time
from itertools import product
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Literal
from urllib.parse import quote

import pytest
from httpx2 import AsyncClient
from sqlalchemy import DateTime, MetaData, Time, func, text
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import (
    Database,
    Filter,
    ListQuery,
    Model,
    NaiveUTC,
    ReadSchema,
    Resource,
    Schema,
    SortBy,
    UTCDateTime,
    crud_router,
)
from tests.support.bodies import create_row, get_json
from tests.support.both import serving_routers
from tests.support.rows import pages
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Event(Base):
    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    made: Mapped[datetime] = mapped_column(UTCDateTime, server_default=func.now())
    changed: Mapped[datetime | None] = mapped_column(DateTime, onupdate=func.now())
    at: Mapped[time | None] = mapped_column(Time, default=func.current_time())


class EventCreate(Schema): ...


class EventRead(ReadSchema):
    id: int
    made: datetime
    changed: NaiveUTC | None
    at: time | None


class EventQuery(ListQuery[Event]):
    made: Filter[datetime] = None
    changed: Filter[NaiveUTC] = None
    at: Filter[time] = None
    sort: SortBy[Literal["made", "changed", "at"]] = None


class Events(Resource[Event]): ...


INSTANTS = (
    datetime(2024, 1, 1, tzinfo=UTC),
    datetime(2024, 1, 1, 10, 0, 0, 0, UTC),
    datetime(2024, 1, 1, 10, 0, 0, 1, UTC),
    datetime(2024, 1, 1, 10, 0, 0, 500_000, UTC),
    datetime(2024, 1, 1, 10, 0, 1, 0, UTC),
)
LENGTHS = (26, 23, 19, 10)
"""How many characters SQLite stores: with microseconds, milliseconds, seconds, days alone."""


def _fits(instant: datetime, length: int) -> bool:
    """Return whether *length* characters are enough for *instant*."""
    written = instant.strftime("%Y-%m-%d %H:%M:%S.%f")
    return not written[length:].strip(" 0:.")


STORED = [pair for pair in product(INSTANTS, LENGTHS) if _fits(*pair)]


@pytest.fixture
async def client(tables: Tables, backend: str) -> AsyncIterator[AsyncClient]:
    """Yield a client of events, which SQLite stores in texts of several lengths."""
    rows = [
        {
            "id": number,
            "made": instant,
            "changed": None if number == 3 else instant.replace(tzinfo=None),
            "at": instant.time(),
        }
        for number, (instant, _) in enumerate(STORED, 1)
    ]
    database = Database(await tables.of(Base.metadata, backend, {Event: rows}))
    if backend == "sqlite":
        update = "made = substr(made, 1, :n), changed = substr(changed, 1, :n)"
        times = "at = substr(at, 1, max(:n - 11, 5))"
        async with database.writer.begin() as connection:
            for number, (_, length) in enumerate(STORED, 1):
                statement = text(f"UPDATE events SET {update}, {times} WHERE id = :id")  # noqa: S608
                await connection.execute(statement, {"n": length, "id": number})
    else:
        async with database.writer.begin() as connection:
            await connection.execute(text("SELECT setval('events_id_seq', 100)"))
    router = crud_router("/events", Events, read=EventRead, create=EventCreate, query=EventQuery)
    async with serving_routers(database, router) as client:
        yield client


COMPARISONS: dict[str, Any] = {"": eq, "__ne": ne, "__gt": gt, "__gte": ge, "__lt": lt, "__lte": le}


@pytest.mark.parametrize("name", ["made", "changed", "at"])
async def test_filters_compare_values_of_sql_functions(client: AsyncClient, name: str) -> None:
    for instant, (operator, compare) in product(INSTANTS, COMPARISONS.items()):
        value = instant.time() if name == "at" else instant
        rows = await get_json(
            client, f"/events?{name}{operator}={quote(value.isoformat())}&limit=100"
        )
        expected = [
            number
            for number, (stored, _) in enumerate(STORED, 1)
            if (name == "changed" and number == 3 and operator == "__ne")
            or (not (name == "changed" and number == 3) and compare(_value(stored, name), value))
        ]
        assert [row["id"] for row in rows] == expected, (operator, value)
    values = ",".join(_value(instant, name).isoformat() for instant in INSTANTS[1:3])
    rows = await get_json(client, f"/events?{name}__in={quote(values)}&limit=100")
    assert {row["made"] for row in rows} == {_written(instant) for instant in INSTANTS[1:3]}


def _value(instant: datetime, name: str) -> Any:
    return instant.time() if name == "at" else instant


def _written(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("name", ["made", "changed", "at"])
@pytest.mark.parametrize("sign", ["", "-"])
async def test_pages_are_in_the_order_of_instants(
    client: AsyncClient, name: str, sign: str
) -> None:
    descending = sign == "-"

    def key(pair: tuple[int, datetime]) -> tuple[bool, Any, int]:
        number, instant = pair
        is_null = name == "changed" and number == 3
        return (is_null, INSTANTS[0] if is_null else instant, number)

    numbered = [(number, instant) for number, (instant, _) in enumerate(STORED, 1)]
    expected = [number for number, _ in sorted(numbered, key=key, reverse=descending)]
    url = f"/events?sort={sign}{name}&limit=3"
    forward = [page.json() async for page in pages(client, url, "next")]
    assert [row["id"] for page in forward for row in page] == expected


async def test_instant_of_the_database_is_found_by_its_value(client: AsyncClient) -> None:
    created = await create_row(client, "/events", {})
    found = await get_json(client, f"/events?made={quote(created['made'])}")
    assert [row["id"] for row in found] == [created["id"]]
    newest = await get_json(client, "/events?sort=-made&limit=1")
    assert [row["id"] for row in newest] == [created["id"]]
