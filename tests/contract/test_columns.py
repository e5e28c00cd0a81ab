"""Columns of every supported type."""

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import pytest
from fastapi import APIRouter
from httpx2 import AsyncClient
from pydantic import HttpUrl, JsonValue, PlainSerializer
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Date,
    Double,
    Enum,
    Float,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Text,
    Time,
    TypeDecorator,
    Unicode,
    UnicodeText,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import mapped_column
from typing_extensions import override

from brickwork import (
    JSONDocument,
    ListQuery,
    Model,
    ReadSchema,
    Schema,
    SortBy,
    UTCDateTime,
    Versioned,
    crud_router,
)
from tests.support.bodies import version_tag
from tests.support.clients import Clients, remove_all
from tests.support.databases import BACKENDS, Databases
from tests.support.declaring import next_table, partial, resource_of, schema

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class OnPostgreSQL(Model):
    """Base of models with types that SQLite lacks."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Size(enum.StrEnum):
    LARGE = "L"
    MEDIUM = "M"
    SMALL = "S"


class Level(enum.IntEnum):
    LOW = 1
    MIDDLE = 2
    HIGH = 3


class Plain(TypeDecorator[str]):
    """Unchanged text."""

    impl = String(20)
    cache_ok = True


class Cents(TypeDecorator[int]):
    """A number, stored as text."""

    impl = String(20)
    cache_ok = True

    @property
    @override
    def python_type(self) -> type[int]:
        return int

    @override
    def process_bind_param(self, value: int | None, dialect: object) -> str | None:
        return None if value is None else f"{value:09d}"

    @override
    def process_result_value(self, value: str | None, dialect: object) -> int | None:
        return None if value is None else int(value)


class JSONBDocument(JSONDocument):
    """A document, stored as JSONB on PostgreSQL."""

    impl = JSONB(none_as_null=True)
    cache_ok = True


class Part(Schema):
    """A part of a document, with values that JSON has no types for."""

    at: datetime
    of: UUID
    colour: Colour = Colour.RED


KEYS: Final = [f"01890000-0000-7000-8000-00000000000{n}" for n in range(3)]
INSTANTS: Final = ["2026-01-31T10:00:00Z", "2026-01-31T10:00:00.000001Z", "2027-01-01T00:00:00Z"]
PARTS: Final = [{"at": INSTANTS[n], "of": KEYS[n], "colour": "green"} for n in range(3)]
URL: Final = Annotated[HttpUrl, PlainSerializer(str, return_type=str)]


@dataclass(frozen=True)
class Case:
    """A type of a column, the type of its field, and three sorted values."""

    kind: Any
    annotation: Any
    values: Sequence[Any]
    compared: bool = True
    ordered: bool = True
    base: Any = Base
    router: APIRouter = field(init=False)
    path: str = field(init=False)

    def __post_init__(self) -> None:
        """Declare a resource with the column."""
        table = next_table()
        optional = self.annotation | None
        filters = {"value": (optional, None), "value__ne": (optional, None)}
        sort = {"sort": (SortBy[Literal["value"]], None)}  # type: ignore[misc]
        queried = (filters if self.compared else {}) | (sort if self.ordered else {})
        columns = {
            "id": mapped_column(Integer, primary_key=True),
            "value": mapped_column(self.kind, nullable=True),
        }
        names = {"__module__": table, "__tablename__": table}
        model = type("Row", (Versioned, self.base), {**names, **columns})
        create = schema("RowCreate", value=(optional, None))
        base: Any = ListQuery
        router = crud_router(
            f"/{table}",
            resource_of(model),
            read=schema("RowRead", ReadSchema, id=int, value=optional),
            create=create,
            update=partial(create),
            query=schema("RowQuery", base[model], value__isnull=(bool | None, None), **queried),
        )
        object.__setattr__(self, "router", router)
        object.__setattr__(self, "path", f"/{table}")


CASES: Final = {
    "String": Case(String(20), str, ["", "Z", "a é"]),
    "Text": Case(Text, str, ["A", "a", "é"], ordered=False),
    "Unicode": Case(Unicode(20), str, ["A", "a", "é"]),
    "UnicodeText": Case(UnicodeText, str, ["A", "a", "é"], ordered=False),
    "String of choices": Case(String(20), Literal["a", "b", "c"], ["a", "b", "c"]),
    "String of an Enum": Case(String(20), Size, ["L", "M", "S"]),
    "String of a URL": Case(
        String(99), URL, [f"https://example.org/{n}" for n in range(3)], compared=False
    ),
    "SmallInteger": Case(SmallInteger, int, [-32768, 0, 32767]),
    "Integer": Case(Integer, int, [-(2**31), 0, 2**31 - 1]),
    "BigInteger": Case(BigInteger, int, [-(2**63), 0, 2**63 - 1]),
    "BigInteger, Integer on SQLite": Case(
        BigInteger().with_variant(Integer, "sqlite"), int, [-(2**63), 0, 2**63 - 1]
    ),
    "Integer of choices": Case(Integer, Literal[1, 2, 3], [1, 2, 3]),
    "Integer of an Enum": Case(Integer, Level, [1, 2, 3]),
    "Float": Case(Float, float, [-0.1, 0.1, 1e300]),
    "Double": Case(Double, float, [-0.1, 0.1, 1e300]),
    "Boolean": Case(Boolean, bool, [False, True, True], ordered=False),
    "Uuid": Case(Uuid, UUID, KEYS),
    "Uuid as text in the database": Case(Uuid(native_uuid=False), UUID, KEYS),
    "Date": Case(Date, date, ["0001-01-01", "2026-01-31", "9999-12-31"]),
    "Time": Case(Time, time, ["00:00:00", "12:00:00.000001", "23:59:59.999999"]),
    "UTCDateTime": Case(UTCDateTime, datetime, INSTANTS),
    "Enum": Case(Enum(Colour), Colour, ["red", "green", "blue"], ordered=False),
    "Enum of choices": Case(
        Enum("a", "b", "c", name="letters"), Literal["a", "b", "c"], ["a", "b", "c"], ordered=False
    ),
    "JSONDocument": Case(
        JSONDocument,
        dict[str, Any],
        [{"a": 1, "b": []}, {"a": True, "b": [None, {}]}, {"a": 1.5, "b": {"é": ""}}],
        compared=False,
        ordered=False,
    ),
    "JSONDocument of a list": Case(
        JSONDocument, list[Any], [[], [1, "a"], [True]], compared=False, ordered=False
    ),
    "JSONDocument of anything": Case(
        JSONDocument, JsonValue, [[], {"a": 1}, ["a"]], compared=False, ordered=False
    ),
    "JSONDocument of a schema": Case(JSONDocument, Part, PARTS, compared=False, ordered=False),
    "JSONDocument of schemas": Case(
        JSONDocument, list[Part], [PARTS[:1], PARTS, PARTS[1:]], compared=False, ordered=False
    ),
    "JSONB": Case(
        JSONBDocument,
        dict[str, Any],
        [{"a": 1}, {"a": True}, {"a": 1.5}],
        compared=False,
        ordered=False,
    ),
    "TypeDecorator": Case(Plain, str, ["A", "a", "é"]),
    "TypeDecorator of a class": Case(Cents, int, [1, 20, 300]),
    "ARRAY or JSON": Case(
        ARRAY(String(20)).with_variant(JSONDocument(), "sqlite"),
        list[str],
        [[], ["a"], ["a", "b"]],
        compared=False,
        ordered=False,
    ),
}
LISTS: Final[Mapping[str, tuple[Any, Any, Sequence[Any]]]] = {
    "ARRAY of text": (String(20), str, ["", "a", "é"]),
    "ARRAY of integers": (BigInteger, int, [0, 1, 2**63 - 1]),
    "ARRAY of floats": (Double, float, [0.5, 1.0, 1e300]),
    "ARRAY of booleans": (Boolean, bool, [True, False, True]),
    "ARRAY of UUIDs": (Uuid, UUID, KEYS),
    "ARRAY of times": (Time, time, ["00:00:00", "12:00:00.000001", "23:59:59"]),
    "ARRAY of dates": (Date, date, ["2026-01-31", "2026-02-01", "2027-01-01"]),
    "ARRAY of instants": (UTCDateTime, datetime, INSTANTS),
}
CASES_ON_POSTGRESQL: Final = {
    name: Case(
        ARRAY(kind),
        list[annotation],  # type: ignore[valid-type]
        [[], values[:1], values],
        compared=False,
        ordered=False,
        base=OnPostgreSQL,
    )
    for name, (kind, annotation, values) in LISTS.items()
}


@dataclass(frozen=True)
class KeyCase:
    """A type of a client-chosen key, the type of its field, and three sorted keys."""

    kind: Any
    annotation: Any
    keys: Sequence[Any]
    absent: Sequence[str]
    router: APIRouter = field(init=False)
    path: str = field(init=False)

    def __post_init__(self) -> None:
        """Declare a resource with the key."""
        table = next_table()
        names = {"__module__": table, "__tablename__": table}
        columns = {
            "key": mapped_column(self.kind, primary_key=True, autoincrement=False),
            "value": mapped_column(Integer),
        }
        model = type("Row", (Base,), {**names, **columns})
        create = schema("RowCreate", key=self.annotation, value=int)
        router = crud_router(
            f"/{table}",
            resource_of(model),
            read=schema("RowRead", ReadSchema, key=self.annotation, value=int),
            create=create,
            update=partial(schema("RowChange", value=int)),
        )
        object.__setattr__(self, "router", router)
        object.__setattr__(self, "path", f"/{table}")


KEY_CASES: Final = {
    "String": KeyCase(String(20), str, ["A", "a b", "é"], ["z", "a" * 21]),
    "SmallInteger": KeyCase(SmallInteger, int, [-32768, 0, 32767], ["1", "32768", "x"]),
    "BigInteger": KeyCase(BigInteger, int, [-(2**63), 0, 2**63 - 1], ["1", str(2**63), "x"]),
    "Uuid": KeyCase(Uuid, UUID, KEYS, [KEYS[0][:-1] + "9", KEYS[0].replace("-", ""), "x"]),
    "TypeDecorator": KeyCase(Plain, str, ["A", "a b", "é"], ["z", "a" * 21]),
    "TypeDecorator of a class": KeyCase(Cents, int, [1, 20, 300], ["2", "x"]),
}


class ClientsOfColumns:
    """The clients of applications with the columns of each database."""

    def __init__(self, databases: Databases, stack: AsyncExitStack) -> None:
        """Prepare the clients, which *stack* closes."""
        routers = [case.router for case in CASES.values()]
        routers += [case.router for case in KEY_CASES.values()]
        others = [case.router for case in CASES_ON_POSTGRESQL.values()]
        metadata = [Base.metadata, OnPostgreSQL.metadata]
        self._known = {
            "sqlite": Clients(databases, stack, metadata[:1], routers),
            "postgresql": Clients(databases, stack, metadata, [*routers, *others]),
        }

    async def of(self, backend: str, *, fast: bool) -> AsyncClient:
        """Return the client of the application over *backend*."""
        return await self._known[backend].of(backend, fast=fast)


@pytest.fixture(scope="module")
async def clients(templates: Databases) -> AsyncIterator[ClientsOfColumns]:
    """Yield the clients, each created at its first use."""
    databases = templates.another()
    async with AsyncExitStack() as stack:
        yield ClientsOfColumns(databases, stack)
    databases.drop()


CHOSEN: Final = [
    pytest.param(backend, fast, case, id=f"{backend}-{'fast' if fast else 'ORM'}-{name}")
    for backend in BACKENDS
    for fast in (True, False)
    for name, case in (CASES | (CASES_ON_POSTGRESQL if backend == "postgresql" else {})).items()
]
each_column = pytest.mark.parametrize(("backend", "fast", "case"), CHOSEN)


@pytest.fixture
async def client(clients: ClientsOfColumns, backend: str, fast: bool) -> AsyncClient:  # noqa: FBT001
    """Return a client of the application with every column."""
    return await clients.of(backend, fast=fast)


@each_column
async def test_a_value_is_returned_as_sent(client: AsyncClient, case: Case) -> None:
    first, second, third = case.values
    made = await client.post(case.path, json={"value": first})
    assert (made.status_code, made.json()["value"], version_tag(made)) == (201, first, '"1"')
    item = made.headers["location"]
    assert (await client.get(item)).text == made.text

    changed = await client.patch(item, json={"value": second})
    assert (changed.status_code, changed.json()["value"]) == (200, second)
    assert version_tag(changed) == '"2"'
    assert (await client.get(item)).text == changed.text

    replaced = await client.put(item, json={"value": third})
    assert (replaced.status_code, replaced.json()["value"]) == (200, third)
    assert (await client.get(item)).text == replaced.text


@each_column
async def test_an_equal_value_changes_nothing(client: AsyncClient, case: Case) -> None:
    body = {"value": case.values[1]}
    item = (await client.post(case.path, json=body)).headers["location"]
    for response in (await client.patch(item, json=body), await client.put(item, json=body)):
        assert (response.status_code, version_tag(response)) == (200, '"1"')


@each_column
async def test_a_null_is_returned(client: AsyncClient, case: Case) -> None:
    made = await client.post(case.path, json={"value": None})
    item = made.headers["location"]
    assert (made.json()["value"], (await client.get(item)).json()["value"]) == (None, None)

    await client.patch(item, json={"value": case.values[1]})
    assert (await client.patch(item, json={"value": None})).json()["value"] is None
    assert (await client.get(item)).json()["value"] is None


@each_column
async def test_the_values_of_a_batch_are_returned(client: AsyncClient, case: Case) -> None:
    sent = [*case.values, None]
    made = await client.post(f"{case.path}/batch", json=[{"value": value} for value in sent])
    assert made.status_code == 201, made.text
    keys = [row["id"] for row in made.json()]
    assert [row["value"] for row in made.json()] == sent
    assert [(await client.get(f"{case.path}/{key}")).json() for key in keys] == made.json()

    changes = [{"id": key, "value": value} for key, value in zip(keys, sent[::-1], strict=True)]
    changed = await client.patch(f"{case.path}/batch", json=changes)
    assert [row["value"] for row in changed.json()] == sent[::-1], changed.text
    assert [(await client.get(f"{case.path}/{key}")).json() for key in keys] == changed.json()


async def _values(client: AsyncClient, case: Case, **query: Any) -> list[Any]:
    response = await client.get(case.path, params={"limit": 100, **query})
    assert response.status_code == 200, response.text
    return [row["value"] for row in response.json()]


async def _refill(client: AsyncClient, case: Case) -> Sequence[Any]:
    """Replace all rows by those of the case, and return their values; the last is None."""
    await remove_all(client, case.path)
    sent = [*case.values, None]
    await client.post(f"{case.path}/batch", json=[{"value": value} for value in sent])
    return sent


@each_column
async def test_the_column_can_be_filtered(client: AsyncClient, case: Case) -> None:
    sent = await _refill(client, case)
    assert await _values(client, case, value__isnull=True) == [None]
    assert await _values(client, case, value__isnull=False) == sent[:-1]
    for value in sent[:-1] if case.compared else ():
        written = str(value).lower() if isinstance(value, bool) else value
        others = [other for other in sent if other != value]
        assert await _values(client, case, value=written) == [o for o in sent if o == value]
        assert await _values(client, case, value__ne=written) == others


@each_column
async def test_the_column_can_be_sorted(client: AsyncClient, case: Case) -> None:
    sent = await _refill(client, case)
    if not case.ordered:
        return
    for sort, wanted in (("value", sent), ("-value", sent[::-1])):
        assert await _values(client, case, sort=sort) == wanted
        found: list[Any] = []
        url: str | None = f"{case.path}?sort={sort}&limit=1"
        while url:
            page = await client.get(url)
            found += [row["value"] for row in page.json()]
            url = page.links.get("next", {}).get("url")
        assert found == wanted


@pytest.mark.parametrize("case", KEY_CASES.values(), ids=KEY_CASES.keys())
@pytest.mark.parametrize("fast", [True, False], ids=["fast", "ORM"])
async def test_a_key_of_each_type_works(client: AsyncClient, case: KeyCase) -> None:
    await remove_all(client, case.path, key="key")
    sent = [{"key": key, "value": value} for value, key in enumerate(case.keys)]
    made = await client.post(case.path, json=sent[0])
    assert (made.status_code, made.json()) == (201, sent[0])
    many = await client.post(f"{case.path}/batch", json=sent[1:])
    assert (many.status_code, many.json()) == (201, sent[1:])
    assert (await client.post(case.path, json=sent[1])).status_code == 409

    item = made.headers["location"]
    assert (await client.get(item)).json() == sent[0]
    changed = await client.patch(item, json={"value": 9})
    assert changed.json() == sent[0] | {"value": 9}
    assert (await client.put(item, json=sent[0])).json() == sent[0]
    changes = [body | {"value": 5} for body in sent]
    assert (await client.patch(f"{case.path}/batch", json=changes)).json() == changes
    assert (await client.patch(f"{case.path}/batch", json=sent)).json() == sent

    found: list[Any] = []
    url: str | None = f"{case.path}?limit=1"
    while url:
        page = await client.get(url)
        found += page.json()
        url = page.links.get("next", {}).get("url")
    assert found == sent

    for key in case.absent:
        absent = f"{case.path}/{key}"
        assert (await client.get(absent)).status_code == 404
        assert (await client.patch(absent, json={"value": 1})).status_code == 404
        assert (await client.delete(absent)).status_code == 404
    assert (await client.delete(item)).status_code == 204
    assert (await client.get(item)).status_code == 404
