"""The answers of Brickwork that docs/explanation/comparison.md shows."""

from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.comparison.ours import create_app
from benchmarks.comparison.probes import PROBES, Subject
from brickwork import Database
from tests.support.server import serving

PROBLEM = "application/problem+json"

ANSWERS = {
    "20 equal POSTs": "1 of 201, 19 of 409",
    "a lost update": "ETag; stale If-Match: 412",
    "PATCH": "omitted kept, null set, null of a required field: 422",
    "unknown names": "field 422, parameter 422",
    "hostile values": "NUL 422, 1e999 422, 2^70 422, surrogate 422",
    "related rows": "POST 201, PATCH 200, then lines ['b']",
    "deletion": "kept, then GET 404, not listed, a reference: 422",
    "one Idempotency-Key twice": "1 rows",
    "rows of somebody else": "GET 404, POST out 403, PATCH out 403",
    "errors": f"404: 404 {PROBLEM}, invalid: 422 {PROBLEM}, taken: 409 {PROBLEM}",
    "a commit that fails": "422, 0 rows stored",
}
"""Without the answers that read the SQL: other tests count statements."""


async def test_answers_are_on_the_page(empty_url: str) -> None:
    observer = create_async_engine(Database(empty_url).url)
    async with serving(create_app(empty_url)) as client:
        subject = Subject(client, statements=[], page="limit=2", observer=observer)
        answers = {question: await PROBES[question](subject) for question in ANSWERS}
    await observer.dispose()
    assert answers == ANSWERS
