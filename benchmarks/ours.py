"""The articles of the service, declared in the ways whose costs differ."""

import os
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header
from sqlalchemy import Select
from typing_extensions import override

from app.articles.endpoints import router as articles
from app.articles.schemas import ArticleCreate, ArticleQuery, ArticleRead, ArticleUpdate
from app.authors.endpoints import router as authors
from app.comments.endpoints import router as comments
from app.models import Article
from brickwork import Database, Limits, Resource, crud_router, install


@dataclass(frozen=True)
class User:
    """Who asks, and how often an article has to be seen before they are shown it."""

    views: int


async def current_user(authorization: Annotated[str, Header()] = "Bearer 0") -> User:
    """Return the user that a token is of: here it is what it says."""
    return User(int(authorization.removeprefix("Bearer ")))


class Scoped(Resource[Article]):
    """The articles that a user may see, which are all."""

    user: Annotated[User, Depends(current_user)]

    @override
    def query(self) -> Select[Article]:
        return super().query().where(Article.views >= self.user.views)


class Overridden(Resource[Article]):
    """The articles, with steps of their own."""

    @override
    async def get(self, id: object, /) -> Article:
        return await super().get(id)

    @override
    async def create(self, article: Article, /) -> None:
        await super().create(article)


def fast() -> FastAPI:
    """Return the service as it is."""
    return _service(articles)


def alone() -> FastAPI:
    """Return the service that carries out each request alone."""
    return _service(articles, coalesce=False)


def ordinary() -> FastAPI:
    """Return the service without its fast lane."""
    return _service(articles, fast=False)


def scoped_fast() -> FastAPI:
    """Return the service with one dependency and its own `query()`."""
    return _service(_router(Scoped))


def scoped_ordinary() -> FastAPI:
    """Return the service with one dependency and its own `query()`, without its fast lane."""
    return _service(_router(Scoped), fast=False)


def overridden() -> FastAPI:
    """Return the service whose steps are overridden, and go the ordinary lane therefore."""
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
    # After the last offset that is allowed, pages begin at cursors.
    install(app, limits=Limits(page=1000, offset=99_960, batch=1000))
    for each in (authors, router, comments):
        app.include_router(each)
    return app
