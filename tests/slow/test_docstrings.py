"""The examples in docstrings of the library."""

import ast
import re
from collections.abc import Iterator
from textwrap import indent

import pytest

from tests.support.pages import ROOT

PROJECT = '''
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI, Header
from httpx2 import AsyncClient
from sqlalchemy import ForeignKey, Select, String
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import (
    Database, Entity, Forbidden, ReadSchema, ReferenceScopes, Resource, Schema, crud_router, install
)


@dataclass
class User:
    name: str
    role: str


ada, eve = User("ada", "editor"), User("eve", "editor")


def bearer(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {user.name}"}


def current_user(authorization: Annotated[str, Header()] = "Bearer ada") -> User:
    return User(authorization.removeprefix("Bearer "), "editor")


class Article(Entity):
    __tablename__ = "articles"
    title: Mapped[str] = mapped_column(String(50))
    owner: Mapped[str] = mapped_column(String(50))


class Comment(Entity):
    __tablename__ = "comments"
    article_id: Mapped[UUID] = mapped_column(ForeignKey(Article.id))
    text: Mapped[str] = mapped_column(String(50))
    owner: Mapped[str] = mapped_column(String(50))


class ArticleCreate(Schema):
    title: str


class ArticleRead(ReadSchema):
    id: UUID
    title: str


class CommentCreate(Schema):
    article_id: UUID
    text: str


class CommentRead(ReadSchema):
    id: UUID
    article_id: UUID
    text: str


class Articles(Resource[Article]):
    user: Annotated[User, Depends(current_user)]

    def query(self) -> Select[Article]:
        return super().query().where(Article.owner == self.user.name)

    async def create(self, row: Article, /) -> None:
        if self.user.role != "editor":
            raise Forbidden("Readers read.")
        row.owner = self.user.name
        await super().create(row)


class Comments(Resource[Comment]):
    user: Annotated[User, Depends(current_user)]
    articles: Annotated[Articles, Depends()]

    def query(self) -> Select[Comment]:
        return super().query().where(Comment.owner == self.user.name)

    def reference_scopes(self) -> ReferenceScopes:
        return {"article_id": self.articles.query()}

    async def create(self, row: Comment, /) -> None:
        row.owner = self.user.name
        await super().create(row)


@dataclass
class Settings:
    database_url: str


def migrate(database_url: str) -> None:
    """Do nothing: the lifespan creates the tables."""


def create_app(settings: Settings) -> FastAPI:
    database = Database(settings.database_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Any]:
        await database.create_all(Entity.metadata)
        async with database.lifespan(app) as state:
            yield state

    app = FastAPI(lifespan=lifespan)
    install(app)
    app.include_router(crud_router("/articles", Articles, read=ArticleRead, create=ArticleCreate))
    app.include_router(crud_router("/comments", Comments, read=CommentRead, create=CommentCreate))
    return app
'''
"""What the examples do not show: their models, schemas, users and application."""


def examples() -> Iterator[tuple[str, str]]:
    """Yield the blocks of code in docstrings, each with the name of what it explains."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in sorted((ROOT / "src/brickwork").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, documented):
                text = ast.get_docstring(node) or ""
                for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
                    yield getattr(node, "name", path.parent.name), block


def test_every_example_of_a_docstring_runs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(project=PROJECT)
    count = 0
    for name, block in examples():
        program = f"from project import *\nfrom project import pytest\n{block}"
        if "pytest_plugins" in block:
            pytester.makeconftest(program)
            continue
        if "def test_" not in block:
            steps = indent(block, "    ")
            program = f"from project import *\nasync def test_steps(client):\n{steps}"
            program += "    assert response.status_code == 201\n"
        marked = f"import pytest\npytestmark = pytest.mark.anyio\n{program}"
        pytester.makepyfile(**{f"test_{name}": marked})
        count += 1
    assert count >= 4
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error")
    result.assert_outcomes(passed=count)
