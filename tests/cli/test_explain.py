"""Explanations: paths, statements, reasons for the ORM path."""

from collections.abc import Callable
from typing import Annotated, Final

import pytest
from annotated_types import Len
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import Engine, select
from typing_extensions import override

from app.main import create_app
from app.settings import Settings
from brickwork import Database, ListQuery, Resource, SessionDep, install
from brickwork.cli.explain import explain_resource
from tests.support import library
from tests.support.notes import Note, NoteCreate, NoteRead, Notes, notes, notes_app, yielded_user
from tests.support.recording import event_listener

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

SQLITE: Final = "sqlite:///unused.db"
POSTGRESQL: Final = "postgresql://unused"


def paths(app: FastAPI, database: Database, name: str = "notes") -> dict[str, str]:
    """Return the path of each operation."""
    return {
        explanation.operation: explanation.path
        for explanation in explain_resource(app, database, name)
    }


def verbs(database: Database, name: str) -> dict[str, str]:
    """Return the verbs of the statements of each operation of the reference service."""
    app = create_app(Settings(database_url=SQLITE))
    return {
        explanation.operation: " ".join(sql.partition(" ")[0] for sql in explanation.statements)
        for explanation in explain_resource(app, database, name)
    }


# --- The reference service ------------------------------------------------------------------------


@pytest.mark.parametrize("url", [SQLITE, POSTGRESQL])
def test_common_operations_take_the_fast_path(url: str) -> None:
    found = paths(create_app(Settings(database_url=SQLITE)), Database(url), "articles")
    assert {name for name, path in found.items() if path == "fast path"} == {
        "GET /articles",
        "POST /articles",
        "GET /articles/{id}",
        "PATCH /articles/{id}",
        "DELETE /articles/{id}",
        "POST /articles/batch",
    }
    assert found["PUT /articles/{id}"] == "ORM path, since it has no fast operation"


VERBS: Final = {
    "GET /articles": "SELECT",
    "POST /articles": "INSERT",
    "POST /articles/batch": "INSERT",
    "PATCH /articles/batch": "",
    "DELETE /articles/batch": "",
    "GET /articles/{id}": "SELECT",
    "PATCH /articles/{id}": "UPDATE",
    "PUT /articles/{id}": "SELECT",
    "DELETE /articles/{id}": "UPDATE",
    "POST /articles/{id}/restore": "",
}


def test_statements_on_sqlite() -> None:
    assert verbs(Database(SQLITE), "articles") == VERBS


def test_statements_on_postgresql_for_single_and_coalesced_requests() -> None:
    twice = {
        "POST /articles": "INSERT INSERT",
        "GET /articles/{id}": "SELECT SELECT",
        "PATCH /articles/{id}": "UPDATE UPDATE",
        "DELETE /articles/{id}": "UPDATE UPDATE",
    }
    assert verbs(Database(POSTGRESQL), "articles") == VERBS | twice


def test_statements_on_postgresql_without_coalescing() -> None:
    assert verbs(Database(POSTGRESQL, coalesce=False), "articles") == VERBS


def test_row_with_relationships_is_deleted_by_the_orm() -> None:
    found = paths(library.create_app(SQLITE), Database(SQLITE), "books")
    assert (
        found["DELETE /books/{id}"]
        == "ORM path, since deleting a Book may delete or change related rows"
    )


# --- Reasons --------------------------------------------------------------------------------------


class Getting(Notes):
    @override
    async def get(self, key: object, /) -> Note:
        return await super().get(key)


class Given(Resource[Note]):
    given: Annotated[str, Depends(yielded_user)]


async def first_owner(session: SessionDep) -> str:
    return str(await session.scalar(select(Note.owner)))


class GivenWithSession(Resource[Note]):
    given: Annotated[str, Depends(first_owner)]


def app_of(*routers: APIRouter) -> FastAPI:
    return notes_app(Database(SQLITE), *routers)


def included_before_installed() -> FastAPI:
    app = FastAPI()
    app.include_router(notes())
    install(app)
    return app


def with_response_class() -> FastAPI:
    app = app_of()
    app.include_router(notes(), default_response_class=JSONResponse)
    return app


@pytest.mark.parametrize(
    ("make", "path"),
    [
        pytest.param(
            lambda: app_of(notes()),
            "fast path, its rows filtered by Notes.query",
            id="scope",
        ),
        pytest.param(
            lambda: app_of(notes(Getting)),
            "ORM path, since Getting.get is overridden",
            id="method overridden",
        ),
        pytest.param(
            lambda: app_of(notes(Given)),
            "fast path",
            id="dependency that yields",
        ),
        pytest.param(
            lambda: app_of(notes(GivenWithSession)),
            "ORM path, since a dependency uses the session",
            id="dependency with the session",
        ),
        pytest.param(
            included_before_installed,
            "fast path, its rows filtered by Notes.query",
            id="router before",
        ),
        pytest.param(
            with_response_class,
            "ORM path, since its router has its own response class",
            id="response class",
        ),
    ],
)
def test_reason_in_the_application(make: Callable[[], FastAPI], path: str) -> None:
    assert paths(make(), Database(SQLITE))["GET /notes/{id}"] == path


def test_reason_in_the_database() -> None:
    found = paths(app_of(notes()), Database(SQLITE, fast_path=False))
    expected = "ORM path, since the fast path of the database is off, or its methods are overridden"
    assert found["GET /notes/{id}"] == expected


def test_reason_in_a_listener() -> None:
    with event_listener(Engine, "before_cursor_execute"):
        found = paths(app_of(notes()), Database(SQLITE))
    name = "event_listener.<locals>.note, a listener to before_cursor_execute"
    expected = f"ORM path, since SQLAlchemy calls code of the application: {name}"
    assert found["GET /notes/{id}"] == expected


class Captioned(NoteCreate):
    caption: str


def test_reason_in_a_schema() -> None:
    found = paths(app_of(notes(create=Captioned)), Database(SQLITE))
    assert found["POST /notes"] == "ORM path, since caption is no column of Note"


class ShortCreate(NoteCreate):
    text: Annotated[str, Len(0, 20)]


class ShortUpdate(ShortCreate, partial=True): ...


class Short(NoteRead):
    text: Annotated[str, Len(0, 20)]


class AllNotes(Resource[Note]): ...


def test_an_update_with_constrained_fields_reads_the_row_first() -> None:
    app = app_of(notes(AllNotes, read=Short, create=ShortCreate, update=ShortUpdate))
    found = {
        explanation.operation: explanation
        for explanation in explain_resource(app, Database(SQLITE), "notes")
    }
    changed = found["PATCH /notes/{id}"]
    assert changed.path == "fast path"
    assert [sql.partition(" ")[0] for sql in changed.statements] == ["SELECT", "UPDATE"]


class Required(ListQuery[Note]):
    text: str


def test_statement_of_a_required_filter_is_unknown() -> None:
    app = app_of(notes(query=Required))
    found = {
        explanation.operation: explanation
        for explanation in explain_resource(app, Database(SQLITE), "notes")
    }
    assert found["GET /notes"].path == "fast path, its rows filtered by Notes.query"
    assert found["GET /notes"].statements == []
