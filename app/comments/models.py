"""The model of comments."""

from uuid import UUID

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.articles.models import Article
from brickwork import Entity, Timestamped, soft_delete_foreign_key


class Comment(Entity, Timestamped):
    """A comment on an article."""

    __tablename__ = "comments"

    article_id: Mapped[UUID] = mapped_column(index=True)
    article_is_deleted: Mapped[bool] = mapped_column(default=False)
    author_name: Mapped[str] = mapped_column(String(100))
    body: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        soft_delete_foreign_key("article_id", "article_is_deleted", Article),
        Index("ix_comments_created_at", "created_at", "id"),
    )
