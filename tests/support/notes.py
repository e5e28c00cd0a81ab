"""An application of notes that belong to users."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException
from httpx2 import AsyncClient
from sqlalchemy import MetaData, Select, String
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
from tests.support.calls import client_of
from tests.support.tables import Rows


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Note(Base, Versioned, SoftDelete):
    """A note, which belongs to a user."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(20))
    text: Mapped[str] = mapped_column(String(50))
    rank: Mapped[int] = mapped_column(default=0)
    caption: Mapped[str] = synonym("text")


class Friend(Base):
    """A user, and another whose notes they may read."""

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


class CountingUser:
    """A dependency that returns the user and records its calls."""

    def __init__(self) -> None:
        """Count nothing yet."""
        self._calls: list[str] = []

    async def __call__(self, authorization: Annotated[str, Header()]) -> str:
        """Return the user in the header; reject `nobody`."""
        self._calls.append(authorization)
        if authorization == "nobody":
            raise HTTPException(401, "Who are you?")
        return authorization

    @contextmanager
    def recorded(self) -> Generator[list[str]]:
        """Collect the users of the calls within the block."""
        before, self._calls = self._calls, []
        try:
            yield self._calls
        finally:
            self._calls = before


current_user: Final = CountingUser()


async def yielded_user() -> AsyncGenerator[str]:
    """Yield a user, and end after the response."""
    yield "ada"


class Notes(Resource[Note]):
    """The notes of one user."""

    user: Annotated[str, Depends(current_user)]

    @override
    def query(self) -> Select[Note]:
        return super().query().where(Note.owner == self.user)


def notes(resource: type[Resource[Note]] = Notes, **schemas: Any) -> APIRouter:
    """Return the routes of *resource*; *schemas* may replace the usual ones."""
    usual: dict[str, Any] = {"read": NoteRead, "create": NoteCreate, "update": NoteUpdate}
    usual["query"] = NoteQuery
    return crud_router("/notes", resource, **usual | schemas)


def notes_app(database: Database, *routers: APIRouter) -> FastAPI:
    """Return an application of *routers* over *database*."""
    app = FastAPI(lifespan=database.lifespan)
    install(app, cursor_keys=["a secret that is known to these tests alone"])
    for router in routers:
        app.include_router(router)
    return app


plain_notes = notes_app(Database("sqlite:///unused.db"), notes())


@asynccontextmanager
async def calling_notes(database: Database) -> AsyncGenerator[AsyncClient]:
    """Yield a client of an application of notes, which all tests share."""
    async with database.lifespan(None) as state, client_of(plain_notes, state) as client:
        yield client


TWENTY: Final[Rows] = {
    Note: [
        {"owner": "ada" if n % 2 else "bob", "text": f"note {n}", "rank": n // 4}
        for n in range(1, 21)
    ],
    Friend: [{"name": "ada", "owner": "bob"}],
}
"""Twenty notes: Ada's have odd numbers, Bob's even ones. Bob is Ada's friend."""
