"""The articles of the service, in several configurations."""

import os
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header
from sqlalchemy import Select
from typing_extensions import override

from app.articles.endpoints import router as articles
from app.articles.models import Article
from app.articles.schemas import ArticleCreate, ArticleQuery, ArticleRead, ArticleUpdate
from app.authors.endpoints import router as authors
from app.comments.endpoints import router as comments
from brickwork import Database, Limits, Resource, crud_router, install


@dataclass(frozen=True)
class User:
    """The caller, and the least views of the articles that they may read."""

    views: int


async def current_user(authorization: Annotated[str, Header()] = "Bearer 0") -> User:
    """Return the user of a token."""
    return User(int(authorization.removeprefix("Bearer ")))


class Scoped(Resource[Article]):
    """The articles that a user may see, with a scope that selects all of them."""

    user: Annotated[User, Depends(current_user)]

    @override
    def query(self) -> Select[Article]:
        return super().query().where(Article.views >= self.user.views)


class Overridden(Resource[Article]):
    """The articles, with overridden methods."""

    @override
    async def get(self, id: object, /) -> Article:
        return await super().get(id)

    @override
    async def create(self, article: Article, /) -> None:
        await super().create(article)


def fast() -> FastAPI:
    """Return the service with its defaults."""
    return _service(articles)


def alone() -> FastAPI:
    """Return the service without coalescing."""
    return _service(articles, coalesce=False)


def orm() -> FastAPI:
    """Return the service without the fast path."""
    return _service(articles, fast=False)


def scoped_fast() -> FastAPI:
    """Return the service with one dependency and its own `query()`."""
    return _service(_router(Scoped))


def scoped_orm() -> FastAPI:
    """Return the service with one dependency and its own `query()`, without the fast path."""
    return _service(_router(Scoped), fast=False)


def overridden() -> FastAPI:
    """Return the service with overridden methods, which run on the ORM path."""
    return _service(_router(Overridden))


def _router(resource: type[Resource[Article]]) -> APIRouter:
    return crud_router(
        "/articles",
        resource,
        read=ArticleRead,
        create=ArticleCreate,
        update=ArticleUpdate,
        query=ArticleQuery,
    )


def _service(router: APIRouter, *, fast: bool = True, coalesce: bool = True) -> FastAPI:
    database = Database(os.environ["DATABASE_URL"], fast_path=fast, coalesce=coalesce)
    app = FastAPI(lifespan=database.lifespan)
    # Pages after the largest offset begin at cursors.
    install(app, limits=Limits(page=1000, offset=99_960, batch=1000))
    for part in (authors, router, comments):
        app.include_router(part)
    return app
