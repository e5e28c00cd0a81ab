"""An application of the tests whose rows are imported from files, and purged."""

import os
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count
from typing import Annotated, Any, Literal

from annotated_types import Len
from fastapi import Depends, FastAPI
from sqlalchemy import CheckConstraint, ForeignKey, MetaData, String, event
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import (
    Audited,
    Conflict,
    Database,
    JSONDocument,
    Limits,
    Model,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    Unavailable,
    crud_router,
    install,
    live_unique,
)


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Shelf(Base, Audited):
    """A shelf; one that is removed is gone, and who did what is written down."""

    __tablename__ = "shelves"

    code: Mapped[str] = mapped_column(String(5), primary_key=True)


class Part(Base, SoftDelete):
    """A part, known by its code, of which there is a number."""

    __tablename__ = "parts"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(20))
    number: Mapped[int] = mapped_column(default=0)
    weight: Mapped[float | None]
    spare: Mapped[bool] = mapped_column(default=False)
    kind: Mapped[str] = mapped_column(String(5), default="bolt")
    made_at: Mapped[datetime | None]
    meta: Mapped[dict[str, Any] | None]
    sizes: Mapped[list[int] | None] = mapped_column(JSONDocument)
    shelf_code: Mapped[str | None] = mapped_column(
        ForeignKey(Shelf.code, deferrable=True, initially="DEFERRED")
    )

    __table_args__ = (live_unique("code"), CheckConstraint("number >= 0", name="number"))


class PartCreate(Schema):
    code: Annotated[str, Len(1, 20)]
    number: int = 0
    weight: float | None = None
    spare: bool = False
    kind: Literal["bolt", "screw"] = "bolt"
    made_at: datetime | None = None
    meta: dict[str, Any] | None = None
    sizes: list[int] | None = None
    shelf_code: str | None = None


class PartUpdate(PartCreate, partial=True): ...


class PartRead(ReadSchema):
    id: int
    code: str
    number: int


class Parts(Resource[Part]):
    """The parts: their codes are capitals, and some are not taken in, or not let go."""

    @override
    async def create(self, row: Part, /) -> None:
        if row.code == "secret":
            raise Conflict("This part is a secret.")
        if row.code == "away":
            raise Unavailable("The keeper is away.")
        row.code = row.code.upper()
        await super().create(row)

    @override
    async def purge(self, row: Part, /) -> None:
        if row.kind == "screw":
            raise Conflict("Screws are kept.")
        await super().purge(row)


class ShelfCreate(Schema):
    code: str


class ShelfUpdate(ShelfCreate, partial=True): ...


class ShelfRead(ReadSchema):
    code: str


class Shelves(Resource[Shelf]):
    """The shelves, which are written one transaction after the other."""

    isolation = "serializable"


def current_user() -> str:
    """Return who is asking."""
    return "ann"


class Private(Resource[Shelf]):
    """Shelves of somebody, who is known by the request."""

    user: Annotated[str, Depends(current_user)]


parts = crud_router("/parts", Parts, read=PartRead, create=PartCreate, update=PartUpdate)
shelves = crud_router("/shelves", Shelves, read=ShelfRead, create=ShelfCreate, update=ShelfUpdate)
private = crud_router("/private", Private, read=ShelfRead, create=ShelfCreate, update=ShelfUpdate)


class Depot(Database):
    """A database with the tables of the depot."""

    @override
    @asynccontextmanager
    async def lifespan(self, _: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        async with self.writer.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with super().lifespan(_) as state:
            yield state


def create_app(url: str | None = None) -> FastAPI:
    """Return the depot over the database at *url*, that of the environment unless it is given."""
    return serving(Depot(url or os.environ["DATABASE_URL"]))


def serving(database: Database) -> FastAPI:
    """Return the depot over *database*."""
    app = FastAPI(lifespan=database.lifespan)
    install(app, limits=Limits(body=2_000))
    for router in (parts, shelves):
        app.include_router(router)
    for version in ("/v1", "/v2"):
        app.include_router(private, prefix=version)
    return app


def doomed() -> FastAPI:
    """Return a depot whose process is killed when an event comes for the nth time: `commit 5`."""
    database = Depot(os.environ["DATABASE_URL"])
    name, last = os.environ["DOOM"].split()
    numbers = count(1)

    def note(*_: object) -> None:
        if next(numbers) == int(last):
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Part if name == "after_insert" else database.writer.sync_engine, name, note)
    return serving(database)


def needs_a_url(url: str) -> FastAPI:
    """Return the depot; a command line cannot call this."""
    return create_app(url)


empty = FastAPI()
"""An application without a database, and without a resource."""
