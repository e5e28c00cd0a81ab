"""Clients that write one row repeatedly, or several rows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from httpx2 import AsyncClient, Response

from tests.support.bodies import Body, summary


async def increment(client: AsyncClient, path: str, times: int) -> Counter[str]:
    """Increment `views` with If-Match until *times* have succeeded; count the responses."""
    answers: Counter[str] = Counter()
    while answers["200"] < times:
        row = await client.get(path)
        body = {"views": row.json()["views"] + 1}
        headers = {"if-match": row.headers["etag"]}
        answers[summary(await client.patch(path, json=body, headers=headers))] += 1
    return answers


async def patch_in_turn(
    client: AsyncClient, path: str, name: str, values: Iterable[Any]
) -> list[Response]:
    """Set the field *name* to each of *values*, one after the other."""
    return [await client.patch(path, json={name: value}) for value in values]


async def retitle(client: AsyncClient, rows: Sequence[Body], number: int) -> Response:
    """Set one title on all *rows* with a batch, in an order that depends on *number*."""
    order = Random(number).sample(rows, len(rows))  # noqa: S311 — different orders cause deadlocks
    changes = [{"id": row["id"], "title": f"Batch {number}"} for row in order]
    return await client.patch("/articles/batch", json=changes)
