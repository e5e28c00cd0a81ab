"""Retries after contention."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from types import SimpleNamespace
from typing import Annotated

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from brickwork import (
    Conflict,
    Database,
    NotFound,
    ServiceUnavailable,
    SessionDep,
    StrictRoute,
    UnprocessableContent,
    install,
)
from brickwork.database.availability import database_unavailable
from brickwork.database.errors import serialization_conflict
from brickwork.database.retry import with_retries
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.contention import ATTEMPTS
from tests.support.services import Service
from tests.support.shop import City


@dataclass
class Work:
    """Work that fails a number of times with one error, then succeeds."""

    error: Exception
    failures: int = 100
    attempts: int = 0

    async def __call__(self) -> str:
        """Fail until there were enough failures, then return."""
        self.attempts += 1
        if self.attempts <= self.failures:
            raise self.error
        return "done"


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Collect the seconds between attempts, without sleeping."""
    pauses: list[float] = []

    async def record_pause(pause: float) -> None:
        pauses.append(pause)

    monkeypatch.setattr("brickwork.database.retry.asyncio", SimpleNamespace(sleep=record_pause))
    return pauses


# --- Attempts ----------------------------------------------------------------------------------


async def test_work_is_retried_until_it_succeeds() -> None:
    work = Work(serialization_conflict(), failures=2)

    assert await with_retries(work, None) == "done"
    assert work.attempts == 3


async def test_work_is_retried_seven_times() -> None:
    work = Work(serialization_conflict())
    with pytest.raises(ServiceUnavailable):
        await with_retries(work, None)

    assert work.attempts == ATTEMPTS


async def test_work_after_a_lost_race_is_retried_once() -> None:
    work = Work(Conflict("The value is taken.", retryable=True))
    with pytest.raises(Conflict):
        await with_retries(work, None)

    assert work.attempts == 2


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(RuntimeError("not today"), id="RuntimeError"),
        pytest.param(TimeoutError(), id="TimeoutError"),
        pytest.param(NotFound("Not here."), id="NotFound"),
        pytest.param(Conflict("Not so."), id="Conflict"),
        pytest.param(UnprocessableContent("Not that."), id="UnprocessableContent"),
        pytest.param(database_unavailable(), id="ServiceUnavailable"),
        pytest.param(HTTPException(503), id="HTTPException 503"),
        pytest.param(HTTPException(409), id="HTTPException 409"),
    ],
)
async def test_work_with_another_error_is_not_retried(error: Exception) -> None:
    work = Work(error)
    with pytest.raises(type(error)) as raised:
        await with_retries(work, None)

    assert (raised.value, work.attempts) == (error, 1)


async def test_work_is_not_retried_if_may_retry_is_false() -> None:
    work = Work(serialization_conflict())
    with pytest.raises(ServiceUnavailable):
        await with_retries(work, None, may_retry=lambda: False)

    assert work.attempts == 1


async def test_work_is_not_retried_after_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(step=2)  # seconds, each time that it is read
    monkeypatch.setattr("brickwork.database.retry.time", SimpleNamespace(monotonic=clock.__next__))
    work = Work(serialization_conflict())
    with pytest.raises(ServiceUnavailable):
        await with_retries(work, None)

    assert work.attempts == 3  # 2, 4 and 6 seconds after the beginning


async def test_database_counts_retries() -> None:
    database = Database("sqlite:///unused.db")
    await with_retries(Work(serialization_conflict(), failures=2), database)

    assert database.retries == 2


async def test_pauses_double_with_jitter(pauses: list[float]) -> None:
    for _ in range(20):
        with pytest.raises(ServiceUnavailable):
            await with_retries(Work(serialization_conflict()), None)

    for attempt in range(ATTEMPTS - 1):
        alike = pauses[attempt :: ATTEMPTS - 1]
        assert 0.005 * 2**attempt <= min(alike) < max(alike) <= 0.015 * 2**attempt


async def test_cancelled_pause_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    paused = asyncio.Event()

    async def pause(_: float) -> None:
        paused.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("brickwork.database.retry.asyncio", SimpleNamespace(sleep=pause))
    work = Work(serialization_conflict())
    task = asyncio.create_task(with_retries(work, None))
    await paused.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert work.attempts == 1


# --- Requests ----------------------------------------------------------------------------------


def count_attempts(request: Request) -> int:
    number: int = request.scope.get("attempt", 0) + 1
    request.scope["attempt"] = number
    return number


Attempt = Annotated[int, Depends(count_attempts)]


def app_of(endpoint: Callable[..., Awaitable[object]], service: Service) -> FastAPI:
    """Return an application of one *endpoint* over the database of *service*."""
    router = APIRouter(route_class=StrictRoute)
    router.add_api_route("/", endpoint, methods=["POST"])
    app = FastAPI(lifespan=Database(service.url).lifespan)
    install(app)
    app.include_router(router)
    return app


async def city_names(service: Service) -> list[str]:
    async with service.client() as client:
        return [city["name"] for city in (await client.get("/cities")).json()]


async def test_application_without_a_database_retries_requests() -> None:
    async def fail_once(attempt: Attempt) -> int:
        if attempt == 1:
            raise serialization_conflict()
        return attempt

    router = APIRouter(route_class=StrictRoute)
    router.add_api_route("/", fail_once, methods=["POST"])
    app = FastAPI()
    install(app)
    app.include_router(router)
    async with calling(app) as client:
        assert (await client.post("/")).json() == 2


async def test_attempt_has_its_own_session(shop_service: Service) -> None:
    sessions: list[AsyncSession] = []

    async def fail_twice(session: SessionDep, attempt: Attempt) -> None:
        sessions.append(session)
        session.add(City(name=f"City {attempt}"))
        await session.flush()
        if attempt < 3:
            raise serialization_conflict()

    async with calling(app_of(fail_twice, shop_service)) as client:
        assert (await client.post("/")).status_code == 200

    assert len({id(session) for session in sessions}) == 3
    assert not any(session.in_transaction() for session in sessions)
    assert await city_names(shop_service) == ["City 3"]


async def test_attempt_resolves_dependencies_again(shop_service: Service) -> None:
    log: list[str] = []

    async def logged(attempt: Attempt) -> AsyncIterator[int]:
        log.append(f"enter {attempt}")
        yield attempt
        log.append(f"exit {attempt}")

    async def fail_twice(number: Annotated[int, Depends(logged, scope="function")]) -> None:
        if number < 3:
            raise serialization_conflict()

    async with calling(app_of(fail_twice, shop_service)) as client:
        assert (await client.post("/")).status_code == 200

    assert log == ["enter 1", "enter 2", "enter 3", "exit 3"]


async def test_response_has_the_headers_and_tasks_of_the_last_attempt(
    shop_service: Service,
) -> None:
    done: list[int] = []

    async def fail_twice(response: Response, tasks: BackgroundTasks, attempt: Attempt) -> None:
        response.headers[f"x-attempt-{attempt}"] = "yes"
        tasks.add_task(done.append, attempt)
        if attempt < 3:
            raise serialization_conflict()

    async with calling(app_of(fail_twice, shop_service)) as client:
        response = await client.post("/")

    assert [name for name in response.headers if name.startswith("x-attempt")] == ["x-attempt-3"]
    assert done == [3]


async def fail_once_after(session: AsyncSession, attempt: int, name: str) -> str:
    session.add(City(name=name))
    await session.flush()
    if attempt == 1:
        raise serialization_conflict()
    return name


async def test_request_with_a_buffered_body_is_retried(shop_service: Service) -> None:
    async def read_body(request: Request, session: SessionDep, attempt: Attempt) -> str:
        return await fail_once_after(session, attempt, (await request.body()).decode())

    async with calling(app_of(read_body, shop_service)) as client:
        assert (await client.post("/", content=b"Lisbon")).json() == "Lisbon"
    assert await city_names(shop_service) == ["Lisbon"]


async def test_request_with_an_unread_body_is_retried(shop_service: Service) -> None:
    async def ignore_body(session: SessionDep, attempt: Attempt) -> str:
        return await fail_once_after(session, attempt, "Porto")

    async with calling(app_of(ignore_body, shop_service)) as client:
        assert (await client.post("/", content=b"Lisbon")).json() == "Porto"
    assert await city_names(shop_service) == ["Porto"]


async def test_request_with_a_streamed_body_is_not_retried(shop_service: Service) -> None:
    async def read_stream(request: Request, session: SessionDep, attempt: Attempt) -> str:
        read = b"".join([part async for part in request.stream()])
        return await fail_once_after(session, attempt, read.decode())

    async with calling(app_of(read_stream, shop_service)) as client:
        response = await client.post("/", content=b"Lisbon")

    assert (summary(response), response.headers["retry-after"]) == ("503", "1")
    assert await city_names(shop_service) == []
