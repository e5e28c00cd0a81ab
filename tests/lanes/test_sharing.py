"""Pages that several ask for at the same time are made once, and are everyone's own."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import IPv4Address
from typing import Annotated, Any

import pytest
from annotated_types import MaxLen
from fastapi import Depends, Header
from httpx2 import Response
from pydantic import (
    AnyUrl,
    BaseModel,
    PlainSerializer,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
)
from sqlalchemy import JSON, Select, literal, or_, text
from typing_extensions import override

from brickwork import Database, Problem, ReadSchema, Resource, crud_router, drivers
from brickwork.coalescing import Sharing
from brickwork.lanes import Lane, reading
from brickwork.problems import Unavailable
from brickwork.schemas import runs_code
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.notes import Note, NoteCreate, NoteRead, Notes, NoteUpdate, notes, notes_app

pytestmark = [pytest.mark.anyio, pytest.mark.lanes]

_share = Sharing.__call__

ADA, BOB = {"authorization": "ada"}, {"authorization": "bob"}


class Gate:
    """Counts what is asked and read, and holds back what was read while it is shut."""

    def __init__(self) -> None:
        self.asks = self.reads = 0
        self.open, self.next = asyncio.Event(), asyncio.Event()
        self.error: Problem | None = None

    def holding(self, fetch: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def held(*args: Any) -> Any:
            rows = await fetch(*args)
            self.reads += 1
            self.next.set()
            await self.open.wait()
            if self.error:
                raise self.error
            return rows

        return held

    def shares(self) -> Callable[..., Awaitable[Any]]:
        async def shared(share: Sharing, *asked: Any) -> Any:
            self.asks += 1
            self.next.set()
            return await _share(share, *asked)

        return shared

    async def passed(self, *, asks: int, reads: int = 1) -> None:
        """Wait until so much was asked and read."""
        async with asyncio.timeout(10):
            while self.asks < asks or self.reads < reads:
                self.next.clear()
                await self.next.wait()


@contextmanager
def blocked_reads() -> Generator[Gate]:
    gate = Gate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "fetch", gate.holding(drivers.fetch))
        patch.setattr(Sharing, "__call__", gate.shares())
        yield gate


def texts(response: Response) -> list[str]:
    return [row["text"] for row in response.json()]


async def test_who_waits_for_the_same_page_shares_it(empty_url: str) -> None:
    async with calling(notes_app(empty_url, notes())) as client, asyncio.TaskGroup() as group:
        with blocked_reads() as gate:
            asking = [group.create_task(client.get("/notes?limit=3", headers=ADA))]
            await gate.passed(asks=1)
            asking += [
                group.create_task(client.get("/notes?limit=3", headers=ADA)) for _ in range(20)
            ]
            await gate.passed(asks=21)
            gate.open.set()
            responses = [await each for each in asking]
            assert gate.reads == 2
        assert len({each.content for each in responses}) == 1
        assert len({each.headers["x-request-id"] for each in responses}) == 21
        for each in responses:
            assert texts(each) == ["note 1", "note 3", "note 5"]
            assert each.headers["vary"] == "Accept"
            assert [key.lower() for key, _ in each.headers.raw].count(b"x-request-id") == 1
            following = await client.get(each.links["next"]["url"], headers=ADA)
            assert texts(following) == ["note 7", "note 9", "note 11"]


async def test_a_row_that_several_wait_for_is_written_out_once(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, made = Gate(), list[object]()
    fetch, body = drivers.fetch, Lane[Note].body

    async def find(*asked: Any, **name: Any) -> Any:
        gate.asks += 1
        gate.next.set()
        return await drivers.find(*asked, **name)

    def note(lane: Lane[Note], route: Any, content: object) -> bytes | None:
        made.append(content)
        return body(lane, route, content)

    monkeypatch.setattr(drivers, "fetch", gate.holding(fetch))
    monkeypatch.setattr(reading, "find", find)
    monkeypatch.setattr(Lane, "body", note)
    async with calling(notes_app(empty_url, notes())) as client, asyncio.TaskGroup() as group:
        asking = [group.create_task(client.get("/notes/1", headers=ADA)) for _ in range(30)]
        await gate.passed(asks=30, reads=4)
        change = await client.patch("/notes/1", json={"text": "new"}, headers=ADA)
        assert summary(change) == "200"
        made.clear()
        gate.open.set()
        responses = [await each for each in asking]
    assert (gate.reads, len(made)) == (5, 5)
    assert sorted(each.json()["text"] for each in responses) == ["new"] * 26 + ["note 1"] * 4
    assert len({each.headers["x-request-id"] for each in responses}) == 30


async def test_rows_that_cannot_be_read_are_refused_and_there_again_later(empty_url: str) -> None:
    engine = Database(empty_url).writer
    paths = [f"/notes/{key}" for key in range(1, 12, 2)] * 2

    async def rename(old: str, new: str) -> None:
        async with engine.begin() as connection:
            await connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    async with calling(notes_app(empty_url, notes())) as client:
        for old, new, answer in (("notes", "gone", "500"), ("gone", "notes", "200")):
            await rename(old, new)
            responses = await asyncio.gather(*(client.get(each, headers=ADA) for each in paths))
            assert {summary(each) for each in responses} == {answer}
    await engine.dispose()


async def test_a_page_that_is_shared_was_read_after_the_last_asked(empty_url: str) -> None:
    async with calling(notes_app(empty_url, notes())) as client, asyncio.TaskGroup() as group:
        with blocked_reads() as gate:
            before = group.create_task(client.get("/notes", headers=ADA))
            await gate.passed(asks=1)
            new = {"owner": "ada", "text": "new"}
            assert summary(await client.post("/notes", json=new, headers=ADA)) == "201"
            after = [group.create_task(client.get("/notes", headers=ADA)) for _ in range(5)]
            await gate.passed(asks=6)
            gate.open.set()
            assert "new" not in texts(await before)
            for each in after:
                assert "new" in texts(await each)


async def test_nobody_shares_what_another_may_not_see(empty_url: str) -> None:
    wanted = [
        (path, user)
        for path in ("/notes", "/notes?limit=3", "/notes?sort=-text", "/notes?rank__gte=2")
        for user in ("ada", "bob", "eve")
    ] * 6
    async with calling(notes_app(empty_url, notes())) as client:
        alone = {
            (path, user): await client.get(path, headers={"authorization": user})
            for path, user in dict.fromkeys(wanted)
        }
        answers = await asyncio.gather(
            *(client.get(path, headers={"authorization": user}) for path, user in wanted)
        )
    for asked, answer in zip(wanted, answers, strict=True):
        assert answer.content == alone[asked].content
        assert answer.headers["link"] == alone[asked].headers["link"]
    assert len({each.content for each in alone.values()}) == 9  # eve has nothing


async def test_who_goes_away_and_what_fails_leave_the_next_alone(empty_url: str) -> None:
    async with calling(notes_app(empty_url, notes())) as client:
        with blocked_reads() as gate:
            asking = [asyncio.create_task(client.get("/notes", headers=ADA))]
            await gate.passed(asks=1)
            asking += [asyncio.create_task(client.get("/notes", headers=ADA)) for _ in range(3)]
            await gate.passed(asks=4)
            for each in asking[:2]:
                each.cancel()
            gate.open.set()
            responses = await asyncio.gather(*asking, return_exceptions=True)
            ends = [summary(r) if isinstance(r, Response) else type(r).__name__ for r in responses]
            assert ends == ["CancelledError", "CancelledError", "200", "200"]
            gate.error = Unavailable("All connections are in use.", headers={"Retry-After": "1"})
            refused = await asyncio.gather(*(client.get("/notes", headers=ADA) for _ in range(5)))
            assert [summary(each) for each in refused] == ["503"] * 5
            gate.error = None
            assert summary(await client.get("/notes", headers=ADA)) == "200"


speaking: ContextVar[str] = ContextVar("speaking", default="nobody")


async def language(accept_language: Annotated[str, Header()] = "en") -> str:
    """Remember how this client is spoken to."""
    speaking.set(accept_language)
    return accept_language


class Spoken(NoteRead):
    @field_serializer("text")
    def said(self, value: str) -> str:
        return f"{value} ({speaking.get()})"


class Speaking(Resource[Note]):
    language: Annotated[str, Depends(language)]


async def test_a_schema_that_does_more_is_not_shared(empty_url: str) -> None:
    router = crud_router("/notes", Speaking, read=Spoken, create=NoteCreate, update=NoteUpdate)
    async with calling(notes_app(empty_url, router)) as client:
        spoken = ["de", "fr", "it"] * 5
        pages, rows = [
            await asyncio.gather(
                *(client.get(path, headers={"accept-language": each}) for each in spoken)
            )
            for path in ("/notes", "/notes/1")
        ]
    for each, page, row in zip(spoken, pages, rows, strict=True):
        assert texts(page)[0] == row.json()["text"] == f"note 1 ({each})"


async def test_a_page_that_cannot_be_shown_is_a_500_for_each(empty_url: str) -> None:
    class Short(NoteRead):
        text: Annotated[str, MaxLen(6)]

    router = crud_router("/notes", Notes, read=Short, create=NoteCreate, update=NoteUpdate)
    async with calling(notes_app(empty_url, router)) as client:
        answers = await asyncio.gather(*(client.get("/notes", headers=ADA) for _ in range(5)))
        assert [summary(each) for each in answers] == ["500"] * 5
        assert texts(await client.get("/notes?limit=1", headers=ADA)) == ["note 1"]


async def test_what_cannot_be_compared_is_not_shared(empty_url: str) -> None:
    class Several(Notes):
        @override
        def query(self) -> Select[Note]:
            secret = literal([self.user], JSON)
            return super(Notes, self).query().where(or_(Note.owner == self.user, secret.is_(None)))

    async with calling(notes_app(empty_url, notes(Several))) as client:
        answers = await asyncio.gather(
            *(client.get("/notes?limit=1", headers=each) for each in (ADA, BOB) * 3)
        )
    assert [texts(each) for each in answers] == [["note 1"], ["note 2"]] * 3


async def test_no_page_is_shared_if_each_is_to_be_alone(empty_url: str) -> None:
    async with calling(notes_app(empty_url, notes(), coalesce=False)) as client:
        with blocked_reads() as gate:
            asking = [asyncio.create_task(client.get("/notes", headers=ADA)) for _ in range(5)]
            await gate.passed(asks=0, reads=5)
            gate.open.set()
            assert {summary(each) for each in await asyncio.gather(*asking)} == {"200"}


class Plain(ReadSchema):
    id: int
    address: IPv4Address
    home: AnyUrl | None
    secret: SecretStr
    others: list["Plain"]


class Bounded(Plain):
    function: str
    metadata: dict[str, int]


class Reversed(ReadSchema):
    metadata: Annotated[str, PlainSerializer(lambda value: value[::-1])]


class Validated(ReadSchema):
    name: str

    @field_validator("name")
    @classmethod
    def framed(cls, value: str) -> str:
        return value


class Computed(ReadSchema):
    name: str

    @computed_field
    def length(self) -> int:
        return len(self.name)


class Begun(ReadSchema):
    @override
    def model_post_init(self, context: Any, /) -> None: ...


class Made(ReadSchema):
    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


class Holding(ReadSchema):
    several: list[Reversed | None]


@pytest.mark.parametrize("schema", [NoteRead, Plain, Bounded])
def test_most_schemas_go_by_the_values_alone(schema: type[BaseModel]) -> None:
    assert not runs_code(schema)


@pytest.mark.parametrize("schema", [Reversed, Validated, Computed, Begun, Made, Holding, Spoken])
def test_code_of_ones_own_may_go_by_more_than_values(schema: type[BaseModel]) -> None:
    assert runs_code(schema)
