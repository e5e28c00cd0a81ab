"""The tutorial: a session that is committed when the request is over."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, HTTPException
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from benchmarks.peers.compared.models import RESOURCES, Line


def create_app(engine: AsyncEngine) -> FastAPI:
    """Return the application."""
    factory = async_sessionmaker(engine, expire_on_commit=False)

    async def get_db() -> Any:
        async with factory() as session:
            yield session
            await session.commit()

    app = FastAPI()
    for path, declared in RESOURCES.items():
        app.include_router(_routes(path, declared, Annotated[AsyncSession, Depends(get_db)]))
    return app


def _routes(path: str, declared: tuple[Any, Any, Any, Any], db: Any) -> APIRouter:
    model, create_schema, update_schema, read = declared
    router = APIRouter(prefix=f"/{path}")

    async def get_or_404(session: AsyncSession, key: UUID) -> Any:
        if (row := await session.get(model, key)) is None:
            raise HTTPException(404)
        return row

    @router.get("", response_model=list[read])
    async def list_(session: db, limit: int = 20, offset: int = 0) -> Any:
        return (await session.scalars(select(model).offset(offset).limit(limit))).all()

    @router.get("/{key}", response_model=read)
    async def get(session: db, key: UUID) -> Any:
        return await get_or_404(session, key)

    @router.post("", response_model=read, status_code=201)
    async def create(session: db, data: create_schema) -> Any:
        values = data.model_dump()
        if "lines" in values:
            values["lines"] = [Line(**line) for line in values["lines"]]
        row = model(**values)
        session.add(row)
        await session.flush()
        return row

    @router.patch("/{key}", response_model=read)
    async def update(session: db, key: UUID, data: update_schema) -> Any:
        row = await get_or_404(session, key)
        for name, value in data.model_dump(exclude_unset=True).items():
            setattr(row, name, value)
        await session.flush()
        return row

    @router.delete("/{key}", status_code=204)
    async def delete(session: db, key: UUID) -> None:
        await session.delete(await get_or_404(session, key))

    return router
