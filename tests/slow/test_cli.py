"""Imports that are killed at several moments."""

import asyncio
import signal
from pathlib import Path

import pytest
from sqlalchemy import select

from brickwork import ImportPosition
from tests.support.blog import Article
from tests.support.killed import BAD, import_until_killed, reported_lines, write_rows
from tests.support.services import Service

ROWS = 60


async def slugs(service: Service) -> list[str]:
    async with service.database.session(readonly=True) as session:
        return [*await session.scalars(select(Article.slug).order_by(Article.id))]


async def lines_read(service: Service) -> int:
    async with service.database.session(readonly=True) as session:
        return await session.scalar(select(ImportPosition.lines)) or 0


async def test_repeatedly_killed_import_imports_each_row_once(
    blog_service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "articles.ndjson"
    write_rows(file, ROWS)
    for moment in (
        "commit 5",  # the report has an uncommitted row
        "after_insert 12",  # rows are being written
        "checkin 6",  # a chunk is complete
    ):
        killed = await asyncio.to_thread(import_until_killed, blog_service.url, file, moment)
        assert killed == -signal.SIGKILL
        assert 0 < await lines_read(blog_service) < ROWS
    assert await asyncio.to_thread(import_until_killed, blog_service.url, file, "commit 0") == 1

    good = [number for number in range(1, ROWS + 1) if number % BAD]
    assert await slugs(blog_service) == [f"A{number}" for number in good]
    assert reported_lines(file) == [*range(BAD, ROWS + 1, BAD)]


@pytest.mark.parametrize("moment", ["commit 3", "commit 4", "after_insert 1", "checkin 3"])
async def test_killed_import_continues(blog_service: Service, tmp_path: Path, moment: str) -> None:
    file = tmp_path / "articles.ndjson"
    write_rows(file, ROWS)
    await asyncio.to_thread(import_until_killed, blog_service.url, file, moment)
    assert await asyncio.to_thread(import_until_killed, blog_service.url, file, "commit 0") == 1

    assert len(await slugs(blog_service)) == ROWS - ROWS // BAD
    assert reported_lines(file) == [*range(BAD, ROWS + 1, BAD)]
