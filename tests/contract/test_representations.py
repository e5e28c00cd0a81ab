"""Representations: a 304 needs the same bytes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Annotated, Final

import pytest
from fastapi import Depends, FastAPI, Header
from httpx2 import AsyncClient
from pydantic import PlainSerializer, computed_field
from sqlalchemy import ForeignKey, MetaData, String, func, select, text
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from brickwork import (
    Database,
    Limit,
    Model,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    Versioned,
    crud_router,
    install,
)
from tests.support.bodies import version_tag
from tests.support.calls import calling
from tests.support.tables import Rows, Tables

pytestmark = [pytest.mark.anyio]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Novelist(Base, Versioned):
    """A writer of posts."""

    __tablename__ = "writers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Reply(Base, SoftDelete, Versioned):
    """A reply to a post."""

    __tablename__ = "replies"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(20))
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id"))


class Post(Base, Versioned):
    """A post with its writer and its replies."""

    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(20))
    writer_id: Mapped[int | None] = mapped_column(ForeignKey(Novelist.id, ondelete="SET NULL"))
    writer: Mapped[Novelist | None] = relationship(passive_deletes="all")
    replies: Mapped[list[Reply]] = relationship(passive_deletes="all")
    size = column_property(
        select(func.count(Reply.id))
        .where(Reply.post_id == id, Reply.deleted_at.is_(None))  # noqa: A003 — the column
        .correlate_except(Reply)
        .scalar_subquery()
    )


class Name(ReadSchema):
    name: str


class Text(ReadSchema):
    text: str


class Plain(ReadSchema):
    id: int
    title: str
    writer_id: int | None
    version: int


class WithWriter(Plain):
    writer: Name | None


class WithReplies(Plain):
    replies: Annotated[list[Text], Limit(5)]


class WithSize(Plain):
    size: int


role: Final = ContextVar("role", default="")


def for_role(title: str) -> str:
    return title if role.get() == "editor" else title[:1]


class ByRole(ReadSchema):
    id: int
    title: Annotated[str, PlainSerializer(for_role)]


class Counted(Plain):
    @computed_field
    def letters(self) -> str:
        return self.title + role.get()


class Renamed(Plain):
    """A post in a later release."""

    subtitle: str = "none"


class NameCreate(Schema):
    name: str


class NameUpdate(NameCreate, partial=True): ...


class PostCreate(Schema):
    title: str
    writer_id: int | None = None


class PostUpdate(PostCreate, partial=True): ...


class TextCreate(Schema):
    text: str
    post_id: int


class TextUpdate(TextCreate, partial=True): ...


class ReplyRead(Text):
    id: int


class NovelistRead(Name):
    id: int


class Posts(Resource[Post]): ...


class Replies(Resource[Reply]): ...


class Novelists(Resource[Novelist]): ...


async def take_role(wanted: Annotated[str, Header(alias="role")] = "") -> None:
    role.set(wanted)


def app_of(database: Database, read: type[ReadSchema]) -> FastAPI:
    """Return an application whose posts have the schema *read*."""
    app = FastAPI(lifespan=database.lifespan, dependencies=[Depends(take_role)])
    install(app)
    for router in (
        crud_router("/posts", Posts, read=read, create=PostCreate, update=PostUpdate),
        crud_router("/replies", Replies, read=ReplyRead, create=TextCreate, update=TextUpdate),
        crud_router("/writers", Novelists, read=NovelistRead, create=NameCreate, update=NameUpdate),
    ):
        app.include_router(router)
    return app


ROWS: Final[Rows] = {
    Novelist: [{"name": "Ada", "version": 1}],
    Post: [{"title": "One", "writer_id": 1, "version": 1}],
    Reply: [{"text": "Yes.", "post_id": 1, "version": 1}],
}


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
async def database(
    request: pytest.FixtureRequest, tables: Tables, backend: str
) -> AsyncIterator[Database]:
    """Yield a database with a post, its writer and a reply, on each path."""
    database = Database(await tables.of(Base.metadata, backend, ROWS), fast_path=request.param)
    yield database
    await database.dispose()


async def tag_of(client: AsyncClient, **headers: str) -> str:
    response = await client.get("/posts/1", headers=headers)
    assert response.status_code == 200, response.text
    tag: str = response.headers["etag"]
    assert version_tag(response) == '"1"'
    return tag


async def status_with(client: AsyncClient, tag: str, **headers: str) -> int:
    """Return the status of a GET of the post with *tag* in If-None-Match."""
    known = {"if-none-match": tag, **headers}
    get, head = [
        await client.request(method, "/posts/1", headers=known) for method in ("GET", "HEAD")
    ]
    assert get.status_code == head.status_code
    assert get.headers["etag"] == head.headers["etag"]
    assert (get.status_code == 304) == (get.headers["etag"] == tag)
    return get.status_code


Change = Callable[[AsyncClient, Database], Awaitable[object]]


async def rename_writer(client: AsyncClient, _: Database) -> None:
    assert (await client.patch("/writers/1", json={"name": "Eve"})).status_code == 200


async def delete_writer(client: AsyncClient, _: Database) -> None:
    assert (await client.delete("/writers/1")).status_code == 204


async def add_reply(client: AsyncClient, _: Database) -> None:
    body = {"text": "No.", "post_id": 1}
    assert (await client.post("/replies", json=body)).status_code == 201


async def delete_reply(client: AsyncClient, _: Database) -> None:
    assert (await client.delete("/replies/1")).status_code == 204


async def change_title(_: AsyncClient, database: Database) -> None:
    async with database.writer.begin() as connection:
        await connection.execute(text("UPDATE posts SET title = 'Other'"))


@pytest.mark.parametrize(
    ("read", "change"),
    [
        pytest.param(WithWriter, rename_writer, id="a row that is referred to"),
        pytest.param(WithReplies, add_reply, id="another row of a list"),
        pytest.param(WithReplies, delete_reply, id="a row of a list less"),
        pytest.param(WithSize, add_reply, id="an expression"),
        pytest.param(Plain, delete_writer, id="ON DELETE SET NULL"),
        pytest.param(Plain, change_title, id="a statement"),
        pytest.param(Counted, change_title, id="a computed field"),
    ],
)
async def test_change_without_a_new_version_is_sent(
    database: Database, read: type[ReadSchema], change: Change
) -> None:
    async with calling(app_of(database, read)) as client:
        tag = await tag_of(client)
        assert await status_with(client, tag) == 304
        await change(client, database)
        assert await status_with(client, tag) == 200
        assert await status_with(client, await tag_of(client)) == 304


@pytest.mark.parametrize("read", [ByRole, Counted])
async def test_representation_of_another_role_is_sent(
    database: Database, read: type[ReadSchema]
) -> None:
    async with calling(app_of(database, read)) as client:
        tag = await tag_of(client)
        assert await status_with(client, tag) == 304
        assert await status_with(client, tag, role="editor") == 200
        assert await status_with(client, await tag_of(client, role="editor"), role="editor") == 304


async def test_representation_of_another_release_is_sent(database: Database) -> None:
    async with calling(app_of(database, Plain)) as client:
        tag = await tag_of(client)
    async with calling(app_of(database, Renamed)) as client:
        assert await status_with(client, tag) == 200
        assert await status_with(client, await tag_of(client)) == 304


@pytest.mark.parametrize("read", [Plain, WithWriter, WithReplies, WithSize, ByRole, Counted])
async def test_write_returns_the_etag_of_a_get(database: Database, read: type[ReadSchema]) -> None:
    async with calling(app_of(database, read)) as client:
        for response in (
            await client.patch("/posts/1", json={}),
            await client.put("/posts/1", json={"title": "One", "writer_id": 1}),
            await client.delete("/posts/1", headers={"if-match": '"7"'}),
            await client.get("/posts/1", headers={"if-match": '"7"'}),
        ):
            assert response.headers["etag"] == await tag_of(client)
        for headers in ({}, {"prefer": "return=minimal"}):
            response = await client.post("/posts", json={"title": "Two"}, headers=headers)
            made = await client.get(response.headers["location"])
            assert response.headers["etag"] == made.headers["etag"]
        response = await client.patch("/posts/1", json={"title": "Two"})
        assert response.headers["etag"] == (await client.get("/posts/1")).headers["etag"]


async def test_if_match_compares_versions_instead_of_representations(database: Database) -> None:
    async with calling(app_of(database, WithWriter)) as client:
        tag = await tag_of(client)
        await rename_writer(client, database)
        own = {"if-match": tag}
        assert (await client.get("/posts/1", headers=own)).status_code == 200
        assert (await client.patch("/posts/1", json={}, headers=own)).status_code == 200
        response = await client.patch("/posts/1", json={"title": "Two"}, headers=own)
        assert (response.status_code, version_tag(response)) == (200, '"2"')
        assert response.json()["writer"] == {"name": "Eve"}
        assert (await client.patch("/posts/1", json={}, headers=own)).status_code == 412


async def test_if_none_match_compares_more_than_the_version(database: Database) -> None:
    async with calling(app_of(database, WithWriter)) as client:
        assert await status_with(client, '"1"') == 200
        assert (await client.get("/posts/1", headers={"if-none-match": "*"})).status_code == 304
        patch = await client.patch("/posts/1", json={}, headers={"if-none-match": '"1"'})
        assert patch.status_code == 412
