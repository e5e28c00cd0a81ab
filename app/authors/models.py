"""The model of authors."""

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import Entity, Timestamped, c_collation


class Author(Entity, Timestamped):
    """An author with a unique address."""

    __tablename__ = "authors"

    name: Mapped[str] = mapped_column(String(100))
    email: Mapped[str] = mapped_column(String(254), unique=True)
    bio: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("ix_authors_name", "name", "id", postgresql_ops=c_collation("name")),
        Index("ix_authors_created_at", "created_at", "id"),
    )
