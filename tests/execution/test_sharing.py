"""Requests for the same rows at the same time: few statements, and an answer for each."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated, Any

import pytest
from annotated_types import MaxLen
from fastapi import Depends, Header
from httpx2 import AsyncClient, Response
from pydantic import field_serializer
from sqlalchemy import JSON, Select, String, TypeDecorator, literal, or_
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import Database, ListQuery, ReadSchema, Resource, Schema, crud_router
from brickwork.fastpath import FastOperation
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.notes import (
    TWENTY,
    Base,
    Note,
    NoteCreate,
    NoteRead,
    Notes,
    calling_notes,
    current_user,
    notes,
    notes_app,
)
from tests.support.recording import driver_statements, path_taken
from tests.support.tables import insert_rows
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

ADA, BOB = {"authorization": "ada"}, {"authorization": "bob"}


@pytest.fixture
def database(notes_url: str) -> Database:
    """A database with twenty notes, and one connection for reading."""
    return Database(notes_url, pool_size=1)


@asynccontextmanager
async def held_requests(
    client: AsyncClient, database: Database, path: str, count: int
) -> AsyncGenerator[list[asyncio.Task[Response]]]:
    """Have Ada send *count* requests, and hold the one connection until the block ends."""
    async with database.reader.connect():
        with current_user.recorded() as calls:
            tasks = [asyncio.create_task(client.get(path, headers=ADA)) for _ in range(count)]
            await until(lambda: len(calls) == count)
        yield tasks


def texts(response: Response) -> list[str]:
    return [row["text"] for row in response.json()]


# --- The statements of several requests -----------------------------------------------------------


async def test_statements_of_requests_for_one_page(database: Database) -> None:
    with driver_statements() as sent:
        async with calling_notes(database) as client:
            async with held_requests(client, database, "/notes?limit=3", 20) as tasks:
                assert sent == []
            responses = await asyncio.gather(*tasks)
            assert len(sent) == 2  # that of the first request, and that of all others
            assert [texts(each) for each in responses] == [["note 1", "note 3", "note 5"]] * 20
            assert len({each.headers["x-request-id"] for each in responses}) == 20
            assert {each.headers["vary"] for each in responses} == {"Accept"}
            following = await client.get(responses[-1].links["next"]["url"], headers=ADA)
            assert texts(following) == ["note 7", "note 9", "note 11"]


async def test_statements_of_requests_for_one_row(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []
    write = FastOperation[Note].body

    def note(operation: FastOperation[Note], route: Any, content: object) -> bytes | None:
        written.append(content)
        return write(operation, route, content)

    monkeypatch.setattr(FastOperation, "body", note)
    with driver_statements() as sent:
        async with calling_notes(database) as client:
            async with held_requests(client, database, "/notes/1", 20) as tasks:
                assert sent == []
            responses = await asyncio.gather(*tasks)
    assert 1 < len(sent) < 10
    assert len(written) == len(sent)  # as JSON, by the first of those who share a row
    assert [each.json()["text"] for each in responses] == ["note 1"] * 20
    assert len({each.headers["x-request-id"] for each in responses}) == 20


async def test_statements_of_requests_that_go_alone(notes_url: str) -> None:
    database = Database(notes_url, pool_size=1, coalesce=False)
    with driver_statements() as sent:
        async with calling_notes(database) as client:
            async with held_requests(client, database, "/notes", 5) as tasks:
                assert sent == []
            assert {summary(each) for each in await asyncio.gather(*tasks)} == {"200"}
    assert len(sent) == 5


async def test_queries_that_differ_leave_nothing_behind(notes_url: str) -> None:
    class Several(Resource[Note]):
        several: Annotated[int, Header()] = 1

        @override
        def query(self) -> Select[Note]:
            owners = (Note.owner == each for each in ["ada", *map(str, range(self.several))])
            return super().query().where(or_(*owners))

    database = Database(notes_url)
    async with calling(notes_app(database, notes(Several))) as client:
        for several in range(40):
            get = client.get("/notes/1", headers={"several": str(several)})
            assert await path_taken(get) == "200 fast"
    assert len(database.batchers) == 0


# --- Requests that end otherwise ------------------------------------------------------------------


async def test_cancelled_requests_leave_the_page_to_others(database: Database) -> None:
    async with calling_notes(database) as client:
        async with held_requests(client, database, "/notes", 4) as tasks:
            for each in tasks[:2]:
                each.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each).__name__ for each in ends] == [
            "CancelledError",
            "CancelledError",
            "Response",
            "Response",
        ]
        assert await path_taken(client.get("/notes", headers=ADA)) == "200 fast"


async def test_failed_reads_are_sent_again_later(empty_url: str) -> None:
    database = Database(empty_url)
    paths = [f"/notes/{key}" for key in range(1, 12, 2)] * 2
    async with calling_notes(database) as client:
        responses = await asyncio.gather(*(client.get(each, headers=ADA) for each in paths))
        assert {summary(each) for each in responses} == {"500"}
        await database.create_all(Base.metadata)
        await insert_rows(database, TWENTY)
        responses = await asyncio.gather(*(client.get(each, headers=ADA) for each in paths))
        assert {summary(each) for each in responses} == {"200"}


async def test_page_that_cannot_be_shown_is_a_500_for_each(notes_url: str) -> None:
    class Short(NoteRead):
        text: Annotated[str, MaxLen(6)]  # the rows of another program have more

    class ShortCreate(NoteCreate):
        text: Annotated[str, MaxLen(6)]

    class ShortUpdate(ShortCreate, partial=True): ...

    router = notes(read=Short, create=ShortCreate, update=ShortUpdate)
    async with calling(notes_app(Database(notes_url), router)) as client:
        responses = await asyncio.gather(*(client.get("/notes", headers=ADA) for _ in range(5)))
        assert [summary(each) for each in responses] == ["500"] * 5
        assert texts(await client.get("/notes?limit=1", headers=ADA)) == ["note 1"]


# --- Requests that share nothing ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "firsts"),
    [
        ("/notes", ["note 1", "note 2", None]),
        ("/notes?limit=3", ["note 1", "note 2", None]),
        ("/notes?sort=-text", ["note 9", "note 8", None]),
        ("/notes?rank__gte=2", ["note 9", "note 8", None]),
    ],
)
async def test_pages_of_other_users_are_not_shared(
    notes_url: str, path: str, firsts: list[str | None]
) -> None:
    users = ["ada", "bob", "eve"] * 4
    async with calling_notes(Database(notes_url)) as client:
        gets = (client.get(path, headers={"authorization": each}) for each in users)
        pages = [texts(each) for each in await asyncio.gather(*gets)]
    assert [page[0] if page else None for page in pages] == firsts * 4


async def test_pages_of_other_queries_are_not_shared(notes_url: str) -> None:
    paths = ["/notes?limit=1", "/notes?limit=2", "/notes?sort=-text&limit=1"] * 4
    async with calling_notes(Database(notes_url)) as client:
        pages = await asyncio.gather(*(client.get(each, headers=ADA) for each in paths))
    assert [texts(each) for each in pages] == [["note 1"], ["note 1", "note 3"], ["note 9"]] * 4


async def test_links_of_a_shared_page_keep_the_query(notes_url: str) -> None:
    paths = ["/notes?limit=3", "/notes?limit=03"] * 4
    async with calling_notes(Database(notes_url)) as client:
        pages = await asyncio.gather(*(client.get(each, headers=ADA) for each in paths))
    firsts = [each.links["first"]["url"] for each in pages]
    assert firsts == paths


async def test_scope_that_cannot_be_compared_is_not_shared(notes_url: str) -> None:
    class Several(Notes):
        @override
        def query(self) -> Select[Note]:
            secret = literal([self.user], JSON)
            return super(Notes, self).query().where(or_(Note.owner == self.user, secret.is_(None)))

    async with calling(notes_app(Database(notes_url), notes(Several))) as client:
        gets = (client.get("/notes?limit=1", headers=each) for each in (ADA, BOB) * 3)
        pages = [texts(each) for each in await asyncio.gather(*gets)]
    assert pages == [["note 1"], ["note 2"]] * 3


speaking: ContextVar[str] = ContextVar("speaking", default="nobody")


async def language(accept_language: Annotated[str, Header()] = "en") -> str:
    """Remember the language of this client."""
    speaking.set(accept_language)
    return accept_language


class Spoken(NoteRead):
    @field_serializer("text")
    def said(self, value: str) -> str:
        return f"{value} ({speaking.get()})"


class Speaking(Resource[Note]):
    language: Annotated[str, Depends(language)]


@pytest.mark.parametrize("path", ["/notes?limit=1", "/notes/1"])
async def test_schema_with_code_is_not_shared(notes_url: str, path: str) -> None:
    spoken = ["de", "fr", "it"] * 4
    async with calling(notes_app(Database(notes_url), notes(Speaking, read=Spoken))) as client:
        gets = (client.get(path, headers={"accept-language": each}) for each in spoken)
        answers = [each.text for each in await asyncio.gather(*gets)]
    for each, answer in zip(spoken, answers, strict=True):
        assert f'"note 1 ({each})"' in answer


class SpokenText(TypeDecorator[str]):
    """Text that ends with the language of the client who reads or writes it."""

    impl = String(50)
    cache_ok = True

    @property
    @override
    def python_type(self) -> type[str]:
        return str

    @override
    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        return value and f"{value} by {speaking.get()}"

    @override
    def process_result_value(self, value: str | None, dialect: object) -> str | None:
        return value and f"{value} for {speaking.get()}"


class Phrase(Base):
    __tablename__ = "phrases"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column()
    text: Mapped[str] = mapped_column(SpokenText)


class PhraseCreate(Schema):
    id: int
    number: int
    text: str


class PhraseUpdate(PhraseCreate, partial=True): ...


class PhraseRead(ReadSchema):
    id: int
    text: str


class PhraseQuery(ListQuery[Phrase]):
    number: int | None = None


class Phrases(Resource[Phrase]):
    language: Annotated[str, Depends(language)]


@pytest.fixture
async def phrases(notes_url: str) -> AsyncGenerator[AsyncClient]:
    """A client of phrases, which show the language of who wrote and who reads them."""
    router = crud_router(
        "/phrases",
        Phrases,
        read=PhraseRead,
        create=PhraseCreate,
        update=PhraseUpdate,
        query=PhraseQuery,
    )
    async with calling(notes_app(Database(notes_url), router)) as client:
        yield client


@pytest.mark.parametrize("path", ["/phrases?limit=1", "/phrases?number=7", "/phrases/1"])
async def test_type_with_code_is_not_shared(phrases: AsyncClient, path: str) -> None:
    await phrases.post("/phrases", json={"id": 1, "number": 7, "text": "Hi"})
    spoken = ["de", "fr", "it"] * 4
    gets = (phrases.get(path, headers={"accept-language": each}) for each in spoken)
    answers = [each.text for each in await asyncio.gather(*gets)]
    for each, answer in zip(spoken, answers, strict=True):
        assert f'"Hi by en for {each}"' in answer


async def test_writes_of_a_type_with_code_are_not_shared(phrases: AsyncClient) -> None:
    spoken = ["de", "fr", "it"] * 4
    posts = (
        phrases.post(
            "/phrases",
            json={"id": number, "number": number, "text": "Hi"},
            headers={"accept-language": each},
        )
        for number, each in enumerate(spoken, start=1)
    )
    assert {each.status_code for each in await asyncio.gather(*posts)} == {201}
    listed = await phrases.get("/phrases?limit=20")
    assert texts(listed) == [f"Hi by {each} for en" for each in spoken]
