"""Attributes that are no plain columns: hybrids, expressions, computed and deferred columns."""

from collections.abc import AsyncIterator
from typing import Any, Final, Literal

import pytest
from httpx2 import AsyncClient
from sqlalchemy import ColumnElement, Computed, ForeignKey, MetaData, String, case, func
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from brickwork import (
    ListQuery,
    Model,
    OneOf,
    ReadSchema,
    Resource,
    Schema,
    Search,
    SortBy,
    Versioned,
    crud_router,
)
from brickwork.query.index_check import missing_indexes
from tests.support.bodies import summary, version_tag
from tests.support.clients import Clients, clients_of, remove_all
from tests.support.databases import Databases
from tests.support.recording import path_taken, statements

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class ListedShelf(Base):
    """A shelf, with a deferred column that one schema shows."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    plan: Mapped[str | None] = mapped_column(String(50), deferred=True)


class ListedBook(Base, Versioned):
    """A book, whose price has several forms."""

    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(20))
    price: Mapped[int]
    discount: Mapped[int | None]
    body: Mapped[str | None] = mapped_column(String(50), deferred=True)
    draft: Mapped[str] = mapped_column(String(50), deferred=True, default="none")
    secret: Mapped[str] = mapped_column(String(50), deferred=True, default="hidden")
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("shelves.id"))
    shelf: Mapped[ListedShelf | None] = relationship()
    double: Mapped[int] = mapped_column(Computed("price * 2", persisted=True))
    loud: Mapped[str] = column_property(func.upper(title, type_=String(20)))
    long: Mapped[str] = column_property(func.upper(draft, type_=String(50)), deferred=True)

    @hybrid_property
    def net(self) -> int | None:
        """Return the price with the discount. Unlike the database, Python rounds it to tens."""
        return None if self.discount is None else (self.price - self.discount) // 10 * 10

    @net.inplace.expression
    @classmethod
    def _net(cls) -> ColumnElement[int]:
        return cls.price - cls.discount

    @hybrid_property
    def name(self) -> str:
        """Return the title."""
        return self.title

    @name.inplace.setter
    def _set_name(self, name: str) -> None:
        self.title = name

    @hybrid_property
    def size(self) -> str:
        """Return whether there is a text."""
        return "small" if self.body is None else "large"

    @size.inplace.expression
    @classmethod
    def _size(cls) -> ColumnElement[str]:
        return case((cls.body.is_(None), "small"), else_="large").cast(String(5))


class ShelfRead(ReadSchema):
    id: int
    plan: str | None


class BookRead(ReadSchema):
    id: int
    title: str
    double: int
    loud: str
    net: int | None
    name: str


class TextRead(ReadSchema):
    id: int
    title: str
    body: str | None
    draft: str
    version: int


class FullRead(TextRead):
    size: str
    long: str
    shelf: ShelfRead | None


class BookCreate(Schema):
    title: str
    price: int = 0
    discount: int | None = None


class BookUpdate(BookCreate, partial=True): ...


class TextCreate(BookCreate):
    body: str | None = None
    draft: str = "none"
    shelf_id: int | None = None


class TextUpdate(TextCreate, partial=True): ...


class ShelfCreate(Schema):
    plan: str | None


class ShelfUpdate(ShelfCreate, partial=True): ...


class BookQuery(ListQuery[ListedBook]):
    double__gte: int | None = None
    double__in: OneOf[int] | None = None
    net: int | None = None
    net__in: OneOf[int] | None = None
    net__gte: int | None = None
    net__isnull: bool | None = None
    loud__startswith: str | None = None
    name__ne: str | None = None
    body__contains: str | None = None
    sort: SortBy[Literal["double", "loud", "net", "name", "size", "body", "long"]] = None
    q: Search = None
    search_fields = ("name", "body", "loud")


class Books(Resource[ListedBook]): ...


class Texts(Resource[ListedBook]): ...


class Fulls(Resource[ListedBook]): ...


class Shelves(Resource[ListedShelf]): ...


TEXTS: Final[dict[str, Any]] = {"create": TextCreate, "update": TextUpdate, "query": BookQuery}
ROUTERS: Final = (
    crud_router(
        "/books", Books, read=BookRead, create=BookCreate, update=BookUpdate, query=BookQuery
    ),
    crud_router("/texts", Texts, read=TextRead, **TEXTS),
    crud_router("/fulls", Fulls, read=FullRead, **TEXTS),
    crud_router("/shelves", Shelves, read=ShelfRead, create=ShelfCreate, update=ShelfUpdate),
)


@pytest.fixture(scope="module")
async def clients(templates: Databases) -> AsyncIterator[Clients]:
    """Yield the clients, each created at its first use."""
    async with clients_of(templates, [Base.metadata], ROUTERS) as clients:
        yield clients


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
async def client(request: pytest.FixtureRequest, clients: Clients, backend: str) -> AsyncClient:
    """Return a client of the application without books."""
    client = await clients.of(backend, fast=request.param)
    await remove_all(client, "/books")
    return client


async def created(client: AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """Return the representation of a new row."""
    response = await client.post(path, json=body)
    assert response.status_code == 201, response.text
    row: dict[str, Any] = response.json()
    return row


# --- Hybrids and expressions ----------------------------------------------------------------------


async def test_a_change_returns_the_new_values_of_expressions(client: AsyncClient) -> None:
    row = await created(client, "/books", title="a", price=27, discount=2)
    item = f"/books/{row['id']}"
    assert row == {**row, "double": 54, "loud": "A", "net": 20, "name": "a"}
    for method in ("PATCH", "PUT"):
        body = {"title": method, "price": 38, "discount": 1}
        changed = await client.request(method, item, json=body)
        assert changed.json() == {
            "id": row["id"],
            "title": method,
            "double": 76,
            "loud": method,
            "net": 30,
            "name": method,
        }
        assert (await client.get(item)).text == changed.text


def test_a_sort_by_a_hybrid_needs_no_index() -> None:
    texts = [*missing_indexes(BookQuery)]
    assert [text.split()[3] for text in texts] == ["double,", "body,"]


BOOKS: Final = [
    {"title": "a", "price": 5, "discount": None, "body": "one"},
    {"title": "B", "price": 19, "discount": 2},
    {"title": "c", "price": 19, "discount": 1, "body": "Two", "draft": "x"},
    {"title": "d", "price": 1, "discount": 0},
    {"title": "é", "price": 5, "discount": None, "body": "three"},
]


@pytest.mark.parametrize("path", ["/books", "/texts", "/fulls"])
@pytest.mark.parametrize(
    ("sort", "titles"),
    [
        ("net", "d B c a é"),
        ("-net", "é a c B d"),
        ("double,-net", "d é a c B"),
        ("name", "B a c d é"),
        ("-name", "é d c a B"),
        ("loud", "a B c d é"),
        ("size,net", "c a é d B"),
        ("body", "c a é B d"),
        ("-body", "d B é a c"),
        ("-long,-net", "c é a B d"),
    ],
)
async def test_expressions_and_deferred_columns_sort_a_list(
    client: AsyncClient, path: str, sort: str, titles: str
) -> None:
    rows = [await created(client, "/texts", **book) for book in BOOKS]
    assert len(rows) == len(BOOKS)
    listed = await client.get(path, params={"sort": sort})
    assert [row["title"] for row in listed.json()] == titles.split()

    found: list[str] = []
    url: str | None = f"{path}?sort={sort}&limit=2"
    back: str | None = None
    while url and len(found) <= len(BOOKS):  # a wrong cursor would never end
        page = await client.get(url)
        assert page.status_code == 200, page.text
        found += [row["title"] for row in page.json()]
        url, back = (page.links.get(name, {}).get("url") for name in ("next", "prev"))
    assert found == titles.split()
    while back and len(found) > 1:
        page = await client.get(back)
        assert [row["title"] for row in page.json()] == found[-len(page.json()) - 1 : -1]
        found = found[: -len(page.json())]
        back = page.links.get("prev", {}).get("url")
    assert len(found) == 1


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("double__gte=38", "B c"),
        ("double__in=2,10", "a d é"),
        ("net=17", "B"),
        ("net__in=17,18", "B c"),
        ("net__gte=2", "B c"),
        ("net__isnull=true", "a é"),
        ("loud__startswith=B", "B"),
        ("name__ne=a", "B c d é"),
        ("body__contains=Two", "c"),
        ("q=b", "B"),
        ("q=TWO", "c"),
        ("q=É", "é"),
    ],
)
async def test_expressions_and_deferred_columns_filter_a_list(
    client: AsyncClient, query: str, titles: str
) -> None:
    for book in BOOKS:
        await created(client, "/texts", **book)
    listed = await client.get(f"/books?{query}")
    assert [row["title"] for row in listed.json()] == titles.split(), listed.text


# --- Deferred columns -----------------------------------------------------------------------------


async def test_a_deferred_column_is_written_and_shown(client: AsyncClient) -> None:
    row = await created(client, "/texts", title="a", body="one")
    assert row == {"id": row["id"], "title": "a", "body": "one", "draft": "none", "version": 1}
    item = f"/texts/{row['id']}"
    assert (await client.get(item)).json() == row
    changed = await client.patch(item, json={"body": "two"})
    assert changed.json() == {**row, "body": "two", "version": 2}
    same = await client.patch(item, json={"body": "two", "draft": "none"})
    assert (same.json(), version_tag(same)) == ({**row, "body": "two", "version": 2}, '"2"')
    replaced = await client.put(item, json={"title": "b", "draft": "x"})
    assert replaced.json() == {**row, "title": "b", "body": None, "draft": "x", "version": 3}
    assert (await client.get("/texts")).json() == [replaced.json()]
    stale = await client.patch(item, json={"body": "z"}, headers={"if-match": '"1"'})
    assert (summary(stale), version_tag(stale)) == ("412", '"3"')


async def test_a_deferred_column_that_a_request_omits_is_shown(client: AsyncClient) -> None:
    row = await created(client, "/texts", title="a")
    assert (row["body"], row["draft"]) == (None, "none")
    changed = await client.patch(f"/texts/{row['id']}", json={"title": "b"})
    assert changed.json() == {**row, "title": "b", "version": 2}


async def test_a_batch_writes_and_shows_deferred_columns(client: AsyncClient) -> None:
    items = [{"title": "a", "body": "one"}, {"title": "b"}]
    rows = (await client.post("/texts/batch", json=items)).json()
    assert [row["body"] for row in rows] == ["one", None]
    changes = [{"id": row["id"], "draft": "x"} for row in rows]
    changed = await client.patch("/texts/batch", json=changes)
    assert changed.json() == [{**row, "draft": "x", "version": 2} for row in rows]
    lines = await client.get("/texts", headers={"accept": "application/x-ndjson"})
    assert len(lines.text.splitlines()) == 2


async def test_deferred_columns_of_expressions_and_related_rows_are_shown(
    client: AsyncClient,
) -> None:
    shelf = await created(client, "/shelves", plan="north")
    row = await created(client, "/fulls", title="a", body="b", draft="c", shelf_id=shelf["id"])
    assert row == {**row, "size": "large", "long": "C", "shelf": shelf}
    item = f"/fulls/{row['id']}"
    assert (await client.get(item)).json() == row
    assert (await client.get("/fulls")).json() == [row]
    changed = (await client.patch(item, json={"body": None, "draft": "d"})).json()
    assert (changed["size"], changed["long"], changed["shelf"]) == ("small", "D", shelf)
    lines = await client.get("/fulls", headers={"accept": "application/x-ndjson"})
    assert lines.json() == changed


async def test_a_deferred_column_without_a_field_is_not_selected(
    clients: Clients, backend: str
) -> None:
    client = await clients.of(backend, fast=False)
    with statements() as sent:
        row = await created(client, "/texts", title="a")
        item = f"/texts/{row['id']}"
        await client.patch(item, json={"title": "b"})
        for path in (item, "/texts", f"/fulls/{row['id']}", f"/books/{row['id']}", "/books"):
            assert (await client.get(path)).status_code == 200
    selected = [statement for statement in sent if statement.startswith("SELECT")]
    assert selected
    assert not [statement for statement in selected if "secret" in statement]
    books = [statement for statement in selected if "loud" in statement or "upper" in statement]
    assert books


async def test_deferred_columns_are_read_with_their_row(clients: Clients, backend: str) -> None:
    client = await clients.of(backend, fast=False)
    await remove_all(client, "/books")
    rows = [await created(client, "/texts", title=title, body="b") for title in "abc"]
    with statements() as sent:
        assert (await client.get("/texts")).json() == rows
    assert len([statement for statement in sent if statement.startswith("SELECT")]) == 1


async def test_the_fast_path_reads_and_writes_deferred_columns(
    clients: Clients, backend: str
) -> None:
    client = await clients.of(backend, fast=True)
    row = await created(client, "/texts", title="a", body="b")
    item = f"/texts/{row['id']}"
    assert await path_taken(client.get(item)) == "200 fast"
    assert await path_taken(client.get("/texts?sort=-body")) == "200 fast"
    assert await path_taken(client.get("/texts?sort=net")) == "200 ORM"
    assert await path_taken(client.post("/texts", json={"title": "b"})) == "201 fast"
    assert await path_taken(client.patch(item, json={"body": "c"})) == "200 fast"
    assert (await client.get(item)).json() == {**row, "body": "c", "version": 2}
