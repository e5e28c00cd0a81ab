"""Explanations: paths, statements, reasons for the ORM path."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final

import pytest
from annotated_types import Len
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import Engine, Select, String, bindparam, func, or_, select, text
from typing_extensions import override

from app.main import create_app
from app.settings import Settings
from brickwork import Database, ListQuery, Resource, SessionDep, install
from brickwork.cli.explain import Explanation, explain_resource
from brickwork.models.soft_delete import DeletedFilter
from tests.support import library
from tests.support.calls import client_of
from tests.support.notes import (
    TWENTY,
    Base,
    Note,
    NoteCreate,
    NoteRead,
    Notes,
    notes,
    notes_app,
    yielded_user,
)
from tests.support.recording import driver_statements, event_listener, statements
from tests.support.tables import Tables

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

SQLITE: Final = "sqlite:///unused.db"
POSTGRESQL: Final = "postgresql://unused"


def paths(app: FastAPI, database: Database, name: str = "notes") -> dict[str, str]:
    """Return the path of each operation."""
    return {
        explanation.operation: explanation.path
        for explanation in explain_resource(app, database, name)
    }


def explanations(app: FastAPI, database: Database) -> dict[str, Explanation]:
    """Return the explanations of the operations on notes."""
    return {item.operation: item for item in explain_resource(app, database, "notes")}


@cache
def service() -> FastAPI:
    """Return the reference service."""
    return create_app(Settings(database_url=SQLITE))


def verbs(database: Database, name: str) -> dict[str, str]:
    """Return the verbs of the statements of each operation of the reference service."""
    return {
        explanation.operation: " ".join(sql.partition(" ")[0] for sql in explanation.statements)
        for explanation in explain_resource(service(), database, name)
    }


# --- The reference service ------------------------------------------------------------------------


@pytest.mark.parametrize("url", [SQLITE, POSTGRESQL])
def test_common_operations_take_the_fast_path(url: str) -> None:
    found = paths(service(), Database(url), "articles")
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
    "PATCH /articles/batch": "SELECT",
    "DELETE /articles/batch": "SELECT",
    "GET /articles/{id}": "SELECT",
    "PATCH /articles/{id}": "UPDATE",
    "PUT /articles/{id}": "SELECT",
    "DELETE /articles/{id}": "UPDATE",
    "POST /articles/{id}/restore": "SELECT",
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
    found = explanations(app, Database(SQLITE))
    changed = found["PATCH /notes/{id}"]
    assert changed.path == "fast path"
    assert [sql.partition(" ")[0] for sql in changed.statements] == ["SELECT", "UPDATE"]


class Required(ListQuery[Note]):
    text: str


def test_statement_of_a_required_filter_is_unknown() -> None:
    app = app_of(notes(query=Required))
    found = explanations(app, Database(SQLITE))
    assert found["GET /notes"].path == "fast path, its rows filtered by Notes.query"
    assert found["GET /notes"].statements == []
    assert found["GET /notes"].omission == "a parameter is required"


# --- Scopes ---------------------------------------------------------------------------------------


@dataclass
class User:
    name: str
    team: str
    role: str


async def signed_in() -> User:
    return User("ada", "red", "author")


class Scoped(Resource[Note]):
    user: Annotated[User, Depends(signed_in)]


def explained(database: Database, resource: type[Resource[Note]]) -> dict[str, Explanation]:
    """Return the explanations of the operations of *resource*."""
    return explanations(app_of(notes(resource)), database)


_Make = Callable[[Any], Any]
"""Makes a condition for the `query()` of a resource."""


def condition(make: _Make) -> tuple[str, str | None]:
    """Return the condition of *make* as SQL, and why there is none."""

    class Owned(Scoped):
        @override
        def query(self) -> Select[Note]:
            rows: Select[Note] = super().query().where(make(self))
            return rows

    shown = explained(Database(SQLITE), Owned)["GET /notes/{id}"]
    where = re.compile(r"deleted_at IS NULL AND (.*) AND notes.id = :id", re.DOTALL)
    return "".join(where.findall("".join(shown.statements))), shown.omission


COMPARED: Final[Mapping[str, tuple[_Make, str]]] = {
    "attribute": (lambda self: Note.owner == self.user.name, "notes.owner = :user.name"),
    "value first": (lambda self: self.user.name == Note.owner, "notes.owner = :user.name"),
    "operator": (
        lambda self: self.user.name + Note.text == "a",
        "(:user.name || notes.text) = :param_1",
    ),
    "item": (lambda self: Note.owner == self.user["name"], "notes.owner = :user.name"),
    "function": (
        lambda self: func.lower(Note.owner, type_=String) == self.user.name,
        "lower(notes.owner) = :user.name",
    ),
    "constant": (lambda _: Note.text == "it's", "notes.text = :text_1"),
    "quoted": (lambda _: text("text = 'what?  $1 (\nFROM '"), "text = 'what?  $1 (\nFROM '"),
    "subquery": (
        lambda self: Note.rank.in_(select(Note.rank).where(Note.owner == self.user.name)),
        "notes.rank IN (SELECT notes.rank FROM notes WHERE notes.owner\n    = :user.name)",
    ),
}


@pytest.mark.parametrize(("make", "where"), COMPARED.values(), ids=COMPARED)
def test_scope_compares_columns_with_named_parameters(make: _Make, where: str) -> None:
    assert condition(make) == (where, None)


def caught(self: Any) -> Any:
    try:
        return Note.rank > len(self.user.name)
    except Exception:  # noqa: BLE001 — as applications do
        return Note.rank > 0


def failing(_: Any) -> Any:
    raise KeyError


NEEDS: Final = "needs the value of user.{}"

PRIVATE: Final = "_key"

TESTS: Final = "tests for None or for a type"

UNKNOWN: Final[Mapping[str, tuple[_Make, str]]] = {
    "equal": (lambda self: Note.rank > (self.user.role == "a"), NEEDS.format("role")),
    "placeholders": (
        lambda self: Note.rank > (self.user.role == self.user.name),
        NEEDS.format("role"),
    ),
    "true": (lambda self: Note.rank > (1 if self.user.name else 0), NEEDS.format("name")),
    "format": (lambda self: Note.owner == f"{self.user.team}/", NEEDS.format("team")),
    "call": (lambda self: Note.owner == self.user.name.lower(), NEEDS.format("name.lower")),
    "index": (lambda self: Note.owner == self.user.name[0], NEEDS.format("name")),
    "product": (lambda self: Note.rank > self.user.rank * 2, NEEDS.format("rank")),
    "list": (lambda self: Note.owner.in_([self.user.name, "bob"]), NEEDS.format("name")),
    "caught": (caught, NEEDS.format("name")),
    "None": (lambda self: Note.rank > (1 if self.user is None else 0), TESTS),
    "not None": (lambda self: Note.rank > int(self.user is not None), TESTS),
    "type": (lambda self: Note.rank > int(isinstance(self.user, str)), TESTS),
    "untyped": (
        lambda self: func.lower(Note.owner) == self.user.name,
        "does not compare user.name with a column",
    ),
    "alone": (
        lambda self: or_(self.user.role, Note.rank > 1),
        "does not compare user.role with a column",
    ),
    "private": (
        lambda self: getattr(self.user, PRIVATE),
        "raises AttributeError without a request",
    ),
    "error": (failing, "raises KeyError without a request"),
    "session": (lambda self: self.session.bind, "uses the session"),
}


@pytest.mark.parametrize(("make", "reason"), UNKNOWN.values(), ids=UNKNOWN)
def test_scope_that_depends_on_values_is_not_shown(make: _Make, reason: str) -> None:
    assert condition(make) == ("", f"Owned.query {reason}")


def test_actor_of_a_placeholder_does_not_matter() -> None:
    class Acting(Notes):
        @override
        def actor(self) -> str:
            return f"user {self.user}"

    shown = explained(Database(SQLITE), Acting)["DELETE /notes/{id}"]
    assert "notes.owner = :user AND" in shown.statements[0]


def test_scope_of_a_nested_resource_names_its_fields() -> None:
    class Nesting(Resource[Note]):
        others: Annotated[Notes, Depends()]

        @override
        def query(self) -> Select[Note]:
            others = self.others.query().with_only_columns(Note.rank)
            return super().query().where(Note.rank.in_(others))

    shown = explained(Database(SQLITE), Nesting)["GET /notes/{id}"]
    assert "notes.owner = :others.user" in shown.statements[0]


class Fixed(Scoped):
    @override
    def query(self) -> Select[Note]:
        own = bindparam("own", self.user.name, type_=String)
        return super().query().where(Note.owner == own)


class Ordered(Scoped):
    @override
    def query(self) -> Select[Note]:
        return super().query().order_by(Note.owner)


class Opening(Scoped):
    @override
    def query(self) -> Select[Note]:
        return super().query().where(Note.owner == str(self.session.bind))


class Deciding(Scoped):
    @override
    def query(self) -> Select[Note]:
        return super().query() if self.user.role == "admin" else super().query().limit(1)


class Including(Resource[Note]):
    @override
    async def include_deleted(self, deleted_filter: DeletedFilter, /) -> None:
        await super().include_deleted(deleted_filter)


class Waiting(Resource[Note]):
    @override
    async def include_deleted(self, deleted_filter: DeletedFilter, /) -> None:
        await asyncio.sleep(0)


class Asking(Scoped):
    @override
    async def include_deleted(self, deleted_filter: DeletedFilter, /) -> None:
        self.deleted_filter = deleted_filter if self.user.role == "admin" else "exclude"


class Restoring(Notes):
    @override
    async def include_deleted(self, deleted_filter: DeletedFilter, /) -> None:
        raise NotImplementedError


MORE: Final = "ORM path, since query() has more than conditions, or {}"


@pytest.mark.parametrize(
    ("resource", "operation", "path", "omission"),
    [
        (Fixed, "GET /notes", MORE.format("its SQL depends on values"), None),
        (Ordered, "GET /notes", MORE.format("uses the session"), "requests fail: The statement"),
        (Opening, "GET /notes", MORE.format("uses the session"), "Opening.query "),
        (Deciding, "GET /notes", "fast path, if Deciding.query has only", "Deciding.query needs"),
        (Restoring, "POST /notes/{id}/restore", "ORM path, since it has", "Restoring.include_de"),
        (Waiting, "POST /notes/{id}/restore", "ORM path, since it has", "Waiting.include_de"),
        (Asking, "POST /notes/{id}/restore", "ORM path, since it has", "Asking.include_de"),
        (Including, "POST /notes/{id}/restore", "ORM path, since it has", None),
    ],
)
def test_path_of_a_scope(
    resource: type[Resource[Note]], operation: str, path: str, omission: str | None
) -> None:
    shown = explained(Database(SQLITE), resource)[operation]
    assert shown.path.startswith(path)
    assert (shown.omission or "").startswith(omission or "")
    assert bool(shown.statements) == (omission is None)
    assert ("-- no SQL: " in shown.format()) == (omission is not None)


OWN: Final = "WHERE notes.deleted_at IS NULL AND notes.owner = :user::VARCHAR"


def test_a_block_has_a_line_for_each_clause() -> None:
    text = explained(Database(POSTGRESQL), Notes)["GET /notes/{id}"].format()
    assert text.splitlines() == [
        "GET /notes/{id}: fast path, its rows filtered by Notes.query",
        "    SELECT notes.id, notes.owner, notes.text, notes.version",
        "    FROM notes",
        f"    {OWN} AND notes.id = :id::INTEGER;",
        "    SELECT notes.id, notes.owner, notes.text, notes.version",
        "    FROM notes",
        f"    {OWN} AND notes.id = ANY",
        "        (:ids::INTEGER[]);",
    ]


# --- What is sent ---------------------------------------------------------------------------------

REQUESTS: Final[Sequence[tuple[str, str, Any]]] = [
    ("GET", "/notes", None),
    ("GET", "/notes/{id}", None),
    ("POST", "/notes", {"owner": "ada", "text": "new"}),
    ("PATCH", "/notes/{id}", {"owner": "ada", "text": "new", "rank": 7}),
    ("PUT", "/notes/{id}", {"owner": "ada", "text": "new", "rank": 7}),
    ("PATCH", "/notes/batch", [{"id": 1, "text": "new"}]),
    ("DELETE", "/notes/batch?id=1", None),
    ("DELETE", "/notes/{id}", None),
    ("POST", "/notes/{id}/restore", None),
]


APPS: Final[Mapping[type[Resource[Note]], FastAPI]] = {
    resource: app_of(notes(resource)) for resource in (AllNotes, Notes)
}


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: " ".join(request[:2]))
@pytest.mark.parametrize("resource", APPS)
async def test_explained_statements_are_sent(
    tables: Tables, backend: str, resource: type[Resource[Note]], request_: tuple[str, str, Any]
) -> None:
    method, path, body = request_
    url = await tables.of(Base.metadata, backend, TWENTY)
    database = Database(url, coalesce=False)
    app = APPS[resource]
    shown = explanations(app, database)[f"{method} {path.partition('?')[0]}"]
    assert shown.statements
    # SQLAlchemy prepares statements, which asyncpg does not log.
    recorded = statements() if shown.path.startswith("ORM path") else driver_statements("")
    with recorded as sent:
        async with database.lifespan(None) as state, client_of(app, state) as client:
            headers = {"authorization": "ada"}
            await client.request(method, path.format(id=1), json=body, headers=headers)
    for statement in shown.statements:
        assert any(is_instance(one, statement) for one in sent), (statement, sent)


def is_instance(sent: str, explained: str) -> bool:
    """Return whether *sent* is *explained* with placeholders, or SQLite's values, in it."""
    pattern = re.sub(r"(?<!:):[a-z][\w.]*", "\0", " ".join(explained.split()))
    value = r"(?:\?|\$\d+|'[^']*'|NULL|\d+)"
    values = rf"{value}(?:::\w+)?(?:, {value})*"
    expression = re.escape(pattern).replace(re.escape("\0"), values)
    return re.fullmatch(expression, " ".join(sent.split())) is not None
