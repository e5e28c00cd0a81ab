"""What an answer shows of related rows comes with the rows, in as many statements as for one."""

import json
import re
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from pydantic import BaseModel, Field
from sqlalchemy import Column, Engine, ForeignKey, String, Table, Uuid, insert
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship, remote

from brickwork import (
    Database,
    Limit,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    crud_router,
    embedding,
    install,
)
from brickwork.http.negotiation import NDJSON
from tests.support import library
from tests.support.calls import calling
from tests.support.databases import Databases
from tests.support.library import (
    Base,
    Book,
    BookBrief,
    BookRead,
    Nation,
    NationBrief,
    Writer,
    WriterRead,
)
from tests.support.recording import event_listener, record_fast_path, statements

pytestmark = pytest.mark.anyio

Body = dict[str, Any]

ROWS: Final = 100
LINES: Final = {"Accept": NDJSON}


def key(number: int) -> UUID:
    return UUID(int=number)


def nation_of(number: int) -> int | None:
    return number // 3 if number % 10 else None


def writer_of(number: int) -> int | None:
    return number * number % 31 if number % 10 else None


def brief(number: int) -> Body:
    """Return what is shown of a writer in another row."""
    nation = nation_of(number)
    name = None if nation is None else {"name": f"n{nation}"}
    return {"id": str(key(number)), "name": f"w{number}", "nation": name}


def referring(number: int | None) -> Body:
    """Return what a book shows that refers to this writer."""
    if number is None:
        return {"writer_id": None, "writer": None}
    return {"writer_id": str(key(number)), "writer": brief(number)}


def book(number: int) -> Body:
    """Return a book as it is shown."""
    return title(number) | referring(writer_of(number))


def title(number: int) -> Body:
    """Return what is shown of a book in another row."""
    return {"id": str(key(number)), "title": f"b{number}"}


def writer(number: int) -> Body:
    """Return a writer as it is shown, with the newest three of its books."""
    refers = nation_of(number)
    nation_id = None if refers is None else str(key(refers))
    books = [title(each) for each in range(ROWS - 1, -1, -1) if writer_of(each) == number]
    return {**(brief(number) or {}), "nation_id": nation_id, "books": books[:3]}


def nation(number: int) -> Body:
    """Return a nation as it is shown, with the newest two of its writers."""
    writers = [brief(each) for each in range(ROWS - 1, -1, -1) if nation_of(each) == number]
    return {"id": str(key(number)), "name": f"n{number}", "writers": writers[:2]}


def rows() -> dict[type[library.Base], list[Body]]:
    """Return a hundred of each, of which every tenth refers to none."""

    def referring(name: str, to: int | None) -> Body:
        return {name: None if to is None else key(to)}

    numbers = range(ROWS)
    return {
        Nation: [{"id": key(n), "name": f"n{n}"} for n in numbers],
        Writer: [
            {"id": key(n), "name": f"w{n}"} | referring("nation_id", nation_of(n)) for n in numbers
        ],
        Book: [
            {"id": key(n), "title": f"b{n}"} | referring("writer_id", writer_of(n)) for n in numbers
        ],
    }


@pytest.fixture
async def client(empty_url: str) -> AsyncGenerator[AsyncClient]:
    async with calling(library.create_app(empty_url)) as client:
        yield client


@pytest.fixture
async def filled(client: AsyncClient, empty_url: str) -> AsyncClient:
    database = Database(empty_url)
    async with database.lifespan(None), database.session() as session:
        for model, values in rows().items():
            await session.execute(insert(model), values)
    return client


async def shown(client: AsyncClient, path: str) -> Any:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


async def created(client: AsyncClient, path: str, **body: object) -> Body:
    return row(await client.post(path, json=body), 201)


def row(response: Response, status: int = 200) -> Body:
    assert response.status_code == status, response.text
    body: Body = response.json()
    return body


# --- Lists -------------------------------------------------------------------------------------


async def test_a_list_shows_what_its_rows_refer_to_and_what_refers_to_them(
    filled: AsyncClient,
) -> None:
    for path, of in (("/books", book), ("/writers", writer), ("/nations", nation)):
        assert await shown(filled, f"{path}?limit=100") == [of(n) for n in range(ROWS)]


@pytest.mark.parametrize(
    ("path", "wanted"), [("/books", 1), ("/writers", 2), ("/nations", 2), ("/books?count=exact", 2)]
)
async def test_a_list_takes_as_many_statements_whatever_its_length(
    filled: AsyncClient, path: str, wanted: int
) -> None:
    separator = "&" if "?" in path else "?"
    with statements() as sent:
        for length in (1, 20, 100):
            assert len(await shown(filled, f"{path}{separator}limit={length}")) == length
            assert len(sent) == wanted, sent
            sent.clear()


async def test_an_empty_list_asks_for_nothing_more(client: AsyncClient) -> None:
    with statements() as sent:
        assert await shown(client, "/writers") == []
    assert len(sent) == 1


async def test_a_list_that_is_filtered_and_sorted_shows_the_same(filled: AsyncClient) -> None:
    of_one = [book(n) for n in range(ROWS) if writer_of(n) == 2]
    in_order = sorted(range(ROWS), key=lambda n: f"b{n}")
    assert await shown(filled, "/books?writer__name=w2") == of_one
    assert await shown(filled, "/books?sort=title&limit=100") == [book(n) for n in in_order]


async def test_the_pages_of_a_list_show_the_same(filled: AsyncClient) -> None:
    found: list[Body] = []
    path: str | None = "/books?sort=-title&limit=30"
    with statements() as sent:
        while path:
            response = await filled.get(path)
            found += response.json()
            path = response.links.get("next", {}).get("url")
    assert found == [book(n) for n in sorted(range(ROWS), key=lambda n: f"b{n}", reverse=True)]
    assert len(sent) == 4


@pytest.mark.parametrize(("path", "of"), [("/books", book), ("/writers", writer)])
async def test_an_export_shows_the_same(filled: AsyncClient, path: str, of: Any) -> None:
    with statements() as sent:
        response = await filled.get(path, headers=LINES)
    lines = response.content.splitlines()
    assert [json.loads(line) for line in lines] == [of(n) for n in range(ROWS)]
    assert len(sent) < (2 if path == "/books" else ROWS / 10)


# --- Rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "of", "wanted"),
    [
        ("/books", book, 1),
        ("/by-hand", book, 1),
        ("/writers", writer, 2),
        ("/nations", nation, 2),
    ],
)
async def test_a_row_shows_the_same_in_as_few_statements(
    filled: AsyncClient, path: str, of: Any, wanted: int
) -> None:
    for number in (1, 4, 10, 97):
        with statements() as sent:
            assert await shown(filled, f"{path}/{key(number)}") == of(number)
        assert len(sent) == wanted, sent


async def test_a_new_row_shows_what_it_refers_to(filled: AsyncClient) -> None:
    assert (await created(filled, "/books", title="New"))["writer"] is None
    assert await created(filled, "/nations", name="New") | {"id": ""} == {
        "id": "",
        "name": "New",
        "writers": [],
    }
    made = await created(filled, "/books", title="Newest", writer_id=str(key(1)))
    assert made["writer"] == brief(1)
    newest = {"id": made["id"], "title": "Newest"}
    assert (await shown(filled, f"/writers/{key(1)}"))["books"] == [newest, *writer(1)["books"][:2]]


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_a_changed_row_shows_what_it_refers_to_now(filled: AsyncClient, method: str) -> None:
    path = f"/books/{key(1)}"
    for refers in (2, 3, 3, None, 10, 1):
        other = None if refers is None else str(key(refers))
        change = {"title": "b1", "writer_id": other}
        expected = title(1) | referring(refers)
        assert row(await filled.request(method, path, json=change)) == expected
        assert await shown(filled, path) == expected


async def test_a_change_of_something_else_shows_the_same(filled: AsyncClient) -> None:
    for path, name, of in (("/books", "title", book), ("/writers", "name", writer)):
        response = await filled.patch(f"{path}/{key(1)}", json={name: "Other"})
        assert row(response) == of(1) | {name: "Other"}


async def test_a_row_that_refers_elsewhere_is_no_longer_among_the_newest(
    filled: AsyncClient,
) -> None:
    first, *others = writer(1)["books"]
    await filled.patch(f"/books/{first['id']}", json={"writer_id": None})
    assert (await shown(filled, f"/writers/{key(1)}"))["books"][:2] == others


async def test_a_row_and_its_reference_may_change_within_one_step(filled: AsyncClient) -> None:
    for number in (1, 10, 11):
        response = await filled.patch(
            f"/writers/{key(number)}", json={"nation_id": str(key(50)), "name": "Moved"}
        )
        assert row(response)["nation"] == {"name": "n50"}
        assert row(response)["books"] == writer(number)["books"]


# --- Writing back ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/books", "/writers", "/nations"])
async def test_what_was_shown_can_be_sent_back(filled: AsyncClient, path: str) -> None:
    for number in (0, 1, 10, 97):
        place = f"{path}/{key(number)}"
        before = await shown(filled, place)
        assert row(await filled.put(place, json=before)) == before
        assert await shown(filled, place) == before


async def test_what_was_shown_can_be_sent_back_with_another_reference(filled: AsyncClient) -> None:
    path = f"/books/{key(1)}"
    response = await filled.put(path, json=book(1) | {"writer_id": str(key(2))})
    assert row(response) == book(1) | {"writer_id": str(key(2)), "writer": brief(2)}


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/books", "writer", None),
        ("/books", "writer", brief(2)),
        ("/books", "writer", brief(1) | {"name": "Other"}),
        ("/books", "writer", brief(1) | {"nation": {"name": "Other"}}),
        ("/writers", "books", []),
        ("/writers", "books", writer(1)["books"][::-1]),
        ("/writers", "books", [*writer(1)["books"], title(99)]),
    ],
)
async def test_what_is_embedded_cannot_be_written(
    filled: AsyncClient, path: str, field: str, value: object
) -> None:
    place = f"{path}/{key(1)}"
    before = await shown(filled, place)
    response = await filled.put(place, json=before | {field: value})
    (fault,) = row(response, 422)["errors"]
    assert (fault["pointer"], fault["code"]) == (f"#/{field}", "read_only")
    assert await shown(filled, place) == before


async def test_an_unknown_field_of_what_is_embedded_is_refused(filled: AsyncClient) -> None:
    changed = book(1) | {"writer": brief(1) | {"nothing": 1}}
    response = await filled.put(f"/books/{key(1)}", json=changed)
    assert response.status_code == 422


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_is_embedded_is_read_only(filled: AsyncClient, method: str) -> None:
    path = "/books" if method == "POST" else f"/books/{key(1)}"
    response = await filled.request(method, path, json={"title": "b1", "writer": brief(1)})
    (fault,) = row(response, 422)["errors"]
    assert (fault["pointer"], fault["code"]) == ("#/writer", "read_only")


# --- Declarations ------------------------------------------------------------------------------

friendships = Table(
    "friendships",
    library.Base.metadata,
    Column("one", Uuid, ForeignKey("bosses.id"), primary_key=True),
    Column("other", Uuid, ForeignKey("bosses.id"), primary_key=True),
)


class Boss(library.Base):
    """Related in every way: to itself, by a condition, and through a table between."""

    __tablename__ = "bosses"

    name: Mapped[str] = mapped_column(String(30))
    boss_id: Mapped[UUID | None] = mapped_column(ForeignKey("bosses.id"))
    chief: Mapped["Boss | None"] = relationship(remote_side="Boss.id", back_populates="staff")
    staff: Mapped[list["Boss"]] = relationship(back_populates="chief", passive_deletes="all")
    loud: Mapped[list["Boss"]] = relationship(
        primaryjoin=lambda: (
            (Boss.id == foreign(remote(Boss.boss_id))) & (remote(Boss.name) == "LOUD")
        ),
        viewonly=True,
    )
    friends: Mapped[list["Boss"]] = relationship(
        secondary=friendships,
        primaryjoin=lambda: Boss.id == friendships.c.one,
        secondaryjoin=lambda: Boss.id == friendships.c.other,
    )


class Name(ReadSchema):
    name: str


class BossCreate(Schema):
    name: str
    boss_id: UUID | None = None


class BossUpdate(BossCreate, partial=True): ...


class Bosses(Resource[Boss]): ...


class BossRead(Name):
    id: UUID
    chief: Name | None
    staff: Annotated[list[Name], Limit(2)]
    loud: Annotated[list[Name], Limit(2)]
    friends: Annotated[list[Name], Limit(2)]


def app_of(url: str, **reads: type[BaseModel]) -> FastAPI:
    """Return an application that shows the bosses at each path as the schema there does."""
    app = FastAPI(lifespan=library.Library(url).lifespan)
    install(app)
    for path, read in reads.items():
        router = crud_router(f"/{path}", Bosses, read=read, create=BossCreate, update=BossUpdate)
        app.include_router(router)
    return app


async def befriend(url: str, one: str, *others: str) -> None:
    database = Database(url)
    async with database.lifespan(None), database.session() as session:
        rows = [{"one": UUID(one), "other": UUID(each)} for each in others]
        await session.execute(insert(friendships), rows)


async def test_relationships_of_every_kind_are_shown(empty_url: str) -> None:
    async with calling(app_of(empty_url, bosses=BossRead)) as client:
        top = (await created(client, "/bosses", name="Top"))["id"]
        ids = [
            (await created(client, "/bosses", name=name, boss_id=top))["id"]
            for name in ("LOUD", "A", "B", "LOUD", "C")
        ]
        await befriend(empty_url, top, *ids[:3])
        await befriend(empty_url, ids[2], ids[0], top)
        with statements() as sent:
            first, *others = await shown(client, "/bosses")
        assert len(sent) == 4
        assert await shown(client, f"/bosses/{top}") == first
    assert first == {
        "id": top,
        "name": "Top",
        "chief": None,
        "staff": [{"name": "C"}, {"name": "LOUD"}],
        "loud": [{"name": "LOUD"}, {"name": "LOUD"}],
        "friends": [{"name": "B"}, {"name": "A"}],
    }
    assert [each["chief"] for each in others] == [{"name": "Top"}] * 5
    assert [each["staff"] for each in others] == [[]] * 5
    friends = [{"name": "LOUD"}, {"name": "Top"}]
    assert [each["friends"] for each in others] == [[], [], friends, [], []]


class Aliased(Name):
    head: Name | None = Field(validation_alias="chief")


async def test_a_relationship_may_be_shown_by_another_name(empty_url: str) -> None:
    async with calling(app_of(empty_url, bosses=BossRead, aliased=Aliased)) as client:
        top = (await created(client, "/bosses", name="Top"))["id"]
        await created(client, "/bosses", name="A", boss_id=top)
        with statements() as sent:
            assert await shown(client, "/aliased?offset=1") == [
                {"name": "A", "head": {"name": "Top"}}
            ]
        assert len(sent) == 1


class Unbounded(ReadSchema):
    books: list[BookBrief]


class Within(ReadSchema):
    writer: Unbounded | None


class WithinList(ReadSchema):
    writers: Annotated[list[Unbounded], Limit(2)]


@pytest.mark.parametrize(
    ("model", "read", "name"),
    [
        (Writer, Unbounded, "Unbounded.books"),
        (Book, Within, "Unbounded.books"),
        (Nation, WithinList, "Unbounded.books"),
    ],
)
def test_a_list_without_an_end_is_refused_where_it_is_declared(
    model: type[library.Base], read: type[BaseModel], name: str
) -> None:
    with pytest.raises(TypeError, match=rf"{re.escape(name)} has no limit.* Limit\(10\)"):
        embedding(model, read)


class BookWithBooks(ReadSchema):
    writer: WriterRead | None


def test_a_list_within_what_is_embedded_is_refused_where_it_is_declared() -> None:
    with pytest.raises(TypeError, match=r"WriterRead\.books .* leave the list out"):
        embedding(Book, BookWithBooks)


class Computed(ReadSchema):
    area: NationBrief


def test_what_is_no_relationship_needs_nothing_to_be_loaded() -> None:
    assert not embedding(Nation, NationBrief)
    assert not embedding(Nation, Computed)
    assert embedding(Book, BookRead)
    assert embedding(Writer, WriterRead)


async def test_what_openapi_refers_to_is_there(databases: Databases) -> None:
    class Chief(Name):
        """Shown as a list of its own, and within another."""

    class Staff(ReadSchema):
        chief: Chief | None

    app = app_of(databases.empty("sqlite"), staff=Staff, chiefs=Chief)
    async with (
        calling(app) as client,
        calling(library.create_app(databases.empty("sqlite"))) as own,
    ):
        for each in (client, own):
            document = (await each.get("/openapi.json")).text
            known = json.loads(document)["components"]["schemas"].keys()
            assert {*re.findall('"#/components/schemas/([^"]+)"', document)} <= known


# --- Deleted rows ------------------------------------------------------------------------------


class Band(Base, SoftDelete):
    """A band, which may be gone and come back."""

    __tablename__ = "bands"

    name: Mapped[str] = mapped_column(String(20))
    songs: Mapped[list["Song"]] = relationship(back_populates="band", passive_deletes="all")


class Song(Base, SoftDelete):
    """A song of a band, which it keeps when that is deleted."""

    __tablename__ = "songs"

    name: Mapped[str] = mapped_column(String(20))
    band_id: Mapped[UUID | None] = mapped_column(ForeignKey(Band.id), index=True)
    band: Mapped[Band | None] = relationship(back_populates="songs")


class Named(ReadSchema):
    id: UUID
    name: str


class BandRead(Named):
    songs: Annotated[list[Named], Limit(5)]


class SongRead(Named):
    band: Named | None


class NamedCreate(Schema):
    name: str


class SongCreate(NamedCreate):
    band_id: UUID | None = None


class NamedUpdate(NamedCreate, partial=True): ...


class Bands(Resource[Band]): ...


class Songs(Resource[Song]): ...


class SongUpdate(SongCreate, partial=True): ...


async def test_a_deleted_row_is_embedded_nowhere_until_it_is_restored(empty_url: str) -> None:
    database = Database(empty_url)
    async with database.writer.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    app.include_router(
        crud_router("/bands", Bands, read=BandRead, create=NamedCreate, update=NamedUpdate)
    )
    app.include_router(
        crud_router("/songs", Songs, read=SongRead, create=SongCreate, update=SongUpdate)
    )
    async with calling(app) as client:
        band = await created(client, "/bands", name="The Bricks")
        songs = [
            await created(client, "/songs", name=name, band_id=band["id"]) for name in ("A", "B")
        ]
        paths = [f"/songs/{each['id']}" for each in songs]
        whole = {"id": band["id"], "name": "The Bricks"}

        async def told() -> tuple[object, object, object]:
            listed = [each["band"] for each in await shown(client, "/songs")]
            changed = row(await client.patch(paths[1], json={"name": "B"}))
            return listed, changed["band"], (await shown(client, paths[1]))["band"]

        assert await told() == ([whole, whole], whole, whole)
        assert (await client.delete(f"/bands/{band['id']}")).status_code == 204
        assert await told() == ([None, None], None, None)
        restored = row(await client.post(f"/bands/{band['id']}/restore"))
        assert await told() == ([whole, whole], whole, whole)

        assert [each["name"] for each in restored["songs"]] == ["B", "A"]
        assert (await client.delete(paths[0])).status_code == 204
        for found in (await shown(client, f"/bands/{band['id']}"), *await shown(client, "/bands")):
            assert [each["name"] for each in found["songs"]] == ["B"]


# --- The fast path -----------------------------------------------------------------------------


@pytest.mark.both_paths
@pytest.mark.parametrize(
    ("path", "lane"),
    [
        ("/books", True),
        ("/books?sort=-title&limit=7", True),
        ("/books?writer__name=w3", True),
        (f"/books/{key(1)}", True),
        (f"/books/{key(0)}", True),
        ("/writers", False),
        (f"/nations/{key(1)}", False),
    ],
)
async def test_what_rows_refer_to_is_shown_by_the_fast_lane_too(
    filled: AsyncClient, path: str, lane: object
) -> None:
    with record_fast_path() as taken:
        fast = await filled.get(path)
    with event_listener(Engine, "before_cursor_execute"):
        ordinary = await filled.get(path)
    assert fast.status_code == 200, fast.text
    assert (fast.content, fast.links) == (ordinary.content, ordinary.links)
    assert taken == ([lane] if lane else [])
