"""Histories: one row, without earlier rows of its key."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import pytest
from fastapi import FastAPI, Header
from httpx2 import AsyncClient
from pydantic import (
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from sqlalchemy import MetaData, String, delete, insert
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import (
    Audited,
    AuditEntry,
    Database,
    Model,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    audit_entries,
    crud_router,
    install,
)
from tests.support.calls import calling
from tests.support.running import Running
from tests.support.tables import Tables

pytestmark = [pytest.mark.anyio]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Page(Base, Audited):
    """A page with a client-chosen key."""

    __tablename__ = "pages"

    slug: Mapped[str] = mapped_column(String(20), primary_key=True)
    text: Mapped[str] = mapped_column(String(20))


class Memo(Base, SoftDelete, Audited):
    """A memo, whose key SQLite reuses."""

    __tablename__ = "memos"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(20))


class PageCreate(Schema):
    slug: str
    text: str


class PageUpdate(PageCreate, partial=True): ...


class PageRead(ReadSchema):
    slug: str
    text: str


class MemoCreate(Schema):
    id: int
    text: str


class MemoUpdate(MemoCreate, partial=True): ...


class MemoRead(ReadSchema):
    id: int
    text: str


class Pages(Resource[Page]):
    """The pages, with upserts."""

    allow_upsert = True
    user: Annotated[str, Header()] = "ada"

    @override
    def actor(self) -> str:
        return self.user


class Memos(Resource[Memo]): ...


ROUTERS: Final = (
    crud_router("/pages", Pages, read=PageRead, create=PageCreate, update=PageUpdate),
    crud_router("/memos", Memos, read=MemoRead, create=MemoCreate, update=MemoUpdate),
)


def create_app(url: str) -> FastAPI:
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    """Return the URL of a database without rows."""
    return await tables.of(Base.metadata, backend)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Yield the database for direct access."""
    database = Database(url)
    yield database
    await database.dispose()


@pytest.fixture
async def client(running: Running, url: str) -> AsyncClient:
    """Return a client of the pages and the memos."""
    return await running.client(create_app, url)


async def create(client: AsyncClient, text: str, user: str = "ada", slug: str = "a") -> None:
    body = {"slug": slug, "text": text}
    response = await client.post("/pages", json=body, headers={"user": user})
    assert response.status_code == 201, response.text


async def history(client: AsyncClient, path: str = "/pages/a", query: str = "") -> list[Any]:
    """Return the action, the new text and the actor of each change, the latest first."""
    response = await client.get(f"{path}/history?{query}")
    assert response.status_code == 200, response.text
    return [
        (entry["action"], entry["changes"].get("text", {}).get("after"), entry["actor"])
        for entry in response.json()
    ]


async def test_history_of_a_reused_key_omits_the_deleted_row(client: AsyncClient) -> None:
    await create(client, "secret")
    await client.patch("/pages/a", json={"text": "secret too"})
    await client.delete("/pages/a")
    await create(client, "one", "bob")
    await client.patch("/pages/a", json={"text": "two"}, headers={"user": "bob"})

    assert await history(client) == [("update", "two", "bob"), ("create", "one", "bob")]


async def test_history_of_an_upserted_row_omits_the_deleted_row(client: AsyncClient) -> None:
    await create(client, "secret")
    await client.delete("/pages/a")
    await client.put("/pages/a", json={"slug": "a", "text": "one"}, headers={"user": "bob"})

    assert await history(client) == [("create", "one", "bob")]


async def test_history_of_a_third_row_omits_the_first_two(client: AsyncClient) -> None:
    for text in ("one", "two", "three"):
        await create(client, text)
        assert await history(client) == [("create", text, "ada")]
        await client.delete("/pages/a")
    assert (await client.get("/pages/a/history")).status_code == 404


async def test_pages_and_counts_omit_the_deleted_row(client: AsyncClient) -> None:
    await create(client, "secret")
    await client.delete("/pages/a")
    await create(client, "one")
    await client.patch("/pages/a", json={"text": "two"})
    response = await client.get("/pages/a/history?limit=1&count=exact")

    assert response.headers["x-total-count"] == "2"
    response = await client.get(response.links["next"]["url"])
    assert [entry["action"] for entry in response.json()] == ["create"]
    assert "next" not in response.links
    assert len(await history(client, query="offset=1")) == 1


async def test_rows_of_other_keys_keep_their_history(client: AsyncClient) -> None:
    await create(client, "one", slug="b")
    await create(client, "secret")
    await client.delete("/pages/a")
    await create(client, "two")

    assert await history(client, "/pages/b") == [("create", "one", "ada")]


async def test_history_omits_rows_deleted_by_a_batch(client: AsyncClient) -> None:
    rows = [{"slug": slug, "text": "secret"} for slug in "abc"]
    await client.post("/pages/batch", json=rows)
    await client.delete("/pages/batch?id=a&id=c")
    await create(client, "one")

    assert await history(client) == [("create", "one", "ada")]
    assert await history(client, "/pages/b") == [("create", "secret", "ada")]


# --- Readable values ------------------------------------------------------------------------------


class Person(Base, Audited):
    """A person with confidential columns."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    email: Mapped[str] = mapped_column(String(20))
    phone: Mapped[str] = mapped_column(String(20))
    pin: Mapped[str] = mapped_column(String(20))
    rank: Mapped[str] = mapped_column(String(20))


class PersonCreate(Schema):
    model_config = ConfigDict(validate_by_name=True)

    id: int
    name: str = Field(alias="fullName")
    email: str
    phone: str
    pin: str = Field(alias="pinCode")
    rank: str


class PersonUpdate(PersonCreate, partial=True): ...


def masked(text: str) -> str:
    return text[:1] + "…"


class PersonRead(ReadSchema):
    """A person without rank and phone; the field `rank` reads the name."""

    id: int
    rank: str = Field(validation_alias="name", serialization_alias="fullName")
    email: Annotated[str, PlainSerializer(masked)]
    phone: str = Field(exclude=True)


class Wrapped(PersonRead):
    """A person with a wrapping serializer."""

    @model_serializer(mode="wrap")
    def hide(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        shown: dict[str, Any] = handler(self)
        return {"id": shown["id"]}


class People(Resource[Person]): ...


PERSON = {
    "id": 1,
    "fullName": "Ada",
    "email": "ada@example.org",
    "phone": "555",
    "pinCode": "1234",
    "rank": "general",
}


async def changes(url: str, read: type[ReadSchema]) -> dict[str, Any]:
    """Return the changes in the first entry of a person."""
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app)
    router = crud_router("/people", People, read=read, create=PersonCreate, update=PersonUpdate)
    app.include_router(router)
    async with calling(app) as client:
        assert (await client.post("/people", json=PERSON)).status_code == 201
        (entry,) = (await client.get("/people/1/history")).json()
        shown: dict[str, Any] = entry["changes"]
        return shown


async def test_history_shows_values_of_readable_fields_only(url: str) -> None:
    assert await changes(url, PersonRead) == {
        "id": {"after": 1},
        "fullName": {"after": "Ada"},
        "email": {},
        "phone": {},
        "pinCode": {},
        "rank": {},
    }


async def test_history_hides_values_if_a_serializer_wraps_the_row(url: str) -> None:
    assert await changes(url, Wrapped) == {name: {} for name in PERSON}


# --- Soft delete ----------------------------------------------------------------------------------


async def test_restored_row_keeps_its_history(client: AsyncClient) -> None:
    await client.post("/memos", json={"id": 1, "text": "one"})
    await client.delete("/memos/1")
    await client.post("/memos/1/restore")

    assert [entry[0] for entry in await history(client, "/memos/1")] == [
        "update",
        "update",
        "create",
    ]


async def test_history_of_a_reused_key_omits_the_purged_row(client: AsyncClient) -> None:
    await client.post("/memos", json={"id": 1, "text": "secret"})
    await client.delete("/memos/1")
    await client.delete("/memos/1?purge=true")
    await client.post("/memos", json={"id": 1, "text": "one"})

    assert await history(client, "/memos/1") == [("create", "one", None)]


# --- Statements -----------------------------------------------------------------------------------


async def test_history_omits_a_row_deleted_by_a_statement(
    client: AsyncClient, database: Database
) -> None:
    await create(client, "secret")
    async with database.session() as session:
        await session.execute(delete(Page))
    await create(client, "one")

    assert await history(client) == [("create", "one", "ada")]


async def test_history_of_a_row_inserted_by_a_statement_starts_empty(
    client: AsyncClient, database: Database
) -> None:
    await create(client, "secret")
    await client.delete("/pages/a")
    async with database.session() as session:
        await session.execute(insert(Page), [{"slug": "a", "text": "one"}])

    assert await history(client) == []
    await client.patch("/pages/a", json={"text": "two"})
    assert await history(client) == [("update", "two", "ada")]


async def test_row_older_than_its_audit_has_a_history(
    client: AsyncClient, database: Database
) -> None:
    async with database.session() as session:
        await session.execute(insert(Page), [{"slug": "a", "text": "one"}])
    await client.patch("/pages/a", json={"text": "two"})

    assert await history(client) == [("update", "two", "ada")]


# --- Keys that change -----------------------------------------------------------------------------


async def rename(database: Database, old: str, new: str) -> None:
    async with database.session() as session:
        session.info["actor"] = "script"
        page = await session.get_one(Page, old)
        page.slug = new


async def test_history_of_a_renamed_row_omits_the_earlier_row(
    client: AsyncClient, database: Database
) -> None:
    await create(client, "secret", slug="b")
    await rename(database, "b", "c")
    await create(client, "one")
    await rename(database, "a", "b")
    await client.patch("/pages/b", json={"text": "two"})

    assert await history(client, "/pages/b") == [
        ("update", "two", "ada"),
        ("update", None, "script"),
    ]
    assert await history(client, "/pages/c") == [("update", None, "script")]


# --- Clocks ---------------------------------------------------------------------------------------


async def test_clock_skew_reveals_nothing_of_an_earlier_row(
    client: AsyncClient, database: Database
) -> None:
    await create(client, "secret")
    ahead = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1000)
    async with database.session() as session:
        session.add(
            AuditEntry(
                id=UUID(int=(ahead << 80) | (7 << 76) | (2 << 62)),
                table_name="pages",
                row_key="a",
                action="update",
                changes={"text": {"before": "secret", "after": "secret too"}},
            )
        )
    await client.delete("/pages/a")
    await create(client, "one")

    assert "secret" not in str(await history(client))
    async with database.session(readonly=True) as session:
        entries = audit_entries(Page, "a").order_by(AuditEntry.id.desc())
        last = (await session.scalars(entries)).first()
        assert last is not None
        assert last.action == "delete"
        assert last.id.version == 7
