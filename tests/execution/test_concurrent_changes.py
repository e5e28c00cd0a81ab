"""Concurrent PATCH and DELETE requests, in batches on PostgreSQL."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, Any, Final
from uuid import UUID

import pytest
from annotated_types import MaxLen
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import select, update

from app.articles.models import Article
from app.authors.models import Author
from brickwork import Database, Resource
from brickwork.database.driver import KEY_PARAM, write_by_key
from tests.support.articles import ROWS, A
from tests.support.bodies import MISSING, summary
from tests.support.calls import calling, client_of
from tests.support.databases import postgres_only
from tests.support.notes import Note, NoteCreate, NoteRead, calling_notes, notes, notes_app
from tests.support.paths import Paths
from tests.support.recording import driver_statements, record_fast_path
from tests.support.tables import Rows
from tests.support.waiting import until, until_it_waits

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

COUNT: Final = 64

KEYS: Final = [str(UUID(int=0x100 + number)) for number in range(COUNT)]

_TEMPLATE: Final = ROWS[Article][0]

MANY: Final[Rows] = {
    **ROWS,
    Article: [
        *ROWS[Article],
        *(
            {**_TEMPLATE, "id": UUID(key), "slug": f"s-{number}", "title": f"Title {number}"}
            for number, key in enumerate(KEYS)
        ),
    ],
}
"""The usual rows, and 64 articles with version 1."""


async def titles(database: Database) -> dict[str, str]:
    """Return the titles of the 64 articles by their keys."""
    async with database.session(readonly=True) as session:
        rows = await session.execute(select(Article.id, Article.title))
        return {str(key): title for key, title in rows if str(key) in KEYS}


def patch(client: AsyncClient, key: str, body: Any, **headers: str) -> Any:
    renamed = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.patch(f"/articles/{key}", json=body, headers=renamed)


async def summaries(requests: Any) -> list[str]:
    return [summary(response) for response in await asyncio.gather(*requests)]


# --- Different rows -------------------------------------------------------------------------------


async def test_concurrent_changes_have_their_own_responses(
    paths: Paths, articles_app: FastAPI, backend: str
) -> None:
    await paths.fill(MANY)
    database = Database(paths.fast.url)
    with driver_statements("UPDATE") as sent, driver_statements("SELECT") as read:
        async with client_of(articles_app, {"database": database}) as client:
            with record_fast_path() as taken:
                patches = (patch(client, key, {"title": f"New {key}"}) for key in KEYS)
                responses = await asyncio.gather(*patches)
    assert taken == [True] * COUNT
    for key, response in zip(KEYS, responses, strict=True):
        shown = response.json()
        assert (shown["id"], shown["title"], shown["version"]) == (key, f"New {key}", 2)
    assert await titles(database) == {key: f"New {key}" for key in KEYS}
    assert backend == "sqlite" or len(sent) <= 4  # SQLite commits its statements together
    assert not [sql for sql in read if "articles.slug" in sql]
    await database.dispose()


async def test_changes_without_coalescing_are_not_batched(
    paths: Paths, articles_app: FastAPI
) -> None:
    await paths.fill(MANY)
    database = Database(paths.fast.url, coalesce=False)
    with driver_statements("UPDATE") as sent:
        async with client_of(articles_app, {"database": database}) as client:
            patches = (patch(client, key, {"title": "New"}) for key in KEYS[:5])
            assert await summaries(patches) == ["200"] * 5
    assert len(sent) == 5
    await database.dispose()


async def test_concurrent_changes_of_several_columns(paths: Paths) -> None:
    await paths.fill(MANY)
    bodies: list[dict[str, Any]] = [
        {"views": 7, "rating": None, "published_at": "2024-02-03T04:05:06Z"},
        {"views": 8, "rating": 0.5, "published_at": None},
        {"status": "published"},
        {"title": "\u00fc\U0001f600", "body": "b" * 500, "author_id": None},
    ]
    async with paths.client(paths.fast) as client:
        patches = (patch(client, key, bodies[n % 4]) for n, key in enumerate(KEYS))
        with record_fast_path() as taken:
            responses = await asyncio.gather(*patches)
        assert taken == [True] * COUNT
        for number, response in enumerate(responses):
            body, shown = bodies[number % 4], response.json()
            assert {**shown, **body} == shown
            assert (await client.get(f"/articles/{KEYS[number]}")).json() == shown


async def test_rejected_change_of_a_batch_fails_alone(paths: Paths) -> None:
    await paths.fill(MANY)
    async with paths.client(paths.fast) as client:
        slugs = ["a" if number == 30 else f"new-{number}" for number in range(COUNT)]
        patches = (patch(client, k, {"slug": s}) for k, s in zip(KEYS, slugs, strict=True))
        found = await summaries(patches)
    assert found.pop(30).startswith("409")
    assert found == ["200"] * (COUNT - 1)


async def test_stale_versions_of_a_batch_fail_alone(paths: Paths) -> None:
    await paths.fill(MANY)
    async with paths.client(paths.fast) as client:
        patches = (
            patch(client, key, {"views": 9}, if_match=f'"{1 + number % 2}"')
            for number, key in enumerate(KEYS)
        )
        found = await summaries(patches)
    assert {*found[::2]} == {"200"}
    assert {text[:3] for text in found[1::2]} == {"412"}


async def test_missing_rows_of_a_batch_are_not_found(paths: Paths) -> None:
    await paths.fill(MANY)
    async with paths.client(paths.fast) as client:
        assert {*await summaries(client.delete(f"/articles/{key}") for key in KEYS[::4])} == {"204"}
        keys = [*KEYS, MISSING]
        found = await summaries(patch(client, key, {"views": 9}) for key in keys)
    gone = {*KEYS[::4], MISSING}
    assert [text[:3] for text in found] == ["404" if key in gone else "200" for key in keys]


async def test_unchanged_row_of_a_batch_keeps_its_version(paths: Paths) -> None:
    await paths.fill(MANY)
    async with paths.client(paths.fast) as client:
        bodies = [{"title": "Title 3" if n == 3 else f"New {n}"} for n in range(COUNT)]
        patches = (patch(client, k, b) for k, b in zip(KEYS, bodies, strict=True))
        versions = [response.json()["version"] for response in await asyncio.gather(*patches)]
    assert versions == [1 if number == 3 else 2 for number in range(COUNT)]


class ShortCreate(NoteCreate):
    text: Annotated[str, MaxLen(20)]


class ShortUpdate(ShortCreate, partial=True): ...


class Short(NoteRead):
    text: Annotated[str, MaxLen(20)]


class AllNotes(Resource[Note]): ...


async def test_rows_that_are_read_before_the_change_are_batched(
    notes_url: str, backend: str
) -> None:
    router = notes(AllNotes, read=Short, create=ShortCreate, update=ShortUpdate)
    with driver_statements("UPDATE") as sent:
        async with calling(notes_app(Database(notes_url), router)) as client:
            with record_fast_path() as taken:
                patches = [
                    client.patch(f"/notes/{number}", json={"rank": number + 100})
                    for number in range(1, 21)
                ]
                assert await summaries(patches) == ["200"] * 20
            listed = (await client.get("/notes?rank__gte=100&limit=20")).json()
    assert taken == [True] * 20
    assert backend == "sqlite" or len(sent) < 10
    assert {row["id"] for row in listed} == {*range(1, 21)}


# --- The same row ---------------------------------------------------------------------------------


async def test_changes_of_one_row_have_versions_of_their_own(paths: Paths) -> None:
    """Concurrent requests have no order (docs/decisions/0030), and none is lost."""
    await paths.fill(MANY)
    async with paths.client(paths.fast) as client:
        with record_fast_path() as taken:
            keys = [KEYS[0], A, A, KEYS[1], A]
            patches = (patch(client, key, {"title": f"{n}"}) for n, key in enumerate(keys))
            responses = await asyncio.gather(*patches)
        shown = [response.json() for response in responses]
        assert [row["title"] for row in shown] == ["0", "1", "2", "3", "4"]
        assert [shown[0]["version"], shown[3]["version"]] == [2, 2]
        of_one_row = sorted((shown[n] for n in (1, 2, 4)), key=lambda row: row["version"])
        assert [row["version"] for row in of_one_row] == [2, 3, 4]
        assert taken == [True] * 5
        assert (await client.get(f"/articles/{A}")).json() == of_one_row[-1]


async def test_one_of_concurrent_deletions_succeeds(paths: Paths) -> None:
    await paths.fill(MANY)
    async with paths.client(paths.fast) as client:
        found = await summaries(client.delete(f"/articles/{A}") for _ in range(10))
    assert sorted(text[:3] for text in found) == ["204", *["404"] * 9]


# --- Deletions ------------------------------------------------------------------------------------


async def test_concurrent_deletions_share_statements(
    paths: Paths, articles_app: FastAPI, backend: str
) -> None:
    await paths.fill(MANY)
    database = Database(paths.fast.url)
    with driver_statements("UPDATE") as sent:
        async with client_of(articles_app, {"database": database}) as client:
            with record_fast_path() as taken:
                found = await summaries(client.delete(f"/articles/{key}") for key in KEYS)
            assert (await client.get(f"/articles/{KEYS[5]}")).status_code == 404
    assert (found, taken) == (["204"] * COUNT, [True] * COUNT)
    assert backend == "sqlite" or len(sent) <= 4
    await database.dispose()


async def test_referenced_row_of_a_batch_is_not_deleted(paths: Paths) -> None:
    keys = [UUID(int=0x200 + number) for number in range(20)]
    author = ROWS[Author][0]
    authors = [{**author, "id": key, "email": f"{key}@example.org"} for key in keys]
    article = {**_TEMPLATE, "author_id": keys[7]}
    await paths.fill({Author: authors, Article: [article]})
    async with paths.client(paths.fast) as client:
        found = await summaries(client.delete(f"/authors/{key}") for key in keys)
        left = (await client.get("/authors")).json()
    assert [text[:3] for text in found] == ["409" if n == 7 else "204" for n in range(20)]
    assert [row["id"] for row in left] == [str(keys[7])]


async def test_users_delete_only_rows_of_their_scope(notes_url: str) -> None:
    async with calling_notes(Database(notes_url)) as client:
        users = ["ada" if number % 3 else "bob" for number in range(1, 21)]
        found = await summaries(
            client.delete(f"/notes/{number}", headers={"authorization": user})
            for number, user in enumerate(users, start=1)
        )
        owners = ["ada" if number % 2 else "bob" for number in range(1, 21)]
        expected = ["204" if u == o else "404" for u, o in zip(users, owners, strict=True)]
        assert [text[:3] for text in found] == expected


# --- Requests that wait, or are cancelled ---------------------------------------------------------


@contextmanager
def recorded_writes(monkeypatch: pytest.MonkeyPatch) -> Generator[list[Any]]:
    """Collect the keys of writes that reach the executor."""
    keys: list[Any] = []

    async def record(database: Database, write: Any, params: Any) -> Any:
        keys.append(params[KEY_PARAM])
        return await write_by_key(database, write, params)

    with monkeypatch.context() as replaced:
        for module in ("delete", "update"):
            replaced.setattr(f"brickwork.execution.{module}.write_by_key", record)
        yield keys


async def test_cancelled_changes_leave_the_batch_to_others(
    paths: Paths, articles_app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    await paths.fill(MANY)
    database = Database(paths.fast.url, pool_size=1)
    async with client_of(articles_app, {"database": database}) as client:
        assert summary(await patch(client, A, {"title": "First"})) == "200"
        async with database.writer.connect():
            with recorded_writes(monkeypatch) as keys:
                tasks = [
                    asyncio.create_task(patch(client, key, {"title": "New"})) for key in KEYS[:6]
                ]
                await until(lambda: len(keys) == 6)
            for task in (tasks[0], tasks[3]):
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    kinds = [type(result).__name__ for result in results]
    assert kinds == ["CancelledError", *["Response"] * 2, "CancelledError", *["Response"] * 2]
    assert {result.status_code for result in results if isinstance(result, Response)} == {200}
    stored = await titles(database)
    assert [stored[key] == "New" for key in KEYS[:6]] == [False, True, True, False, True, True]
    await database.dispose()


@postgres_only
async def test_locked_row_does_not_delay_other_changes(paths: Paths) -> None:
    await paths.fill(MANY)
    async with paths.client(paths.fast) as client:
        async with paths.orm.writer.begin() as connection:
            await connection.execute(update(Article).where(Article.id == UUID(A)).values(views=1))
            locked = [
                asyncio.create_task(patch(client, A, {"title": "Locked"})),
                asyncio.create_task(client.delete(f"/articles/{KEYS[9]}")),
            ]
            await connection.execute(
                update(Article).where(Article.id == UUID(KEYS[9])).values(views=1)
            )
            await until_it_waits(locked[0], paths.orm)
            others = (patch(client, key, {"title": "New"}) for key in KEYS[:9])
            assert await summaries(others) == ["200"] * 9
            assert not locked[0].done()
        shown = (await locked[0]).json()
        assert (shown["title"], shown["views"], shown["version"]) == ("Locked", 1, 2)
        assert summary(await locked[1]) == "204"


@postgres_only
async def test_batches_do_not_deadlock_with_a_transaction(paths: Paths) -> None:
    await paths.fill(MANY)
    first, last = UUID(KEYS[0]), UUID(KEYS[-1])
    async with paths.client(paths.fast) as client:
        async with paths.orm.writer.begin() as connection:
            await connection.execute(update(Article).where(Article.id == last).values(views=1))
            patches = (patch(client, key, {"title": "New"}) for key in KEYS)
            task = asyncio.ensure_future(summaries(patches))
            await until_it_waits(task, paths.orm)
            await connection.execute(update(Article).where(Article.id == first).values(views=1))
        assert await task == ["200"] * COUNT
