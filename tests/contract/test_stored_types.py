"""Durations, times without a zone and bytes: sorted, filtered, paged and recorded."""

from datetime import datetime, timedelta
from typing import Any, Final, Literal

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import DateTime, Interval, LargeBinary, MetaData
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from brickwork import (
    Audited,
    Database,
    ListQuery,
    Model,
    NaiveUTC,
    OneOf,
    ReadSchema,
    Resource,
    Schema,
    SortBy,
    crud_router,
)
from tests.support.bodies import create_row, get_json, patch_row, summary
from tests.support.rows import pages
from tests.support.running import Running
from tests.support.shop import app_of
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio


class Base(Model):
    """The base of the model here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Visit(Audited, Base):
    __tablename__ = "visits"

    id: Mapped[int] = mapped_column(primary_key=True)
    length: Mapped[timedelta | None] = mapped_column(Interval)
    begins: Mapped[datetime | None] = mapped_column(DateTime)
    ends: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    scan: Mapped[bytes | None] = mapped_column(LargeBinary)
    details: Mapped[dict[str, Any] | None] = mapped_column(
        JSON().with_variant(JSONB(), "postgresql")
    )


class VisitCreate(Schema):
    length: timedelta | None = None
    begins: NaiveUTC | None = None
    ends: datetime | None = None
    scan: bytes | None = None
    details: dict[str, Any] | None = None


class VisitUpdate(VisitCreate, partial=True): ...


class VisitRead(ReadSchema):
    id: int
    length: timedelta | None
    begins: NaiveUTC | None
    ends: datetime | None
    scan: bytes | None
    details: dict[str, Any] | None


class VisitQuery(ListQuery[Visit]):
    length__gt: timedelta | None = None
    length__in: OneOf[timedelta] | None = None
    begins: NaiveUTC | None = None
    begins__lte: NaiveUTC | None = None
    ends__gte: datetime | None = None
    scan__isnull: bool | None = None
    sort: SortBy[Literal["length", "begins", "ends"]] = None


class Visits(Resource[Visit]): ...


router = crud_router(
    "/visits", Visits, read=VisitRead, create=VisitCreate, update=VisitUpdate, query=VisitQuery
)


def create_app(url: str) -> FastAPI:
    """Create an application of visits."""
    return app_of(Database(url), router)


@pytest.fixture
async def visits(running: Running, tables: Tables, backend: str) -> AsyncClient:
    """Return a client of visits."""
    return await running.client(create_app, await tables.of(Base.metadata, backend))


FIELDS: Final[dict[str, list[str | None]]] = {
    "length": ["-PT1S", "PT0S", "PT59M59.999999S", "P1D", "P1DT1S", "P1Y35D", None],
    "begins": ["1969-01-01T00:00:00Z", "2026-03-29T00:59:59.999999Z", "2026-03-29T01:00:00Z", None],
    "ends": ["0999-01-01T00:00:00Z", "2026-03-29T01:00:00Z", "2026-10-25T02:30:00.000001Z", None],
}


@pytest.mark.parametrize("field", [*FIELDS])
@pytest.mark.parametrize("sign", ["", "-"])
async def test_pages_are_in_the_order_of_values(visits: AsyncClient, field: str, sign: str) -> None:
    expected = FIELDS[field][:: -1 if sign else 1]
    for value in sorted(FIELDS[field], key=str):
        await create_row(visits, "/visits", {field: value})
    shown = await get_json(visits, f"/visits?sort={sign}{field}")
    found = [
        row[field]
        async for page in pages(visits, f"/visits?sort={sign}{field}&limit=2", "next")
        for row in page.json()
    ]
    assert found == [row[field] for row in shown]
    assert [row["id"] for row in shown] == [
        row["id"] for row in sorted(shown, key=lambda row: expected.index(row[field]))
    ]


async def test_filters_compare_values(visits: AsyncClient) -> None:
    rows = [
        {"length": "P1D", "begins": "2026-01-01T12:00:00Z", "scan": "AA=="},
        {"length": "PT25H", "begins": "2026-01-01T13:00:00Z", "ends": "2026-01-01T14:00:00Z"},
    ]
    one, other = [(await create_row(visits, "/visits", row))["id"] for row in rows]

    async def found(query: str) -> list[int]:
        return [row["id"] for row in await get_json(visits, f"/visits?{query}")]

    assert await found("length__gt=PT24H") == [other]
    assert await found("length__in=PT24H,PT1H") == [one]
    assert await found("begins=2026-01-01T14:00:00%2B01:00") == [other]
    assert await found("begins__lte=2026-01-01T12:30:00Z") == [one]
    assert await found("ends__gte=2026-01-01T15:00:00%2B01:00") == [other]
    assert await found("scan__isnull=true") == [other]
    assert summary(await visits.get("/visits?begins=2026-01-01T14:00:00")) == (
        "422 ?begins timezone_required"
    )
    assert summary(await visits.get("/visits?length__gt=1")) == "422 ?length__gt time_delta_parsing"


INVALID: Final[list[tuple[str, Any, str]]] = [
    ("length", 5, "time_delta_parsing"),
    ("length", "1 day", "time_delta_parsing"),
    ("length", "P1M", "time_delta_parsing"),
    ("length", "P", "time_delta_parsing"),
    ("length", "P1DT", "time_delta_parsing"),
    ("length", "P9999Y", "less_than_equal"),
    ("length", "-P1971Y", "greater_than_equal"),
    ("scan", "AA", "bytes_invalid_encoding"),
    ("scan", "AB==", "bytes_invalid_encoding"),
    ("scan", "é", "bytes_invalid_encoding"),
    ("scan", "AA==\n", "bytes_invalid_encoding"),
    ("scan", [1], "bytes_invalid_encoding"),
    ("begins", "2026-01-01T00:00:00", "timezone_required"),
    ("ends", "2026-01-01", "datetime_parsing"),
]


@pytest.mark.parametrize(("field", "value", "code"), INVALID)
async def test_other_values_are_rejected(
    visits: AsyncClient, field: str, value: Any, code: str
) -> None:
    assert summary(await visits.post("/visits", json={field: value})) == f"422 #/{field} {code}"


async def test_each_change_of_a_plain_document_is_stored(visits: AsyncClient) -> None:
    row = await create_row(visits, "/visits", {"details": {"a": 1}})
    path = f"/visits/{row['id']}"
    for value in (True, 1, {"b": [0]}, {"b": [False]}):
        changed = await patch_row(visits, path, {"details": {"a": value}})
        assert repr(changed["details"]["a"]) == repr(value)
        assert repr((await get_json(visits, path))["details"]["a"]) == repr(value)


async def test_history_has_values_as_json(visits: AsyncClient) -> None:
    row = await create_row(
        visits, "/visits", {"length": "PT1H", "scan": "/+8=", "begins": "2026-01-01T00:00:00Z"}
    )
    await patch_row(visits, f"/visits/{row['id']}", {"scan": "_-8=", "length": "PT60M"})
    (entry,) = await get_json(visits, f"/visits/{row['id']}/history")
    assert entry["changes"]["scan"] == {"after": "/+8="}
    assert entry["changes"]["length"] == {"after": "PT1H"}
    assert entry["changes"]["begins"] == {"after": "2026-01-01T00:00:00"}
