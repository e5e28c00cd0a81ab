"""The most expensive requests, and how long they block the event loop."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from types import MappingProxyType
from typing import Final, NamedTuple

from httpx2 import AsyncClient, Response

from tests.support import heavy
from tests.support.bodies import JSON

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Call(NamedTuple):
    """A heavy request, and the statuses that may answer it.

    `{id}` in its path is the id of a new record.
    """

    name: str
    method: str
    path: str
    statuses: Collection[int]
    body: str = ""
    headers: Mapping[str, str] = NO_HEADERS


def body_calls() -> Iterator[Call]:
    """Yield a POST of each body, with and without a login, and a PATCH of each body of one row."""
    for name, body in heavy.BODIES.items():
        rows = "/batch" if "rows" in name else ""
        statuses = _answers_to(name)
        yield Call(f"POST {name}", "POST", f"/records{rows}", statuses, body)
        yield Call(f"POST {name}, without a login", "POST", f"/closed{rows}", {401}, body)
        if not rows:
            yield Call(f"PATCH {name}", "PATCH", "/records/{id}", {200, *statuses} - {201}, body)


def head_calls() -> Iterator[Call]:
    """Yield requests with each head, with and without a login."""
    queries = {name: (f"?{query}", NO_HEADERS) for name, query in heavy.QUERIES.items()}
    heads = {name: ("", headers) for name, headers in heavy.HEADERS.items()} | queries
    requests = (("GET", "", ""), ("GET", "/1", ""), ("POST", "", "{}"), ("PATCH", "/1", "{}"))
    for name, (query, headers) in heads.items():
        for method, key, body in requests:
            for prefix in ("/records", "/closed"):
                path = f"{prefix}{key}"
                yield Call(
                    f"{method} {path} {name}", method, path + query, range(500), body, headers
                )


def _answers_to(name: str) -> Collection[int]:
    """Return the possible statuses of a POST of the body *name*."""
    if name in heavy.LONG:
        return {201, 422}
    groups = (
        (heavy.TOO_MANY, {413, 422}),
        (heavy.FAULTY, {422}),
        (heavy.GOOD, {201}),
        (heavy.BROKEN, {400}),
    )
    return next(statuses for bodies, statuses in groups if name in bodies)


async def holds(client: AsyncClient, calls: Iterable[Call]) -> dict[str, float]:
    """Send *calls*, and return how long each blocks the event loop, in seconds, by its name.

    Raises `AssertionError` for an unexpected status.
    """
    for prefix, body in (("/records", heavy.meta("1")), ("/closed", "{}")):  # compile statements
        await _send(client, "POST", prefix, body)
        await _send(client, "POST", f"{prefix}/batch", f"[{body}]")
    await _send(client, "PATCH", "/records/1", heavy.meta("2"))
    with _frozen_heap():
        return {call.name: await _hold(client, call) for call in calls}


async def _hold(client: AsyncClient, call: Call) -> float:
    path = call.path
    if "{id}" in path:
        record = (await client.post("/records", json={})).json()
        path = path.replace("{id}", str(record["id"]))
    async with _longest_wait() as longest:
        response = await _send(client, call.method, path, call.body, call.headers)
    assert response.status_code in call.statuses, f"{call.name}: {response.status_code}"
    return longest[0]


async def _send(
    client: AsyncClient, method: str, path: str, body: str, headers: Mapping[str, str] = NO_HEADERS
) -> Response:
    kind = {"content-type": JSON} if body else {}
    return await client.request(method, path, content=body.encode(), headers={**kind, **headers})


@contextmanager
def _frozen_heap() -> Generator[None]:
    """Freeze the heap, as a service does."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@asynccontextmanager
async def _longest_wait() -> AsyncGenerator[list[float]]:
    """Run other work during the block, and yield its longest wait in seconds.

    Time of other processes on the CPU does not count.
    """
    longest = [0.0]

    async def tick() -> None:
        last = time.process_time()
        while True:
            await asyncio.sleep(0)
            now = time.process_time()
            longest[0], last = max(longest[0], now - last), now

    task = asyncio.create_task(tick())
    await asyncio.sleep(0)
    try:
        yield longest
    finally:
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
