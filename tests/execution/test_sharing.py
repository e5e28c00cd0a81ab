"""Concurrent requests for the same rows."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated

import pytest
from annotated_types import MaxLen
from fastapi import Depends, Header
from httpx2 import AsyncClient, Response
from pydantic import field_serializer
from sqlalchemy import JSON, Select, String, TypeDecorator, literal, or_
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import Database, ListQuery, ReadSchema, Resource, Schema, crud_router
from brickwork.http.representation import Serializer
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
    """Return a database with twenty notes and one connection for reads."""
    return Database(notes_url, pool_size=1)


@asynccontextmanager
async def blocked_requests(
    client: AsyncClient, database: Database, path: str, count: int
) -> AsyncGenerator[list[asyncio.Task[Response]]]:
    """Send *count* requests of Ada, and hold the one connection until the block ends."""
    async with database.reader.connect():
        with current_user.recorded() as calls:
            tasks = [asyncio.create_task(client.get(path, headers=ADA)) for _ in range(count)]
            await until(lambda: len(calls) == count)
        yield tasks


def texts(response: Response) -> list[str]:
    return [row["text"] for row in response.json()]


# --- Statements of several requests ---------------------------------------------------------------


async def test_concurrent_requests_for_one_page_share_a_statement(database: Database) -> None:
    with driver_statements() as sent:
        async with calling_notes(database) as client:
            async with blocked_requests(client, database, "/notes?limit=3", 20) as tasks:
                assert sent == []
            responses = await asyncio.gather(*tasks)
            assert len(sent) == 2  # one for the first request, and one for all others
            assert [texts(response) for response in responses] == [
                ["note 1", "note 3", "note 5"]
            ] * 20
            assert len({response.headers["x-request-id"] for response in responses}) == 20
            assert {response.headers["vary"] for response in responses} == {"Accept"}
            following = await client.get(responses[-1].links["next"]["url"], headers=ADA)
            assert texts(following) == ["note 7", "note 9", "note 11"]


async def test_concurrent_requests_for_one_row_share_statements(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []
    dump = Serializer.try_dump

    def record_body(serializer: Serializer, content: object) -> bytes | None:
        written.append(content)
        return dump(serializer, content)

    monkeypatch.setattr(Serializer, "try_dump", record_body)
    with driver_statements() as sent:
        async with calling_notes(database) as client:
            async with blocked_requests(client, database, "/notes/1", 20) as tasks:
                assert sent == []
            responses = await asyncio.gather(*tasks)
    assert 1 < len(sent) < 10
    assert len(written) == len(sent)  # each row is serialised once for all its readers
    assert [response.json()["text"] for response in responses] == ["note 1"] * 20
    assert len({response.headers["x-request-id"] for response in responses}) == 20


async def test_requests_without_coalescing_share_no_statement(notes_url: str) -> None:
    database = Database(notes_url, pool_size=1, coalesce=False)
    with driver_statements() as sent:
        async with calling_notes(database) as client:
            async with blocked_requests(client, database, "/notes", 5) as tasks:
                assert sent == []
            assert {summary(response) for response in await asyncio.gather(*tasks)} == {"200"}
    assert len(sent) == 5


async def test_batchers_of_different_queries_are_removed(notes_url: str) -> None:
    class Several(Resource[Note]):
        several: Annotated[int, Header()] = 1

        @override
        def query(self) -> Select[Note]:
            owners = (Note.owner == owner for owner in ["ada", *map(str, range(self.several))])
            return super().query().where(or_(*owners))

    database = Database(notes_url)
    async with calling(notes_app(database, notes(Several))) as client:
        for several in range(40):
            get = client.get("/notes/1", headers={"several": str(several)})
            assert await path_taken(get) == "200 fast"
    assert len(database.batchers) == 0


# --- Cancelled and failed requests ----------------------------------------------------------------


async def test_cancelled_requests_leave_the_shared_page_to_others(database: Database) -> None:
    async with calling_notes(database) as client:
        async with blocked_requests(client, database, "/notes", 4) as tasks:
            for task in tasks[:2]:
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result).__name__ for result in results] == [
            "CancelledError",
            "CancelledError",
            "Response",
            "Response",
        ]
        assert await path_taken(client.get("/notes", headers=ADA)) == "200 fast"


async def test_failed_reads_are_not_cached(empty_url: str) -> None:
    database = Database(empty_url)
    paths = [f"/notes/{key}" for key in range(1, 12, 2)] * 2
    async with calling_notes(database) as client:
        responses = await asyncio.gather(*(client.get(path, headers=ADA) for path in paths))
        assert {summary(response) for response in responses} == {"500"}
        await database.create_all(Base.metadata)
        await insert_rows(database, TWENTY)
        responses = await asyncio.gather(*(client.get(path, headers=ADA) for path in paths))
        assert {summary(response) for response in responses} == {"200"}


async def test_unserialisable_shared_page_is_a_500_for_every_request(notes_url: str) -> None:
    class Short(NoteRead):
        text: Annotated[str, MaxLen(6)]  # the rows of another program have more

    class ShortCreate(NoteCreate):
        text: Annotated[str, MaxLen(6)]

    class ShortUpdate(ShortCreate, partial=True): ...

    router = notes(read=Short, create=ShortCreate, update=ShortUpdate)
    async with calling(notes_app(Database(notes_url), router)) as client:
        responses = await asyncio.gather(*(client.get("/notes", headers=ADA) for _ in range(5)))
        assert [summary(response) for response in responses] == ["500"] * 5
        assert texts(await client.get("/notes?limit=1", headers=ADA)) == ["note 1"]


# --- Requests that are not shared -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "firsts"),
    [
        ("/notes", ["note 1", "note 2", None]),
        ("/notes?limit=3", ["note 1", "note 2", None]),
        ("/notes?sort=-text", ["note 9", "note 8", None]),
        ("/notes?rank__gte=2", ["note 9", "note 8", None]),
    ],
)
async def test_pages_of_different_users_are_not_shared(
    notes_url: str, path: str, firsts: list[str | None]
) -> None:
    users = ["ada", "bob", "eve"] * 4
    async with calling_notes(Database(notes_url)) as client:
        gets = (client.get(path, headers={"authorization": user}) for user in users)
        pages = [texts(response) for response in await asyncio.gather(*gets)]
    assert [page[0] if page else None for page in pages] == firsts * 4


async def test_pages_of_different_queries_are_not_shared(notes_url: str) -> None:
    paths = ["/notes?limit=1", "/notes?limit=2", "/notes?sort=-text&limit=1"] * 4
    async with calling_notes(Database(notes_url)) as client:
        pages = await asyncio.gather(*(client.get(path, headers=ADA) for path in paths))
    assert [texts(page) for page in pages] == [["note 1"], ["note 1", "note 3"], ["note 9"]] * 4


async def test_links_of_a_shared_page_keep_the_query(notes_url: str) -> None:
    paths = ["/notes?limit=3", "/notes?limit=03"] * 4
    async with calling_notes(Database(notes_url)) as client:
        pages = await asyncio.gather(*(client.get(path, headers=ADA) for path in paths))
    firsts = [page.links["first"]["url"] for page in pages]
    assert firsts == paths


async def test_scope_with_an_unhashable_value_is_not_shared(notes_url: str) -> None:
    class Several(Notes):
        @override
        def query(self) -> Select[Note]:
            secret = literal([self.user], JSON)
            return super(Notes, self).query().where(or_(Note.owner == self.user, secret.is_(None)))

    async with calling(notes_app(Database(notes_url), notes(Several))) as client:
        gets = (client.get("/notes?limit=1", headers=headers) for headers in (ADA, BOB) * 3)
        pages = [texts(response) for response in await asyncio.gather(*gets)]
    assert pages == [["note 1"], ["note 2"]] * 3


speaking: ContextVar[str] = ContextVar("speaking", default="nobody")


async def language(accept_language: Annotated[str, Header()] = "en") -> str:
    """Set the language of this client."""
    speaking.set(accept_language)
    return accept_language


class Spoken(NoteRead):
    @field_serializer("text")
    def said(self, value: str) -> str:
        return f"{value} ({speaking.get()})"


class SpeakingNotes(Resource[Note]):
    language: Annotated[str, Depends(language)]


@pytest.mark.parametrize("path", ["/notes?limit=1", "/notes/1"])
async def test_schema_with_a_custom_serializer_is_not_shared(notes_url: str, path: str) -> None:
    spoken = ["de", "fr", "it"] * 4
    async with calling(notes_app(Database(notes_url), notes(SpeakingNotes, read=Spoken))) as client:
        gets = (
            client.get(path, headers={"accept-language": language_code}) for language_code in spoken
        )
        answers = [response.text for response in await asyncio.gather(*gets)]
    for language_code, answer in zip(spoken, answers, strict=True):
        assert f'"note 1 ({language_code})"' in answer


class SpokenText(TypeDecorator[str]):
    """Text with the languages of the clients that wrote and read it."""

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
    """Return a client of phrases, which show the languages of writer and reader."""
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
async def test_read_of_a_custom_type_is_not_shared(phrases: AsyncClient, path: str) -> None:
    await phrases.post("/phrases", json={"id": 1, "number": 7, "text": "Hi"})
    spoken = ["de", "fr", "it"] * 4
    gets = (
        phrases.get(path, headers={"accept-language": language_code}) for language_code in spoken
    )
    answers = [response.text for response in await asyncio.gather(*gets)]
    for language_code, answer in zip(spoken, answers, strict=True):
        assert f'"Hi by en for {language_code}"' in answer


async def test_write_of_a_custom_type_is_not_shared(phrases: AsyncClient) -> None:
    spoken = ["de", "fr", "it"] * 4
    posts = (
        phrases.post(
            "/phrases",
            json={"id": number, "number": number, "text": "Hi"},
            headers={"accept-language": language_code},
        )
        for number, language_code in enumerate(spoken, start=1)
    )
    assert {response.status_code for response in await asyncio.gather(*posts)} == {201}
    listed = await phrases.get("/phrases?limit=20")
    assert texts(listed) == [f"Hi by {language_code} for en" for language_code in spoken]


async def test_change_of_a_custom_type_is_not_shared(phrases: AsyncClient) -> None:
    spoken = ["de", "fr", "it"] * 4
    for number in range(len(spoken)):
        await phrases.post("/phrases", json={"id": number, "number": number, "text": "Hi"})
    patches = (
        phrases.patch(
            f"/phrases/{number}",
            json={"text": "Ho"},
            headers={"accept-language": language_code},
        )
        for number, language_code in enumerate(spoken)
    )
    assert {response.status_code for response in await asyncio.gather(*patches)} == {200}
    listed = await phrases.get("/phrases?limit=20")
    assert texts(listed) == [f"Ho by {language_code} for en" for language_code in spoken]
