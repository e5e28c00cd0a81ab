"""Articles as FastCRUD makes them."""

from collections.abc import AsyncGenerator

from fastapi import FastAPI
from fastcrud import crud_router
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from benchmarks.peers.database import engine
from benchmarks.tutorial import Article, ArticleCreate, ArticleRead, ArticleUpdate

Local = async_sessionmaker(engine, expire_on_commit=False)


async def get_session() -> AsyncGenerator[AsyncSession]:
    """Yield a session."""
    async with Local() as session:
        yield session


app = FastAPI()
app.include_router(
    crud_router(
        session=get_session,
        model=Article,
        create_schema=ArticleCreate,
        update_schema=ArticleUpdate,
        select_schema=ArticleRead,
        path="/articles",
        tags=["Articles"],
    )
)
