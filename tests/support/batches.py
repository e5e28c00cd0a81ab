"""Batches of articles, and their errors."""

from collections.abc import Iterable

from httpx2 import AsyncClient

from tests.support.bodies import Body, article

BATCH = "/articles/batch"


def new_articles(count: int, **fields: object) -> list[Body]:
    return [article(slug=f"s-{number}", title=f"T {number}", **fields) for number in range(count)]


async def create_many(client: AsyncClient, count: int, **fields: object) -> list[Body]:
    """Create *count* articles with one batch, and return them."""
    response = await client.post(BATCH, json=new_articles(count, **fields))
    assert response.status_code == 201, response.text
    rows: list[Body] = response.json()
    return rows


async def post_until_answered(client: AsyncClient, batch: list[Body]) -> int:
    """Send *batch* until its status is not 503, and return the status."""
    while (response := await client.post(BATCH, json=batch)).status_code == 503:
        assert response.headers["retry-after"] == "1"
    return response.status_code


def faults_at(numbers: Iterable[int], fault: str) -> str:
    """Return the text of `summary` for the same *fault* in the items with these *numbers*."""
    return ", ".join(sorted(f"#/{number}/{fault}" for number in numbers))
