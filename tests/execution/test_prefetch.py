"""Referenced rows that are prefetched before a write."""

import asyncio
from typing import Any, Final
from uuid import UUID

import pytest
from httpx2 import Response
from sqlalchemy import text, update

from brickwork import Database, Model
from brickwork.execution.prefetch import PrefetchedRows, ReferencePrefetch
from tests.support.databases import sqlite_only
from tests.support.library import Book, Nation, Writer
from tests.support.paths import Paths, Step
from tests.support.recording import event_listener, path_taken, record_fast_path
from tests.support.tables import Rows

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


# --- The same responses ---------------------------------------------------------------------------

W1, W2, B1, B2, NONE = (str(UUID(int=n)) for n in (0xA1, 0xA2, 0xB1, 0xB2, 0xF))
"""The keys of two writers and two books, and a key of no row."""

ROWS: Final[Rows] = {
    Nation: [{"id": UUID(int=1), "name": "n"}],
    Writer: [
        {"id": UUID(W1), "name": "w1", "nation_id": UUID(int=1)},
        {"id": UUID(W2), "name": "w2", "nation_id": None},
    ],
    Book: [
        {"id": UUID(B1), "title": "b1", "writer_id": UUID(W1)},
        {"id": UUID(B2), "title": "b2", "writer_id": None},
    ],
}


def post(json: Any, path: str = "/books", status: int = 201, **options: Any) -> Step:
    return Step("POST", path, json, status=status, **options)


def patch(key: str, json: Any, **options: Any) -> Step:
    return Step("PATCH", f"/books/{key}", json, **options)


STEPS: Final = [
    Step("GET", f"/books/{B1}", id="row"),
    Step("GET", f"/books/{B2}", id="row without a writer"),
    Step("GET", "/books?limit=100", id="list"),
    post({"title": "a", "writer_id": W1}, id="new with a writer"),
    post({"title": "b", "writer_id": W2}, id="new with a writer of no nation"),
    post({"title": "c", "writer_id": None}, id="new without a writer"),
    post({"title": "d"}, id="new that says nothing of a writer"),
    post({"title": "e", "writer_id": NONE}, status=422, fast=False, id="new with a missing writer"),
    post({"title": "e", "writer_id": 1}, status=422, fast=False, id="new with an odd writer"),
    post([{"title": "f", "writer_id": W1}], "/books/batch", fast=False, id="batch"),
    patch(B1, {"title": "x"}, id="change"),
    patch(B2, {"title": "y"}, id="change without a writer"),
    patch(B1, {"title": "z", "writer_id": W1}, id="change with the same writer"),
    patch(B1, {"writer_id": W2}, id="change to another writer"),
    patch(B1, {"writer_id": None}, id="change to no writer"),
    patch(B1, {"title": "b1"}, fast=False, id="no change"),
    patch(B2, {"writer_id": None}, fast=False, id="no change of no writer"),
    patch(B1, {"writer_id": NONE}, status=422, fast=False, id="change to a missing writer"),
    patch(NONE, {"title": "x"}, status=404, fast=False, id="change of a missing row"),
    patch(NONE, {"writer_id": W1}, status=404, fast=False, id="new writer of a missing row"),
    Step("DELETE", f"/books/{B1}", status=204, fast=False, id="delete"),
]


@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_write_of_a_book_is_the_same_on_each_path(library_paths: Paths, step: Step) -> None:
    together, alone, orm = await library_paths.outcomes(step, ROWS)
    assert together.status == step.status
    assert together == alone == orm
    assert [together.fast, alone.fast, orm.fast] == [step.fast, step.fast, False]


# --- Concurrent changes ---------------------------------------------------------------------------


def writer_name(answer: Response) -> object:
    writer: Any = answer.json()["writer"]
    return writer and writer["name"]


@pytest.mark.parametrize(
    ("book", "writer", "name"),
    [
        pytest.param(B1, W2, "w2", id="another writer"),
        pytest.param(B1, None, None, id="no writer"),
        pytest.param(B2, W1, "w1", id="a writer for none"),
    ],
)
async def test_reference_changed_after_the_prefetch_takes_the_orm_path(
    library_paths: Paths,
    monkeypatch: pytest.MonkeyPatch,
    book: str,
    writer: str | None,
    name: object,
) -> None:
    find = ReferencePrefetch[Any].load

    async def load(self: Any, database: Database, *rest: Any) -> PrefetchedRows | None:
        found = await find(self, database, *rest)
        async with database.session() as session:  # as another client, just then
            await session.execute(update(Book).values(writer_id=writer and UUID(writer)))
        return found

    await library_paths.fill(ROWS)
    monkeypatch.setattr(ReferencePrefetch, "load", load)
    async with library_paths.client(library_paths.fast) as client:
        with record_fast_path() as taken:
            answer = await client.patch(f"/books/{book}", json={"title": "x"})
    assert (answer.json()["title"], writer_name(answer), taken) == ("x", name, [False])


async def test_reference_deleted_after_the_prefetch_is_a_422(
    library_paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = ReferencePrefetch[Any].load

    async def load(self: Any, database: Database, *rest: Any) -> PrefetchedRows | None:
        found = await find(self, database, *rest)
        async with database.session() as session:
            await session.execute(text("DELETE FROM books"))
            await session.execute(text("DELETE FROM writers"))
        return found

    await library_paths.fill(ROWS)
    monkeypatch.setattr(ReferencePrefetch, "load", load)
    async with library_paths.client(library_paths.fast) as client:
        answer = await client.post("/books", json={"title": "x", "writer_id": W1})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/writer_id"
        assert (await client.get("/books")).json() == []


async def test_concurrent_creates_embed_their_own_writers(library_paths: Paths) -> None:
    writers = [W1, W2, None] * 4
    await library_paths.fill(ROWS)
    async with library_paths.client(library_paths.fast) as client:
        with record_fast_path() as taken:
            bodies = ({"title": "t", "writer_id": writer} for writer in writers)
            posts = (client.post("/books", json=body) for body in bodies)
            answers = await asyncio.gather(*posts)
        assert taken == [True] * 12
        assert [writer_name(answer) for answer in answers] == ["w1", "w2", None] * 4
        for answer in answers:
            assert (await client.get(answer.headers["location"])).content == answer.content


@sqlite_only
@pytest.mark.parametrize("target", [Writer, Nation])
async def test_listener_to_embedded_rows_disables_the_fast_path(
    library_paths: Paths, target: type[Model]
) -> None:
    body = {"title": "x", "writer_id": W1}
    await library_paths.fill(ROWS)
    async with library_paths.client(library_paths.fast) as client:
        with event_listener(target, "load"):
            assert await path_taken(client.post("/books", json=body)) == "201 ORM"
            assert await path_taken(client.patch(f"/books/{B1}", json=body)) == "200 ORM"
