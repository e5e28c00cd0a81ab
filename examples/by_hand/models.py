"""Step 2: the model."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Double, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import Timestamped

from .database import Base


class Article(Base, Timestamped):
    """An article with a unique slug."""

    __tablename__ = "articles"

    title: Mapped[str] = mapped_column(String(200))
    slug: Mapped[str] = mapped_column(String(100), unique=True)
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(9))
    views: Mapped[int] = mapped_column(BigInteger)
    rating: Mapped[float | None] = mapped_column(Double)
    published_at: Mapped[datetime | None]
    meta: Mapped[dict[str, Any] | None]
