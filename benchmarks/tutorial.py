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
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import JSON, BigInteger, DateTime, Double, String, Text, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ["DATABASE_URL"])
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
    """The fields of an article in a response."""

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


class ArticleCreate(BaseModel):
    """A new article."""

    title: str = Field(min_length=1, max_length=200)
    slug: str = Field(min_length=1, max_length=100)
    body: str = ""
    status: str = "draft"
    views: int = Field(0, ge=0)
    rating: float | None = None
    published_at: datetime | None = None
    meta: dict[str, Any] | None = None
    author_id: UUID | None = None


class ArticleUpdate(BaseModel):
    """Changes to an article."""

    title: str | None = Field(None, min_length=1, max_length=200)
    slug: str | None = Field(None, min_length=1, max_length=100)
    body: str | None = None
    status: str | None = None
    views: int | None = Field(None, ge=0)
    rating: float | None = None
    published_at: datetime | None = None
    meta: dict[str, Any] | None = None
    author_id: UUID | None = None


async def get_or_404(db: AsyncSession, id: UUID) -> Article:  # noqa: A002 — as tutorials have it
    """Return one article, or refuse with a 404."""
    found = await db.execute(select(Article).where(Article.id == id))
    if (article := found.scalar_one_or_none()) is None:
        raise HTTPException(404)
    return article


@app.get("/articles/{id}", response_model=ArticleRead)
async def get(id: UUID, db: Annotated[AsyncSession, Depends(get_db)]) -> Article:  # noqa: A002 — as above
    """Return one article."""
    return await get_or_404(db, id)


@app.get("/articles", response_model=list[ArticleRead])
async def list_(
    db: Annotated[AsyncSession, Depends(get_db)], limit: int = 20, offset: int = 0
) -> Sequence[Article]:
    """Return a page of articles."""
    page = select(Article).order_by(Article.id).offset(offset).limit(limit)
    return (await db.execute(page)).scalars().all()


@app.post("/articles", response_model=ArticleRead, status_code=201)
async def create(data: ArticleCreate, db: Annotated[AsyncSession, Depends(get_db)]) -> Article:
    """Create an article."""
    article = Article(**data.model_dump())
    db.add(article)
    await db.flush()
    await db.refresh(article)
    return article


@app.post("/articles/batch", response_model=list[ArticleRead], status_code=201)
async def create_many(
    data: list[ArticleCreate], db: Annotated[AsyncSession, Depends(get_db)]
) -> Sequence[Article]:
    """Create many articles."""
    articles = [Article(**article.model_dump()) for article in data]
    db.add_all(articles)
    await db.flush()
    return articles


@app.patch("/articles/{id}", response_model=ArticleRead)
async def update(
    id: UUID,  # noqa: A002 — as above
    data: ArticleUpdate,
    db: Annotated[AsyncSession, Depends(get_db)],
) -> Article:
    """Change an article."""
    article = await get_or_404(db, id)
    for name, value in data.model_dump(exclude_unset=True).items():
        setattr(article, name, value)
    await db.flush()
    await db.refresh(article)
    return article


@app.delete("/articles/{id}", status_code=204)
async def delete(id: UUID, db: Annotated[AsyncSession, Depends(get_db)]) -> None:  # noqa: A002 — as above
    """Delete an article."""
    await db.delete(await get_or_404(db, id))
