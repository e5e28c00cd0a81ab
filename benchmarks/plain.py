"""Articles with asyncpg alone in FastAPI."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, HTTPException, Request

from benchmarks import raw
from benchmarks.tutorial import ArticleCreate, ArticleRead, ArticleUpdate


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Keep a pool open."""
    app.state.pool = await raw.opened()
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


async def get_pool(request: Request) -> Any:
    """Return the pool of the application."""
    return request.app.state.pool


Pool = Annotated[Any, Depends(get_pool)]


def _found(row: Any) -> dict[str, Any]:
    if row is None:
        raise HTTPException(404)
    return dict(row)


@app.get("/articles/{id}")
async def get(id: UUID, pool: Pool) -> ArticleRead:  # noqa: A002 — as in the path
    """Return one article."""
    return ArticleRead(**_found(await pool.fetchrow(raw.ONE, id)))


@app.get("/articles")
async def list_(pool: Pool, limit: int = 20, after: UUID = raw.FIRST) -> list[ArticleRead]:
    """Return a page of articles."""
    return [ArticleRead(**dict(row)) for row in await pool.fetch(raw.MANY, after, limit)]


@app.post("/articles", status_code=201)
async def create(data: ArticleCreate, pool: Pool) -> ArticleRead:
    """Create an article."""
    values = data.model_dump().values()
    return ArticleRead(**_found(await pool.fetchrow(raw.CREATE, uuid4(), *values)))


@app.patch("/articles/{id}")
async def update(id: UUID, data: ArticleUpdate, pool: Pool) -> ArticleRead:  # noqa: A002 — as above
    """Change an article."""
    changes = data.model_dump(exclude_unset=True)
    row = await pool.fetchrow(raw.update(changes), id, *changes.values())
    return ArticleRead(**_found(row))


@app.delete("/articles/{id}", status_code=204)
async def delete(id: UUID, pool: Pool) -> None:  # noqa: A002 — as above
    """Delete an article."""
    if await pool.execute(raw.DELETE, id) != "DELETE 1":
        raise HTTPException(404)
