"""PATCH and DELETE on each path."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final
from uuid import UUID

import pytest
from pydantic import field_validator

from brickwork import Database, Resource
from brickwork.execution import statement
from brickwork.http.representation import Serializer
from tests.support import library
from tests.support.articles import ADA, BOB, ROWS, A, B, C, D
from tests.support.bodies import MERGE_PATCH, MISSING, summary
from tests.support.calls import calling
from tests.support.databases import sqlite_only
from tests.support.library import Nation
from tests.support.notes import Note, notes, notes_app
from tests.support.paths import Paths, Step
from tests.support.recording import path_taken, record_fast_path
from tests.support.shop import Store, StoreRead, app_of, stores
from tests.support.tables import Rows, Tables, insert_rows

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


# --- The same responses ---------------------------------------------------------------------------


def patch(json: Any, path: str = f"/articles/{A}", **options: Any) -> Step:
    return Step("PATCH", path, json, **options)


def delete(path: str, status: int = 204, **options: Any) -> Step:
    return Step("DELETE", path, status=status, **options)


STEPS: Final = [
    patch({"title": "New"}, id="change"),
    patch({"views": 3, "rating": 1.5}, id="changes"),
    patch({"views": 3, "rating": None}, id="change to null"),
    patch({"author_id": None}, f"/articles/{B}", id="reference to null"),
    patch({"author_id": ADA}, id="reference"),
    patch({"views": 3}, headers={"content-type": MERGE_PATCH}, id="merge patch"),
    patch({"views": 3}, headers={"if-match": '"1"'}, id="If-Match of the version"),
    patch({"name": "Eve"}, f"/authors/{ADA}", id="change without a version"),
    patch({"title": "Title a"}, fast=False, id="no change"),
    patch({}, fast=False, id="nothing"),
    patch({"meta": {"a": 1}}, fast=False, id="document"),
    patch({"meta": {"a": None, "c": 2}, "views": 8}, fast=False, id="document and number"),
    patch({"views": 5}, headers={"if-match": '"x", "1"'}, fast=False, id="If-Match of several"),
    patch({"views": 6}, headers={"if-none-match": '"9"'}, fast=False, id="If-None-Match"),
    patch({"views": 5}, headers={"if-match": '"4"'}, status=412, fast=False, id="If-Match, stale"),
    patch({"views": 5}, headers={"if-match": '"01"'}, status=412, fast=False, id="If-Match, zero"),
    patch({"slug": "b"}, status=409, fast=False, id="taken slug"),
    patch({"status": "odd"}, status=422, fast=False, id="odd status"),
    patch({"author_id": MISSING}, status=422, fast=False, id="reference to nothing"),
    patch({"title": "New"}, f"/articles/{A}?a=1", status=422, fast=False, id="unknown parameter"),
    patch(None, status=400, fast=False, id="no body"),
    patch({"title": "New"}, f"/articles/{D}", status=404, fast=False, id="change of deleted"),
    patch({"title": "New"}, f"/articles/{MISSING}", status=404, fast=False, id="change of none"),
    patch({"title": "New"}, "/articles/none", status=404, fast=False, id="change of no key"),
    delete(f"/articles/{C}", id="delete"),
    delete(f"/articles/{C}/", id="delete with a slash"),
    delete(f"/articles/{C}", headers={"if-match": '"1"'}, id="delete of the version"),
    delete(f"/authors/{ADA}", id="delete for good"),
    delete(f"/articles/{C}?allow_missing=true", id="delete, missing or not"),
    delete(f"/articles/{C}", 412, headers={"if-match": '"2"'}, fast=False, id="delete of stale"),
    delete(f"/articles/{D}", 404, fast=False, id="delete of deleted"),
    delete(f"/articles/{MISSING}", 404, fast=False, id="delete of none"),
    delete(f"/authors/{BOB}", 409, fast=False, id="delete with references"),
]


@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_change_is_the_same_on_each_path(paths: Paths, step: Step) -> None:
    together, alone, orm = await paths.outcomes(step, ROWS)
    assert together.status == step.status
    assert together == alone == orm
    assert [together.fast, alone.fast, orm.fast] == [step.fast, step.fast, False]


# --- Concurrent requests --------------------------------------------------------------------------


async def test_concurrent_changes_each_increment_the_version(paths: Paths) -> None:
    await paths.fill(ROWS)
    async with paths.client(paths.fast) as client:
        with record_fast_path() as taken:
            patches = (client.patch(f"/articles/{A}", json={"views": n}) for n in range(1, 11))
            answers = await asyncio.gather(*patches)
    assert sorted(answer.json()["version"] for answer in answers) == [*range(2, 12)]
    assert taken == [True] * 10


async def test_one_of_concurrent_changes_with_the_same_tag_wins(paths: Paths) -> None:
    await paths.fill(ROWS)
    version = {"if-match": '"1"'}
    async with paths.client(paths.fast) as client:
        bodies = ({"views": n} for n in range(1, 11))
        patches = (client.patch(f"/articles/{A}", json=body, headers=version) for body in bodies)
        answers = sorted(summary(response) for response in await asyncio.gather(*patches))
    assert answers == ["200", *["412"] * 9]


# --- The fields and the row -----------------------------------------------------------------------


class SmallStoreRead(StoreRead):
    @field_validator("rank")
    @classmethod
    def small(cls, value: int) -> int:
        if value > 10:
            raise ValueError("It cannot be shown.")
        return value


@pytest.fixture
async def database(shop_url: str) -> AsyncGenerator[Database]:
    """Return a database with the store `a`."""
    database = Database(shop_url)
    await insert_rows(database, {Store: [{"code": "a", "name": "bread"}]})
    yield database
    await database.dispose()


@pytest.mark.parametrize(
    ("read", "body", "expected"),
    [
        pytest.param(StoreRead, {"rank": 2}, "200 fast", id="change"),
        pytest.param(StoreRead, {"code": "b"}, "409 ORM", id="change of the key"),
        pytest.param(StoreRead, {"rank": 200}, "422 ORM", id="failed check"),
        pytest.param(SmallStoreRead, {"rank": 10}, "200 ORM", id="change that code shows"),
        pytest.param(SmallStoreRead, {"rank": 11}, "500 ORM", id="change that cannot be shown"),
    ],
)
async def test_change_takes_the_expected_path(
    database: Database, read: type[StoreRead], body: dict[str, Any], expected: str
) -> None:
    async with calling(app_of(database, stores(read=read))) as client:
        assert await path_taken(client.patch("/stores/a", json=body)) == expected


class AllNotes(Resource[Note]):
    """The notes of all users."""


@sqlite_only
async def test_statement_cache_has_a_limit(notes_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "_MAX_STATEMENTS", 2)
    prepared: list[Any] = []
    prepare = statement.StatementOperation[Any, Any, Any].prepare

    def record(operation: Any, serializer: Serializer) -> None:
        prepared.append(operation)
        prepare(operation, serializer)

    monkeypatch.setattr(statement.StatementOperation, "prepare", record)
    async with calling(notes_app(Database(notes_url), notes(AllNotes))) as client:
        for body in ({"text": "b"}, {"rank": 9}, {"text": "c", "rank": 8}, {"text": "d"}):
            assert await path_taken(client.patch("/notes/1", json=body)) == "200 fast"
    caches: list[dict[object, object]] = [vars(item)["_statements"] for item in prepared]
    assert max(map(len, caches)) == 2


@sqlite_only
async def test_delete_with_relationships_takes_the_orm_path(tables: Tables, backend: str) -> None:
    nations: Rows = {Nation: [{"id": UUID(A), "name": "Chile"}]}
    url = await tables.of(library.Base.metadata, backend, nations)
    async with calling(library.create_app(url)) as client:
        assert await path_taken(client.delete(f"/nations/{A}")) == "204 ORM"
