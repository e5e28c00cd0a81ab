"""advanced-alchemy with FastAPI."""

from typing import Annotated, Any
from uuid import UUID

from advanced_alchemy.extensions.fastapi import (
    AdvancedAlchemy,
    AsyncSessionConfig,
    SQLAlchemyAsyncConfig,
    filters,
    repository,
    service,
)
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.peers.compared.models import RESOURCES


def service_of(model: Any) -> Any:
    """Return a service of *model*."""

    class Repo(repository.SQLAlchemyAsyncRepository[model]):
        model_type = model

    class Service(service.SQLAlchemyAsyncRepositoryService[model]):
        repository_type = Repo

    return Service


def create_app(engine: AsyncEngine) -> FastAPI:
    """Return the application."""
    app = FastAPI()
    alchemy = AdvancedAlchemy(
        config=SQLAlchemyAsyncConfig(
            engine_instance=engine,
            session_config=AsyncSessionConfig(expire_on_commit=False),
            commit_mode="autocommit",
        ),
        app=app,
    )
    for path, declared in RESOURCES.items():
        kind = service_of(declared[0])
        app.include_router(
            _routes(path, declared, Annotated[kind, Depends(alchemy.provide_service(kind))])
        )
    return app


def _routes(path: str, declared: tuple[Any, Any, Any, Any], rows: Any) -> APIRouter:
    _, create_schema, update_schema, read = declared
    router = APIRouter(prefix=f"/{path}")

    @router.get("", response_model=list[read])
    async def list_(service: rows, limit: int = 20, offset: int = 0) -> Any:
        return await service.get_many(filters.LimitOffset(limit, offset))

    @router.get("/{key}", response_model=read)
    async def get(service: rows, key: UUID) -> Any:
        return await service.get_one(id=key)

    @router.post("", response_model=read, status_code=201)
    async def create(service: rows, data: create_schema) -> Any:
        return await service.create(data)

    @router.patch("/{key}", response_model=read)
    async def update(service: rows, data: update_schema, key: UUID) -> Any:
        return await service.update(data, item_id=key)

    @router.delete("/{key}", status_code=204)
    async def delete(service: rows, key: UUID) -> None:
        await service.delete(key)

    return router
