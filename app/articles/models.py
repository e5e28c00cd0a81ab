"""What is published."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Double, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import Entity, Timestamped


class Article(Entity, Timestamped):
    """An article, known by a unique slug."""

    __tablename__ = "articles"

    title: Mapped[str] = mapped_column(String(200))
    slug: Mapped[str] = mapped_column(String(100), unique=True)
    body: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[str] = mapped_column(String(9), default="draft")
    views: Mapped[int] = mapped_column(BigInteger, default=0)
    rating: Mapped[float | None] = mapped_column(Double)
    published_at: Mapped[datetime | None]
    meta: Mapped[dict[str, Any] | None]
    author_id: Mapped[UUID | None] = mapped_column(ForeignKey("authors.id"), index=True)

    __table_args__ = (
        CheckConstraint("status IN ('draft', 'published')", name="status"),
        CheckConstraint("views >= 0", name="views"),
    )
