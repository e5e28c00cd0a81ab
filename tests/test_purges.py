"""What was deleted long ago is removed for good, a chunk a transaction, and nothing else."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from sqlalchemy import select

from brickwork.applications import running, unattended
from brickwork.misuse import Misuse
from brickwork.models import now
from brickwork.purges import Purged, count_deleted, purge_rows
from brickwork.unattended import Unattended
from tests.support import depot
from tests.support.depot import Part, Shelf

pytestmark = pytest.mark.anyio

MONTH = now() - timedelta(days=30)


@pytest.fixture
async def parts(empty_url: str) -> AsyncGenerator[Unattended[Part]]:
    app = depot.create_app(empty_url)
    async with running(app) as database:
        yield unattended(app, database, "parts")


async def fill(parts: Unattended[Part], *kinds: str) -> None:
    """Store parts: of each kind one that is live, one deleted lately, one deleted long ago."""
    async with parts.database.session() as session:
        for number, kind in enumerate(kinds):
            for name, days in (("live", None), ("new", 29), ("old", 31)):
                deleted_at = None if days is None else now() - timedelta(days=days)
                session.add(Part(code=f"{name}{number}", kind=kind, deleted_at=deleted_at))


async def codes(parts: Unattended[Part]) -> list[str]:
    async with parts.database.session(readonly=True) as session:
        return [*await session.scalars(select(Part.code).order_by(Part.id))]


async def test_what_was_deleted_long_ago_goes(parts: Unattended[Part]) -> None:
    await fill(parts, "bolt", "bolt")

    assert await count_deleted(parts, MONTH) == 2
    assert [each.removed async for each in purge_rows(parts, MONTH)] == [0, 2]
    assert await codes(parts) == ["live0", "new0", "live1", "new1"]
    assert await count_deleted(parts, MONTH) == 0


async def test_each_chunk_is_a_transaction(parts: Unattended[Part]) -> None:
    await fill(parts, *["bolt"] * 7)
    steps: list[tuple[int, int]] = []
    async for each in purge_rows(parts, MONTH, chunk=3):
        left = sum(code.startswith("old") for code in await codes(parts))  # as others see it
        steps.append((each.removed, left))

    assert steps == [(0, 7), (3, 4), (6, 1), (7, 0)]


async def test_rows_that_are_refused_stay_and_are_told(parts: Unattended[Part]) -> None:
    await fill(parts, "bolt", "screw", "bolt", "screw", "screw")
    steps = [each async for each in purge_rows(parts, MONTH, chunk=4)]

    told = [detail for each in steps for detail in each.refused.values()]
    assert told == ["Screws are kept."] * 3
    assert (steps[-1].removed, steps[-1].kept) == (2, 3)
    left = [each for each in await codes(parts) if each.startswith("old")]
    assert left == ["old1", "old3", "old4"]


async def test_a_row_that_is_restored_meanwhile_stays(parts: Unattended[Part]) -> None:
    await fill(parts, "bolt", "bolt")
    steps = purge_rows(parts, MONTH, chunk=1)
    assert await anext(steps) == Purged()
    assert (await anext(steps)).removed == 1
    async with parts.database.session() as session:
        last = await session.scalar(select(Part).where(Part.code == "old1"))
        assert last
        last.deleted_at = None

    assert [each async for each in steps] == []
    assert "old1" in await codes(parts)


async def test_rows_without_soft_delete_cannot_be_purged(parts: Unattended[Part]) -> None:
    app = depot.create_app("sqlite:///x")
    shelves: Unattended[Shelf] = unattended(app, parts.database, "shelves")

    for work in (count_deleted(shelves, MONTH), anext(purge_rows(shelves, MONTH))):
        with pytest.raises(Misuse, match=r"Shelf has no soft delete: .* brickwork\.SoftDelete"):
            await work
