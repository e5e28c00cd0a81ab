"""Rows for lists: many at once, past HTTP, and the links by which they are read."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from httpx2 import AsyncClient, Response
from sqlalchemy import insert

from brickwork import Database, Model

Row = Mapping[str, Any]

_ENDLESS = 1_000


async def load(url: str, model: type[Model], rows: Sequence[Row]) -> None:
    """Insert *rows* of *model* into the database at *url*, each with the same columns."""
    database = Database(url)
    async with database.lifespan(None), database.session() as session:
        await session.execute(insert(model), [dict(row) for row in rows])


def linked(response: Response, rel: str) -> str | None:
    """Return where the link *rel* of *response* leads, if there is one."""
    url: str | None = response.links.get(rel, {}).get("url")
    return url


async def got(client: AsyncClient, path: str) -> Response:
    """Return the answer to a GET of *path*, which is 200."""
    response = await client.get(path)
    assert response.status_code == 200, f"{path}: {response.text}"
    return response


async def pages(client: AsyncClient, path: str | None, rel: str) -> AsyncIterator[Response]:
    """Yield the page at *path*, and those that links of *rel* lead to from it."""
    for _ in range(_ENDLESS):
        if path is None:
            return
        response = await got(client, path)
        yield response
        path = linked(response, rel)
    raise AssertionError(f"{rel} leads on and on: {path}")
