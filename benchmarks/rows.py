"""The rows of the benchmark, and their restoration."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.articles.models import Article
from app.migrations import migrate
from brickwork import Database

# Titles and ratings are in another order than keys; a third have no rating, and many share one.
_FILL: Final = {
    "sqlite": """
        WITH RECURSIVE numbers(n) AS (
            SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last
        )
        INSERT INTO articles
            (id, title, slug, body, status, views, rating, created_at, updated_at)
        SELECT printf('%032x', n), printf('Title %010d', n * 48271 % 2147483647), 'slug-' || n,
            replace(hex(zeroblob(100)), '0', 'x'), iif(n % 2, 'draft', 'published'), n % 1000,
            iif(n % 3, n * 7919 % 1000 / 10.0, NULL), made, made
        FROM (
            SELECT n, strftime('%Y-%m-%d %H:%M:%S.000000', 1704067200 + n, 'unixepoch') AS made
            FROM numbers
        )
        WHERE true ON CONFLICT DO NOTHING""",
    "postgresql": """
        INSERT INTO articles
            (id, title, slug, body, status, views, rating, created_at, updated_at)
        SELECT lpad(to_hex(n), 32, '0')::uuid,
            'Title ' || lpad((n * 48271 % 2147483647)::text, 10, '0'), 'slug-' || n,
            repeat('x', 200), CASE n % 2 WHEN 1 THEN 'draft' ELSE 'published' END, n % 1000,
            CASE n % 3 WHEN 0 THEN NULL ELSE n * 7919 % 1000 / 10.0 END, made, made
        FROM (
            SELECT n, timestamptz '2024-01-01Z' + n * interval '1 second' AS made
            FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n
        ) AS numbers
        ON CONFLICT DO NOTHING""",
}
_MADE: Final = Article.slug.startswith("made-")


def fill(url: str, rows: int) -> None:
    """Migrate the database at *url*, and fill it with *rows* articles."""
    migrate(url)
    asyncio.run(_fill(url, rows))


async def _fill(url: str, rows: int) -> None:
    others = select(func.count()).where(Article.id > UUID(int=rows), ~_MADE)
    async with _connection(url) as connection:
        if found := await connection.scalar(others):
            raise SystemExit(f"There are {found} articles of somebody: name an empty database.")
    await _restore(url, 1, rows, rows)
    async with _connection(url) as connection:
        await connection.execute(text("ANALYZE"))


def restore(url: str, *, first: int, last: int, rows: int) -> None:
    """Restore the articles from *first* to *last* of *rows*, and delete those that a load made."""
    asyncio.run(_restore(url, first, last, rows))


async def _restore(url: str, first: int, last: int, rows: int) -> None:
    own = Article.id.between(UUID(int=first), UUID(int=last))
    hidden = update(Article).where(own, Article.deleted_at.is_not(None))
    async with _connection(url) as connection:
        await connection.execute(delete(Article).where(Article.id > UUID(int=rows), _MADE))
        await connection.execute(hidden.values(deleted_at=None))
        await _insert(connection, first, last)


def tidy(url: str) -> None:
    """Vacuum the articles, so that autovacuum does not run during a load."""
    if Database(url).url.get_backend_name() == "postgresql":
        asyncio.run(_vacuum(url))


async def _vacuum(url: str) -> None:
    database = Database(url)
    alone = database.writer.execution_options(isolation_level="AUTOCOMMIT")
    async with database.lifespan(None), alone.connect() as connection:
        await connection.execute(text("VACUUM ANALYZE articles"))


async def _insert(connection: AsyncConnection, first: int, last: int) -> None:
    await connection.execute(text(_FILL[connection.dialect.name]), {"first": first, "last": last})


@asynccontextmanager
async def _connection(url: str) -> AsyncGenerator[AsyncConnection]:
    """Run a transaction without a session."""
    database = Database(url)
    async with database.lifespan(None), database.writer.begin() as connection:
        yield connection
