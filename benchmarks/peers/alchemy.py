"""Articles as handlers over a service of advanced-alchemy, on FastAPI."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from advanced_alchemy.extensions.fastapi import (
    AdvancedAlchemy,
    AsyncSessionConfig,
    SQLAlchemyAsyncConfig,
    filters,
    repository,
    service,
)
from fastapi import Depends, FastAPI

from benchmarks.peers.database import engine
from benchmarks.tutorial import Article, ArticleCreate, ArticleRead, ArticleUpdate


class ArticleService(service.SQLAlchemyAsyncRepositoryService[Article]):
    """The articles."""

    class Repo(repository.SQLAlchemyAsyncRepository[Article]):
        """The repository of articles."""

        model_type = Article

    repository_type = Repo


app = FastAPI()
alchemy = AdvancedAlchemy(
    config=SQLAlchemyAsyncConfig(
        engine_instance=engine,
        session_config=AsyncSessionConfig(expire_on_commit=False),
        commit_mode="autocommit",
    ),
    app=app,
)

Articles = Annotated[ArticleService, Depends(alchemy.provide_service(ArticleService))]


def page(limit: int = 20, offset: int = 0) -> list[filters.FilterTypes]:
    """Return the filters of a page; those of the library are of an older FastAPI."""
    return [filters.LimitOffset(limit, offset), filters.OrderBy("id", "asc")]


Page = Annotated[list[filters.FilterTypes], Depends(page)]


@app.get("/articles")
async def list_(articles: Articles, asked: Page) -> Sequence[ArticleRead]:
    """Return a page of articles."""
    rows = await articles.get_many(*asked)
    return articles.to_schema(rows, schema_type=ArticleRead).items


@app.get("/articles/{id}")
async def get(articles: Articles, id: UUID) -> ArticleRead:  # noqa: A002 — as in the path
    """Return one article."""
    return articles.to_schema(await articles.get_one(id=id), schema_type=ArticleRead)


@app.post("/articles", status_code=201)
async def create(articles: Articles, data: ArticleCreate) -> ArticleRead:
    """Create an article."""
    return articles.to_schema(await articles.create(data), schema_type=ArticleRead)


@app.patch("/articles/{id}")
async def update(articles: Articles, data: ArticleUpdate, id: UUID) -> ArticleRead:  # noqa: A002 — as above
    """Change an article."""
    return articles.to_schema(await articles.update(data, item_id=id), schema_type=ArticleRead)


@app.delete("/articles/{id}", status_code=204)
async def delete(articles: Articles, id: UUID) -> None:  # noqa: A002 — as above
    """Delete an article."""
    await articles.delete(id)
