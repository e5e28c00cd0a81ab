"""The first migration of a new project."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from os import environ
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx2
import pytest
from sqlalchemy import Connection, inspect, make_url, text

from brickwork import Database
from tests.support.databases import Databases
from tests.support.processes import running_project

pytestmark = pytest.mark.both_paths  # its processes choose

T = TypeVar("T")

MODELS: Final = """
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import (
    Audited,
    Entity,
    ExactNumeric,
    JSONDocument,
    Model,
    PublishesEvents,
    SoftDelete,
    Timestamped,
    UTCDateTime,
    Versioned,
    c_collation,
    soft_delete_foreign_key,
    unique_unless_deleted,
)


class Author(Entity, Timestamped):
    __tablename__ = "authors"
    name: Mapped[str] = mapped_column(String(100), unique=True)
    mentor_id: Mapped[UUID | None] = mapped_column(ForeignKey("authors.id"), index=True)


class Article(Entity, Timestamped, Versioned, SoftDelete, Audited, PublishesEvents):
    __tablename__ = "articles"
    title: Mapped[str] = mapped_column(String(200))
    slug: Mapped[str] = mapped_column(String(100))
    loud: Mapped[str] = mapped_column(String(200), Computed("upper(title)", persisted=True))
    views: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    price: Mapped[Decimal | None] = mapped_column(ExactNumeric(10, 2))
    meta: Mapped[dict[str, Any] | None]
    tags: Mapped[list[Any] | None] = mapped_column(JSONDocument)
    published_at: Mapped[datetime | None]
    printed_at: Mapped[datetime] = mapped_column(UTCDateTime, server_default=func.now())
    author_id: Mapped[UUID | None] = mapped_column(ForeignKey("authors.id"))
    __table_args__ = (
        unique_unless_deleted("slug"),
        unique_unless_deleted("author_id", "title"),
        Index("ix_articles_title", "title", "id", postgresql_ops=c_collation("title")),
        CheckConstraint("views >= 0", name="views"),
    )


class Comment(Entity, Timestamped):
    __tablename__ = "comments"
    article_id: Mapped[UUID]
    article_is_deleted: Mapped[bool] = mapped_column(default=False)
    body: Mapped[str]
    __table_args__ = (soft_delete_foreign_key("article_id", "article_is_deleted", Article),)


class Country(Model):
    __tablename__ = "countries"
    code: Mapped[str] = mapped_column(String(2), primary_key=True)
    since: Mapped[datetime]


class Counter(Model):
    __tablename__ = "counters"
    id: Mapped[int] = mapped_column(primary_key=True)
"""

MAIN: Final = """
from os import environ
from typing import Any
from uuid import UUID

from fastapi import FastAPI

from brickwork import Database, ReadSchema, Resource, Schema, crud_router, install
from shop.models import Article


class ArticleCreate(Schema):
    title: str
    slug: str
    meta: dict[str, Any] | None = None


class ArticleUpdate(ArticleCreate, partial=True): ...


class ArticleRead(ReadSchema):
    id: UUID
    loud: str
    meta: dict[str, Any] | None


class Articles(Resource[Article]): ...


app = FastAPI(lifespan=Database(environ["DATABASE_URL"]).lifespan)
install(app)
app.include_router(
    crud_router(
        "/articles", Articles, read=ArticleRead, create=ArticleCreate, update=ArticleUpdate
    )
)
"""

CREATE: Final = """
from asyncio import run
from os import environ

from brickwork import Database
from shop.main import Article


async def create():
    database = Database(environ["DATABASE_URL"])
    async with database.lifespan(None):
        await database.create_all(Article.metadata)


run(create())
"""

TABLES: Final = {"articles", "authors", "comments", "countries", "counters"}
COMPANIONS: Final = {
    "audit_entries",
    "idempotency_keys",
    "import_positions",
    "outbox_events",
    "outbox_positions",
}


class Project:
    """A folder with a package, and commands that run in it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        (folder / "shop").mkdir()
        (folder / "shop/models.py").write_text(MODELS)
        (folder / "shop/main.py").write_text(MAIN)

    def alembic(self, *arguments: str) -> str:
        """Run Alembic, and return its output."""
        return self.python("-m", "alembic", *arguments)

    def python(self, *arguments: str, url: str | None = None) -> str:
        """Run Python with the database at *url*, or the project's, and return its output."""
        done = subprocess.run(  # noqa: S603 — of ours
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**environ, "DATABASE_URL": url or self.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def migration(self) -> str:
        (script,) = (self.folder / "migrations/versions").glob("*.py")
        return script.read_text()

    def serving(self) -> AbstractContextManager[str]:
        """Serve the project with uvicorn. The log does not mention a database."""
        command = (sys.executable, "-m", "uvicorn", "shop.main:app", "--port", "0")
        environment = {**environ, "DATABASE_URL": self.url}
        return running_project(command, self.folder, environment, absent="database")


@pytest.fixture
def project(tmp_path: Path, empty_url: str) -> Project:
    """Make a project as Alembic's tutorial does: `init`, the URL, the metadata."""
    project = Project(tmp_path, empty_url)
    project.alembic("init", "--template", "async", "migrations")
    project.edit("alembic.ini", "driver://user:pass@localhost/dbname", empty_url)
    project.edit(
        "migrations/env.py",
        "target_metadata = None",
        "import shop.main\n\ntarget_metadata = shop.main.Article.metadata",
    )
    return project


def inspect_database(url: str, look: Callable[[Connection], T]) -> T:
    """Return the result of *look* on a connection to the database at *url*."""

    async def connect() -> T:
        database = Database(url)
        async with database.lifespan(None), database.reader.connect() as connection:
            return await connection.run_sync(look)

    return asyncio.run(connect())


def tables(connection: Connection) -> set[str]:
    return {*inspect(connection).get_table_names()} - {"alembic_version"}


def schema(connection: Connection) -> Mapping[str, object]:
    """Return the columns, constraints and indexes of all tables."""
    inspector = inspect(connection)

    def described(table: str) -> list[Any]:
        return [
            [{**column, "type": repr(column["type"])} for column in inspector.get_columns(table)],
            inspector.get_pk_constraint(table),
            sorted(inspector.get_foreign_keys(table), key=repr),
            sorted(inspector.get_unique_constraints(table), key=repr),
            sorted(inspector.get_check_constraints(table), key=repr),
        ]

    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
    if connection.dialect.name == "postgresql":
        sql = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    indexes = [tuple(row) for row in connection.execute(text(sql))]
    kept = [index for index in indexes if "alembic_version" not in index[0]]
    return {table: described(table) for table in tables(connection)} | {"indexes": kept}


def test_the_first_migration_creates_the_tables_of_the_models(
    project: Project, databases: Databases
) -> None:
    project.alembic("revision", "--autogenerate", "--message", "first")
    assert "brickwork" not in project.migration()

    project.alembic("upgrade", "head")
    assert inspect_database(project.url, tables) == TABLES | COMPANIONS
    assert "No new upgrade operations detected." in project.alembic("check")

    created = databases.empty(make_url(project.url).get_backend_name())
    project.python("-c", CREATE, url=created)
    assert inspect_database(project.url, schema) == inspect_database(created, schema)

    with project.serving() as url:
        article = {"title": "Hello", "slug": "hello", "meta": {"a": 1}}
        response = httpx2.post(f"{url}/articles", json=article, headers={"Idempotency-Key": "k"})
        assert response.status_code == 201
        assert response.json()["loud"] == "HELLO"

    project.alembic("downgrade", "base")
    assert inspect_database(project.url, tables) == set()
    project.alembic("upgrade", "head")
