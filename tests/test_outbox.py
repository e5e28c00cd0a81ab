"""Every committed change is an event once, in the order of the commits, and none is skipped."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, delete, event, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session as SyncSession
from sqlalchemy.util import await_only

from brickwork import (
    Conflict,
    Consumer,
    Database,
    Model,
    OutboxEvent,
    OutboxPosition,
    Session,
    Unavailable,
    forget_events,
    read_events,
)
from brickwork.database import Isolation
from tests.support import clinic
from tests.support.calls import calling
from tests.support.clinic import Base, Clinic, Letter, Patient, Room
from tests.support.databases import Databases
from tests.support.recording import statements

pytestmark = pytest.mark.anyio

ANN = {"user": "ann/a", "X-Request-Id": "r-1"}
ALWAYS = datetime.max.replace(tzinfo=UTC)


@pytest.fixture
async def database(empty_url: str) -> AsyncGenerator[Database]:
    database = Clinic(empty_url)
    async with database.lifespan(None):
        yield database


async def events(database: Database, after: int = 0, limit: int = 10_000) -> Sequence[OutboxEvent]:
    async with database.session(readonly=True) as session:
        return await read_events(session, after, limit=limit)


def named(*names: str) -> list[Patient]:
    return [Patient(name=each) for each in names]


async def add(database: Database, *names: str) -> None:
    async with database.session() as session:
        session.add_all(named(*names))


def names(found: Sequence[OutboxEvent]) -> list[str]:
    return [(each.data or {})["name"] for each in found]


# -- what is an event


async def test_an_event_tells_what_a_row_has_become(empty_url: str) -> None:
    async with calling(clinic.create_app(empty_url)) as client:
        created = await client.post("/patients", json={"name": "Bob", "pin": "1"}, headers=ANN)
        path = created.headers["location"]
        changed = await client.patch(path, json={"meta": {"a": [1]}}, headers=ANN)
        await client.patch(path, json={"meta": {"a": [1]}}, headers=ANN)  # which changes nothing
        await client.post("/patients", json={"name": "Bob"}, headers=ANN)  # whose name is taken
        await client.post("/rooms", json={"name": "West"}, headers=ANN)  # which is not published
        await client.delete(path, headers=ANN)

    database = Database(empty_url)
    async with database.lifespan(None):
        first, second, last = await events(database)

    assert [each.action for each in (first, second, last)] == ["create", "update", "delete"]
    assert {(each.table_name, each.row_key) for each in (first, second, last)} == {
        ("patients", "1")
    }
    assert first.request_id == "r-1"
    assert datetime.now(UTC) - timedelta(minutes=1) < first.created_at <= last.created_at
    assert second.data is not None
    assert datetime.fromisoformat(second.data.pop("created_at")) < first.created_at
    assert second.data == {  # without the pin, which is a secret
        "id": 1,
        "name": "Bob",
        "visits": 0,
        "phone": None,
        "notes": "new",
        "ward": "a",
        "meta": {"a": [1]},
        "updated_at": changed.json()["updated_at"],
    }
    assert last.data is None


async def test_a_class_says_itself_what_is_published(database: Database) -> None:
    async with database.session() as session:
        session.add(Patient(name="Bob", letters=[Letter(text="private")]))

    _, letter = await events(database)
    assert letter.data == {"patient_id": 1}


async def test_events_are_the_last_that_is_written_before_the_commit(database: Database) -> None:
    with statements() as sent:
        async with database.session() as session:
            session.add_all(named("a", "b"))
            await session.flush()
            async with session.begin_nested():
                session.add_all(named("c"))
            session.add(Room(name="West"))
            assert not [each for each in sent if "outbox" in each]

    *others, last = sent
    assert "INSERT INTO outbox_events" in last
    assert not [each for each in others if "outbox" in each]
    assert names(await events(database)) == ["a", "b", "c"]


def _fail() -> None:
    raise ValueError("not today")


async def undo_a_savepoint(session: AsyncSession) -> None:
    savepoint = await session.begin_nested()
    session.add_all(named("lost"))
    await session.flush()
    async with session.begin_nested():
        session.add_all(named("lost as well"))
    await savepoint.rollback()
    session.add_all(named("kept"))


async def keep_a_savepoint(session: AsyncSession) -> None:
    async with session.begin_nested(), session.begin_nested():
        session.add_all(named("kept"))


async def fail_in_a_savepoint(session: AsyncSession) -> None:
    session.add_all(named("kept"))
    try:
        async with session.begin_nested():
            session.add_all(named("lost"))
            await session.flush()
            _fail()
    except ValueError:
        pass


async def begin_anew(session: AsyncSession) -> None:
    session.add_all(named("lost"))
    await session.flush()
    await session.rollback()
    session.add_all(named("kept"))


async def close_and_go_on(session: AsyncSession) -> None:
    session.add_all(named("lost"))
    await session.flush()
    await session.close()
    session.add_all(named("kept"))


async def commit_half_way(session: AsyncSession) -> None:
    session.add_all(named("kept"))
    await session.commit()
    session.add_all(named("lost"))
    await session.flush()
    await session.rollback()


@pytest.mark.parametrize(
    "work",
    [
        undo_a_savepoint,
        keep_a_savepoint,
        fail_in_a_savepoint,
        begin_anew,
        close_and_go_on,
        commit_half_way,
    ],
)
async def test_what_is_rolled_back_is_no_event(
    database: Database, work: Callable[[AsyncSession], Any]
) -> None:
    async with database.session() as session:
        await work(session)
        await session.commit()

    assert names(await events(database)) == ["kept"]


async def test_a_request_that_fails_after_it_wrote_is_no_event(empty_url: str) -> None:
    app = clinic.create_app(empty_url)

    @app.post("/refuse")
    async def refuse(session: Session) -> None:
        session.add_all(named("lost"))
        await session.flush()
        raise Conflict("Not today.")

    async with calling(app) as client:
        assert (await client.post("/refuse")).status_code == 409

    database = Database(empty_url)
    async with database.lifespan(None):
        assert await events(database) == []


async def test_what_a_hook_writes_while_it_is_committed_is_an_event_too(
    database: Database,
) -> None:
    def write(session: SyncSession) -> None:
        session.add_all(named("late"))

    event.listen(SyncSession, "before_commit", write)
    try:
        await add(database, "early")
    finally:
        event.remove(SyncSession, "before_commit", write)

    assert names(await events(database)) == ["early", "late"]


async def test_a_session_of_anybody_publishes(database: Database) -> None:
    async with async_sessionmaker(database.writer)() as session, session.begin():
        session.add_all(named("Bob"))

    assert names(await events(database)) == ["Bob"]


async def test_a_session_that_only_reads_publishes_nothing(database: Database) -> None:
    with statements() as sent:
        assert await events(database) == []
    assert len(sent) == 1


def test_the_tables_are_made_for_those_alone_who_ask_for_them() -> None:
    assert Base.metadata.tables.keys() > {"outbox_events", "outbox_positions"}
    assert not [name for name in Model.metadata.tables if name.startswith("outbox")]


# -- the order


@asynccontextmanager
async def slow_commits(database: Database) -> AsyncGenerator[None]:
    """Have time pass between the last statement of a transaction and its commit."""

    def wait(_: Connection) -> None:
        await_only(asyncio.sleep(random.random() / 100))  # noqa: S311 — no secret

    engine: Engine = database.writer.sync_engine
    event.listen(engine, "commit", wait)
    try:
        yield
    finally:
        event.remove(engine, "commit", wait)


class Follower:
    """Reads without a pause until it is stopped, and remembers what it saw."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopped = False
        self.seen: list[OutboxEvent] = []

    async def follow(self) -> None:
        while True:
            last = self._stopped
            found = await events(self._database, self.seen[-1].number if self.seen else 0, limit=7)
            self.seen += found
            if last and not found:
                return
            await asyncio.sleep(0)

    def stop(self) -> None:
        self._stopped = True


async def test_with_many_writers_a_reader_skips_nothing_and_sees_the_order_of_the_commits(
    databases: Databases, backend: str
) -> None:
    url = databases.empty(backend)
    begun: dict[str, int] = {}
    ended: dict[str, int] = {}
    clock = iter(range(10**9))

    async def write(database: Database, writer: int) -> None:
        for each in range(10):
            name = f"{writer}-{each}"
            begun[name] = next(clock)
            await again(partial(write_one, database, name, undone=each % 5 == 4))
            ended[name] = next(clock)

    async def write_one(database: Database, name: str, *, undone: bool) -> None:
        async with database.session() as session:
            session.add(patient := Patient(name=name))
            await session.flush()
            if backend == "postgresql":
                await asyncio.sleep(random.random() / 200)  # noqa: S311 — no secret
            patient.visits = 1
            if undone:
                await session.rollback()  # and its number is free, or gone

    # Two processes would share neither pool.
    one, other = (Clinic(url, pool_size=15, pool_timeout=60) for _ in range(2))
    async with one.lifespan(None), other.lifespan(None), slow_commits(one), slow_commits(other):
        follower = Follower(other)
        following = asyncio.create_task(follower.follow())
        await asyncio.gather(*(write((one, other)[each % 2], each) for each in range(30)))
        follower.stop()
        await following
        stored = await events(one)

    assert [each.number for each in follower.seen] == [each.number for each in stored]
    assert len(stored) == 30 * 8 * 2  # each row is created and then changed
    assert [each.number for each in stored] == sorted({each.number for each in stored})
    order = names(stored)[::2]
    assert order == names(stored)[1::2]  # the events of a transaction stand together
    # Whoever began after another had ended comes after it.
    latest = -1
    for name in order:
        assert ended[name] > latest
        latest = max(latest, begun[name])


async def test_a_transaction_waits_for_the_lock_at_its_end_alone(
    databases: Databases,
) -> None:
    database = Clinic(databases.empty("postgresql"))
    async with database.lifespan(None):
        async with database.session() as slow:
            slow.add_all(named("slow"))
            await slow.flush()
            await asyncio.wait_for(add(database, "quick"), 10)  # which does not wait for it

        assert names(await events(database)) == ["quick", "slow"]


# -- those who read


async def test_a_reader_is_given_as_many_as_it_wants(database: Database) -> None:
    await add(database, *"abcde")

    assert names(await events(database, 0, 2)) == ["a", "b"]
    assert names(await events(database, 2, 2)) == ["c", "d"]
    assert names(await events(database, 5)) == []


async def take(database: Database, name: str, limit: int = 100) -> list[str]:
    async with database.session() as session:
        return names(await Consumer(name).take(session, limit=limit))


async def test_a_consumer_takes_each_event_once(database: Database) -> None:
    await add(database, *"abc")

    assert await take(database, "search", 2) == ["a", "b"]
    assert await take(database, "search", 2) == ["c"]
    assert await take(database, "search") == []
    assert await take(database, "mail") == ["a", "b", "c"]
    await add(database, "d")
    assert await take(database, "search") == ["d"]


async def test_a_consumer_may_take_twice_in_one_transaction(database: Database) -> None:
    await add(database, *"abc")
    async with database.session() as session:
        found = [names(await Consumer("search").take(session, limit=1)) for _ in range(4)]

    assert found == [["a"], ["b"], ["c"], []]


async def test_what_a_consumer_failed_with_is_taken_again(database: Database) -> None:
    async def fail() -> None:
        async with database.session() as session:
            session.add(Room(name=names(await Consumer("search").take(session))[0]))
            raise ValueError("not today")

    await add(database, "a")
    for _ in range(2):
        with pytest.raises(ValueError, match="not today"):
            await fail()

    assert await take(database, "search") == ["a"]
    async with database.session(readonly=True) as session:
        assert await session.scalar(select(func.count()).select_from(Room)) == 0


async def test_of_several_under_one_name_each_takes_what_the_others_left(
    database: Database,
) -> None:
    done: list[str] = []

    async def consume() -> None:
        while found := await take(database, "search", 3):
            done.extend(found)

    async def produce() -> None:
        for each in range(40):
            await add(database, str(each))

    await asyncio.gather(produce(), *(consume() for _ in range(5)))
    await asyncio.gather(*(consume() for _ in range(5)))

    assert sorted(done, key=int) == [str(each) for each in range(40)]


def test_a_consumer_has_a_name() -> None:
    with pytest.raises(ValueError, match=r"Consumer\('search'\)"):
        Consumer("")


# -- cleaning


async def forget(database: Database, before: datetime = ALWAYS) -> int:
    async with database.session() as session:
        return await forget_events(session, before=before)


async def test_old_events_are_forgotten_and_new_ones_stay(database: Database) -> None:
    await add(database, *"ab")
    between = datetime.now(UTC)
    await add(database, "c")

    assert await forget(database, between) == 2
    assert await forget(database, between) == 0
    assert names(await events(database, 2)) == ["c"]


async def test_what_a_consumer_has_yet_to_take_is_not_forgotten(database: Database) -> None:
    await add(database, *"abc")
    await take(database, "search", 1)
    await take(database, "mail", 2)

    assert await forget(database) == 1
    assert await take(database, "search") == ["b", "c"]
    async with database.session() as session:
        await session.execute(delete(OutboxPosition).where(OutboxPosition.name == "mail"))
    assert await forget(database) == 2


async def test_a_reader_is_told_of_what_it_missed(database: Database) -> None:
    await add(database, *"abc")
    await forget(database)
    assert await events(database, 0) == []
    await add(database, "d")

    with pytest.raises(LookupError, match="up to 3 were forgotten"):
        await events(database, 2)
    assert names(await events(database, 3)) == ["d"]


async def test_a_new_consumer_begins_with_the_oldest_there_is(database: Database) -> None:
    await add(database, *"abc")
    await forget(database)
    await add(database, "d")

    assert await take(database, "search") == ["d"]


async def test_the_number_of_a_forgotten_event_is_not_given_again(database: Database) -> None:
    await add(database, *"abc")
    await forget(database)
    await add(database, "d")

    assert [each.number for each in await events(database, 3)] == [4]


async def again(work: Callable[[], Awaitable[object]]) -> None:
    """Do *work* until nobody is in the way."""
    while True:
        try:
            await work()
        except Unavailable as error:
            if not error.again:
                raise
        else:
            return


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_consumers_that_begin_while_events_are_forgotten_miss_none_that_stay(
    empty_url: str, isolation: Isolation
) -> None:
    database = Clinic(empty_url, isolation=isolation)
    async with database.lifespan(None):
        for turn in range(5):
            await add(database, *(f"{turn}-{each}" for each in range(4)))
            consumers = [f"{turn}-{each}" for each in range(4)]
            begin = [again(partial(take, database, each, 1)) for each in consumers]
            await asyncio.gather(*begin, again(partial(forget, database)))
            for each in consumers:
                await again(partial(take, database, each))  # raises LookupError if it missed one
