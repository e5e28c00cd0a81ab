"""Random queries, compared with plain Python."""

from random import Random
from typing import Final

import pytest
from httpx2 import AsyncClient

from tests.support.oracle import TEXT, Query, faults_of_pages, ids, load_articles, random_query
from tests.support.rows import get_ok

pytestmark = pytest.mark.anyio

QUERIES: Final = 200

PARTS: Final = (
    *("100 % w", "100 _ w", "100 % W", "%", "_", "\\", "\\_", "\\%", "K%", "k_", "'", '"', " a"),
    *("a ", "bri", "BRI", "brick", "É", "é", "e\u0301", "Äpf", "äPF", "SS", "ß", "Ω", "ω", "Ж"),
    *("жУ", "中", "\ufb01", "🧱", "🧱 b", "\u200d"),
)


async def test_random_queries_return_the_expected_pages(
    client: AsyncClient, service_url: str
) -> None:
    rows = await load_articles(service_url)
    complaints: list[str] = []
    for seed in range(QUERIES):
        rng = Random(seed)  # noqa: S311 — the same in each run
        query = random_query(rng, rows, seed)
        if faults := await faults_of_pages(client, query, rows, rng):
            complaints.append(f"seed {seed}, {query}: {', '.join(faults)}")
    assert not complaints, f"{len(complaints)} are wrong:\n" + "\n".join(complaints[:50])


@pytest.mark.parametrize("part", PARTS)
async def test_text_filters_match_every_letter_exactly(
    client: AsyncClient, service_url: str, part: str
) -> None:
    rows = await load_articles(service_url)
    rng = Random(0)  # noqa: S311 — as above
    queries = [Query({f"title__{operator}".removesuffix("__"): part}, [], []) for operator in TEXT]
    queries[TEXT.index("in")] = Query({"title__in": (part, "b")}, [], [])
    for query in (*queries, Query({}, part.split(), [])):
        response = await get_ok(client, query.url(rng, limit=100))
        assert ids(response) == [row["id"] for row in query.rows(rows)][:100], query
