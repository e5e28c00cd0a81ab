"""advanced-alchemy with Litestar."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyPlugin,
    filters,
    providers,
)
from litestar import Controller, Litestar, Router, delete, get, patch, post
from litestar.params import Dependency
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.peers.compared.alchemy import service_of
from benchmarks.peers.compared.models import RESOURCES

Filters = Annotated[list[filters.FilterTypes], Dependency(skip_validation=True)]


def create_app(engine: AsyncEngine) -> Litestar:
    """Return the application."""
    return Litestar(
        route_handlers=[_routes(path, declared) for path, declared in RESOURCES.items()],
        plugins=[
            SQLAlchemyPlugin(
                config=SQLAlchemyAsyncConfig(
                    engine_instance=engine,
                    session_config=AsyncSessionConfig(expire_on_commit=False),
                    before_send_handler="autocommit",
                )
            )
        ],
        logging_config=None,
    )


def _routes(path: str, declared: tuple[Any, Any, Any, Any]) -> Router:
    model, create_schema, update_schema, read = declared
    kind = service_of(model)
    options: Any = {"pagination_type": "limit_offset", "sort_field": "id"}
    if path == "articles":
        options["search"] = "title"

    class Rows(Controller):
        dependencies = providers.create_service_dependencies(kind, "rows", filters=options)

        @get()
        async def list_(self, rows: kind, filters: Filters) -> Sequence[read]:
            found = await rows.get_many(*filters)
            return rows.to_schema(found, schema_type=read).items

        @get("/{key:uuid}")
        async def get(self, rows: kind, key: UUID) -> read:
            return rows.to_schema(await rows.get_one(id=key), schema_type=read)

        @post()
        async def create(self, rows: kind, data: create_schema) -> read:
            return rows.to_schema(await rows.create(data), schema_type=read)

        @patch("/{key:uuid}")
        async def update(self, rows: kind, data: update_schema, key: UUID) -> read:
            return rows.to_schema(await rows.update(data, item_id=key), schema_type=read)

        @delete("/{key:uuid}")
        async def delete(self, rows: kind, key: UUID) -> None:
            await rows.delete(key)

    return Router(path=f"/{path}", route_handlers=[Rows])
