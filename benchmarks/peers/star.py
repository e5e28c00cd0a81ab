"""Articles as handlers of Litestar over a service of advanced-alchemy."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyPlugin,
    filters,
    providers,
    repository,
    service,
)
from litestar import Controller, Litestar, delete, get, patch, post
from litestar.params import Dependency

from benchmarks.peers.database import engine
from benchmarks.tutorial import Article, ArticleCreate, ArticleRead, ArticleUpdate


class ArticleService(service.SQLAlchemyAsyncRepositoryService[Article]):
    """The articles."""

    class Repo(repository.SQLAlchemyAsyncRepository[Article]):
        """The repository of articles."""

        model_type = Article

    repository_type = Repo


Filters = Annotated[list[filters.FilterTypes], Dependency(skip_validation=True)]


class Articles(Controller):
    """The endpoints of articles."""

    path = "/articles"
    dependencies = providers.create_service_dependencies(
        ArticleService,
        "articles",
        filters={"pagination_type": "limit_offset", "sort_field": "id"},
    )

    @get()
    async def list_(self, articles: ArticleService, filters: Filters) -> Sequence[ArticleRead]:
        """Return a page of articles."""
        rows = await articles.get_many(*filters)
        return articles.to_schema(rows, schema_type=ArticleRead).items

    @get("/{key:uuid}")
    async def get(self, articles: ArticleService, key: UUID) -> ArticleRead:
        """Return one article."""
        return articles.to_schema(await articles.get_one(id=key), schema_type=ArticleRead)

    @post()
    async def create(self, articles: ArticleService, data: ArticleCreate) -> ArticleRead:
        """Create an article."""
        return articles.to_schema(await articles.create(data), schema_type=ArticleRead)

    @patch("/{key:uuid}")
    async def update(self, articles: ArticleService, data: ArticleUpdate, key: UUID) -> ArticleRead:
        """Change an article."""
        return articles.to_schema(await articles.update(data, item_id=key), schema_type=ArticleRead)

    @delete("/{key:uuid}")
    async def delete(self, articles: ArticleService, key: UUID) -> None:
        """Delete an article."""
        await articles.delete(key)


app = Litestar(
    route_handlers=[Articles],
    plugins=[
        SQLAlchemyPlugin(
            config=SQLAlchemyAsyncConfig(
                engine_instance=engine,
                session_config=AsyncSessionConfig(expire_on_commit=False),
                before_send_handler="autocommit",
            )
        )
    ],
    openapi_config=None,
    logging_config=None,
)
