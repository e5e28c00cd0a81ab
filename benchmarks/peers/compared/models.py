"""The models and schemas of the compared applications."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict
from sqlalchemy import BigInteger, DateTime, Double, ForeignKey, String, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The base of the models."""


class Author(Base):
    """An author. There is none, so that a reference to one fails."""

    __tablename__ = "authors"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)


class Article(Base):
    """An article, whose author is checked at the commit."""

    __tablename__ = "articles"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    slug: Mapped[str] = mapped_column(String(100), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    views: Mapped[int] = mapped_column(BigInteger, default=0)
    rating: Mapped[float | None] = mapped_column(Double)
    author_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(Author.id, deferrable=True, initially="DEFERRED")
    )


class Note(Base):
    """A note, with the columns of a soft delete as FastCRUD names them."""

    __tablename__ = "notes"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    text: Mapped[str] = mapped_column(String(200))
    is_deleted: Mapped[bool] = mapped_column(default=False)
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), default=None)


class Comment(Base):
    """A comment on a note."""

    __tablename__ = "comments"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    note_id: Mapped[UUID] = mapped_column(ForeignKey(Note.id))


class Line(Base):
    """A line of an order."""

    __tablename__ = "lines"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"))
    text: Mapped[str] = mapped_column(String(200))


class Order(Base):
    """An order with lines."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    number: Mapped[str] = mapped_column(String(20))
    lines: Mapped[list[Line]] = relationship(cascade="all, delete-orphan", lazy="selectin")


class Task(Base):
    """A task, which its owner alone may see."""

    __tablename__ = "tasks"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner: Mapped[str] = mapped_column(String(20))


class ArticleCreate(BaseModel):
    """A new article."""

    slug: str
    title: str
    views: int = 0
    rating: float | None = None
    author_id: UUID | None = None


class ArticleUpdate(BaseModel):
    """Changes to an article."""

    slug: str | None = None
    title: str | None = None
    views: int | None = None
    rating: float | None = None
    author_id: UUID | None = None


class ArticleRead(ArticleCreate):
    """An article in a response."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID


class NoteCreate(BaseModel):
    """A new note, and the changes to one."""

    text: str


class NoteRead(NoteCreate):
    """A note in a response."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID


class CommentCreate(BaseModel):
    """A new comment, and the changes to one."""

    note_id: UUID


class CommentRead(CommentCreate):
    """A comment in a response."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID


class LineCreate(BaseModel):
    """A new line."""

    model_config = ConfigDict(from_attributes=True)

    text: str


class OrderCreate(BaseModel):
    """A new order with its lines, and the changes to one."""

    number: str
    lines: list[LineCreate] = []


class OrderRead(OrderCreate):
    """An order in a response."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID


class TaskCreate(BaseModel):
    """A new task, and the changes to one."""

    owner: str


class TaskRead(TaskCreate):
    """A task in a response."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID


RESOURCES: dict[str, tuple[Any, Any, Any, Any]] = {
    "articles": (Article, ArticleCreate, ArticleUpdate, ArticleRead),
    "notes": (Note, NoteCreate, NoteCreate, NoteRead),
    "comments": (Comment, CommentCreate, CommentCreate, CommentRead),
    "orders": (Order, OrderCreate, OrderCreate, OrderRead),
}
"""The paths, each with its model and its schemas to create, to update and to read."""


def connect(url: str) -> AsyncEngine:
    """Return an engine that checks foreign keys on SQLite, too."""
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _enforce_foreign_keys)
    return engine


def _enforce_foreign_keys(connection: Any, _: object) -> None:
    connection.cursor().execute("PRAGMA foreign_keys = ON")
