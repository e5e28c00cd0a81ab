"""Migrations of tables with rows."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from alembic import command
from alembic.config import Config
from httpx2 import AsyncClient
from sqlalchemy import Connection, Inspector, inspect, text
from sqlalchemy.exc import IntegrityError

from app.main import create_app
from app.migrations import migrate
from app.settings import Settings
from brickwork import Database, Model
from tests.support.bodies import Body, article, author, comment, create_row, get_json, summary
from tests.support.calls import calling

T = TypeVar("T")

CONFIG: Final = Path(__file__).parents[2] / "pyproject.toml"
BEFORE: Final = "0002"

# The columns before soft delete.
KEPT: Final = {
    "authors": "id, name, email, bio, created_at, updated_at",
    "articles": (
        "id, title, slug, body, status, views, rating, published_at, meta, author_id, created_at"
    ),
    "comments": "id, article_id, author_name, body, created_at, updated_at",
}


def downgrade(url: str) -> None:
    """Downgrade to the revision before soft delete."""
    config = Config(toml_file=CONFIG)
    config.attributes["database_url"] = url
    command.downgrade(config, BEFORE)


def query_database(url: str, look: Callable[[Connection], T]) -> T:
    """Return the result of *look* in the database at *url*."""

    async def connect() -> T:
        database = Database(url)
        async with database.lifespan(None), database.reader.connect() as connection:
            return await connection.run_sync(look)

    return asyncio.run(connect())


def rows(connection: Connection) -> Mapping[str, list[Any]]:
    """Return the columns of all rows that every revision has."""
    return {
        table: [*connection.execute(text(f"SELECT {columns} FROM {table} ORDER BY id"))]  # noqa: S608 — see above
        for table, columns in KEPT.items()
    }


def schema(connection: Connection) -> Mapping[str, Any]:
    """Return the names of all tables, and of their columns, constraints and indexes."""
    inspector: Inspector = inspect(connection)
    return {
        table: (
            sorted(str(column["name"]) for column in inspector.get_columns(table)),
            sorted(str(key["name"]) for key in inspector.get_foreign_keys(table)),
            sorted(
                str(constraint["name"]) for constraint in inspector.get_unique_constraints(table)
            ),
            sorted(
                str(constraint["name"]) for constraint in inspector.get_check_constraints(table)
            ),
            sorted(indexes(connection, table)),
        )
        for table in inspector.get_table_names()
    }


def indexes(connection: Connection, table: str) -> set[str]:
    """Return the names of the indexes of *table*, including indexes on expressions."""
    query = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = :t AND sql <> ''"
    if connection.dialect.name == "postgresql":
        query = "SELECT indexname FROM pg_indexes WHERE tablename = :t"
    return {*connection.scalars(text(query), {"t": table})}


def with_service(url: str, use: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """Return the result of *use* with the service over the database at *url*."""

    async def serve() -> T:
        async with calling(create_app(Settings(database_url=url))) as client:
            return await use(client)

    return asyncio.run(serve())


async def fill(client: AsyncClient) -> None:
    """Write two articles, each with a comment; the second has every field."""
    writer = await create_row(client, "/authors", author(bio="é😀"))
    first = await create_row(client, "/articles", article(slug="a"))
    second = await create_row(
        client,
        "/articles",
        article(
            slug="b",
            body="é😀",
            status="published",
            views=2**63 - 1,
            rating=0.1,
            published_at="2026-02-03T04:05:06.789012+05:30",
            meta={"z": [1, 1.0, True], "a": {"n": None}},
            author_id=writer["id"],
        ),
    )
    for row in (first, second):
        await create_row(client, "/comments", comment(row["id"]))


async def all_rows(client: AsyncClient) -> Mapping[str, list[Body]]:
    """Return the rows of every resource."""
    return {path: await get_json(client, path) for path in ("/authors", "/articles", "/comments")}


async def delete_first(client: AsyncClient) -> None:
    first, *_ = await get_json(client, "/articles")
    assert summary(await client.delete(f"/articles/{first['id']}")) == "204"


def test_downgrade_and_upgrade_keep_rows_and_indexes(migrated_url: str) -> None:
    with_service(migrated_url, fill)
    answers, kept = with_service(migrated_url, all_rows), query_database(migrated_url, rows)
    newest = query_database(migrated_url, schema)

    downgrade(migrated_url)
    assert query_database(migrated_url, rows) == kept
    before = query_database(migrated_url, schema)
    assert "idempotency_keys" not in before

    migrate(migrated_url)
    assert query_database(migrated_url, rows) == kept
    assert query_database(migrated_url, schema) == newest
    assert with_service(migrated_url, all_rows) == answers

    downgrade(migrated_url)
    assert query_database(migrated_url, schema) == before


def test_every_index_of_the_models_exists(migrated_url: str) -> None:
    for name, table in Model.metadata.tables.items():
        names = {str(index.name) for index in table.indexes}

        def found(connection: Connection, table: str = name) -> set[str]:
            return indexes(connection, table)

        assert query_database(migrated_url, found) >= names


def test_downgrade_restores_deleted_rows(migrated_url: str) -> None:
    with_service(migrated_url, fill)
    kept = query_database(migrated_url, rows)
    with_service(migrated_url, delete_first)

    downgrade(migrated_url)
    assert query_database(migrated_url, rows) == kept

    migrate(migrated_url)
    answers = with_service(migrated_url, all_rows)
    assert [len(found) for found in answers.values()] == [1, 2, 2]
    assert {row["version"] for row in answers["/articles"]} == {1}

    with_service(migrated_url, delete_first)
    answers = with_service(migrated_url, all_rows)
    assert [len(found) for found in answers.values()] == [1, 1, 1]


def test_a_failed_downgrade_changes_nothing(migrated_url: str) -> None:
    async def take_the_slug(client: AsyncClient) -> None:
        await delete_first(client)
        await create_row(client, "/articles", article(slug="a"))

    async def purge(client: AsyncClient) -> None:
        (gone,) = await get_json(client, "/articles?deleted=only")
        assert summary(await client.delete(f"/articles/{gone['id']}?purge=true")) == "204"

    with_service(migrated_url, fill)
    with_service(migrated_url, take_the_slug)
    before = [query_database(migrated_url, look) for look in (rows, schema)]
    for _ in range(2):
        with pytest.raises(IntegrityError):
            downgrade(migrated_url)
        assert [query_database(migrated_url, look) for look in (rows, schema)] == before

    with_service(migrated_url, purge)
    downgrade(migrated_url)
    migrate(migrated_url)
    answers = with_service(migrated_url, all_rows)
    assert [row["slug"] for row in answers["/articles"]] == ["b", "a"]
