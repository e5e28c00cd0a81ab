"""Who writes articles."""

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import Entity, Timestamped


class Author(Entity, Timestamped):
    """An author, known by a unique address."""

    __tablename__ = "authors"

    name: Mapped[str] = mapped_column(String(100))
    email: Mapped[str] = mapped_column(String(254), unique=True)
    bio: Mapped[str | None] = mapped_column(Text)
