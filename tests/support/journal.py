"""A service of one resource, and its log."""

from typing import Any
from uuid import UUID

import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import MetaData, make_url
from sqlalchemy.orm import Mapped

from brickwork import Database, Entity, ReadSchema, Resource, Schema, crud_router, install

REMEDY = "Run the migrations (alembic upgrade head), or create them (Database.create_all)."


class Base(Entity):
    __abstract__ = True
    metadata = MetaData(naming_convention=Entity.metadata.naming_convention)


class Note(Base):
    __tablename__ = "notes"
    text: Mapped[str]


class NoteCreate(Schema):
    text: str


class NoteUpdate(NoteCreate, partial=True): ...


class NoteRead(ReadSchema):
    id: UUID
    text: str


class Notes(Resource[Note]): ...


def router(
    resource: type[Resource[Any]] = Notes, read: Any = NoteRead, omit: Any = ()
) -> APIRouter:
    return crud_router(
        "/notes", resource, read=read, create=NoteCreate, update=NoteUpdate, omit=omit
    )


def create_app(url: str, notes: APIRouter | None = None) -> FastAPI:
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app)
    app.include_router(notes or router())
    return app


async def create(url: str, metadata: MetaData = Base.metadata) -> None:
    """Make the tables, as migrations do in another process."""
    router()  # adds the companion tables to the metadata
    database = Database(url)
    async with database.lifespan(None):
        await database.create_all(metadata)


class Log:
    """The lines that the service logs."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def take(self) -> list[str]:
        """Return the new lines of the log, which may have no traceback."""
        records = [record for record in self._caplog.records if record.name == "brickwork"]
        self._caplog.clear()
        assert all(record.exc_info is None for record in records)
        return [f"{record.levelname} {record.getMessage()}" for record in records]


def name(url: str) -> str:
    """Return *url* as the log shows it."""
    parts = make_url(url)
    return parts.set(drivername=parts.get_backend_name(), query={}).render_as_string()


def missing_line(url: str, tables: str) -> str:
    return f"ERROR The database {name(url)} lacks tables: {tables}. {REMEDY}"


def unreachable_line(
    url: str, cause: str, remedy: str = "Start the database, or correct its URL."
) -> str:
    return f"ERROR The database {name(url)} cannot be reached: {cause}. {remedy}"


async def execute(url: str, *statements: str) -> None:
    database = Database(url)
    async with database.lifespan(None), database.writer.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)
