"""Questions to an application, and short answers."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Final
from uuid import uuid4

from httpx2 import AsyncClient, Response
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

_RACERS: Final = 20
_MISSING: Final = "0198c0de-0000-7000-8000-000000000000"


@dataclass
class Subject:
    """An application that answers through *client*, and logs its *statements*."""

    client: AsyncClient
    statements: list[str]
    page: str
    """The query of a page of two rows."""
    observer: AsyncEngine
    """Connections of another program."""

    def __post_init__(self) -> None:
        """Begin the numbers of slugs."""
        self._numbers = count()

    def article(self, **values: object) -> dict[str, Any]:
        """Return the body of a new article."""
        return {"slug": f"slug-{next(self._numbers)}", "title": "One", **values}

    async def create(self, path: str, **values: object) -> Any:
        """Create a row, and return its document."""
        return (await self.client.post(path, json=values)).json()

    async def stored(self, table: str) -> int:
        """Return how many rows another program sees in *table*."""
        async with self.observer.connect() as connection:
            statement = select(func.count()).select_from(text(table))
            return int(await connection.scalar(statement) or 0)


async def commit_first(subject: Subject) -> str:
    """Create an article whose author is rejected at the commit."""
    before = await subject.stored("articles")
    response = await subject.client.post("/articles", json=subject.article(author_id=_MISSING))
    await asyncio.sleep(0.2)  # for a commit after the response
    stored = await subject.stored("articles") - before
    return f"{response.status_code}, {stored} rows stored"


async def duplicates(subject: Subject) -> str:
    """Send equal POSTs at the same time."""
    body = subject.article()
    sent = [subject.client.post("/articles", json=body) for _ in range(_RACERS)]
    return _counted(await asyncio.gather(*sent))


async def lost_update(subject: Subject) -> str:
    """Change an article that another client changed meanwhile."""
    article = await subject.create("/articles", **subject.article())
    path = f"/articles/{article['id']}"
    tag = (await subject.client.get(path)).headers.get("etag")
    await subject.client.patch(path, json={"title": "Two"})
    headers = {"if-match": tag or '"1"'}
    response = await subject.client.patch(path, json={"title": "Three"}, headers=headers)
    return f"{'ETag' if tag else 'no ETag'}; stale If-Match: {response.status_code}"


async def patch(subject: Subject) -> str:
    """Omit a field, set one to null, and set a required one to null."""
    article = await subject.create("/articles", **subject.article(rating=1.5))
    path = f"/articles/{article['id']}"
    await subject.client.patch(path, json={"title": "Two"})
    kept = (await subject.client.get(path)).json().get("rating") == article["rating"]
    await subject.client.patch(path, json={"rating": None})
    cleared = (await subject.client.get(path)).json().get("rating") is None
    required = await subject.client.patch(path, json={"title": None})
    words = ("omitted kept" if kept else "omitted lost", "null set" if cleared else "null ignored")
    return f"{', '.join(words)}, null of a required field: {required.status_code}"


async def unknown_field(subject: Subject) -> str:
    """Send a field that no schema has, and a parameter that no list has."""
    body = await subject.client.post("/articles", json=subject.article(titel="Two"))
    query = await subject.client.get("/articles", params={"titel": "Two"})
    return f"field {body.status_code}, parameter {query.status_code}"


async def hostile(subject: Subject) -> str:
    """Send values that a database cannot hold."""
    values: dict[str, tuple[str, str]] = {
        "NUL": ("title", r'"a\u0000b"'),
        "1e999": ("rating", "1e999"),
        "2^70": ("views", str(2**70)),
        "surrogate": ("title", r'"\ud800"'),
    }
    found: list[str] = []
    for name, (field, value) in values.items():
        body = json.dumps(subject.article(**{field: "VALUE"})).replace('"VALUE"', value)
        response = await subject.client.post(
            "/articles", content=body, headers={"content-type": "application/json"}
        )
        found.append(f"{name} {response.status_code}")
    return ", ".join(found)


async def order(subject: Subject) -> str:
    """Look at the order of a list in its SQL, and for cursors in its answer."""
    for _ in range(3):
        await subject.create("/articles", **subject.article())
    del subject.statements[:]
    response = await subject.client.get(f"/articles?{subject.page}")
    lists = [sql for sql in subject.statements if "FROM articles" in sql and "LIMIT " in sql]
    columns = lists[-1].partition("ORDER BY")[2].split("LIMIT")[0] if lists else ""
    following = "next" in response.links or '"next"' in response.text
    words = "next link" if following else "no next link"
    return f"ORDER BY {' '.join(columns.split()) or 'nothing'}; {words}"


async def filters(subject: Subject) -> str:
    """Read the parameters of a list in the OpenAPI document."""
    operation = (await _openapi(subject))["paths"]["/articles"]["get"]
    names = [parameter["name"] for parameter in operation.get("parameters", ())]
    return ", ".join(names) or "none"


async def nested_write(subject: Subject) -> str:
    """Create an order with a line, then replace the line."""
    created = await subject.client.post("/orders", json={"number": "1", "lines": [{"text": "a"}]})
    if created.is_error:
        return f"POST {created.status_code}"
    path = f"/orders/{created.json()['id']}"
    updated = await subject.client.patch(path, json={"number": "1", "lines": [{"text": "b"}]})
    document = await subject.client.get(path)
    lines = [line["text"] for line in document.json().get("lines", ())]
    return f"POST {created.status_code}, PATCH {updated.status_code}, then lines {lines}"


async def soft_delete(subject: Subject) -> str:
    """Delete a note, look for it, and refer to it."""
    note = await subject.create("/notes", text="a")
    path = f"/notes/{note['id']}"
    await subject.client.delete(path)
    shown = await subject.client.get(path)
    listed = note["id"] in (await subject.client.get("/notes")).text
    referring = await subject.client.post("/comments", json={"note_id": note["id"]})
    del subject.statements[:]
    other = await subject.create("/notes", text="b")
    await subject.client.delete(f"/notes/{other['id']}")
    soft = not any("DELETE FROM notes" in sql for sql in subject.statements)
    return (
        f"{'kept' if soft else 'removed'}, then GET {shown.status_code}, "
        f"{'listed' if listed else 'not listed'}, a reference: {referring.status_code}"
    )


async def idempotency(subject: Subject) -> str:
    """Send one POST twice with one key."""
    headers = {"idempotency-key": str(uuid4())}
    before = await subject.stored("orders")
    for _ in range(2):
        await subject.client.post("/orders", json={"number": "2"}, headers=headers)
    await asyncio.sleep(0.2)  # for a commit after the response
    return f"{await subject.stored('orders') - before} rows"


async def batch(subject: Subject) -> str:
    """Create three articles with one request, and count the INSERTs."""
    del subject.statements[:]
    response = await subject.client.post(
        "/articles/batch", json=[subject.article() for _ in range(3)]
    )
    inserts = sum("INSERT INTO articles" in sql for sql in subject.statements)
    if response.is_error:
        return f"no route ({response.status_code})"
    return f"{response.status_code}, {len(response.json())} rows, {inserts} INSERT"


async def scope(subject: Subject) -> str:
    """Read and change a task of somebody else, and give a task to somebody else."""
    ada, bob = {"x-user": "ada"}, {"x-user": "bob"}
    created = await subject.client.post("/tasks", json={"owner": "ada"}, headers=ada)
    if created.is_error:
        return "none"
    path = f"/tasks/{created.json()['id']}"
    read = await subject.client.get(path, headers=bob)
    given = await subject.client.post("/tasks", json={"owner": "ada"}, headers=bob)
    moved = await subject.client.patch(path, json={"owner": "bob"}, headers=ada)
    return f"GET {read.status_code}, POST out {given.status_code}, PATCH out {moved.status_code}"


async def problems(subject: Subject) -> str:
    """Compare the errors: a missing row, an invalid body, a taken value."""
    body = subject.article()
    await subject.client.post("/articles", json=body)
    answers = {
        "404": await subject.client.get(f"/articles/{_MISSING}"),
        "invalid": await subject.client.post("/articles", json={"slug": 5}),
        "taken": await subject.client.post("/articles", json=body),
    }
    kinds = [
        f"{name}: {answer.status_code} {answer.headers.get('content-type', '').split(';')[0]}"
        for name, answer in answers.items()
    ]
    return ", ".join(kinds)


async def openapi(subject: Subject) -> str:
    """List the statuses that the OpenAPI document has for a PATCH."""
    paths = (await _openapi(subject))["paths"]
    path = next(path for path in paths if path.startswith("/articles/{"))
    return ", ".join(sorted(paths[path]["patch"]["responses"]))


async def _openapi(subject: Subject) -> Any:
    response = await subject.client.get("/openapi.json")
    if response.is_error:  # Litestar has it elsewhere
        response = await subject.client.get("/schema/openapi.json")
    return response.json()


def _counted(responses: list[Response]) -> str:
    counts = Counter(response.status_code for response in responses)
    return ", ".join(f"{number} of {status}" for status, number in sorted(counts.items()))


Probe = Callable[[Subject], Awaitable[str]]

PROBES: Final[dict[str, Probe]] = {
    f"{_RACERS} equal POSTs": duplicates,
    "a lost update": lost_update,
    "PATCH": patch,
    "unknown names": unknown_field,
    "hostile values": hostile,
    "order of a list": order,
    "parameters of a list": filters,
    "related rows": nested_write,
    "deletion": soft_delete,
    "one Idempotency-Key twice": idempotency,
    "a batch of three": batch,
    "rows of somebody else": scope,
    "errors": problems,
    "responses in openapi.json": openapi,
    "a commit that fails": commit_first,
}
"""The questions by name, in the order in which they are asked."""
