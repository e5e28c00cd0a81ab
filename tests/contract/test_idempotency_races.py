"""Idempotency-Key under concurrency."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from fastapi import Depends, Header
from httpx2 import AsyncClient, Response
from sqlalchemy import text
from typing_extensions import override

from app.articles.models import Article
from app.main import create_app
from app.settings import Settings
from brickwork import Database, Resource, SessionDep
from brickwork.database.isolation import IsolationLevel
from tests.support.bodies import article, create_row, get_json, summary
from tests.support.calls import calling
from tests.support.databases import postgres_only
from tests.support.replays import (
    KEY,
    Articles,
    articles_app,
    comparable,
    is_replay,
    outcome,
    outcomes,
)

pytestmark = pytest.mark.anyio

sqlite_only = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


async def test_one_of_several_equal_requests_runs(client: AsyncClient) -> None:
    posts = [client.post("/articles", json=article(), headers=KEY) for _ in range(10)]
    assert outcomes(await asyncio.gather(*posts))["created"] == 1
    assert len(await get_json(client, "/articles")) == 1


async def test_two_processes_run_one_of_several_equal_requests(service_url: str) -> None:
    apps = [create_app(Settings(database_url=service_url)) for _ in range(2)]
    async with calling(apps[0]) as one, calling(apps[1]) as other:
        posts = [
            client.post("/articles", json=article(), headers=KEY) for client in (one, other) * 4
        ]
        assert outcomes(await asyncio.gather(*posts))["created"] == 1
        assert len(await get_json(one, "/articles")) == 1


class Gate:
    """A gate that stops the first request until it is opened."""

    def __init__(self) -> None:
        """Close the gate."""
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def wait(self) -> None:
        """Wait until the gate is opened."""
        self.reached.set()
        async with asyncio.timeout(30):
            await self.opened.wait()


class Arrivals:
    """A dependency that counts requests."""

    def __init__(self) -> None:
        """Start without requests."""
        self._requests = asyncio.Semaphore(0)

    async def __call__(self) -> None:
        """Count a request."""
        self._requests.release()

    async def wait_for(self, number: int) -> None:
        """Wait for *number* more requests."""
        async with asyncio.timeout(30):
            for _ in range(number):
                await self._requests.acquire()


def articles_waiting_at(gate: Gate) -> type[Resource[Article]]:
    """Return a resource of articles whose first creation waits at *gate*."""

    class Waiting(Resource[Article]):
        @override
        async def create(self, row: Article, /) -> None:
            await super().create(row)
            await self.session.flush()
            if not gate.reached.is_set():
                await gate.wait()

    return Waiting


@postgres_only
async def test_a_request_is_rejected_while_the_first_is_running(service_url: str) -> None:
    gate = Gate()
    async with calling(articles_app(Database(service_url), articles_waiting_at(gate))) as client:
        first = asyncio.create_task(client.post("/articles", json=article(), headers=KEY))
        await gate.reached.wait()
        same = await client.post("/articles", json=article(), headers={"idempotency-key": '"k"'})
        other = await client.post("/articles", json=article(slug="b"), headers=KEY)
        gate.opened.set()
        made = await first
        again = await client.post("/articles", json=article(), headers=KEY)

    assert [outcome(answer) for answer in (same, other)] == ["still running"] * 2
    assert [outcome(answer) for answer in (made, again)] == ["created", "replayed"]
    assert comparable(again) == comparable(made)


@sqlite_only
async def test_a_request_waits_while_the_first_is_running(service_url: str) -> None:
    gate, arrivals = Gate(), Arrivals()
    app = articles_app(Database(service_url), articles_waiting_at(gate), Depends(arrivals))
    async with calling(app) as client:
        first = asyncio.create_task(client.post("/articles", json=article(), headers=KEY))
        second = asyncio.create_task(
            client.post("/articles", json=article(), headers={"idempotency-key": '"k"'})
        )
        await arrivals.wait_for(2)
        await gate.reached.wait()
        gate.opened.set()
        made, again = await first, await second

    assert [outcome(answer) for answer in (made, again)] == ["created", "replayed"]
    assert comparable(again) == comparable(made)


@postgres_only
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
@pytest.mark.parametrize("path", ["/articles", "/articles/batch"])
async def test_an_older_transaction_replays_the_stored_response(
    service_url: str, isolation: IsolationLevel, path: str
) -> None:
    gate = Gate()

    async def linger(session: SessionDep, linger: Annotated[str, Header()] = "") -> None:
        await session.execute(text("SELECT"))  # begins the transaction
        if linger:
            await gate.wait()

    body = article() if path == "/articles" else [article()]
    database = Database(service_url, isolation_level=isolation)
    async with calling(articles_app(database, Articles, Depends(linger))) as client:
        late = asyncio.create_task(client.post(path, json=body, headers={**KEY, "linger": "yes"}))
        await gate.reached.wait()
        first = await client.post(path, json=body, headers=KEY)
        gate.opened.set()
        again = await late
        assert len(await get_json(client, "/articles")) == 1

    assert [outcome(answer) for answer in (first, again)] == ["created", "replayed"]
    assert comparable(again) == comparable(first)


@postgres_only
async def test_a_batch_retried_item_by_item_keeps_its_key(service_url: str) -> None:
    answers: list[Response] = []
    titles: list[str] = []

    class Recording(Resource[Article]):
        @override
        async def update(self, row: Article, /, changes: Mapping[str, Any]) -> None:
            titles.append(row.title)
            if len(titles) == 3:  # the first item alone
                answers.append(await client.patch("/articles/batch", json=items, headers=KEY))
            await super().update(row, changes)

    async with calling(articles_app(Database(service_url), Recording)) as client:
        a, b = [await create_row(client, "/articles", article(slug=slug)) for slug in "ab"]
        items = [
            {"id": b["id"], "slug": "c", "version": 1},
            {"id": a["id"], "slug": "b", "version": 1},
        ]
        async with asyncio.timeout(30):
            first = await client.patch("/articles/batch", json=items, headers=KEY)
        again = await client.patch("/articles/batch", json=items, headers=KEY)

    assert (first.status_code, is_replay(first)) == (200, False)
    assert [outcome(answer) for answer in answers] == ["still running"]
    assert comparable(again) == comparable(first)


async def test_a_request_runs_after_the_first_failed(service_url: str) -> None:
    gate, arrivals = Gate(), Arrivals()

    class Failing(Resource[Article]):
        @override
        async def create(self, row: Article, /) -> None:
            await super().create(row)
            if not gate.reached.is_set():
                await gate.wait()
                raise RuntimeError("not today")

    app = articles_app(Database(service_url), Failing, Depends(arrivals))
    async with calling(app) as client:
        first = asyncio.create_task(client.post("/articles", json=article(), headers=KEY))
        await gate.reached.wait()
        second = asyncio.create_task(client.post("/articles", json=article(), headers=KEY))
        await arrivals.wait_for(2)
        gate.opened.set()
        assert summary(await first) == "500"
        assert outcome(await second) in {"created", "still running"}  # SQLite, PostgreSQL
        third = await client.post("/articles", json=article(), headers=KEY)
        assert third.status_code == 201
        assert len(await get_json(client, "/articles")) == 1
