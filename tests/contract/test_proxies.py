"""Association proxies: values of related rows, read, filtered and created."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from httpx2 import AsyncClient
from pydantic import Field
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import Mapped, mapped_column, relationship

from brickwork import (
    Limit,
    ListQuery,
    Model,
    OneOf,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    Versioned,
    crud_router,
)
from tests.support.bodies import summary
from tests.support.clients import Clients, clients_of, remove_all
from tests.support.databases import Databases
from tests.support.recording import statements

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Author(Base):
    """An author, with a deferred column."""

    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))
    born: Mapped[int | None] = mapped_column(deferred=True)


class Tag(Base, SoftDelete):
    """A tag of posts."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10), deferred=True)


links = Table(
    "links",
    Base.metadata,
    Column("post_id", Integer, ForeignKey("posts.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", Integer, ForeignKey("tags.id"), primary_key=True),
)


def new_tag(name: str) -> Tag:
    """Return a new tag."""
    return Tag(name=name)


def new_author(name: str) -> Author:
    """Return a new author."""
    return Author(name=name)


class Review(Base):
    """A review of a post by an author."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    stars: Mapped[int]
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id", ondelete="CASCADE"))
    author_id: Mapped[int] = mapped_column(ForeignKey(Author.id))
    author: Mapped[Author] = relationship()


class Post(Base, Versioned):
    """A post, with values of related rows."""

    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(20))
    author_id: Mapped[int | None] = mapped_column(ForeignKey(Author.id))
    author: Mapped[Author | None] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=links, order_by=Tag.name, passive_deletes=True)
    reviews: Mapped[list[Review]] = relationship(order_by=Review.id, passive_deletes=True)
    tag_names: AssociationProxy[list[str]] = association_proxy("tags", "name", creator=new_tag)
    author_name: AssociationProxy[str | None] = association_proxy(
        "author", "name", creator=new_author
    )
    author_born: AssociationProxy[int | None] = association_proxy("author", "born")
    reviewers: AssociationProxy[list[Author]] = association_proxy("reviews", "author")


class AuthorRead(ReadSchema):
    name: str
    born: int | None


class PostRead(ReadSchema):
    id: int
    title: str
    tag_names: list[str]
    author_name: str | None
    author_born: int | None
    reviewers: list[AuthorRead]
    version: int


class BriefRead(ReadSchema):
    id: int
    tag_names: Annotated[list[str], Limit(2)]


class PostCreate(Schema):
    title: str
    author_id: int | None = None


class PostUpdate(PostCreate, partial=True): ...


class TaggedCreate(Schema):
    title: str
    tag_names: list[str] = Field(default_factory=list)
    author_name: str | None = None


class PostQuery(ListQuery[Post]):
    author_name: str | None = None
    author_name__in: OneOf[str] | None = None
    author_name__ne: str | None = None
    author_born__gte: int | None = None


class Posts(Resource[Post]): ...


class Tagged(Resource[Post]): ...


class Briefs(Resource[Post]): ...


class Authors(Resource[Author]): ...


class Reviews(Resource[Review]): ...


class Tags(Resource[Tag]): ...


class TagRead(ReadSchema):
    id: int
    name: str


class TagCreate(Schema):
    name: str


class TagUpdate(TagCreate, partial=True): ...


class ReviewCreate(Schema):
    stars: int
    post_id: int
    author_id: int


class ReviewRead(ReadSchema):
    id: int


class AuthorCreate(Schema):
    name: str
    born: int | None = None


ROUTERS = (
    crud_router(
        "/posts", Posts, read=PostRead, create=PostCreate, update=PostUpdate, query=PostQuery
    ),
    crud_router(
        "/tagged",
        Tagged,
        read=PostRead,
        create=TaggedCreate,
        update=PostUpdate,
        omit={"replace"},
    ),
    crud_router("/briefs", Briefs, read=BriefRead),
    crud_router("/authors", Authors, read=ReviewRead, create=AuthorCreate),
    crud_router("/reviews", Reviews, read=ReviewRead, create=ReviewCreate),
    crud_router("/tags", Tags, read=TagRead, update=TagUpdate),
)


@pytest.fixture(scope="module")
async def clients(templates: Databases) -> AsyncIterator[Clients]:
    """Yield the clients, each created at its first use."""
    async with clients_of(templates, [Base.metadata], ROUTERS) as clients:
        yield clients


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
async def client(request: pytest.FixtureRequest, clients: Clients, backend: str) -> AsyncClient:
    """Return a client of the application without posts."""
    client = await clients.of(backend, fast=request.param)
    await remove_all(client, "/posts")
    return client


async def created(client: AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """Return the representation of a new row."""
    response = await client.post(path, json=body)
    assert response.status_code == 201, response.text
    row: dict[str, Any] = response.json()
    return row


async def test_new_rows_are_created_by_a_proxy(client: AsyncClient) -> None:
    row = await created(client, "/tagged", title="a", tag_names=["y", "x"], author_name="ada")
    assert row == {
        "id": row["id"],
        "title": "a",
        "tag_names": ["x", "y"],
        "author_name": "ada",
        "author_born": None,
        "reviewers": [],
        "version": 1,
    }
    for path in (f"/posts/{row['id']}", f"/tagged/{row['id']}"):
        assert (await client.get(path)).json() == row
    assert (await client.get("/posts")).json() == [row]
    assert (await client.get(f"/briefs/{row['id']}")).json() == {
        "id": row["id"],
        "tag_names": ["x", "y"],
    }
    empty = await created(client, "/tagged", title="b")
    assert (empty["tag_names"], empty["author_name"]) == ([], None)
    batch = await client.post("/tagged/batch", json=[{"title": "c", "tag_names": ["q"]}])
    assert batch.json()[0]["tag_names"] == ["q"]


async def test_a_change_returns_the_values_of_a_proxy(client: AsyncClient) -> None:
    row = await created(client, "/tagged", title="a", tag_names=["x"], author_name="ada")
    bob = await created(client, "/authors", name="bob", born=1815)
    await created(client, "/reviews", stars=1, post_id=row["id"], author_id=bob["id"])
    item = f"/posts/{row['id']}"
    changed = await client.patch(item, json={"author_id": bob["id"]})
    expected = {**row, "author_name": "bob", "author_born": 1815, "version": 2}
    expected["reviewers"] = [{"name": "bob", "born": 1815}]
    assert changed.json() == expected == (await client.get(item)).json()
    same = await client.put(item, json={**expected, "author_id": bob["id"]})
    assert same.json() == expected
    other = await client.put(item, json={"title": "a", "tag_names": []})
    assert summary(other) == "422 #/tag_names read_only"
    lines = await client.get("/posts", headers={"accept": "application/x-ndjson"})
    assert lines.json() == expected


async def test_a_value_has_the_bounds_of_its_column(client: AsyncClient) -> None:
    body = {"title": "a", "tag_names": ["x", "y" * 11], "author_name": "z" * 11}
    long = await client.post("/tagged", json=body)
    assert summary(long) == "422 #/author_name string_too_long, #/tag_names/1 string_too_long"


async def test_deleted_rows_have_no_value(client: AsyncClient) -> None:
    row = await created(client, "/tagged", title="a", tag_names=["x", "y", "z"])
    brief = f"/briefs/{row['id']}"
    assert (await client.get(brief)).json()["tag_names"] == ["x", "y"]
    tags = (await client.get("/tags", params={"limit": 100})).json()
    last = max(tag["id"] for tag in tags if tag["name"] == "x")
    assert summary(await client.delete(f"/tags/{last}")) == "204"
    assert (await client.get(brief)).json()["tag_names"] == ["y", "z"]
    assert (await client.get(f"/posts/{row['id']}")).json()["tag_names"] == ["y", "z"]


async def test_proxies_take_a_fixed_number_of_statements(clients: Clients, backend: str) -> None:
    client = await clients.of(backend, fast=False)
    await remove_all(client, "/posts")
    counts: list[int] = []
    for _ in range(2):
        for n in range(3):
            await created(client, "/tagged", title="a", tag_names=[str(n)], author_name=str(n))
        with statements() as sent:
            rows = (await client.get("/posts")).json()
        assert [row["tag_names"] for row in rows[:3]] == [["0"], ["1"], ["2"]]
        counts.append(len([statement for statement in sent if statement.startswith("SELECT")]))
    assert counts == [3, 3]


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("author_name=ada", "a"),
        ("author_name__in=ada,bob", "a b"),
        ("author_name__ne=ada", "b c"),
        ("author_born__gte=1", ""),
    ],
)
async def test_a_value_of_one_row_filters_a_list(
    client: AsyncClient, query: str, titles: str
) -> None:
    await created(client, "/tagged", title="a", author_name="ada")
    await created(client, "/tagged", title="b", author_name="bob")
    await created(client, "/tagged", title="c")
    listed = await client.get(f"/posts?{query}")
    assert [row["title"] for row in listed.json()] == titles.split()
