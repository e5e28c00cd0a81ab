"""A long walk along `next` during concurrent writes."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from httpx2 import AsyncClient

from app.articles.models import Article
from brickwork.models.model import new_key, now
from tests.support.bodies import article, create_row
from tests.support.rows import Row, insert_many, pages

pytestmark = pytest.mark.anyio

ROWS = 10_000
OTHERS = 4
RATINGS = (None, None, 0.0, 0.1, 1.5, 4.5, 5.0)
TITLES = ("Brick", "brick", "Äpfel", "äpfel", "a_b", "a%b", "中", "🧱", "Z", "z")


class Others:
    """Clients that add and delete rows at random places of the list."""

    def __init__(self, client: AsyncClient, rows: list[Row]) -> None:
        """Remember the *rows* that the clients may delete."""
        self.added: set[str] = set()
        self.deleted: set[str] = set()
        self.stopped = False
        self._wrote = asyncio.Event()
        self._client = client
        self._rng = Random(0)  # noqa: S311 — the same in each run
        self._keys = [str(row["id"]) for row in rows]
        self._rng.shuffle(self._keys)

    async def write(self) -> None:
        """Add and delete rows in turn until `stopped`."""
        while not self.stopped:
            for write in (self._add, self._delete):
                await write()
                self._wrote.set()

    async def next_write(self) -> None:
        """Wait for the next write."""
        self._wrote.clear()
        await self._wrote.wait()

    async def _add(self) -> None:
        fields = {"title": self._rng.choice(TITLES), "rating": self._rng.choice(RATINGS)}
        slug = f"new-{self._rng.getrandbits(64)}"
        row = await create_row(self._client, "/articles", article(slug=slug, **fields))
        self.added.add(row["id"])
        if self._rng.random() < 0.3:
            self._keys.append(row["id"])

    async def _delete(self) -> None:
        self.deleted.add(key := self._keys.pop())  # it may be deleted from now on
        response = await self._client.delete(f"/articles/{key}")
        assert response.status_code == 204, response.text


def random_articles(rng: Random) -> list[Row]:
    """Return articles with few different titles and ratings, many of them without a rating."""
    return [
        {
            "id": new_key(),
            "title": rng.choice(TITLES),
            "slug": f"s-{number}",
            "rating": rng.choice(RATINGS),
            "views": number % 3,
            "created_at": now(),
        }
        for number in range(ROWS)
    ]


async def test_a_walk_sees_every_remaining_row_exactly_once(
    client: AsyncClient, service_url: str, record_property: Callable[[str, object], None]
) -> None:
    rows = random_articles(Random(0))  # noqa: S311 — as above
    await insert_many(service_url, Article, rows)
    others, seen = Others(client, rows), Counter[str]()
    async with asyncio.TaskGroup() as group:
        for _ in range(OTHERS):
            group.create_task(others.write())
        async for page in pages(client, "/articles?sort=-rating,title&limit=100", "next"):
            seen.update(row["id"] for row in page.json())
            await others.next_write()
        others.stopped = True
    stayed = {str(row["id"]) for row in rows} - others.deleted
    assert [key for key, times in seen.items() if times > 1] == []
    assert stayed - seen.keys() == set()
    assert seen.keys() <= stayed | others.added | others.deleted
    # The walk ran during the writes, not before or after them.
    assert others.added & seen.keys()
    assert others.added - seen.keys()
    assert others.deleted - seen.keys()
    record_property("rows added and deleted during a walk", len(others.added | others.deleted))
