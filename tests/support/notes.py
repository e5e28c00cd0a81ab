"""An application of the tests whose rows belong to the user who asks."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException
from sqlalchemy import Select, String
from sqlalchemy.orm import Mapped, mapped_column, synonym
from typing_extensions import override

from brickwork import (
    Database,
    ListQuery,
    Model,
    OneOf,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    SortBy,
    Versioned,
    crud_router,
    install,
)


class Base(Model):
    __abstract__ = True
    metadata = Model.metadata.__class__(naming_convention=Model.metadata.naming_convention)


class Note(Base, Versioned, SoftDelete):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(20))
    text: Mapped[str] = mapped_column(String(50))
    rank: Mapped[int] = mapped_column(default=0)
    caption: Mapped[str] = synonym("text")


class Friend(Base):
    __tablename__ = "friends"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    owner: Mapped[str] = mapped_column(String(20))


class NoteCreate(Schema):
    owner: str
    text: str
    rank: int = 0


class NoteUpdate(NoteCreate, partial=True): ...


class NoteRead(ReadSchema):
    id: int
    owner: str
    text: str


class NoteQuery(ListQuery[Note]):
    text__contains: str | None = None
    rank__gte: int | None = None
    rank__in: OneOf[int] | None = None
    sort: SortBy[Literal["rank", "text"]] = None


asked: list[str] = []


async def current_user(authorization: Annotated[str, Header()]) -> str:
    """Return who is asking, and count it."""
    asked.append(authorization)
    if authorization == "nobody":
        raise HTTPException(401, "Who are you?")
    return authorization


class Notes(Resource[Note]):
    """The notes of one user."""

    user: Annotated[str, Depends(current_user)]

    @override
    def query(self) -> Select[Note]:
        return super().query().where(Note.owner == self.user)


class Book(Database):
    """A database with the tables of the notes, and some of them."""

    @override
    @asynccontextmanager
    async def lifespan(self, _: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        async with self.writer.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
            await connection.run_sync(Base.metadata.create_all)
        async with self.session() as session:
            for number in range(1, 21):
                owner = "ada" if number % 2 else "bob"
                session.add(Note(owner=owner, text=f"note {number}", rank=number // 4))
            session.add(Friend(name="ada", owner="bob"))
        async with super().lifespan(_) as state:
            yield state


def notes(resource: type[Resource[Note]] = Notes) -> APIRouter:
    return crud_router(
        "/notes", resource, read=NoteRead, create=NoteCreate, update=NoteUpdate, query=NoteQuery
    )


def notes_app(url: str, *routers: APIRouter, **options: Any) -> FastAPI:
    app = FastAPI(lifespan=Book(url, **options).lifespan)
    install(app, cursor_keys=["a secret that is known to these tests alone"])
    for each in routers:
        app.include_router(each)
    return app


async def yielding() -> AsyncGenerator[str]:
    yield "ada"
