"""Articles as the usual tutorial writes them: engine, session, model, schemas, handlers.

It is what the service is compared with, traps included: it commits after the answer is sent. Its
lists have the order of the key, since without one the pages could not be compared.
"""

import os
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import JSON, BigInteger, DateTime, Double, String, Text, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from brickwork import Database

engine = create_async_engine(Database(os.environ["DATABASE_URL"]).url)
Local = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


async def get_db() -> AsyncGenerator[AsyncSession]:
    """Yield a session, and commit it when the request is over."""
    async with Local() as session:
        try:
            yield session
            await session.commit()
        except Exception:
            await session.rollback()
            raise


class Base(DeclarativeBase):
    """The base of the models."""


def _now() -> datetime:
    return datetime.now(UTC)


class Article(Base):
    """An article, in the table of the service."""

    __tablename__ = "articles"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    title: Mapped[str] = mapped_column(String(200))
    slug: Mapped[str] = mapped_column(String(100))
    body: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[str] = mapped_column(String(9), default="draft")
    views: Mapped[int] = mapped_column(BigInteger, default=0)
    rating: Mapped[float | None] = mapped_column(Double)
    published_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    meta: Mapped[Any | None] = mapped_column(JSON)
    author_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)
    version: Mapped[int] = mapped_column(default=1)


class ArticleRead(BaseModel):
    """What is shown of an article."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    slug: str
    body: str
    status: str
    views: int
    rating: float | None
    published_at: datetime | None
    meta: dict[str, Any] | None
    author_id: UUID | None
    created_at: datetime
    updated_at: datetime
    version: int


@app.get("/articles/{id}", response_model=ArticleRead)
async def get(id: UUID, db: Annotated[AsyncSession, Depends(get_db)]) -> Article:  # noqa: A002 — as tutorials have it
    """Return one article."""
    found = await db.execute(select(Article).where(Article.id == id))
    if (article := found.scalar_one_or_none()) is None:
        raise HTTPException(404)
    return article


@app.get("/articles", response_model=list[ArticleRead])
async def list_(
    db: Annotated[AsyncSession, Depends(get_db)], limit: int = 20, offset: int = 0
) -> Sequence[Article]:
    """Return a page of articles."""
    page = select(Article).order_by(Article.id).offset(offset).limit(limit)
    return (await db.execute(page)).scalars().all()
