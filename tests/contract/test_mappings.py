"""Mappings of any base: dataclasses, other metadata, inheritance, expressions, defaults."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import pytest
from httpx2 import AsyncClient, Response
from pydantic import Field
from sqlalchemy import ARRAY, Computed, ForeignKey, MetaData, String, func, text
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    column_property,
    composite,
    mapped_column,
    synonym,
)

from brickwork import (
    Database,
    JSONDocument,
    ListQuery,
    Model,
    OneOf,
    ReadSchema,
    Resource,
    Schema,
    SortBy,
    Timestamped,
    Versioned,
    crud_router,
)
from tests.support.bodies import summary, version_tag
from tests.support.calls import calling
from tests.support.clients import Clients, clients_of, remove_all
from tests.support.databases import Databases, postgres_only
from tests.support.shop import app_of

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


# --- Other bases ----------------------------------------------------------------------------------


class Foreign(DeclarativeBase):
    """A plain declarative base."""


class Dataclass(MappedAsDataclass, DeclarativeBase):
    """A base whose models are dataclasses."""


class Account(Foreign):
    """A model with columns that the database computes."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    twice: Mapped[str] = mapped_column(Computed("name || name", persisted=True))
    state: Mapped[str] = mapped_column(
        String(9), server_default="new", onupdate=func.lower("CHANGED")
    )


class Member(Dataclass):
    """An account as a dataclass."""

    __tablename__ = "members"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str] = mapped_column(String(20))
    twice: Mapped[str] = mapped_column(Computed("name || name", persisted=True), init=False)
    state: Mapped[str] = mapped_column(
        String(9), server_default="new", onupdate=func.lower("CHANGED"), init=False
    )


class NameCreate(Schema):
    name: str


class NameUpdate(NameCreate, partial=True): ...


class NameRead(ReadSchema):
    id: int
    name: str
    twice: str
    state: str


class Accounts(Resource[Account]): ...


class Members(Resource[Member]): ...


NAMES: Final[dict[str, Any]] = {"create": NameCreate, "update": NameUpdate}
accounts = crud_router("/accounts", Accounts, read=NameRead, **NAMES)
members = crud_router("/members", Members, read=NameRead, **NAMES)


# --- Inheritance ----------------------------------------------------------------------------------


class Employee(Base, Timestamped):
    """An employee; the table has the times of every kind of employee."""

    __tablename__ = "employees"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "employee"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))


class Clerk(Employee):
    """An employee with a row in another table."""

    __tablename__ = "clerks"
    __mapper_args__ = {"polymorphic_identity": "clerk"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(ForeignKey(Employee.id), primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Paper(Base, Timestamped, Versioned):
    """A versioned paper."""

    __tablename__ = "papers"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "paper"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))


class Telegram(Paper):
    """A paper with a row in another table."""

    __tablename__ = "telegrams"
    __mapper_args__ = {"polymorphic_identity": "telegram"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(ForeignKey(Paper.id), primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class ChildRead(ReadSchema):
    id: int
    name: str
    created_at: datetime
    updated_at: datetime


class Clerks(Resource[Clerk]): ...


class Telegrams(Resource[Telegram]): ...


clerks = crud_router("/clerks", Clerks, read=ChildRead, **NAMES)
telegrams = crud_router("/telegrams", Telegrams, read=ChildRead, **NAMES)


# --- Expressions, other names, defaults -----------------------------------------------------------


@dataclass
class Place:
    """The place of a word."""

    shelf: int | None
    board: int | None


class Term(Base):
    """A word, in several forms, with columns that have defaults."""

    __tablename__ = "terms"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", JSONDocument)
    note: Mapped[str | None] = mapped_column(String(20), default="none")
    rank: Mapped[int | None] = mapped_column(server_default=text("7"))
    shelf: Mapped[int | None]
    board: Mapped[int | None]
    place: Mapped["Place"] = composite("shelf", "board")
    label: Mapped[str] = synonym("name")
    loud: Mapped[str] = column_property(func.upper(name, type_=String(20)))

    @hybrid_property
    def quiet(self) -> str:
        """Return the word in lower case."""
        return self.name.lower()

    @quiet.inplace.expression
    @classmethod
    def _quiet(cls) -> Any:
        return func.lower(cls.name, type_=String(20))

    @hybrid_property
    def title(self) -> str:
        """Return the word."""
        return self.name

    @title.inplace.setter
    def _set_title(self, title: str) -> None:
        self.name = title


class TermCreate(Schema):
    name: str
    metadata_: dict[str, Any] | None = Field(None, alias="metadata")
    note: str | None = None
    rank: int | None = None
    shelf: int | None = None


class TermUpdate(TermCreate, partial=True): ...


class PlaceRead(ReadSchema):
    shelf: int | None
    board: int | None


class TermRead(ReadSchema):
    id: int
    name: str
    metadata_: dict[str, Any] | None = Field(serialization_alias="metadata")
    note: str | None
    rank: int | None
    place: PlaceRead
    loud: str
    quiet: str
    title: str
    label: str


class TermQuery(ListQuery[Term]):
    loud: str | None = None
    loud__in: OneOf[str] | None = None
    quiet__startswith: str | None = None
    label: str | None = None
    sort: SortBy[Literal["loud", "label"]] = None


class Terms(Resource[Term]): ...


terms = crud_router(
    "/terms", Terms, read=TermRead, create=TermCreate, update=TermUpdate, query=TermQuery
)


class TitleCreate(Schema):
    title: str


class TitleUpdate(TitleCreate, partial=True): ...


class Titled(Resource[Term]): ...


class Labels(Resource[Term]): ...


class LabelCreate(Schema):
    label: str


class LabelUpdate(LabelCreate, partial=True): ...


titles = crud_router("/titles", Titled, read=TermRead, create=TitleCreate, update=TitleUpdate)
labels = crud_router("/labels", Labels, read=TermRead, create=LabelCreate, update=LabelUpdate)

BASES: Final = (Foreign, Dataclass, Base)
ROUTERS: Final = (accounts, members, clerks, telegrams, terms, titles, labels)


@pytest.fixture(scope="module")
async def clients(templates: Databases) -> AsyncIterator[Clients]:
    """Yield the clients, each created at its first use."""
    async with clients_of(templates, [base.metadata for base in BASES], ROUTERS) as clients:
        yield clients


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
async def client(request: pytest.FixtureRequest, clients: Clients, backend: str) -> AsyncClient:
    """Return a client of the application with every mapping."""
    return await clients.of(backend, fast=request.param)


async def created(client: AsyncClient, path: str, **body: Any) -> tuple[str, dict[str, Any]]:
    """Return the path and the representation of a new row."""
    response = await client.post(path, json=body)
    assert response.status_code == 201, response.text
    return response.headers["location"], response.json()


def shown(response: Response) -> dict[str, Any]:
    """Return the row in *response* without its key."""
    assert response.status_code == 200, response.text
    row: dict[str, Any] = response.json()
    return {name: value for name, value in row.items() if name != "id"}


@pytest.mark.parametrize("path", ["/accounts", "/members"])
async def test_columns_computed_by_the_database_are_returned(
    client: AsyncClient, path: str
) -> None:
    item, row = await created(client, path, name="a")
    assert (row["twice"], row["state"]) == ("aa", "new")
    for method, name in (("PUT", "b"), ("PATCH", "c")):
        changed = await client.request(method, item, json={"name": name})
        assert shown(changed) == {"name": name, "twice": name * 2, "state": "changed"}
        assert (await client.get(item)).text == changed.text

    many = await client.post(f"{path}/batch", json=[{"name": "d"}, {"name": "e"}])
    assert [row["twice"] for row in many.json()] == ["dd", "ee"]
    changes = [{"id": row["id"], "name": "f"} for row in many.json()]
    changed = await client.patch(f"{path}/batch", json=changes)
    assert [(row["twice"], row["state"]) for row in changed.json()] == [("ff", "changed")] * 2


@pytest.mark.parametrize("path", ["/clerks", "/telegrams"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_change_in_a_subclass_table_changes_updated_at(
    client: AsyncClient, path: str, method: str
) -> None:
    item, row = await created(client, path, name="a")
    assert row["updated_at"] == row["created_at"]
    changed = await client.request(method, item, json={"name": "b"})
    assert changed.json()["updated_at"] > row["updated_at"]
    assert (await client.get(item)).text == changed.text
    assert (await client.request(method, item, json={"name": "b"})).text == changed.text


async def test_a_change_in_a_subclass_table_increments_the_version(client: AsyncClient) -> None:
    item, _ = await created(client, "/telegrams", name="a")
    changed = await client.patch(item, json={"name": "b"}, headers={"if-match": '"1"'})
    assert (changed.status_code, version_tag(changed)) == (200, '"2"')
    stale = await client.patch(item, json={"name": "c"}, headers={"if-match": '"1"'})
    assert summary(stale) == "412"


# --- Nulls and defaults ---------------------------------------------------------------------------


async def test_a_null_is_stored_in_place_of_a_default(client: AsyncClient) -> None:
    item, row = await created(client, "/terms", name="a", note=None, rank=None)
    assert (row["note"], row["rank"]) == (None, None)
    assert (await client.get(item)).json() == row


async def test_an_omitted_field_has_the_column_default(
    client: AsyncClient,
) -> None:
    item, row = await created(client, "/terms", name="a")
    assert (row["note"], row["rank"]) == ("none", 7)
    assert (await client.get(item)).json() == row


async def test_a_batch_may_have_nulls_and_defaults(client: AsyncClient) -> None:
    items = [{"name": "a", "note": None}, {"name": "b"}, {"name": "c", "rank": None}]
    rows = (await client.post("/terms/batch", json=items)).json()
    assert [(row["note"], row["rank"]) for row in rows] == [
        (None, 7),
        ("none", 7),
        ("none", None),
    ]


# --- Names and expressions ------------------------------------------------------------------------


async def test_a_column_may_be_called_metadata(client: AsyncClient) -> None:
    item, row = await created(client, "/terms", name="a", metadata={"a": 1})
    assert row["metadata"] == {"a": 1}
    changed = await client.patch(item, json={"metadata": {"b": 2}})
    assert changed.json()["metadata"] == {"a": 1, "b": 2}
    assert (await client.get(item)).json()["metadata"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(("path", "name"), [("/titles", "title"), ("/labels", "label")])
async def test_synonyms_and_hybrids_can_be_written(
    client: AsyncClient, path: str, name: str
) -> None:
    item, row = await created(client, path, **{name: "Ab"})
    assert (row["name"], row["title"], row["label"], row["quiet"]) == ("Ab", "Ab", "Ab", "ab")
    for method in ("PATCH", "PUT"):
        changed = await client.request(method, item, json={name: method})
        assert changed.json()["name"] == method
        assert (await client.get(item)).json()["name"] == method


async def test_a_synonym_has_the_length_limit_of_its_column(client: AsyncClient) -> None:
    assert summary(await client.post("/labels", json={"label": "a" * 21})) == (
        "422 #/label string_too_long"
    )


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("loud=AB", ["aB"]),
        ("loud__in=AB,C", ["c", "aB"]),
        ("quiet__startswith=ab", ["aB"]),
        ("label=c", ["c"]),
        ("label=a", []),
        ("sort=-loud", ["Ö", "c", "aB"]),
        ("sort=label", ["aB", "c", "Ö"]),
    ],
)
async def test_an_expression_can_be_filtered_and_sorted(
    client: AsyncClient, query: str, names: list[str]
) -> None:
    await remove_all(client, "/terms")
    await client.post("/terms/batch", json=[{"name": name} for name in ("c", "aB", "Ö")])

    assert [row["name"] for row in (await client.get(f"/terms?{query}")).json()] == names
    found: list[str] = []
    url: str | None = f"/terms?{query}&limit=1"
    while url:
        page = await client.get(url)
        found += [row["name"] for row in page.json()]
        url = page.links.get("next", {}).get("url")
    assert found == names


async def test_a_composite_is_returned(client: AsyncClient) -> None:
    item, row = await created(client, "/terms", name="a", shelf=1)
    assert row["place"] == {"shelf": 1, "board": None}
    changed = await client.patch(item, json={"shelf": 2})
    assert changed.json()["place"] == {"shelf": 2, "board": None}
    assert (await client.get(item)).json()["place"] == {"shelf": 2, "board": None}


# --- Tables ---------------------------------------------------------------------------------------


@postgres_only
async def test_tables_may_be_in_a_schema(empty_url: str) -> None:
    class Apart(Model):
        __abstract__ = True
        metadata = MetaData(schema="apart")

    class Brick(Apart):
        __tablename__ = "bricks"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(20))

    class Stone(Apart):
        __tablename__ = "stones"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(20))

    class Bricks(Resource[Brick]): ...

    class Stones(Resource[Stone]): ...

    class Read(ReadSchema):
        id: int
        name: str

    routers = (
        crud_router("/bricks", Bricks, read=Read, **NAMES),
        crud_router("/stones", Stones, read=Read, **NAMES),
    )
    assert {*Apart.metadata.tables} == {
        "apart.bricks",
        "apart.stones",
        "idempotency_keys",
        "import_positions",
    }
    database = Database(empty_url)
    async with database.session() as session:
        await session.execute(text("CREATE SCHEMA apart"))
    await database.create_all(Apart.metadata)
    async with calling(app_of(database, *routers)) as client:
        for path in ("/bricks", "/stones"):
            sent = [
                await client.post(path, json={"name": "a"}, headers={"idempotency-key": path})
                for _ in range(2)
            ]
            assert [response.status_code for response in sent] == [201, 201]
            assert "idempotency-replayed" in sent[1].headers
            assert (await client.get(path)).json() == [{"id": 1, "name": "a"}]


@postgres_only
async def test_an_array_item_has_the_length_limit_of_its_column(empty_url: str) -> None:
    class Other(Model):
        __abstract__ = True
        metadata = MetaData()

    class Tagged(Other):
        __tablename__ = "tagged"
        id: Mapped[int] = mapped_column(primary_key=True)
        tags: Mapped[list[str]] = mapped_column(ARRAY(String(10)))

    class TaggedCreate(Schema):
        tags: list[str]

    class TaggedUpdate(TaggedCreate, partial=True): ...

    class TaggedRead(ReadSchema):
        tags: list[str]

    class Tags(Resource[Tagged]): ...

    database = Database(empty_url)
    router = crud_router("/tags", Tags, read=TaggedRead, create=TaggedCreate, update=TaggedUpdate)
    await database.create_all(Other.metadata)
    async with calling(app_of(database, router)) as client:
        long = await client.post("/tags", json={"tags": ["a" * 10, "a" * 11]})
        assert summary(long) == "422 #/tags/1 string_too_long"
        assert (await client.post("/tags", json={"tags": ["a" * 10]})).status_code == 201
