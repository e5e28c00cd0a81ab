"""The model of articles."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Double, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.authors.models import Author
from brickwork import Entity, SoftDelete, Timestamped, Versioned, c_collation, unique_unless_deleted


class Article(Entity, Timestamped, Versioned, SoftDelete):
    """An article. Its slug is unique among articles that are not deleted."""

    __tablename__ = "articles"

    title: Mapped[str] = mapped_column(String(200))
    slug: Mapped[str] = mapped_column(String(100))
    body: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[str] = mapped_column(String(9), default="draft")
    views: Mapped[int] = mapped_column(BigInteger, default=0)
    rating: Mapped[float | None] = mapped_column(Double)
    published_at: Mapped[datetime | None]
    meta: Mapped[dict[str, Any] | None]
    author_id: Mapped[UUID | None] = mapped_column(ForeignKey(Author.id), index=True)

    __table_args__ = (
        unique_unless_deleted("slug"),
        Index("ix_articles_title", "title", "id", postgresql_ops=c_collation("title")),
        Index("ix_articles_slug", "slug", "id", postgresql_ops=c_collation("slug")),
        Index("ix_articles_status", "status", "id", postgresql_ops=c_collation("status")),
        Index("ix_articles_views", "views", "id"),
        Index("ix_articles_rating", "rating", "id"),
        Index("ix_articles_published_at", "published_at", "id"),
        Index("ix_articles_created_at", "created_at", "id"),
        CheckConstraint("status IN ('draft', 'published')", name="status"),
        CheckConstraint("views >= 0", name="views"),
    )
