"""The purge of deleted rows."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from brickwork import Database
from brickwork.cli.errors import UsageError
from brickwork.cli.loading import job_runner
from brickwork.cli.purging import PurgeProgress, count_deleted, purge_rows
from brickwork.cli.runner import JobRunner
from brickwork.models.model import now
from tests.support import blog_imports
from tests.support.blog import Article, Author
from tests.support.databases import postgres_only
from tests.support.services import Service
from tests.support.waiting import until_it_waits

APP = blog_imports.app_over(Database("sqlite:///unused.db"))
MONTH = now() - timedelta(days=30)


@pytest.fixture
def articles(blog_service: Service) -> JobRunner[Article]:
    """Return a runner of purges of the blog's articles."""
    return job_runner(APP, blog_service.database, "articles")


async def fill(articles: JobRunner[Article], *statuses: str) -> None:
    """Store three articles of each status: a live one, one deleted recently, one long ago."""
    async with articles.database.session() as session:
        for number, status in enumerate(statuses):
            for name, days in (("live", None), ("new", 29), ("old", 31)):
                deleted_at = None if days is None else now() - timedelta(days=days)
                session.add(Article(slug=f"{name}{number}", status=status, deleted_at=deleted_at))


async def slugs(articles: JobRunner[Article]) -> list[str]:
    async with articles.database.session(readonly=True) as session:
        return [*await session.scalars(select(Article.slug).order_by(Article.id))]


async def test_rows_deleted_long_ago_are_removed(articles: JobRunner[Article]) -> None:
    await fill(articles, "draft", "draft")

    assert [step.removed async for step in purge_rows(articles, MONTH)] == [0, 2]
    assert await slugs(articles) == ["live0", "new0", "live1", "new1"]


async def test_rows_deleted_long_ago_are_counted(articles: JobRunner[Article]) -> None:
    await fill(articles, "draft", "draft")

    assert await count_deleted(articles, MONTH) == 2


async def test_chunk_is_one_transaction(articles: JobRunner[Article]) -> None:
    await fill(articles, *["draft"] * 7)
    steps = [
        (step.removed, len([slug for slug in await slugs(articles) if slug.startswith("old")]))
        async for step in purge_rows(articles, MONTH, chunk=3)
    ]

    assert steps == [(0, 7), (3, 4), (6, 1), (7, 0)]


async def test_rejected_rows_stay(articles: JobRunner[Article]) -> None:
    await fill(articles, "draft", "published", "draft", "published", "published")
    steps = [step async for step in purge_rows(articles, MONTH, chunk=4)]

    details = [detail for step in steps for detail in step.rejected.values()]
    assert details == ["Published articles are kept."] * 3
    assert (steps[-1].removed, steps[-1].kept) == (2, 3)
    left = [slug for slug in await slugs(articles) if slug.startswith("old")]
    assert left == ["old1", "old3", "old4"]


async def test_row_restored_between_chunks_stays(articles: JobRunner[Article]) -> None:
    await fill(articles, "draft", "draft")
    steps = purge_rows(articles, MONTH, chunk=1)
    assert await anext(steps) == PurgeProgress()
    assert (await anext(steps)).removed == 1
    async with articles.database.session() as session:
        last = (await session.scalars(select(Article).where(Article.slug == "old1"))).one()
        last.deleted_at = None

    assert [step async for step in steps] == []
    assert "old1" in await slugs(articles)


@postgres_only
async def test_row_with_an_uncommitted_restore_stays(articles: JobRunner[Article]) -> None:
    async def purge() -> list[int]:
        return [step.removed async for step in purge_rows(articles, MONTH)]

    await fill(articles, "draft")
    async with articles.database.session() as session:
        old = (await session.scalars(select(Article).where(Article.slug == "old0"))).one()
        old.deleted_at = None
        await session.flush()
        purging = asyncio.create_task(purge())
        await until_it_waits(purging, articles.database)

    assert (await purging)[-1] == 0
    assert "old0" in await slugs(articles)


async def test_rows_without_soft_delete_cannot_be_purged(blog_service: Service) -> None:
    authors: JobRunner[Author] = job_runner(APP, blog_service.database, "authors")

    for work in (count_deleted(authors, MONTH), anext(purge_rows(authors, MONTH))):
        with pytest.raises(
            UsageError, match=r"Author has no soft delete, .* brickwork\.SoftDelete"
        ):
            await work
