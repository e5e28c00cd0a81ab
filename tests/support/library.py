"""An application whose responses embed other rows."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, FastAPI
from sqlalchemy import ForeignKey, MetaData, String, select
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    Database,
    Entity,
    Limit,
    ListQuery,
    Model,
    ReadSchema,
    Resource,
    Schema,
    SessionDep,
    SortBy,
    StrictRoute,
    crud_router,
    embedding,
    get_or_404,
    install,
)


class Base(Entity):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Nation(Base):
    """A nation of writers."""

    __tablename__ = "nations"

    name: Mapped[str] = mapped_column(String(30))
    writers: Mapped[list["Writer"]] = relationship(back_populates="nation", passive_deletes="all")


class Writer(Base):
    """A writer of books, with a nation."""

    __tablename__ = "writers"

    name: Mapped[str] = mapped_column(String(30))
    nation_id: Mapped[UUID | None] = mapped_column(ForeignKey(Nation.id), index=True)
    nation: Mapped[Nation | None] = relationship(back_populates="writers")
    books: Mapped[list["Book"]] = relationship(back_populates="writer", passive_deletes="all")


class Book(Base):
    """A book, perhaps without a writer."""

    __tablename__ = "books"

    title: Mapped[str] = mapped_column(String(30))
    writer_id: Mapped[UUID | None] = mapped_column(ForeignKey(Writer.id), index=True)
    writer: Mapped[Writer | None] = relationship(back_populates="books")


class NationBrief(ReadSchema):
    name: str


class WriterBrief(ReadSchema):
    id: UUID
    name: str
    nation: NationBrief | None


class BookBrief(ReadSchema):
    id: UUID
    title: str


class NationCreate(Schema):
    name: str


class NationUpdate(NationCreate, partial=True): ...


class NationRead(NationBrief):
    id: UUID
    writers: Annotated[list[WriterBrief], Limit(2)]


class WriterCreate(Schema):
    name: str
    nation_id: UUID | None = None


class WriterUpdate(WriterCreate, partial=True): ...


class WriterRead(WriterBrief):
    nation_id: UUID | None
    books: Annotated[list[BookBrief], Limit(3)]


class BookCreate(Schema):
    title: str
    writer_id: UUID | None = None


class BookUpdate(BookCreate, partial=True): ...


class BookRead(BookBrief):
    writer_id: UUID | None
    writer: WriterBrief | None


class BookQuery(ListQuery[Book]):
    title: str | None = None
    writer__name: str | None = None
    sort: SortBy[Literal["title"]] = None


class Nations(Resource[Nation]): ...


class Writers(Resource[Writer]): ...


class Books(Resource[Book]): ...


shown = embedding(Book, BookRead)
by_hand = APIRouter(prefix="/by-hand", route_class=StrictRoute)


@by_hand.get("/{id}", response_model=BookRead)
async def get_book(id: str, session: SessionDep) -> Book:  # noqa: A002
    """Show a book as the declared endpoint does."""
    return await get_or_404(session, select(Book).options(*shown.options), id)


class Library(Database):
    """A database with the tables of the library."""

    @override
    @asynccontextmanager
    async def lifespan(self, _: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        async with self.writer.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with super().lifespan(_) as state:
            yield state


def create_app(url: str) -> FastAPI:
    """Return the library over the database at *url*."""
    app = FastAPI(lifespan=Library(url).lifespan)
    install(app)
    app.include_router(by_hand)
    app.include_router(
        crud_router("/nations", Nations, read=NationRead, create=NationCreate, update=NationUpdate)
    )
    app.include_router(
        crud_router("/writers", Writers, read=WriterRead, create=WriterCreate, update=WriterUpdate)
    )
    app.include_router(
        crud_router(
            "/books",
            Books,
            read=BookRead,
            create=BookCreate,
            update=BookUpdate,
            query=BookQuery,
        )
    )
    return app
