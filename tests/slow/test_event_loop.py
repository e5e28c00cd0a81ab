"""The time that a request blocks the event loop."""

from collections.abc import Callable

import pytest
from httpx2 import AsyncClient

from brickwork import Database
from tests.support import heavy
from tests.support.bodies import JSON
from tests.support.databases import Databases

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

FIRST = {
    "/records": heavy.meta("1"),
    "/records/batch": f"[{heavy.meta('1')}]",
    "/closed": "{}",
    "/closed/batch": "[{}]",
}
"""Requests that compile the statements before the measurement."""


async def gap(client: AsyncClient, method: str, path: str, body: str) -> tuple[int, float]:
    """Send *body*, and return the status and the longest wait of other work in seconds."""
    headers = {"content-type": JSON}
    async with heavy.longest_gap() as longest:
        response = await client.request(method, path, content=body.encode(), headers=headers)
    return response.status_code, longest[0]


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "ORM"])
async def test_no_body_blocks_the_event_loop(
    databases: Databases,
    backend: str,
    fast: object,
    record_property: Callable[[str, object], None],
) -> None:
    assert len(heavy.BODIES) >= 50
    assert max(map(len, heavy.BODIES.values())) == heavy.SIZE
    gaps: dict[str, float] = {}
    database = Database(databases.empty(backend), fast_path=bool(fast))
    async with heavy.calling_records(database) as client:
        for path, body in FIRST.items():
            await gap(client, "POST", path, body)
        await gap(client, "PATCH", "/records/1", heavy.meta("2"))
        with heavy.frozen_heap():
            for name, body in heavy.BODIES.items():
                path, closed = heavy.paths_of(name)
                status, gaps[f"POST {name}"] = await gap(client, "POST", path, body)
                assert status in heavy.answers_to(name), name
                status, gaps[f"POST {name}, without a login"] = await gap(
                    client, "POST", closed, body
                )
                assert status == 401, name
                if path == "/records":
                    new = (await client.post(path, json={})).json()["id"]
                    status, gaps[f"PATCH {name}"] = await gap(
                        client, "PATCH", f"{path}/{new}", body
                    )
                    assert status == 200 or status in heavy.answers_to(name), name
    worst = max(gaps, key=lambda name: gaps[name])
    closed_worst = max(gaps[name] for name in gaps if name.endswith("login"))
    record_property(
        f"longest hold of the event loop by a body, {backend}, {'fast' if fast else 'ORM'}",
        f"{gaps[worst]:.3f} s ({worst}), without a login {closed_worst:.3f} s",
    )
    allowed = heavy.allowed_gap()
    assert {name: seconds for name, seconds in gaps.items() if seconds > allowed} == {}


async def test_no_head_blocks_the_event_loop(
    databases: Databases, backend: str, record_property: Callable[[str, object], None]
) -> None:
    gaps: dict[str, float] = {}
    database = Database(databases.empty(backend))
    requests = (("GET", "", b""), ("GET", "/1", b""), ("POST", "", b"{}"), ("PATCH", "/1", b"{}"))
    heads = [(name, "", headers) for name, headers in heavy.HEADERS.items()]
    heads += [(name, f"?{query}", {}) for name, query in heavy.QUERIES.items()]
    async with heavy.calling_records(database) as client:
        await client.post("/records", json={})
        with heavy.frozen_heap():
            for name, query, headers in heads:
                for method, key, content in requests:
                    for prefix in ("/records", "/closed"):
                        kind = {"content-type": JSON, **headers} if content else headers
                        async with heavy.longest_gap() as longest:
                            response = await client.request(
                                method, f"{prefix}{key}{query}", content=content, headers=kind
                            )
                        assert response.status_code < 500
                        gaps[f"{method} {prefix}{key} {name}"] = longest[0]
    worst = max(gaps, key=lambda name: gaps[name])
    record_property(
        f"longest hold of the event loop by a head, {backend}", f"{gaps[worst]:.3f} s ({worst})"
    )
    allowed = heavy.allowed_gap()
    assert {name: seconds for name, seconds in gaps.items() if seconds > allowed} == {}
