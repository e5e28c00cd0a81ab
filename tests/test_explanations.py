"""Which lane is taken, and why, is told as it is."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import Engine
from typing_extensions import override

from app.main import create_app
from app.settings import Settings
from brickwork import Database, ListQuery, Resource, crud_router, install
from brickwork.explanations import explain
from tests.support import library
from tests.support.notes import Note, NoteCreate, NoteRead, Notes, NoteUpdate, notes, yielding
from tests.support.recording import event_listener

pytestmark = [pytest.mark.anyio, pytest.mark.lanes]


def told(app: FastAPI, database: Database, name: str = "notes") -> dict[str, str]:
    return {each.operation: each.lane for each in explain(app, database, name)}


def application(*routers: APIRouter) -> FastAPI:
    app = FastAPI()
    install(app)
    for each in routers:
        app.include_router(each)
    return app


async def test_the_service_is_fast_where_most_requests_go(service_url: str) -> None:
    database = Database(service_url)
    found = [*explain(create_app(Settings(database_url=service_url)), database, "articles")]
    lanes = {each.operation: each.lane for each in found}
    several = database.url.get_backend_name() == "postgresql"
    assert {name for name, lane in lanes.items() if lane == "fast"} == {
        "GET /articles",
        "POST /articles",
        "GET /articles/{id}",
        "PATCH /articles/{id}",
        "DELETE /articles/{id}",
        "POST /articles/batch",
    }
    assert lanes["PUT /articles/{id}"] == "ordinary, since no lane is made for it"
    sent = {each.operation: [sql.partition(" ")[0] for sql in each.statements] for each in found}
    assert sent["GET /articles"] == ["SELECT"]
    assert sent["GET /articles/{id}"] == ["SELECT"] * (1 + several)
    assert sent["POST /articles"] == ["INSERT"] * (1 + several)
    assert sent["PATCH /articles/{id}"] == ["UPDATE"]
    assert sent["DELETE /articles/{id}"] == ["UPDATE"]
    assert sent["PUT /articles/{id}"] == ["SELECT"]
    assert sent["POST /articles/batch"] == ["INSERT"]
    assert sent["POST /articles/{id}/restore"] == []
    await database.dispose()


async def test_what_others_go_with_is_removed_by_a_session(empty_url: str) -> None:
    database = Database(empty_url)
    reason = "ordinary, since others may have to go with a Book"
    assert told(library.create_app(empty_url), database, "books")["DELETE /books/{id}"] == reason
    await database.dispose()


async def test_what_waits_alone_is_one_statement(service_url: str) -> None:
    database = Database(service_url, coalesce=False)
    found = explain(create_app(Settings(database_url=service_url)), database, "articles")
    sent = {each.operation: len(each.statements) for each in found}
    assert sent["GET /articles/{id}"] == sent["POST /articles"] == 1
    await database.dispose()


class Getting(Notes):
    @override
    async def get(self, key: object, /) -> Note:
        return await super().get(key)


class Given(Resource[Note]):
    given: Annotated[str, Depends(yielding)]


def with_another_before() -> FastAPI:
    before = APIRouter()

    @before.get("/notes/{name}")
    async def get(name: str) -> str:
        return name

    return application(before, notes())


def included_first() -> FastAPI:
    app = FastAPI()
    app.include_router(notes())
    install(app)
    return app


def answering_otherwise() -> FastAPI:
    app = application()
    app.include_router(notes(), default_response_class=JSONResponse)
    return app


@pytest.mark.parametrize(
    ("app", "lane"),
    [
        (lambda: application(notes()), "fast, its rows narrowed by Notes.query besides"),
        (lambda: application(notes(Getting)), "ordinary, since Getting.get is overridden"),
        (
            lambda: application(notes(Given)),
            "ordinary, since yielding yields, and is ended when the answer is made",
        ),
        (
            with_another_before,
            "ordinary, since a route that comes before it may have the same path",
        ),
        (
            included_first,
            "ordinary, since its router was included before the application was installed",
        ),
        (answering_otherwise, "ordinary, since its router has a response class of its own"),
    ],
)
async def test_a_reason_is_told(empty_url: str, app: Any, lane: str) -> None:
    database = Database(empty_url)
    assert told(app(), database)["GET /notes/{id}"] == lane
    await database.dispose()


class Captioned(NoteCreate):
    caption: str


class Asked(ListQuery[Note]):
    text: str


async def test_a_statement_that_depends_on_what_is_asked_is_not_told(empty_url: str) -> None:
    database = Database(empty_url)
    router = crud_router(
        "/notes", Notes, read=NoteRead, create=Captioned, update=NoteUpdate, query=Asked
    )
    found = {each.operation: each for each in explain(application(router), database, "notes")}
    assert found["GET /notes"].lane.startswith("fast")
    assert found["GET /notes"].statements == []
    assert found["POST /notes"].lane == "ordinary, since caption is no column of Note"
    await database.dispose()


async def test_what_the_database_says_is_told(empty_url: str) -> None:
    app = application(notes())
    slow, database = Database(empty_url, fast=False), Database(empty_url)
    expected = "ordinary, since the database is not fast, or has a session of its own"
    assert told(app, slow)["GET /notes/{id}"] == expected
    with event_listener(Engine, "before_cursor_execute"):
        expected = "ordinary, since somebody listens to what SQLAlchemy sends, makes or loads"
        assert told(app, database)["GET /notes/{id}"] == expected
    await slow.dispose()
    await database.dispose()
