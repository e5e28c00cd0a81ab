"""Articles as fastapi-restly makes them."""

from datetime import datetime
from typing import Any
from uuid import UUID

import fastapi_restly as fr
from fastapi import FastAPI
from pydantic import Field
from sqlalchemy import Select, func, select

from benchmarks.peers.database import engine
from benchmarks.tutorial import Article

app = FastAPI()
fr.configure(app, async_engine=engine)


class ArticleSchema(fr.BaseSchema):
    """An article; what is sent of it is derived."""

    id: fr.ReadOnly[UUID]
    title: str = Field(min_length=1, max_length=200)
    slug: str = Field(min_length=1, max_length=100)
    body: str = ""
    status: str = "draft"
    views: int = Field(0, ge=0)
    rating: float | None = None
    published_at: datetime | None = None
    meta: dict[str, Any] | None = None
    author_id: UUID | None = None
    created_at: fr.ReadOnly[datetime]
    updated_at: fr.ReadOnly[datetime]
    version: fr.ReadOnly[int]


@fr.include_view(app)
class Articles(fr.AsyncRestView):
    """The articles."""

    prefix = "/articles"
    model = Article
    schema = ArticleSchema

    async def count(self, query: Select[Any]) -> int:
        """Count without DISTINCT, which PostgreSQL knows of no JSON."""
        rows = query.order_by(None).limit(None).offset(None).subquery()
        return await self.session.scalar(select(func.count()).select_from(rows)) or 0
