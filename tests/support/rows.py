"""Many rows for lists, and links between pages."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from httpx2 import AsyncClient, Response
from sqlalchemy import insert, text

from brickwork import Database, Model

Row = Mapping[str, Any]

_ENDLESS = 1_000


async def insert_many(url: str, model: type[Model], rows: Sequence[Row]) -> None:
    """Insert *rows* of *model* into the database at *url*, each with the same columns."""
    database = Database(url)
    async with database.lifespan(None), database.session() as session:
        await session.execute(insert(model), [dict(row) for row in rows])


def link_target(response: Response, rel: str) -> str | None:
    """Return the target of the link *rel* of *response*. None if it is missing."""
    url: str | None = response.links.get(rel, {}).get("url")
    return url


async def get_ok(client: AsyncClient, path: str) -> Response:
    """Send a GET of *path* that must be a 200, and return the response."""
    response = await client.get(path)
    assert response.status_code == 200, f"{path}: {response.text}"
    return response


async def pages(client: AsyncClient, path: str | None, rel: str) -> AsyncIterator[Response]:
    """Yield the page at *path*, and the pages behind its links *rel*."""
    for _ in range(_ENDLESS):
        if path is None:
            return
        response = await get_ok(client, path)
        yield response
        path = link_target(response, rel)
    raise AssertionError(f"{rel} leads on and on: {path}")


_COLUMNS: Final = "id, title, slug, body, status, views, created_at, updated_at"
_FILL: Final = {
    "sqlite": f"""
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)
        INSERT INTO articles ({_COLUMNS})
        SELECT printf('%032x', n), 'Title ' || n, 'slug-' || n,
            replace(hex(zeroblob(:length / 2)), '0', 'x'), 'draft', n,
            '2024-01-01 00:00:00.000000', '2024-01-01 00:00:00.000000'
        FROM numbers""",  # noqa: S608 — of this file alone
    "postgresql": f"""
        INSERT INTO articles ({_COLUMNS})
        SELECT lpad(to_hex(n), 32, '0')::uuid, 'Title ' || n, 'slug-' || n,
            repeat('x', :length), 'draft', n, '2024-01-01Z', '2024-01-01Z'
        FROM generate_series(1, :rows) AS n""",  # noqa: S608 — as above
}


async def fill_articles(url: str, rows: int, length: int) -> None:
    """Insert *rows* articles of *length* letters with one statement."""
    database = Database(url)
    async with database.lifespan(None), database.session() as session:
        statement = text(_FILL[database.url.get_backend_name()])
        await session.execute(statement, {"rows": rows, "length": length})
