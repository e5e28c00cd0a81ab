"""The compared application with Brickwork."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from fastapi import FastAPI, Header
from pydantic import Field
from sqlalchemy import BigInteger, Double, ForeignKey, MetaData, Select, String
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    Database,
    Entity,
    Filter,
    Limit,
    ListQuery,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    Versioned,
    crud_router,
    install,
    soft_delete_foreign_key,
)


class Base(Entity):
    """The base of the models, with its own tables."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Entity.metadata.naming_convention)


class Author(Base):
    """An author. There is none, so that a reference to one fails."""

    __tablename__ = "authors"


class Article(Base, Versioned):
    """An article, whose author is checked at the commit."""

    __tablename__ = "articles"

    slug: Mapped[str] = mapped_column(String(100), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    views: Mapped[int] = mapped_column(BigInteger, default=0)
    rating: Mapped[float | None] = mapped_column(Double)
    author_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(Author.id, deferrable=True, initially="DEFERRED")
    )


class Note(Base, SoftDelete):
    """A note with a soft delete."""

    __tablename__ = "notes"

    text: Mapped[str] = mapped_column(String(200))


class Comment(Base):
    """A comment on a note that is not deleted."""

    __tablename__ = "comments"
    __table_args__ = (soft_delete_foreign_key("note_id", "note_is_deleted", Note),)

    note_id: Mapped[UUID]
    note_is_deleted: Mapped[bool] = mapped_column(default=False)


class Line(Base):
    """A line of an order."""

    __tablename__ = "lines"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"))
    text: Mapped[str] = mapped_column(String(200))


class Order(Base):
    """An order with lines."""

    __tablename__ = "orders"

    number: Mapped[str] = mapped_column(String(20))
    lines: Mapped[list[Line]] = relationship(cascade="all, delete-orphan", order_by=Line.id)


class Task(Base):
    """A task, which its owner alone may see."""

    __tablename__ = "tasks"

    owner: Mapped[str] = mapped_column(String(20))


class ArticleCreate(Schema):
    """A new article."""

    slug: str
    title: str
    views: int = 0
    rating: float | None = None
    author_id: UUID | None = None


class ArticleUpdate(ArticleCreate, partial=True):
    """Changes to an article."""


class ArticleRead(ReadSchema):
    """An article in a response."""

    id: UUID
    slug: str
    title: str
    views: int
    rating: float | None
    author_id: UUID | None
    version: int


class ArticleQuery(ListQuery[Article]):
    """The parameters of the list of articles."""

    title: Filter[str] = None
    views: Filter[int] = None


class NoteCreate(Schema):
    """A new note."""

    text: str


class NoteUpdate(NoteCreate, partial=True):
    """Changes to a note."""


class NoteRead(ReadSchema):
    """A note in a response."""

    id: UUID
    text: str


class CommentCreate(Schema):
    """A new comment."""

    note_id: UUID


class CommentUpdate(CommentCreate, partial=True):
    """Changes to a comment."""


class CommentRead(ReadSchema):
    """A comment in a response."""

    id: UUID
    note_id: UUID


class LineCreate(Schema):
    """A line of an order."""

    text: str


class LineRead(ReadSchema):
    """A line in a response."""

    id: UUID
    text: str


class OrderCreate(Schema):
    """A new order."""

    number: str
    lines: list[LineCreate] = Field(default_factory=list[LineCreate])


class OrderUpdate(OrderCreate, partial=True):
    """Changes to an order."""


class OrderRead(ReadSchema):
    """An order in a response."""

    id: UUID
    number: str
    lines: Annotated[list[LineRead], Limit(100)]


class TaskCreate(Schema):
    """A new task."""

    owner: str


class TaskUpdate(TaskCreate, partial=True):
    """Changes to a task."""


class TaskRead(ReadSchema):
    """A task in a response."""

    id: UUID
    owner: str


class Articles(Resource[Article]):
    """The articles."""


class Notes(Resource[Note]):
    """The notes."""


class Comments(Resource[Comment]):
    """The comments."""


class Orders(Resource[Order]):
    """The orders."""


class Tasks(Resource[Task]):
    """The tasks of the caller."""

    user: Annotated[str, Header(alias="X-User")]

    @override
    def query(self) -> Select[Task]:
        return super().query().where(Task.owner == self.user)


def create_app(url: str) -> FastAPI:
    """Return the application."""
    database = Database(url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        await database.create_all(Base.metadata)
        async with database.lifespan(app) as state:
            yield state

    app = FastAPI(lifespan=lifespan)
    install(app)
    app.include_router(
        crud_router(
            "/articles",
            Articles,
            read=ArticleRead,
            create=ArticleCreate,
            update=ArticleUpdate,
            query=ArticleQuery,
        )
    )
    app.include_router(
        crud_router("/notes", Notes, read=NoteRead, create=NoteCreate, update=NoteUpdate)
    )
    app.include_router(
        crud_router(
            "/comments", Comments, read=CommentRead, create=CommentCreate, update=CommentUpdate
        )
    )
    app.include_router(
        crud_router("/orders", Orders, read=OrderRead, create=OrderCreate, update=OrderUpdate)
    )
    app.include_router(
        crud_router("/tasks", Tasks, read=TaskRead, create=TaskCreate, update=TaskUpdate)
    )
    return app
