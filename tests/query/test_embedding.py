"""Embedded rows, and the number of statements that load them."""

import json
import re
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
from tests.support.running import Running
from tests.support.tables import Rows, Tables

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


def writer_brief(number: int) -> Body:
    """Return the expected writer in another row."""
    nation = nation_of(number)
    name = None if nation is None else {"name": f"n{nation}"}
    return {"id": str(key(number)), "name": f"w{number}", "nation": name}


def writer_fields(number: int | None) -> Body:
    """Return the expected writer fields of a book."""
    if number is None:
        return {"writer_id": None, "writer": None}
    return {"writer_id": str(key(number)), "writer": writer_brief(number)}


def expected_book(number: int) -> Body:
    """Return the expected book."""
    return book_brief(number) | writer_fields(writer_of(number))


def book_brief(number: int) -> Body:
    """Return the expected book in another row."""
    return {"id": str(key(number)), "title": f"b{number}"}


def expected_writer(number: int) -> Body:
    """Return the expected writer, with its newest three books."""
    nation = nation_of(number)
    nation_id = None if nation is None else str(key(nation))
    books = [book_brief(index) for index in range(ROWS - 1, -1, -1) if writer_of(index) == number]
    return {**(writer_brief(number) or {}), "nation_id": nation_id, "books": books[:3]}


def expected_nation(number: int) -> Body:
    """Return the expected nation, with its newest two writers."""
    writers = [
        writer_brief(index) for index in range(ROWS - 1, -1, -1) if nation_of(index) == number
    ]
    return {"id": str(key(number)), "name": f"n{number}", "writers": writers[:2]}


def library_rows() -> Rows:
    """Return a hundred rows of each model. Every tenth row has no reference."""

    def reference(name: str, to: int | None) -> Body:
        return {name: None if to is None else key(to)}

    numbers = range(ROWS)
    return {
        Nation: [{"id": key(n), "name": f"n{n}"} for n in numbers],
        Writer: [
            {"id": key(n), "name": f"w{n}"} | reference("nation_id", nation_of(n)) for n in numbers
        ],
        Book: [
            {"id": key(n), "title": f"b{n}"} | reference("writer_id", writer_of(n)) for n in numbers
        ],
    }


@pytest.fixture
async def library_url(tables: Tables, backend: str) -> str:
    """Return the URL of a library without rows."""
    return await tables.of(library.Base.metadata, backend)


@pytest.fixture
async def client(running: Running, library_url: str) -> AsyncClient:
    return await running.client(library.create_app, library_url)


@pytest.fixture
async def filled_client(running: Running, tables: Tables, backend: str) -> AsyncClient:
    url = await tables.of(library.Base.metadata, backend, library_rows())
    return await running.client(library.create_app, url)


async def get_json(client: AsyncClient, path: str) -> Any:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


async def create(client: AsyncClient, path: str, **body: object) -> Body:
    return json_body(await client.post(path, json=body), 201)


def json_body(response: Response, status: int = 200) -> Body:
    assert response.status_code == status, response.text
    body: Body = response.json()
    return body


# --- Lists -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, -1])
def test_limit_without_rows_is_rejected(count: int) -> None:
    with pytest.raises(ValueError, match=rf"Limit\({count}\) shows no row: use 1 or more."):
        Limit(count)


async def test_list_embeds_related_rows(
    filled_client: AsyncClient,
) -> None:
    for path, expected in (
        ("/books", expected_book),
        ("/writers", expected_writer),
        ("/nations", expected_nation),
    ):
        assert await get_json(filled_client, f"{path}?limit=100") == [
            expected(n) for n in range(ROWS)
        ]


@pytest.mark.parametrize(
    ("path", "count"), [("/books", 1), ("/writers", 2), ("/nations", 2), ("/books?count=exact", 2)]
)
async def test_number_of_statements_is_independent_of_the_length(
    filled_client: AsyncClient, path: str, count: int
) -> None:
    separator = "&" if "?" in path else "?"
    with statements() as sent:
        for length in (1, 20, 100):
            assert len(await get_json(filled_client, f"{path}{separator}limit={length}")) == length
            assert len(sent) == count, sent
            sent.clear()


async def test_empty_list_takes_one_statement(client: AsyncClient) -> None:
    with statements() as sent:
        assert await get_json(client, "/writers") == []
    assert len(sent) == 1


async def test_filtered_and_sorted_list_embeds_related_rows(filled_client: AsyncClient) -> None:
    of_one = [expected_book(n) for n in range(ROWS) if writer_of(n) == 2]
    in_order = sorted(range(ROWS), key=lambda n: f"b{n}")
    assert await get_json(filled_client, "/books?writer__name=w2") == of_one
    assert await get_json(filled_client, "/books?sort=title&limit=100") == [
        expected_book(n) for n in in_order
    ]


async def test_pages_embed_related_rows(filled_client: AsyncClient) -> None:
    found: list[Body] = []
    path: str | None = "/books?sort=-title&limit=30"
    with statements() as sent:
        while path:
            response = await filled_client.get(path)
            found += response.json()
            path = response.links.get("next", {}).get("url")
    assert found == [
        expected_book(n) for n in sorted(range(ROWS), key=lambda n: f"b{n}", reverse=True)
    ]
    assert len(sent) == 4


@pytest.mark.parametrize(
    ("path", "expected"), [("/books", expected_book), ("/writers", expected_writer)]
)
async def test_export_embeds_related_rows(
    filled_client: AsyncClient, path: str, expected: Any
) -> None:
    with statements() as sent:
        response = await filled_client.get(path, headers=LINES)
    lines = response.content.splitlines()
    assert [json.loads(line) for line in lines] == [expected(n) for n in range(ROWS)]
    assert len(sent) < (2 if path == "/books" else ROWS / 10)


# --- Rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected", "count"),
    [
        ("/books", expected_book, 1),
        ("/by-hand", expected_book, 1),
        ("/writers", expected_writer, 2),
        ("/nations", expected_nation, 2),
    ],
)
async def test_single_row_embeds_related_rows(
    filled_client: AsyncClient, path: str, expected: Any, count: int
) -> None:
    for number in (1, 4, 10, 97):
        with statements() as sent:
            assert await get_json(filled_client, f"{path}/{key(number)}") == expected(number)
        assert len(sent) == count, sent


async def test_new_row_embeds_its_reference(filled_client: AsyncClient) -> None:
    assert (await create(filled_client, "/books", title="New"))["writer"] is None
    assert await create(filled_client, "/nations", name="New") | {"id": ""} == {
        "id": "",
        "name": "New",
        "writers": [],
    }
    made = await create(filled_client, "/books", title="Newest", writer_id=str(key(1)))
    assert made["writer"] == writer_brief(1)
    newest = {"id": made["id"], "title": "Newest"}
    assert (await get_json(filled_client, f"/writers/{key(1)}"))["books"] == [
        newest,
        *expected_writer(1)["books"][:2],
    ]


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_changed_row_embeds_its_new_reference(
    filled_client: AsyncClient, method: str
) -> None:
    path = f"/books/{key(1)}"
    for number in (2, 3, 3, None, 10, 1):
        other = None if number is None else str(key(number))
        change = {"title": "b1", "writer_id": other}
        expected = book_brief(1) | writer_fields(number)
        assert json_body(await filled_client.request(method, path, json=change)) == expected
        assert await get_json(filled_client, path) == expected


async def test_change_of_another_field_keeps_the_embedded_rows(filled_client: AsyncClient) -> None:
    for path, name, expected in (
        ("/books", "title", expected_book),
        ("/writers", "name", expected_writer),
    ):
        response = await filled_client.patch(f"{path}/{key(1)}", json={name: "Other"})
        assert json_body(response) == expected(1) | {name: "Other"}


async def test_row_with_another_reference_leaves_the_embedded_list(
    filled_client: AsyncClient,
) -> None:
    first, *others = expected_writer(1)["books"]
    await filled_client.patch(f"/books/{first['id']}", json={"writer_id": None})
    assert (await get_json(filled_client, f"/writers/{key(1)}"))["books"][:2] == others


async def test_row_and_its_reference_can_change_together(filled_client: AsyncClient) -> None:
    for number in (1, 10, 11):
        response = await filled_client.patch(
            f"/writers/{key(number)}", json={"nation_id": str(key(50)), "name": "Moved"}
        )
        assert json_body(response)["nation"] == {"name": "n50"}
        assert json_body(response)["books"] == expected_writer(number)["books"]


# --- Writing back ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/books", "/writers", "/nations"])
async def test_response_can_be_sent_back(filled_client: AsyncClient, path: str) -> None:
    for number in (0, 1, 10, 97):
        place = f"{path}/{key(number)}"
        before = await get_json(filled_client, place)
        assert json_body(await filled_client.put(place, json=before)) == before
        assert await get_json(filled_client, place) == before


async def test_response_can_be_sent_back_with_another_reference(filled_client: AsyncClient) -> None:
    path = f"/books/{key(1)}"
    response = await filled_client.put(path, json=expected_book(1) | {"writer_id": str(key(2))})
    assert json_body(response) == expected_book(1) | {
        "writer_id": str(key(2)),
        "writer": writer_brief(2),
    }


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/books", "writer", None),
        ("/books", "writer", writer_brief(2)),
        ("/books", "writer", writer_brief(1) | {"name": "Other"}),
        ("/books", "writer", writer_brief(1) | {"nation": {"name": "Other"}}),
        ("/writers", "books", []),
        ("/writers", "books", expected_writer(1)["books"][::-1]),
        ("/writers", "books", [*expected_writer(1)["books"], book_brief(99)]),
    ],
)
async def test_changed_embedded_row_is_rejected(
    filled_client: AsyncClient, path: str, field: str, value: object
) -> None:
    place = f"{path}/{key(1)}"
    before = await get_json(filled_client, place)
    response = await filled_client.put(place, json=before | {field: value})
    (fault,) = json_body(response, 422)["errors"]
    assert (fault["pointer"], fault["code"]) == (f"#/{field}", "read_only")
    assert await get_json(filled_client, place) == before


async def test_unknown_field_of_an_embedded_row_is_rejected(filled_client: AsyncClient) -> None:
    changed = expected_book(1) | {"writer": writer_brief(1) | {"nothing": 1}}
    response = await filled_client.put(f"/books/{key(1)}", json=changed)
    assert response.status_code == 422


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_embedded_field_is_read_only(filled_client: AsyncClient, method: str) -> None:
    path = "/books" if method == "POST" else f"/books/{key(1)}"
    response = await filled_client.request(
        method, path, json={"title": "b1", "writer": writer_brief(1)}
    )
    (fault,) = json_body(response, 422)["errors"]
    assert (fault["pointer"], fault["code"]) == ("#/writer", "read_only")


# --- Declarations ------------------------------------------------------------------------------

friendships = Table(
    "friendships",
    library.Base.metadata,
    Column("one", Uuid, ForeignKey("bosses.id"), primary_key=True),
    Column("other", Uuid, ForeignKey("bosses.id"), primary_key=True),
)


class Boss(library.Base):
    """A model with every kind of relationship to itself."""

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
    """Return an application with one router of bosses for each schema in *reads*."""
    app = FastAPI(lifespan=library.Library(url).lifespan)
    install(app)
    for path, read in reads.items():
        router = crud_router(f"/{path}", Bosses, read=read, create=BossCreate, update=BossUpdate)
        app.include_router(router)
    return app


async def befriend(url: str, one: str, *others: str) -> None:
    database = Database(url)
    async with database.lifespan(None), database.session() as session:
        pairs = [{"one": UUID(one), "other": UUID(other)} for other in others]
        await session.execute(insert(friendships), pairs)


async def test_every_kind_of_relationship_is_embedded(library_url: str) -> None:
    async with calling(app_of(library_url, bosses=BossRead)) as client:
        top = (await create(client, "/bosses", name="Top"))["id"]
        ids = [
            (await create(client, "/bosses", name=name, boss_id=top))["id"]
            for name in ("LOUD", "A", "B", "LOUD", "C")
        ]
        await befriend(library_url, top, *ids[:3])
        await befriend(library_url, ids[2], ids[0], top)
        with statements() as sent:
            first, *others = await get_json(client, "/bosses")
        assert len(sent) == 4
        assert await get_json(client, f"/bosses/{top}") == first
    assert first == {
        "id": top,
        "name": "Top",
        "chief": None,
        "staff": [{"name": "C"}, {"name": "LOUD"}],
        "loud": [{"name": "LOUD"}, {"name": "LOUD"}],
        "friends": [{"name": "B"}, {"name": "A"}],
    }
    assert [boss["chief"] for boss in others] == [{"name": "Top"}] * 5
    assert [boss["staff"] for boss in others] == [[]] * 5
    friends = [{"name": "LOUD"}, {"name": "Top"}]
    assert [boss["friends"] for boss in others] == [[], [], friends, [], []]


class Aliased(Name):
    head: Name | None = Field(validation_alias="chief")


async def test_relationship_can_have_an_alias(library_url: str) -> None:
    async with calling(app_of(library_url, bosses=BossRead, aliased=Aliased)) as client:
        top = (await create(client, "/bosses", name="Top"))["id"]
        await create(client, "/bosses", name="A", boss_id=top)
        with statements() as sent:
            assert await get_json(client, "/aliased?offset=1") == [
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
def test_embedded_list_without_a_limit_is_rejected(
    model: type[library.Base], read: type[BaseModel], name: str
) -> None:
    with pytest.raises(TypeError, match=rf"{re.escape(name)} has no limit.* Limit\(10\)"):
        embedding(model, read)


class BookWithBooks(ReadSchema):
    writer: WriterRead | None


def test_list_in_an_embedded_row_is_rejected() -> None:
    with pytest.raises(TypeError, match=r"WriterRead\.books .* leave the list out"):
        embedding(Book, BookWithBooks)


class Computed(ReadSchema):
    area: NationBrief


def test_schema_without_relationships_has_no_embedding() -> None:
    assert not embedding(Nation, NationBrief)
    assert not embedding(Nation, Computed)
    assert embedding(Book, BookRead)
    assert embedding(Writer, WriterRead)


async def test_openapi_has_all_referenced_schemas(databases: Databases) -> None:
    class Chief(Name):
        """A schema of a list, and of an embedded row."""

    class Staff(ReadSchema):
        chief: Chief | None

    app = app_of(databases.empty("sqlite"), staff=Staff, chiefs=Chief)
    async with (
        calling(app) as client,
        calling(library.create_app(databases.empty("sqlite"))) as own,
    ):
        for service in (client, own):
            document = (await service.get("/openapi.json")).text
            known = json.loads(document)["components"]["schemas"].keys()
            assert {*re.findall('"#/components/schemas/([^"]+)"', document)} <= known


# --- Deleted rows ------------------------------------------------------------------------------


class Band(Base, SoftDelete):
    """A band, which can be deleted and restored."""

    __tablename__ = "bands"

    name: Mapped[str] = mapped_column(String(20))
    songs: Mapped[list["Song"]] = relationship(back_populates="band", passive_deletes="all")


class Song(Base, SoftDelete):
    """A song, which stays when its band is deleted."""

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


async def test_deleted_row_is_embedded_only_after_a_restore(library_url: str) -> None:
    app = FastAPI(lifespan=Database(library_url).lifespan)
    install(app)
    app.include_router(
        crud_router("/bands", Bands, read=BandRead, create=NamedCreate, update=NamedUpdate)
    )
    app.include_router(
        crud_router("/songs", Songs, read=SongRead, create=SongCreate, update=SongUpdate)
    )
    async with calling(app) as client:
        band = await create(client, "/bands", name="The Bricks")
        songs = [
            await create(client, "/songs", name=name, band_id=band["id"]) for name in ("A", "B")
        ]
        paths = [f"/songs/{song['id']}" for song in songs]
        whole = {"id": band["id"], "name": "The Bricks"}

        async def embedded_bands() -> tuple[object, object, object]:
            listed = [song["band"] for song in await get_json(client, "/songs")]
            changed = json_body(await client.patch(paths[1], json={"name": "B"}))
            return listed, changed["band"], (await get_json(client, paths[1]))["band"]

        assert await embedded_bands() == ([whole, whole], whole, whole)
        assert (await client.delete(f"/bands/{band['id']}")).status_code == 204
        assert await embedded_bands() == ([None, None], None, None)
        restored = json_body(await client.post(f"/bands/{band['id']}/restore"))
        assert await embedded_bands() == ([whole, whole], whole, whole)

        assert [song["name"] for song in restored["songs"]] == ["B", "A"]
        assert (await client.delete(paths[0])).status_code == 204
        for found in (
            await get_json(client, f"/bands/{band['id']}"),
            *await get_json(client, "/bands"),
        ):
            assert [song["name"] for song in found["songs"]] == ["B"]


# --- The fast path -----------------------------------------------------------------------------


@pytest.mark.both_paths
@pytest.mark.parametrize(
    ("path", "is_fast"),
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
async def test_fast_path_embeds_the_same_rows(
    filled_client: AsyncClient, path: str, is_fast: object
) -> None:
    with record_fast_path() as taken:
        fast = await filled_client.get(path)
    with event_listener(Engine, "before_cursor_execute"):
        orm = await filled_client.get(path)
    assert fast.status_code == 200, fast.text
    assert (fast.content, fast.links) == (orm.content, orm.links)
    assert taken == [is_fast]
