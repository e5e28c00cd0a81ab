"""What readers say of an article."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.articles.models import Article
from brickwork import Entity, Timestamped


class Comment(Entity, Timestamped):
    """A comment on an article."""

    __tablename__ = "comments"

    article_id: Mapped[UUID] = mapped_column(ForeignKey(Article.id), index=True)
    author_name: Mapped[str] = mapped_column(String(100))
    body: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index("ix_comments_created_at", "created_at", "id"),)
