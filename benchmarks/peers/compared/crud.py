"""FastCRUD."""

from typing import Annotated, Any

from fastapi import FastAPI, Header
from fastcrud import FilterConfig, PolicyConfig, crud_router
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from benchmarks.peers.compared.models import RESOURCES, Task, TaskCreate, TaskRead


def policy(x_user: Annotated[str, Header()]) -> PolicyConfig:
    """Return what the caller may do with tasks."""
    own = Task.owner == x_user
    return PolicyConfig(read=own, create=True, create_check=own, update=own, delete=own)


def create_app(engine: AsyncEngine) -> FastAPI:
    """Return the application."""
    factory = async_sessionmaker(engine, expire_on_commit=False)

    async def get_session() -> Any:
        async with factory() as session:
            yield session

    app = FastAPI()
    for path, (model, create, update, read) in RESOURCES.items():
        filters = FilterConfig(title=None, views__gt=None) if path == "articles" else None
        app.include_router(
            crud_router(
                session=get_session,
                model=model,
                create_schema=create,
                update_schema=update,
                select_schema=read,
                filter_config=filters,
                include_relationships=path == "orders",
                include_one_to_many=path == "orders",
                path=f"/{path}",
            )
        )
    app.include_router(
        crud_router(
            session=get_session,
            model=Task,
            create_schema=TaskCreate,
            update_schema=TaskCreate,
            select_schema=TaskRead,
            policy=policy,
            path="/tasks",
        )
    )
    return app
