"""The outbox: events, their order, consumers, deletion."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import pytest
from httpx2 import AsyncClient
from sqlalchemy import delete, event, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session as SyncSession

from brickwork import (
    Conflict,
    Consumer,
    ConsumerOffset,
    Database,
    Model,
    OutboxEvent,
    SessionDep,
    delete_events,
    read_events,
)
from tests.support import blog
from tests.support.blog import Article, Base, Comment, Tag
from tests.support.calls import calling
from tests.support.commits import CommitOrder, race, retry_after_conflicts
from tests.support.contention import halted
from tests.support.databases import postgres_only
from tests.support.recording import statements
from tests.support.services import Service
from tests.support.waiting import DEADLINE, until_it_waits

ALWAYS = datetime.max.replace(tzinfo=UTC)


@pytest.fixture
async def client(blog_service: Service) -> AsyncIterator[AsyncClient]:
    """Return a client of the blog, with Ann as the caller, who edits site a."""
    async with blog_service.client() as client:
        client.headers.update({"user": "ann", "site": "a", "x-request-id": "r-1"})
        yield client


@pytest.fixture
def database(blog_service: Service) -> Database:
    """Return the blog's database."""
    return blog_service.database


async def events(database: Database, after: int = 0, limit: int = 100) -> Sequence[OutboxEvent]:
    async with database.session(readonly=True) as session:
        return await read_events(session, after, limit=limit)


def new_articles(*slugs: str) -> list[Article]:
    return [Article(slug=slug) for slug in slugs]


async def create_articles(database: Database, *slugs: str) -> None:
    async with database.session() as session:
        session.add_all(new_articles(*slugs))


def slugs_of(found: Sequence[OutboxEvent]) -> list[str]:
    return [(row.data or {})["slug"] for row in found]


# --- Events ------------------------------------------------------------------------------------


async def test_create_update_and_delete_are_events(client: AsyncClient, database: Database) -> None:
    await client.post("/articles", json={"slug": "a"})
    await client.patch("/articles/1", json={"slug": "b"})
    await client.delete("/articles/1?purge=true")

    found = await events(database)
    assert [(row.sequence, row.table_name, row.row_key, row.action) for row in found] == [
        (1, "articles", "1", "create"),
        (2, "articles", "1", "update"),
        (3, "articles", "1", "delete"),
    ]
    assert [row.data is None for row in found] == [False, False, True]


async def test_event_has_the_columns_of_the_row_without_secrets(
    client: AsyncClient, database: Database
) -> None:
    await client.post("/articles", json={"slug": "a", "token": "1234"})
    response = await client.patch("/articles/1", json={"meta": {"a": [1]}})

    created, updated = await events(database)
    assert updated.data is not None
    assert datetime.fromisoformat(updated.data.pop("created_at")) < created.created_at
    assert updated.data == {
        "id": 1,
        "slug": "a",
        "views": 0,
        "rating": None,
        "featured": False,
        "status": "draft",
        "published_at": None,
        "meta": {"a": [1]},
        "tags": None,
        "source": None,
        "notes": "new",
        "site": "a",
        "author_handle": None,
        "updated_at": response.json()["updated_at"],
        "deleted_at": None,
        "is_deleted": False,
    }


async def test_event_has_the_request_and_the_time(client: AsyncClient, database: Database) -> None:
    before = datetime.now(UTC)
    await client.post("/articles", json={"slug": "a"})

    (created,) = await events(database)
    assert created.request_id == "r-1"
    assert before <= created.created_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("PATCH", "/articles/1", {"slug": "a"}, 200, id="the same value"),
        pytest.param("POST", "/articles", {"slug": "a"}, 409, id="a taken value"),
        pytest.param("POST", "/tags", {"name": "a"}, 201, id="a row that is not published"),
    ],
)
async def test_request_without_a_published_change_writes_no_event(  # noqa: PLR0913, PLR0917 — a case
    client: AsyncClient, database: Database, method: str, path: str, body: object, status: int
) -> None:
    await client.post("/articles", json={"slug": "a"})
    response = await client.request(method, path, json=body)

    assert response.status_code == status
    assert [row.action for row in await events(database)] == ["create"]


async def test_class_chooses_its_published_columns(database: Database) -> None:
    async with database.session() as session:
        session.add(Article(slug="a", comments=[Comment(text="private")]))

    _, comment = await events(database)
    assert comment.data == {"article_id": 1}


async def test_events_are_inserted_last_before_the_commit(database: Database) -> None:
    with statements() as sent:
        async with database.session() as session:
            session.add_all(new_articles("a", "b"))
            await session.flush()
            async with session.begin_nested():
                session.add_all(new_articles("c"))
            session.add(Tag(name="a"))

    *others, last = sent
    assert "INSERT INTO outbox_events" in last
    assert not [statement for statement in others if "outbox" in statement]
    assert slugs_of(await events(database)) == ["a", "b", "c"]


async def roll_back_a_savepoint(session: AsyncSession) -> None:
    savepoint = await session.begin_nested()
    session.add_all(new_articles("lost"))
    await session.flush()
    async with session.begin_nested():
        session.add_all(new_articles("lost too"))
    await savepoint.rollback()
    session.add_all(new_articles("kept"))


async def release_a_savepoint(session: AsyncSession) -> None:
    async with session.begin_nested(), session.begin_nested():
        session.add_all(new_articles("kept"))


async def fail_in_a_savepoint(session: AsyncSession) -> None:
    session.add_all(new_articles("kept"))
    with suppress(ZeroDivisionError):
        async with session.begin_nested():
            session.add_all(new_articles("lost"))
            await session.flush()
            raise ZeroDivisionError


async def roll_back_and_continue(session: AsyncSession) -> None:
    session.add_all(new_articles("lost"))
    await session.flush()
    await session.rollback()
    session.add_all(new_articles("kept"))


async def close_and_continue(session: AsyncSession) -> None:
    session.add_all(new_articles("lost"))
    await session.flush()
    await session.close()
    session.add_all(new_articles("kept"))


async def commit_and_roll_back(session: AsyncSession) -> None:
    session.add_all(new_articles("kept"))
    await session.commit()
    session.add_all(new_articles("lost"))
    await session.flush()
    await session.rollback()


@pytest.mark.parametrize(
    "work",
    [
        roll_back_a_savepoint,
        release_a_savepoint,
        fail_in_a_savepoint,
        roll_back_and_continue,
        close_and_continue,
        commit_and_roll_back,
    ],
)
async def test_rolled_back_change_writes_no_event(
    database: Database, work: Callable[[AsyncSession], Awaitable[None]]
) -> None:
    async with database.session() as session:
        await work(session)
        await session.commit()

    assert slugs_of(await events(database)) == ["kept"]


async def test_failed_request_writes_no_event(blog_service: Service) -> None:
    app = blog.create_app(blog_service.url)

    @app.post("/refuse")
    async def refuse(session: SessionDep) -> None:
        session.add_all(new_articles("lost"))
        await session.flush()
        raise Conflict("Not today.")

    async with calling(app) as client:
        assert (await client.post("/refuse")).status_code == 409
    assert await events(blog_service.database) == []


async def test_change_of_a_commit_hook_writes_an_event(database: Database) -> None:
    def write(session: SyncSession) -> None:
        session.add_all(new_articles("late"))

    event.listen(SyncSession, "before_commit", write)
    try:
        await create_articles(database, "early")
    finally:
        event.remove(SyncSession, "before_commit", write)

    assert slugs_of(await events(database)) == ["early", "late"]


async def test_change_of_any_session_writes_an_event(database: Database) -> None:
    async with async_sessionmaker(database.writer)() as session, session.begin():
        session.add_all(new_articles("a"))

    assert slugs_of(await events(database)) == ["a"]


async def test_session_that_only_reads_publishes_nothing(database: Database) -> None:
    with statements() as sent:
        assert await events(database) == []
    assert len(sent) == 1


def test_published_class_has_the_tables_in_its_metadata() -> None:
    assert Base.metadata.tables.keys() > {"outbox_events", "outbox_positions"}


def test_other_metadata_is_without_the_tables() -> None:
    assert not [name for name in Model.metadata.tables if name.startswith("outbox")]


# --- Order -------------------------------------------------------------------------------------


@postgres_only
async def test_events_become_visible_in_sequence(database: Database) -> None:
    with halted(1) as commit:
        first = asyncio.create_task(create_articles(database, "first"))
        await commit.reached()
        second = asyncio.create_task(create_articles(database, "second"))
        await until_it_waits(second, database)
        seen = await events(database)
        commit.release()
        await asyncio.gather(first, second)

    assert slugs_of(seen) == []
    assert slugs_of(await events(database)) == ["first", "second"]


async def test_reader_sees_all_events_in_commit_order(blog_service: Service) -> None:
    databases, order = (blog_service.database, Database(blog_service.url)), CommitOrder()
    async with databases[1].lifespan(None):
        seen = await race(databases, order, writers=8, articles=3)

    stored = await events(blog_service.database)
    assert [row.sequence for row in seen] == [row.sequence for row in stored]
    assert len(stored) == 32  # two of each article that was not rolled back
    slugs = slugs_of(stored)
    assert slugs[::2] == slugs[1::2]  # the events of a transaction are adjacent
    order.assert_consistent(slugs)


@postgres_only
async def test_uncommitted_transaction_blocks_no_writer(database: Database) -> None:
    async with database.session() as slow:
        slow.add_all(new_articles("slow"))
        await slow.flush()
        async with asyncio.timeout(DEADLINE):
            await create_articles(database, "quick")

    assert slugs_of(await events(database)) == ["quick", "slow"]


# --- Readers and consumers ---------------------------------------------------------------------


async def test_reader_gets_events_after_a_number_within_a_limit(database: Database) -> None:
    await create_articles(database, *"abcde")

    assert slugs_of(await events(database, 0, 2)) == ["a", "b"]
    assert slugs_of(await events(database, 2, 2)) == ["c", "d"]
    assert slugs_of(await events(database, 5)) == []


async def take(database: Database, name: str, limit: int = 100) -> list[str]:
    async with database.session() as session:
        return slugs_of(await Consumer(name).fetch(session, limit=limit))


async def test_consumer_takes_each_event_once(database: Database) -> None:
    await create_articles(database, *"abc")

    assert await take(database, "search", 2) == ["a", "b"]
    assert await take(database, "search", 2) == ["c"]
    assert await take(database, "search") == []


async def test_consumer_takes_new_events(database: Database) -> None:
    await create_articles(database, "a")
    await take(database, "search")
    await create_articles(database, "b")

    assert await take(database, "search") == ["b"]


async def test_consumers_do_not_share_events(database: Database) -> None:
    await create_articles(database, "a")

    assert await take(database, "search") == ["a"]
    assert await take(database, "mail") == ["a"]


async def test_consumer_can_fetch_twice_in_one_transaction(database: Database) -> None:
    await create_articles(database, *"abc")
    async with database.session() as session:
        found = [slugs_of(await Consumer("search").fetch(session, limit=1)) for _ in range(4)]

    assert found == [["a"], ["b"], ["c"], []]


async def test_failed_consumer_takes_the_event_again(database: Database) -> None:
    async def take_and_fail() -> None:
        async with database.session() as session:
            session.add(Tag(name=slugs_of(await Consumer("search").fetch(session))[0]))
            raise ZeroDivisionError

    await create_articles(database, "a")
    await take(database, "mail")  # another position
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await take_and_fail()

    assert await take(database, "search") == ["a"]
    async with database.session(readonly=True) as session:
        assert await session.scalar(select(func.count()).select_from(Tag)) == 0


async def test_consumers_of_one_name_share_events(database: Database) -> None:
    taken: list[str] = []

    async def consume() -> None:
        while found := await take(database, "search", 2):
            taken.extend(found)

    await create_articles(database, *"abcdefghij")
    await asyncio.gather(*(consume() for _ in range(4)))

    assert sorted(taken) == [*"abcdefghij"]


def test_consumer_needs_a_name() -> None:
    with pytest.raises(ValueError, match=r"Consumer\('search'\)"):
        Consumer("")


# --- Deletion ----------------------------------------------------------------------------------


async def delete_old_events(database: Database, before: datetime = ALWAYS) -> int:
    async with database.session() as session:
        return await delete_events(session, before=before)


async def test_old_events_are_deleted(database: Database) -> None:
    await create_articles(database, *"ab")
    between = datetime.now(UTC)
    await create_articles(database, "c")

    assert await delete_old_events(database, between) == 2
    assert await delete_old_events(database, between) == 0
    assert slugs_of(await events(database, 2)) == ["c"]


async def test_events_ahead_of_a_consumer_are_kept(database: Database) -> None:
    await create_articles(database, *"abc")
    await take(database, "search", 1)
    await take(database, "mail", 2)

    assert await delete_old_events(database) == 1
    assert await take(database, "search") == ["b", "c"]


async def test_consumer_without_a_position_keeps_no_event(database: Database) -> None:
    await create_articles(database, *"abc")
    await take(database, "search")
    await take(database, "mail", 1)
    async with database.session() as session:
        await session.execute(delete(ConsumerOffset).where(ConsumerOffset.name == "mail"))

    assert await delete_old_events(database) == 3


async def test_reader_behind_deleted_events_gets_an_error(database: Database) -> None:
    await create_articles(database, *"abc")
    await delete_old_events(database)
    await create_articles(database, "d")

    with pytest.raises(LookupError, match="up to 3 were deleted"):
        await events(database, 2)
    assert slugs_of(await events(database, 3)) == ["d"]


async def test_new_consumer_does_not_hide_deleted_events(database: Database) -> None:
    await create_articles(database, *"abc")
    await delete_old_events(database)
    await create_articles(database, "d")
    await take(database, "search")

    with pytest.raises(LookupError, match="up to 3 were deleted"):
        await events(database, 2)


async def test_reader_without_later_events_gets_no_error(database: Database) -> None:
    await create_articles(database, *"abc")
    await delete_old_events(database)

    assert await events(database, 0) == []


async def test_new_consumer_begins_with_the_oldest_event(database: Database) -> None:
    await create_articles(database, *"abc")
    await delete_old_events(database)
    await create_articles(database, "d")

    assert await take(database, "search") == ["d"]


async def test_sequence_of_a_deleted_event_is_never_reused(database: Database) -> None:
    await create_articles(database, *"abc")
    await delete_old_events(database)
    await create_articles(database, "d")

    assert [row.sequence for row in await events(database, 3)] == [4]


@pytest.fixture(params=["read committed", "repeatable read", "serializable"])
async def isolated(
    blog_service: Service, request: pytest.FixtureRequest
) -> AsyncIterator[Database]:
    """Return the blog's database; the test runs at each isolation level."""
    database = Database(blog_service.url, isolation_level=request.param)
    async with database.lifespan(None):
        yield database


@postgres_only
async def test_deletion_waits_for_a_starting_consumer(isolated: Database) -> None:
    await create_articles(isolated, *"abc")
    async with isolated.session() as session:
        await Consumer("search").fetch(session, limit=1)
        forgetting = asyncio.create_task(
            retry_after_conflicts(partial(delete_old_events, isolated))
        )
        await until_it_waits(forgetting, isolated)

    assert await forgetting == 1
    assert await take(isolated, "search") == ["b", "c"]


@postgres_only
async def test_starting_consumer_waits_for_the_deletion(isolated: Database) -> None:
    await create_articles(isolated, *"abc")
    async with isolated.session() as session:
        await delete_events(session, before=ALWAYS)
        taking = asyncio.create_task(retry_after_conflicts(partial(take, isolated, "search")))
        await until_it_waits(taking, isolated)
        session.add_all(new_articles("d"))

    assert await taking == ["d"]
