"""Contention: the whole unit of work is tried again, within bounds, and nothing else is."""

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from itertools import count
from types import SimpleNamespace
from typing import Annotated, Any, Final

import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Depends,
    FastAPI,
    HTTPException,
    Request,
    Response,
    params,
)
from httpx2 import AsyncClient
from sqlalchemy import MetaData, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.pool import QueuePool
from typing_extensions import override

from brickwork import (
    Conflict,
    Database,
    Invalid,
    Model,
    NotFound,
    ReadSchema,
    Resource,
    Route,
    Schema,
    Session,
    Unavailable,
    Versioned,
    crud_router,
    install,
)
from brickwork.database import Isolation, strongest
from brickwork.faults import contended
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import Databases
from tests.support.server import serving
from tests.support.wire import Wire, wired

pytestmark = pytest.mark.anyio

ATTEMPTS: Final = 8


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Account(Base):
    """An account: a change adds to the balance that was read."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int] = mapped_column(default=0)


class Card(Base, Versioned):
    """A card: nobody overwrites a version that they have not seen."""

    __tablename__ = "cards"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class Entry(Base):
    """What every change leaves besides."""

    __tablename__ = "entries"

    id: Mapped[int] = mapped_column(primary_key=True)


class AccountCreate(Schema):
    balance: int = 0


class AccountUpdate(AccountCreate, partial=True): ...


class AccountRead(ReadSchema):
    id: int
    balance: int


class CardCreate(Schema):
    name: str


class CardUpdate(CardCreate, partial=True): ...


class CardRead(ReadSchema):
    id: int
    name: str
    version: int


class Bank(Database):
    """A database with the tables of the bank, two accounts and two cards."""

    @override
    @asynccontextmanager
    async def lifespan(self, _: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        async with self.writer.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with self.session() as session:
            session.add_all([Account(), Account(), Card(name="Ann"), Card(name="Eve")])
        async with super().lifespan(_) as state:
            yield state

    async def entries(self) -> int:
        """Return how many changes were committed."""
        async with self.seen_by_others() as session:
            return await session.scalar(select(func.count()).select_from(Entry)) or 0

    async def balances(self) -> list[int]:
        """Return what is in the accounts."""
        async with self.seen_by_others() as session:
            return [*await session.scalars(select(Account.balance).order_by(Account.id))]

    @asynccontextmanager
    async def seen_by_others(self) -> AsyncGenerator[AsyncSession]:
        """Read with connections that are none of ours, which may be closed already."""
        other = Database(self.url)
        async with other.lifespan(None), other.session(readonly=True) as session:
            yield session

    def in_use(self) -> int:
        """Return how many connections for writing are not in the pool."""
        pool = self.writer.pool
        assert isinstance(pool, QueuePool)
        return pool.checkedout()


Step = Callable[[AsyncSession, int], Awaitable[None]]
"""What else happens in each attempt, by its number from 1, before anything is sent."""


def count_attempts(request: Request) -> int:
    number: int = request.scope.get("attempt", 0) + 1
    request.scope["attempt"] = number
    return number


Attempt = Annotated[int, Depends(count_attempts)]


def create_app(
    bank: Database,
    step: Step,
    *,
    level: Isolation | None = None,
    first: Sequence[params.Depends] = (),
) -> FastAPI:
    """Return an application whose changes take *step* too, and leave an entry."""

    class Accounts(Resource[Account]):
        attempt: Attempt
        isolation = level

        @override
        async def create(self, row: Account, /) -> None:
            await super().create(row)
            await self.leave_an_entry()

        @override
        async def update(self, row: Account, /, changes: Mapping[str, Any]) -> None:
            await super().update(row, {"balance": row.balance + changes["balance"]})
            await self.leave_an_entry()

        @override
        async def delete(self, row: Account, /) -> None:
            await super().delete(row)
            await self.leave_an_entry()

        async def leave_an_entry(self) -> None:
            self.session.add(Entry())
            await step(self.session, self.attempt)

    class Cards(Resource[Card]):
        attempt: Attempt

        @override
        async def update(self, row: Card, /, changes: Mapping[str, Any]) -> None:
            await super().update(row, changes)
            self.session.add(Entry())
            await step(self.session, self.attempt)

    app = FastAPI(lifespan=bank.lifespan, dependencies=first)
    install(app)
    app.include_router(
        crud_router(
            "/accounts", Accounts, read=AccountRead, create=AccountCreate, update=AccountUpdate
        )
    )
    app.include_router(
        crud_router("/cards", Cards, read=CardRead, create=CardCreate, update=CardUpdate)
    )
    return app


async def do_nothing(_: AsyncSession, attempt: int) -> None:
    """Do nothing more."""


async def fail_once(_: AsyncSession, attempt: int) -> None:
    """Meet contention once."""
    if attempt == 1:
        raise contended()


def moved_on() -> StaleDataError:
    """Return what the session raises where a row is not as it was read."""
    return StaleDataError("moved on")


def noting(attempts: list[int], error: Callable[[], BaseException]) -> Step:
    """Return a step that fails in every attempt, and notes its number in *attempts*."""

    async def step(_: AsyncSession, attempt: int) -> None:
        attempts.append(attempt)
        raise error()

    return step


# -- what is tried again


@pytest.mark.parametrize("error", [contended, moved_on])
async def test_all_of_a_request_that_met_contention_is_done_again(
    empty_url: str, error: Callable[[], BaseException]
) -> None:
    async def meet_twice(_: AsyncSession, attempt: int) -> None:
        if attempt < 3:
            raise error()

    bank = Bank(empty_url)
    async with calling(create_app(bank, meet_twice)) as client:
        for method, path, body, status in (
            ("PATCH", "/accounts/1", {"balance": 2}, 200),
            ("PUT", "/accounts/1", {"balance": 3}, 200),
            ("PATCH", "/accounts/batch", [{"id": 1, "balance": 4}], 200),
            ("POST", "/accounts", {"balance": 5}, 201),
            ("POST", "/accounts/batch", [{"balance": 6}], 201),
            ("DELETE", "/accounts/2", None, 204),
            ("DELETE", "/accounts/batch?id=3", None, 204),
            ("PATCH", "/cards/1", {"name": "Bob"}, 200),
        ):
            retries, entries = bank.retries, await bank.entries()
            response = await client.request(method, path, json=body)
            assert response.status_code == status, path
            assert (bank.retries, await bank.entries()) == (retries + 2, entries + 1), path
        assert await bank.balances() == [9, 6]
        assert (await client.get("/cards/1")).json()["version"] == 2


async def test_a_row_that_was_changed_since_it_was_read_is_read_again(empty_url: str) -> None:
    async def overtake(session: AsyncSession, attempt: int) -> None:
        if attempt < 3:  # behind the session, as another writer would
            connection = await session.connection()
            await connection.execute(update(Card).values(version=Card.version + 1))

    bank = Bank(empty_url)
    async with calling(create_app(bank, overtake)) as client:
        response = await client.patch("/cards/1", json={"name": "Bob"})

    assert response.json() == {"id": 1, "name": "Bob", "version": 2}
    assert bank.retries == 2


async def test_a_precondition_is_checked_again_too(empty_url: str) -> None:
    bank = Bank(empty_url)

    async def overtake(attempt: Attempt) -> None:
        if attempt == 2:
            async with bank.session() as session:
                await session.execute(update(Card).values(version=Card.version + 1))

    async with calling(create_app(bank, fail_once, first=[Depends(overtake)])) as client:
        change = {"name": "Bob"}
        response = await client.patch("/cards/1", json=change, headers={"if-match": '"1"'})
        assert summary(response) == "412"
        assert response.headers["etag"] == '"2"'
        assert (bank.retries, await bank.entries()) == (1, 0)
        assert (await client.patch("/cards/1", json=change)).json()["version"] == 4


@pytest.mark.parametrize("declared", ["by the database", "by the resource"])
async def test_a_serialization_failure_is_tried_again(databases: Databases, declared: str) -> None:
    level: Isolation = "repeatable read"
    of_all: Isolation = level if declared == "by the database" else "read committed"
    bank = Bank(databases.empty("postgresql"), isolation=of_all)

    async def overtake(session: Session, attempt: Attempt) -> None:
        assert await session.scalar(select(Account.balance)) is not None
        if attempt == 1:
            async with bank.session() as other:
                await other.execute(update(Account).values(balance=100))

    app = create_app(
        bank,
        do_nothing,
        level=level if declared == "by the resource" else None,
        first=[Depends(overtake)],
    )
    async with calling(app) as client:
        response = await client.patch("/accounts/1", json={"balance": 1})

    assert response.json() == {"id": 1, "balance": 101}
    assert bank.retries == 1


async def test_a_serialization_failure_at_the_commit_is_tried_again(databases: Databases) -> None:
    bank = Bank(databases.empty("postgresql"))
    both = asyncio.Barrier(2)

    async def copy_the_sum(session: AsyncSession, attempt: int) -> None:
        (account,) = (each for each in session.new if isinstance(each, Account))
        with session.no_autoflush:
            account.balance += await session.scalar(select(func.sum(Account.balance))) or 0
        await session.flush()
        if attempt == 1:
            await both.wait()

    async with calling(create_app(bank, copy_the_sum, level="serializable")) as client:
        posts = [client.post("/accounts", json={"balance": 1}) for _ in range(2)]
        answers = await asyncio.gather(*posts)

    assert [each.status_code for each in answers] == [201, 201]
    assert {each.json()["balance"] for each in answers} == {1, 2}
    assert bank.retries == 1


async def test_of_two_in_a_deadlock_one_is_tried_again(databases: Databases) -> None:
    bank = Bank(databases.empty("postgresql"))
    both = asyncio.Barrier(2)

    async def cross(session: AsyncSession, attempt: int) -> None:
        (account,) = (each for each in session.dirty if isinstance(each, Account))
        await session.flush()
        if attempt == 1:
            await both.wait()
        others = update(Account).where(Account.id != account.id)
        await session.execute(others.values(balance=Account.balance + 10))

    async with calling(create_app(bank, cross)) as client:
        patches = [client.patch(f"/accounts/{key}", json={"balance": 1}) for key in (1, 2)]
        answers = await asyncio.gather(*patches)

    assert [each.status_code for each in answers] == [200, 200]
    assert (bank.retries, await bank.balances()) == (1, [11, 11])


@asynccontextmanager
async def shared(
    databases: Databases,
) -> AsyncGenerator[tuple[Bank, AsyncClient, sqlite3.Connection]]:
    """Yield a bank, a client of it, and another process's connection to its file."""
    bank = Bank(databases.empty("sqlite"))
    async with calling(create_app(bank, do_nothing)) as client:
        file = bank.url.database or ""
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            yield bank, client, other


async def test_a_database_that_another_process_holds_is_asked_again(databases: Databases) -> None:
    async with shared(databases) as (bank, client, other):
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE accounts SET balance = 100")
        patch = asyncio.create_task(client.patch("/accounts/1", json={"balance": 1}))
        while not bank.retries:  # noqa: ASYNC110 — nobody tells
            await asyncio.sleep(0.001)
        other.execute("COMMIT")

        assert (await patch).json() == {"id": 1, "balance": 101}


async def test_a_database_that_another_process_keeps_is_a_503_and_can_still_be_read(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brickwork.connections.PRAGMAS", ("busy_timeout = 0", "journal_mode = WAL"))
    async with shared(databases) as (bank, client, other):
        other.execute("BEGIN IMMEDIATE")
        for request in (
            client.patch("/accounts/1", json={"balance": 1}),
            client.post("/accounts/batch", json=[{"balance": 1}]),
        ):
            response = await request
            assert summary(response) == "503"
            assert response.headers["retry-after"] == "1"
        assert bank.retries == 2 * (ATTEMPTS - 1)
        assert (await client.get("/accounts/1")).status_code == 200
        other.execute("ROLLBACK")

        assert summary(await client.patch("/accounts/1", json={"balance": 1})) == "200"


# -- how often


@pytest.mark.parametrize("error", [contended, moved_on])
async def test_a_request_is_tried_eight_times_and_then_told_to_come_again(
    empty_url: str, error: Callable[[], BaseException]
) -> None:
    attempts: list[int] = []
    bank = Bank(empty_url)
    async with calling(create_app(bank, noting(attempts, error))) as client:
        response = await client.patch("/accounts/1", json={"balance": 1})

    assert summary(response) == "503"
    assert response.headers["retry-after"] == "1"
    assert attempts == [*range(1, ATTEMPTS + 1)]
    assert bank.retries == ATTEMPTS - 1
    assert (await bank.entries(), await bank.balances()) == (0, [0, 0])


async def test_a_request_is_not_tried_again_when_that_took_long(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(step=2)  # seconds, each time that it is read
    monkeypatch.setattr("brickwork.retries.time", SimpleNamespace(monotonic=clock.__next__))
    attempts: list[int] = []
    async with calling(create_app(Bank(empty_url), noting(attempts, contended))) as client:
        assert summary(await client.patch("/accounts/1", json={"balance": 1})) == "503"

    assert attempts == [1, 2, 3]  # 2, 4 and 6 seconds after it was begun


async def test_the_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def note(pause: float) -> None:
        pauses.append(pause)

    router = APIRouter(route_class=Route)

    @router.post("/")
    async def meet_always() -> None:
        raise contended()

    app = FastAPI()
    install(app)
    app.include_router(router)
    monkeypatch.setattr("brickwork.retries.asyncio", SimpleNamespace(sleep=note))
    async with calling(app) as client:  # which has no database to count for
        for _ in range(20):
            assert summary(await client.post("/")) == "503"

    for attempt in range(ATTEMPTS - 1):
        alike = pauses[attempt :: ATTEMPTS - 1]
        assert 0.005 * 2**attempt <= min(alike) < max(alike) <= 0.015 * 2**attempt
    assert sum(pauses[: ATTEMPTS - 1]) < 2


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        pytest.param(lambda: RuntimeError("not today"), "500", id="RuntimeError"),
        pytest.param(TimeoutError, "500", id="TimeoutError"),
        pytest.param(lambda: NotFound("Not here."), "404", id="NotFound"),
        pytest.param(lambda: Conflict("Not so."), "409", id="Conflict"),
        pytest.param(lambda: Invalid("Not that."), "422", id="Invalid"),
        pytest.param(lambda: Unavailable("Not now."), "503", id="Unavailable"),
        pytest.param(lambda: HTTPException(503), "503", id="HTTPException 503"),
        pytest.param(lambda: HTTPException(409), "409", id="HTTPException 409"),
    ],
)
async def test_what_is_not_contention_is_not_tried_again(
    empty_url: str, error: Callable[[], BaseException], answer: str
) -> None:
    attempts: list[int] = []
    bank = Bank(empty_url)
    async with calling(create_app(bank, noting(attempts, error))) as client:
        assert summary(await client.patch("/accounts/1", json={"balance": 1})) == answer

    assert (attempts, bank.retries, await bank.entries()) == ([1], 0, 0)


async def test_what_the_database_refuses_is_not_tried_again(empty_url: str) -> None:
    bank = Bank(empty_url)
    async with calling(create_app(bank, do_nothing)) as client:
        for response in (
            await client.post("/cards", json={"name": "Ann"}),
            await client.patch("/cards/1", json={"name": "Eve"}),
            await client.patch("/cards/1", json={"name": 1}),
            await client.patch("/cards/9", json={"name": "Bob"}),
            await client.patch("/cards/1", json={"name": "Bob"}, headers={"if-match": '"7"'}),
        ):
            assert response.status_code in {404, 409, 412, 422}
    assert (bank.retries, await bank.entries()) == (0, 0)


@pytest.mark.parametrize(
    ("setting", "statement"),
    [
        ("statement_timeout", "SELECT pg_sleep(5)"),
        ("lock_timeout", "LOCK TABLE entries IN EXCLUSIVE MODE"),
    ],
)
async def test_a_database_that_is_slow_is_not_asked_again(
    databases: Databases, setting: str, statement: str
) -> None:
    attempts: list[int] = []

    async def be_slow(session: AsyncSession, attempt: int) -> None:
        attempts.append(attempt)
        await session.execute(text(f"SET LOCAL {setting} = 20"))
        async with bank.session() as other:
            await other.execute(text("LOCK TABLE entries IN ROW EXCLUSIVE MODE"))
            await session.execute(text(statement))

    bank = Bank(databases.empty("postgresql"))
    async with calling(create_app(bank, be_slow)) as client:
        response = await client.patch("/accounts/1", json={"balance": 1})

    assert summary(response) == "503"
    assert response.headers["retry-after"] == "1"
    assert (attempts, bank.retries, bank.in_use()) == ([1], 0, 0)


async def test_a_pool_that_is_exhausted_is_not_waited_for_again(empty_url: str) -> None:
    attempts: list[int] = []

    def note(attempt: Attempt) -> None:
        attempts.append(attempt)

    bank = Bank(empty_url, pool_size=1, pool_timeout=0.1)
    app = create_app(bank, do_nothing, first=[Depends(note)])
    async with calling(app) as client, bank.session() as session:
        await session.execute(text("SELECT 1"))
        assert summary(await client.patch("/accounts/1", json={"balance": 1})) == "503"

    assert (attempts, bank.retries) == ([1], 0)


# -- what an attempt has of its own


async def test_dependencies_run_again_and_have_a_session_of_their_own(empty_url: str) -> None:
    log: list[str] = []
    sessions: list[AsyncSession] = []

    async def noted(session: Session) -> AsyncGenerator[AsyncSession]:
        log.append("enter")
        sessions.append(session)
        yield session
        log.append("exit")

    router = APIRouter(route_class=Route)

    @router.post("/meet")
    async def meet_twice(
        response: Response,
        tasks: BackgroundTasks,
        session: Annotated[AsyncSession, Depends(noted, scope="function")],
        attempt: Attempt,
    ) -> int:
        log.append(f"try {attempt}")
        response.headers[f"x-attempt-{attempt}"] = "yes"
        tasks.add_task(log.append, f"after {attempt}")
        session.add(Entry())
        await session.flush()
        if attempt < 3:
            raise contended()
        return attempt

    bank = Bank(empty_url)
    app = create_app(bank, do_nothing)
    app.include_router(router)
    async with calling(app) as client:
        response = await client.post("/meet")
        assert (await client.get("/accounts")).status_code == 200

    assert response.json() == 3
    assert [name for name in response.headers if name.startswith("x-attempt")] == ["x-attempt-3"]
    assert log == ["enter", "try 1", "enter", "try 2", "enter", "try 3", "exit", "after 3"]
    assert len({id(each) for each in sessions}) == 3
    assert not any(each.in_transaction() for each in sessions)
    assert await bank.entries() == 1


async def test_a_body_is_read_once_and_used_again(empty_url: str) -> None:
    async def in_parts() -> AsyncGenerator[bytes]:
        for part in (b'{"bal', b'ance"', b": 4", b"2}"):
            yield part
            await asyncio.sleep(0.01)

    bank = Bank(empty_url)
    async with calling(create_app(bank, fail_once)) as client:
        headers = {"content-type": "application/json"}
        response = await client.post("/accounts", content=in_parts(), headers=headers)

        assert response.json() == {"id": 3, "balance": 42}
        # The connection is at the next request, and not in the middle of a body.
        assert (await client.get("/accounts/3")).json() == {"id": 3, "balance": 42}
    assert bank.retries == 1


def create_readers(bank: Bank) -> FastAPI:
    """Return an application of endpoints that meet contention once, and tell what they read."""
    router = APIRouter(route_class=Route)

    async def met(session: AsyncSession, attempt: int, read: str) -> str:
        session.add(Entry())
        await session.flush()
        await fail_once(session, attempt)
        return read

    @router.post("/stream")
    async def stream(request: Request, session: Session, attempt: Attempt) -> str:
        read = b"".join([part async for part in request.stream()])
        return await met(session, attempt, read.decode())

    @router.post("/body")
    async def body(request: Request, session: Session, attempt: Attempt) -> str:
        return await met(session, attempt, (await request.body()).decode())

    @router.post("/nothing")
    async def nothing(session: Session, attempt: Attempt) -> str:
        return await met(session, attempt, "")

    app = FastAPI(lifespan=bank.lifespan)
    install(app)
    app.include_router(router)
    return app


async def test_a_request_whose_body_is_gone_is_not_tried_again(empty_url: str) -> None:
    bank = Bank(empty_url)
    async with calling(create_readers(bank)) as client:
        response = await client.post("/stream", content=b"Ann")
        assert summary(response) == "503"
        assert response.headers["retry-after"] == "1"
        assert (bank.retries, await bank.entries()) == (0, 0)


async def test_a_request_whose_body_is_kept_or_not_read_is_tried_again(empty_url: str) -> None:
    bank = Bank(empty_url)
    async with calling(create_readers(bank)) as client:
        assert (await client.post("/body", content=b"Ann")).json() == "Ann"
        assert (await client.post("/nothing", content=b"Ann")).json() == ""
        assert (bank.retries, await bank.entries()) == (2, 2)


async def test_the_answer_that_is_stored_with_a_key_is_that_of_the_last_attempt(
    empty_url: str,
) -> None:
    bank = Bank(empty_url)
    async with calling(create_app(bank, fail_once)) as client:
        headers = {"idempotency-key": "k"}
        for path, body in (("/accounts", {"balance": 5}), ("/accounts/batch", [{"balance": 5}])):
            retries, entries = bank.retries, await bank.entries()
            first = await client.post(path, json=body, headers=headers)
            again = await client.post(path, json=body, headers=headers)
            assert (first.status_code, again.status_code) == (201, 201)
            assert "idempotency-replayed" not in first.headers
            assert again.headers["idempotency-replayed"] == "true"
            assert again.content == first.content
            assert (bank.retries, await bank.entries()) == (retries + 1, entries + 1)


async def test_a_read_is_tried_again_too(empty_url: str) -> None:
    class Accounts(Resource[Account]):
        attempt: Attempt

        @override
        async def get(self, key: object, /) -> Account:
            row = await super().get(key)
            await fail_once(self.session, self.attempt)
            return row

    bank = Bank(empty_url)
    app = FastAPI(lifespan=bank.lifespan)
    install(app)
    app.include_router(
        crud_router("/a", Accounts, read=AccountRead, create=AccountCreate, update=AccountUpdate)
    )
    async with calling(app) as client:
        for method in ("GET", "HEAD"):
            assert (await client.request(method, "/a/1")).status_code == 200
    assert bank.retries == 2


# -- many at once


async def change(client: AsyncClient, method: str, path: str, times: int) -> Counter[int]:
    """Return the statuses of *times* requests, one after the other."""
    statuses: Counter[int] = Counter()
    for _ in range(times):
        response = await client.request(method, path, json={"balance": 1})
        if response.status_code == 503:
            assert response.headers["retry-after"] == "1"
        statuses[response.status_code] += 1
    return statuses


@pytest.mark.parametrize("declared", ["by the database", "by the resource"])
async def test_12_serializable_writers_lose_no_update(
    empty_url: str, declared: str, backend: str, record_property: Callable[[str, object], None]
) -> None:
    if declared == "by the database":
        bank = Bank(empty_url, pool_size=12, isolation="serializable")
        app = create_app(bank, do_nothing)
    else:
        bank = Bank(empty_url, pool_size=12)
        app = create_app(bank, do_nothing, level="serializable")
    async with calling(app) as client:
        writers = (change(client, "PATCH", "/accounts/1", 10) for _ in range(12))
        statuses = sum(await asyncio.gather(*writers), Counter[int]())

    assert statuses.keys() <= {200, 503}
    assert statuses[200] > 0
    assert await bank.balances() == [statuses[200], 0]
    assert await bank.entries() == statuses[200]
    assert bool(bank.retries) == (backend == "postgresql")
    answered = f"{dict(statuses)}, tried again {bank.retries} times"
    record_property(f"120 changes by 12 serializable writers, {declared}, on {backend}", answered)


async def test_12_serializable_writers_each_see_what_those_before_them_left(
    empty_url: str,
) -> None:
    async def copy_the_count(session: AsyncSession, _: int) -> None:
        (account,) = (each for each in session.new if isinstance(each, Account))
        with session.no_autoflush:
            account.balance = await session.scalar(select(func.count(Account.id))) or 0
        await asyncio.sleep(0)

    bank = Bank(empty_url, pool_size=12)
    async with calling(create_app(bank, copy_the_count, level="serializable")) as client:
        writers = (change(client, "POST", "/accounts", 3) for _ in range(12))
        statuses = sum(await asyncio.gather(*writers), Counter[int]())

    assert statuses.keys() <= {201, 503}
    assert sorted(await bank.balances()) == [0, 0, *range(2, statuses[201] + 2)]


# -- how far requests are kept apart

LEVEL: Final = text("SELECT current_setting('transaction_isolation')")


async def look(session: Session) -> None:
    """Read before the resource is made, as a check of who is asking does."""
    await session.scalar(select(func.count(Entry.id)))


async def test_a_resource_is_isolated_whatever_was_read_before(databases: Databases) -> None:
    levels: list[str] = []

    async def note(session: AsyncSession, _: int) -> None:
        levels.append(await session.scalar(LEVEL) or "")

    bank = Bank(databases.empty("postgresql"))
    app = create_app(bank, note, level="serializable", first=[Depends(look)])
    async with calling(app) as client:
        for method, path, body in (
            ("POST", "/accounts", {"balance": 0}),
            ("PATCH", "/accounts/1", {"balance": 1}),
            ("PUT", "/accounts/1", {"balance": 1}),
            ("DELETE", "/accounts/2", None),
            ("POST", "/accounts/batch", [{"balance": 0}]),
            ("PATCH", "/accounts/batch", [{"id": 1, "balance": 1}]),
            ("DELETE", "/accounts/batch?id=1", None),
        ):
            assert (await client.request(method, path, json=body)).is_success, path
            assert levels == ["serializable"], path
            levels.clear()
        assert summary(await client.patch("/cards/1", json={"name": "Bob"})) == "200"
    assert levels == ["read committed"]


class Repeatable(Resource[Account]):
    isolation = "repeatable read"


class Serializable(Resource[Card]):
    isolation = "serializable"


Repeatables = Annotated[Repeatable, Depends()]
Serializables = Annotated[Serializable, Depends()]


async def level(rows: Repeatables) -> str:
    return await rows.session.scalar(LEVEL) or ""


async def strongest_level(rows: Repeatables, _: Serializables) -> str:
    return await rows.session.scalar(LEVEL) or ""


async def level_of_others(session: Session) -> str:
    return await session.scalar(LEVEL) or ""


def of_serializables(_: Serializables) -> None: ...


async def level_below(session: Session, _: Annotated[None, Depends(of_serializables)]) -> str:
    return await session.scalar(LEVEL) or ""


def create_levels(bank: Bank, router: APIRouter, *first: params.Depends) -> FastAPI:
    """Return an application whose *router* tells how far its requests are kept apart."""
    router.add_api_route("/one", level, methods=["GET", "POST"])
    router.add_api_route("/two", strongest_level, methods=["GET", "POST"])
    router.add_api_route("/none", level_of_others, methods=["POST"])
    router.add_api_route("/below", level_below, methods=["POST"])
    app = FastAPI(lifespan=bank.lifespan)
    install(app)
    app.include_router(router, dependencies=first)
    return app


async def test_an_endpoint_of_ones_own_is_isolated_as_its_strictest_resource(
    databases: Databases,
) -> None:
    bank = Bank(databases.empty("postgresql"))
    app = create_levels(bank, APIRouter(route_class=Route), Depends(look))
    async with calling(app) as client:
        for path, expected in (
            ("/one", "repeatable read"),
            ("/two", "serializable"),
            ("/none", "read committed"),
            ("/below", "serializable"),
        ):
            assert (await client.post(path)).json() == expected, path


async def test_a_resource_that_a_router_is_included_with_counts_too(databases: Databases) -> None:
    bank = Bank(databases.empty("postgresql"))
    guards = (Depends(look), Depends(of_serializables))
    app = create_levels(bank, APIRouter(route_class=Route), *guards)
    async with calling(app) as client:
        for path in ("/one", "/two", "/none", "/below"):
            assert (await client.post(path)).json() == "serializable", path


async def test_what_only_reads_is_kept_apart_no_further_than_the_rest(databases: Databases) -> None:
    bank = Bank(databases.empty("postgresql"))
    async with calling(create_levels(bank, APIRouter(route_class=Route))) as client:
        for path in ("/one", "/two"):
            assert (await client.get(path)).json() == "read committed"
            assert (await client.head(path)).status_code == 200


async def test_on_any_router_a_resource_is_isolated_if_nothing_was_read_before(
    databases: Databases,
) -> None:
    bank = Bank(databases.empty("postgresql"))
    async with calling(create_levels(bank, APIRouter())) as client:
        for path, expected in (("/one", "repeatable read"), ("/two", "serializable")):
            assert (await client.post(path)).json() == expected, path


async def test_a_resource_that_cannot_be_isolated_any_more_says_how_it_can(empty_url: str) -> None:
    bank = Bank(empty_url)
    async with bank.lifespan(None):
        async with bank.session() as session:
            assert isinstance(Repeatable(session=session), Repeatable)
            await session.scalar(select(Account.balance))
            assert isinstance(Repeatable(session=session), Repeatable)
            with pytest.raises(TypeError, match="Serializable is to be serializable"):
                Serializable(session=session)
        async with bank.session(readonly=True) as session:
            await session.scalar(select(Account.balance))
            assert isinstance(Serializable(session=session), Serializable)


async def test_an_endpoint_whose_resource_is_made_too_late_fails(empty_url: str) -> None:
    bank = Bank(empty_url)
    async with calling(create_levels(bank, APIRouter(), Depends(look))) as client:
        assert summary(await client.post("/one")) == "500"
    assert bank.retries == 0


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        pytest.param([], None, id="none"),
        pytest.param([None, None], None, id="nothing said"),
        pytest.param([None, "read committed"], "read committed", id="one"),
        pytest.param(["repeatable read", None, "read committed"], "repeatable read", id="two"),
        pytest.param(["read committed", "serializable", "repeatable read"], "serializable", id="3"),
    ],
)
def test_of_levels_the_strictest_counts(
    levels: Sequence[Isolation | None], expected: Isolation | None
) -> None:
    assert strongest(levels) == expected


# -- clients that go away


async def quiet(bank: Bank) -> None:
    """Wait until nobody uses a connection."""
    async with asyncio.timeout(5):
        while bank.in_use():  # noqa: ASYNC110 — nobody tells
            await asyncio.sleep(0.001)


class Halt:
    """Stops the attempt of a number, until it is told to go on."""

    def __init__(self, attempt: int) -> None:
        self._attempt = attempt
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None

    async def __call__(self, session: AsyncSession, attempt: int) -> None:
        await session.flush()
        if attempt == self._attempt:
            self.task = asyncio.current_task()
            self.reached.set()
            await self.go_on.wait()
        if attempt < 3:
            raise contended()


@pytest.mark.parametrize("attempt", [1, 2, 3])
async def test_a_request_that_is_cancelled_leaves_nothing_and_no_connection(
    empty_url: str, attempt: int
) -> None:
    halt = Halt(attempt)
    bank = Bank(empty_url, pool_size=1, pool_timeout=5)
    async with serving(create_app(bank, halt)) as client:
        patch = asyncio.create_task(client.patch("/accounts/1", json={"balance": 1}))
        await halt.reached.wait()
        assert halt.task is not None
        halt.task.cancel()
        await asyncio.wait([patch])
        await quiet(bank)
        assert (await bank.entries(), await bank.balances()) == (0, [0, 0])

        halt.go_on.set()
        assert summary(await client.patch("/accounts/1", json={"balance": 1})) == "200"
    assert (await bank.entries(), await bank.balances()) == (1, [1, 0])


async def test_a_request_that_is_cancelled_between_attempts_leaves_nothing(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    async def meet_noted(session: AsyncSession, attempt: int) -> None:
        tasks.append(asyncio.current_task())
        await session.flush()
        await fail_once(session, attempt)

    monkeypatch.setattr("brickwork.retries._PAUSE", 60)
    bank = Bank(empty_url, pool_size=1)
    async with serving(create_app(bank, meet_noted)) as client:
        patch = asyncio.create_task(client.patch("/accounts/1", json={"balance": 1}))
        while not bank.retries:  # noqa: ASYNC110 — nobody tells
            await asyncio.sleep(0.001)
        assert bank.in_use() == 0
        assert tasks[0] is not None
        tasks[0].cancel()
        await asyncio.wait([patch])

    assert (len(tasks), bank.in_use(), await bank.entries()) == (1, 0, 0)


def request(balance: int) -> bytes:
    body = b'{"balance": %d}' % balance
    head = b"PATCH /accounts/1 HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n"
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


async def test_a_client_that_goes_away_in_an_attempt_leaves_all_or_nothing(empty_url: str) -> None:
    halt = Halt(2)
    bank = Bank(empty_url, pool_size=1, pool_timeout=5)
    async with serving(create_app(bank, halt)) as client, wired(client.base_url) as wire:
        await wire.send(request(1))
        await halt.reached.wait()
        await wire.close()
        halt.go_on.set()
        await quiet(bank)

        response = await client.patch("/accounts/1", json={"balance": 0})
        balance = response.json()["balance"]
        assert balance in {0, 1}
        assert await bank.entries() == 1 + balance


async def test_clients_that_go_away_at_any_moment_leave_all_or_nothing(empty_url: str) -> None:
    bank = Bank(empty_url, pool_size=2, pool_timeout=5)

    async def leave(wire: Wire) -> None:
        await wire.send(request(1))
        await asyncio.sleep(random.uniform(0, 0.06))  # noqa: S311 — no secret
        await wire.close()

    async with serving(create_app(bank, fail_once)) as client:
        for _ in range(20):
            async with wired(client.base_url) as one, wired(client.base_url) as other:
                await asyncio.gather(leave(one), leave(other))
        await asyncio.sleep(0.1)
        await quiet(bank)
        assert summary(await client.patch("/accounts/1", json={"balance": 1})) == "200"

    balance, _ = await bank.balances()
    assert 1 <= balance <= 41
    assert await bank.entries() == balance
