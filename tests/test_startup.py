"""The check of the database at the start."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import ForeignKey, MetaData, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from brickwork import (
    Audited,
    Database,
    Limit,
    PublishesEvents,
    ReadSchema,
    Resource,
    get_db,
    install,
)
from tests.support.databases import Databases
from tests.support.journal import (
    Base,
    Log,
    Note,
    create,
    create_app,
    execute,
    missing_line,
    name,
    router,
)
from tests.support.server import serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


async def started(app: FastAPI) -> None:
    async with serving(app):
        pass


async def test_missing_tables_are_logged(empty_url: str, log: Log) -> None:
    await started(create_app(empty_url))
    assert log.take() == [missing_line(empty_url, "idempotency_keys, notes")]


async def test_a_complete_database_logs_nothing(empty_url: str, log: Log) -> None:
    await create(empty_url)
    await started(create_app(empty_url))
    assert log.take() == []


async def test_one_missing_table_is_logged(empty_url: str, log: Log) -> None:
    await create(empty_url, Base.metadata)
    await execute(empty_url, "DROP TABLE notes")
    await started(create_app(empty_url))
    assert log.take() == [missing_line(empty_url, "notes")]


async def test_a_long_list_of_missing_tables_is_shortened(empty_url: str, log: Log) -> None:
    class Own(DeclarativeBase): ...

    class Tag(Own):
        __tablename__ = "tags"
        id: Mapped[int] = mapped_column(primary_key=True)
        page_id: Mapped[int] = mapped_column(ForeignKey("pages.id"))

    class Book(Own):
        __tablename__ = "books"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Link(Own):
        __tablename__ = "pages_books"
        page_id: Mapped[int] = mapped_column(ForeignKey("pages.id"), primary_key=True)
        book_id: Mapped[int] = mapped_column(ForeignKey("books.id"), primary_key=True)

    class Page(Own, Audited, PublishesEvents):
        __tablename__ = "pages"
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str]
        tags: Mapped[list[Tag]] = relationship()
        books: Mapped[list[Book]] = relationship(secondary=Link.__table__)

    class OtherRead(ReadSchema):
        id: int

    class PageRead(ReadSchema):
        id: int
        tags: Annotated[list[OtherRead], Limit(1)]
        books: Annotated[list[OtherRead], Limit(1)]

    class Pages(Resource[Page]): ...

    app = create_app(empty_url, router(Pages, PageRead))
    app.include_router(router(), prefix="/others")  # of another MetaData
    await started(app)
    tables = "audit_entries, books, idempotency_keys and 5 more"
    assert log.take() == [missing_line(empty_url, tables)]

    await create(empty_url, Own.metadata)
    await started(app)
    assert log.take() == [missing_line(empty_url, "notes")]


async def test_tables_of_a_lifespan_are_not_missing(empty_url: str, log: Log) -> None:
    database = Database(empty_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Any]:
        async with database.lifespan(app) as state:
            await create(empty_url)
            yield {**state, "other": 1}

    app = FastAPI(lifespan=lifespan)
    install(app)
    app.include_router(router())
    await started(app)
    assert log.take() == []


async def test_tables_of_the_lifespan_of_a_router_are_found(empty_url: str, log: Log) -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await create(empty_url)
        yield

    app = create_app(empty_url)
    app.include_router(APIRouter(lifespan=lifespan))
    await started(app)
    assert log.take() == []


async def test_the_check_closes_its_connection(empty_url: str) -> None:
    database = Database(empty_url)
    seen: list[str] = []
    event.listen(database.reader.sync_engine, "connect", lambda *_: seen.append("opened"))
    event.listen(database.reader.sync_engine, "close_detached", lambda *_: seen.append("closed"))
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    app.include_router(router())
    await create(empty_url)
    async with serving(app):
        assert seen == ["opened", "closed"]
    assert seen == ["opened", "closed"]


async def test_the_check_creates_no_sqlite_file(tmp_path: Path, log: Log) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    await started(create_app(url))
    assert log.take() == [missing_line(url, "idempotency_keys, notes")]
    assert [*tmp_path.iterdir()] == []  # noqa: ASYNC240 — nobody waits


async def test_a_read_only_resource_needs_no_idempotency_keys(empty_url: str, log: Log) -> None:
    reads = {"create", "create_batch", "update", "update_batch", "replace", "delete"}
    await started(create_app(empty_url, router(omit=reads)))
    assert log.take() == [missing_line(empty_url, "notes")]


async def test_tables_of_another_database_are_not_checked(empty_url: str, log: Log) -> None:
    async def other() -> AsyncGenerator[None]:
        yield

    class Elsewhere(Resource[Note]):
        session: Annotated[AsyncSession, Depends(other)]

    await started(create_app(empty_url, router(Elsewhere)))
    app = create_app(empty_url)
    app.dependency_overrides[get_db] = other
    await started(app)
    assert log.take() == []


async def test_a_table_in_another_schema_is_found(databases: Databases, log: Log) -> None:
    url = databases.empty("postgresql")
    metadata = MetaData(schema="tenant")
    for table in (*Base.metadata.tables.values(),):
        table.to_metadata(metadata, schema="tenant")
    await execute(url, "CREATE SCHEMA tenant")
    await create(url, metadata)
    await started(create_app(url))
    assert log.take() == []


async def test_a_missing_table_is_logged_with_its_schema(databases: Databases, log: Log) -> None:
    class Own(DeclarativeBase): ...

    class Page(Own):
        __tablename__ = "notes"
        __table_args__ = {"schema": "elsewhere"}  # noqa: RUF012
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str]

    class PageRead(ReadSchema):
        id: int

    class Pages(Resource[Page]): ...

    url = databases.empty("postgresql")
    await create(url)
    await started(create_app(url, router(Pages, PageRead)))
    assert log.take() == [missing_line(url, "elsewhere.notes")]


async def test_a_mounted_application_is_checked_at_the_start(empty_url: str, log: Log) -> None:
    inner = FastAPI()
    install(inner)
    inner.include_router(router())
    outer = FastAPI(lifespan=Database(empty_url).lifespan)
    install(outer)
    outer.mount("/v1", inner)
    async with serving(outer) as client:
        assert log.take() == [missing_line(empty_url, "idempotency_keys, notes")]
        await client.get("/v1/problems")
    assert log.take() == []


async def test_a_mounted_application_is_checked_at_its_first_request(
    empty_url: str, log: Log
) -> None:
    inner = FastAPI()
    install(inner)
    inner.include_router(router())
    outer = FastAPI(lifespan=Database(empty_url).lifespan)
    outer.mount("/v1", inner)
    async with serving(outer) as client:
        assert log.take() == []
        await client.get("/v1/problems")
        assert log.take() == [missing_line(empty_url, "idempotency_keys, notes")]
        await client.get("/v1/problems")
    assert log.take() == []


async def test_an_application_without_a_database_starts() -> None:
    app = FastAPI()
    install(app)
    async with serving(app) as client:
        assert (await client.get("/problems")).status_code == 200


async def test_a_silent_database_does_not_delay_the_start(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brickwork.startup.PATIENCE", 0.05)
    gone = asyncio.Event()

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"postgresql://127.0.0.1:{port}/shop"
        async with asyncio.timeout(5):
            await started(create_app(url))
        gone.set()
    (line,) = log.take()
    assert " does not answer" in line


async def test_a_locked_sqlite_file_is_no_outage(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "brickwork.database.connections.PRAGMAS", ("busy_timeout = 0", "journal_mode = WAL")
    )
    file = tmp_path / "notes.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE notes (id TEXT, text TEXT)")
        other.execute("BEGIN EXCLUSIVE")
        await started(create_app(f"sqlite:///{file}"))
    assert log.take() == []


async def test_a_failed_check_does_not_prevent_the_start(
    empty_url: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("brickwork.startup._find_missing", fail)
    await started(create_app(empty_url))
    (line,) = log.take()
    assert line.startswith(f"ERROR The database {name(empty_url)} cannot be reached: out of luck.")
