"""The blog, for imports and purges of the command line."""

import os
import signal
from datetime import datetime
from itertools import count
from typing import Annotated, Any, Literal

from annotated_types import Len
from fastapi import Depends, FastAPI
from sqlalchemy import event
from typing_extensions import override

from brickwork import (
    Conflict,
    Database,
    Limits,
    ReadSchema,
    Resource,
    Schema,
    ServiceUnavailable,
    crud_router,
    install,
)
from tests.support.blog import Article, Author, AuthorCreate, AuthorRead, AuthorUpdate, Blog


class ArticleCreate(Schema):
    slug: Annotated[str, Len(1, 20)]
    views: int = 0
    rating: float | None = None
    featured: bool = False
    status: Literal["draft", "published"] = "draft"
    published_at: datetime | None = None
    meta: dict[str, Any] | None = None
    tags: list[str] | None = None
    author_handle: str | None = None


class ArticleUpdate(ArticleCreate, partial=True): ...


class ArticleRead(ReadSchema):
    id: int
    slug: str
    views: int


class Articles(Resource[Article]):
    """Articles with uppercase slugs; some cannot be created, others cannot be purged."""

    @override
    async def create(self, row: Article, /) -> None:
        if row.slug == "secret":
            raise Conflict("This article is a secret.")
        if row.slug == "away":
            raise ServiceUnavailable("The editor is away.")
        row.slug = row.slug.upper()
        await super().create(row)

    @override
    async def purge(self, row: Article, /) -> None:
        if row.status == "published":
            raise Conflict("Published articles are kept.")
        await super().purge(row)


class Authors(Resource[Author]):
    """The authors, with serializable transactions."""

    isolation_level = "serializable"


def current_user() -> str:
    """Return the name of the user."""
    return "ann"


class OwnAuthors(Resource[Author]):
    """The authors of the user in the request."""

    user: Annotated[str, Depends(current_user)]


articles = crud_router(
    "/articles", Articles, read=ArticleRead, create=ArticleCreate, update=ArticleUpdate
)
authors = crud_router(
    "/authors", Authors, read=AuthorRead, create=AuthorCreate, update=AuthorUpdate
)
own = crud_router("/own", OwnAuthors, read=AuthorRead, create=AuthorCreate, update=AuthorUpdate)


def create_app(url: str | None = None) -> FastAPI:
    """Return the blog over the database at *url*, or over `DATABASE_URL`."""
    return app_over(Blog(url or os.environ["DATABASE_URL"]))


def app_over(database: Database) -> FastAPI:
    """Return the blog over *database*."""
    app = FastAPI(lifespan=database.lifespan)
    install(app, limits=Limits(body=2_000))
    for router in (articles, authors):
        app.include_router(router)
    for version in ("/v1", "/v2"):
        app.include_router(own, prefix=version)
    return app


def create_doomed_app() -> FastAPI:
    """Return the blog; the event that `DOOM` names, such as `commit 5`, kills its process."""
    database = Blog(os.environ["DATABASE_URL"])
    name, number = os.environ["DOOM"].split()
    numbers = count(1)

    def kill(*_: object) -> None:
        if next(numbers) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Article if name == "after_insert" else database.writer.sync_engine, name, kill)
    return app_over(database)


def create_app_at(url: str) -> FastAPI:
    """Return the blog over the database at *url*; a command line cannot call this."""
    return create_app(url)


empty = FastAPI()
"""An application without a database, and without a resource."""
