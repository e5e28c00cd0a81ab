"""Scopes of written rows on each path."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final, Literal

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header
from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    MetaData,
    Select,
    String,
    and_,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import Mapped, aliased, mapped_column
from typing_extensions import override

from brickwork import (
    Database,
    ListQuery,
    Model,
    ReadSchema,
    Resource,
    Schema,
    Versioned,
    crud_router,
    install,
)
from brickwork.execution.written_scope import in_scope_or_error
from tests.execution.conftest import PathCache
from tests.support.bodies import summary
from tests.support.calls import client_of
from tests.support.databases import postgres_only
from tests.support.notes import TWENTY, Note, notes, notes_app
from tests.support.paths import Paths, Step
from tests.support.recording import driver_statements, record_fast_path
from tests.support.shop import Capitals
from tests.support.tables import Rows

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Firm(Base):
    """A firm, to which tasks refer."""

    __tablename__ = "firms"

    id: Mapped[int] = mapped_column(primary_key=True)


class Task(Base, Versioned):
    """A task of a tenant, with a key of the client."""

    __tablename__ = "tasks"

    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(20), default="ada")
    label: Mapped[str | None] = mapped_column(
        String(20).with_variant(String(20, collation="NOCASE"), "sqlite"), unique=True
    )
    points: Mapped[int] = mapped_column(CheckConstraint("points < 100", name="points"), default=1)
    level: Mapped[int] = mapped_column(server_default="5")
    double: Mapped[int] = mapped_column(Computed("points * 2", persisted=True))
    shout: Mapped[str | None] = mapped_column(Capitals)
    firm_id: Mapped[int | None] = mapped_column(ForeignKey("firms.id"))


class TaskFields(Schema):
    tenant: str = "ada"
    label: str | None = None
    points: int = 1
    shout: str | None = None
    firm_id: int | None = None


class TaskCreate(TaskFields):
    code: str


class TaskUpdate(TaskFields, partial=True): ...


class TaskRead(ReadSchema):
    code: str
    tenant: str
    points: int


async def current_scope(scope: Annotated[str, Header()] = "own") -> str:
    """Return the name of the scope that the client asks for."""
    return scope


_OTHER: Final = aliased(Task)

SCOPES: Final[dict[str, Any]] = {
    "own": Task.tenant == "ada",
    "not": ~(Task.tenant == "bob"),
    "nested": or_(and_(Task.tenant == "ada", Task.points.between(1, 50)), Task.points > 90),
    "null": Task.label.is_(None),
    "distinct": Task.label.is_distinct_from("secret"),
    "default": Task.level == 5,
    "other default": Task.level == 6,
    "collation": Task.label != "SECRET",
    "computed": Task.double < 20,
    "decorated": Task.shout == "ADA",
    "function": func.lower(Task.tenant) == "ada",
    "text": literal_column("tasks.tenant") == "ada",
    "itself": Task.code.in_(select(_OTHER.code).where(_OTHER.tenant == "ada")),
    "count": select(func.count(_OTHER.code)).scalar_subquery() <= 3,
    "operator": Task.tenant.op("||")("x") == "adax",
    "sum": Task.points + 1 < 20,
}

PLAIN: Final = {"own", "not", "nested", "null", "distinct", "default", "other default"}


class Tasks(Resource[Task]):
    scope: Annotated[str, Depends(current_scope)]

    @override
    def query(self) -> Select[Task]:
        return super().query().where(SCOPES[self.scope])


TASKS: Final[Rows] = {
    Firm: [{"id": 1}],
    Task: [
        {"code": code, "tenant": tenant, "label": None, "shout": "ada"}
        for code, tenant in (("a", "ada"), ("b", "ada"), ("c", "bob"))
    ],
}


@pytest.fixture
async def task_paths(all_paths: PathCache, backend: str) -> Paths:
    """Return the paths to the tasks. A test fills their tables."""
    return await all_paths.to(backend, tasks_app, Base.metadata)


def _app(*routers: APIRouter) -> FastAPI:
    app = FastAPI()
    install(app, cursor_keys=["a secret that is known to these tests alone"])
    for router in routers:
        app.include_router(router)
    return app


tasks_app: Final = _app(
    crud_router("/tasks", Tasks, read=TaskRead, create=TaskCreate, update=TaskUpdate)
)


# --- Conditions -----------------------------------------------------------------------------------

BODIES: Final[list[dict[str, Any]]] = [
    {},
    {"tenant": "bob"},
    {"points": 95, "tenant": "bob"},
    {"points": 60},
    {"label": "secret"},
    {"label": "Secret", "shout": "ada"},
    {"shout": "bob"},
]


@pytest.mark.parametrize("body", BODIES, ids=str)
@pytest.mark.parametrize("scope", SCOPES)
async def test_scope_of_a_new_row_applies_on_each_path(
    task_paths: Paths, scope: str, body: dict[str, Any]
) -> None:
    step = Step("POST", "/tasks", {"code": "new", **body}, headers={"scope": scope})
    together, alone, orm = await task_paths.outcomes(step, TASKS)
    assert together == alone == orm
    assert [together.fast, alone.fast] == [together.status == 201] * 2
    assert together.status in {201, 403}


@pytest.mark.parametrize("body", BODIES[1:], ids=str)
@pytest.mark.parametrize("scope", SCOPES)
async def test_scope_of_a_changed_row_applies_on_each_path(
    task_paths: Paths, scope: str, body: dict[str, Any]
) -> None:
    step = Step("PATCH", "/tasks/a", body, headers={"scope": scope})
    together, alone, orm = await task_paths.outcomes(step, TASKS)
    assert together == alone == orm
    if together.status != 200:
        assert not together.fast
    elif "shout" not in body:  # only Python can compare the values of a decorated type
        assert together.fast
        assert alone.fast


@pytest.mark.parametrize("scope", SCOPES)
async def test_scope_of_a_batch_applies_on_each_path(task_paths: Paths, scope: str) -> None:
    for tenant in ("ada", "bob"):
        body = [{"code": "x"}, {"code": "y", "tenant": tenant}]
        step = Step("POST", "/tasks/batch", body, headers={"scope": scope})
        together, alone, orm = await task_paths.outcomes(step, TASKS)
        assert together == alone == orm


@pytest.mark.parametrize("scope", SCOPES)
async def test_plain_conditions_are_checked_by_the_write(scope: str) -> None:
    check = in_scope_or_error(select(Task).where(SCOPES[scope]))
    # The column of the label has its collation in SQLite alone.
    assert (check is not None) == (scope in PLAIN | {"collation"})


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"code": "a"}, 409),
        ({"points": 100}, 422),
        ({"firm_id": 9}, 422),
        ({"firm_id": 1}, 403),
    ],
    ids=str,
)
async def test_constraints_are_reported_before_the_scope(
    task_paths: Paths, body: dict[str, Any], status: int
) -> None:
    step = Step("POST", "/tasks", {"code": "new", "tenant": "bob", **body})
    together, alone, orm = await task_paths.outcomes(step, TASKS)
    assert together == alone == orm
    assert together.status == status


async def test_row_that_only_a_write_finds_is_missing(task_paths: Paths) -> None:
    step = Step("PATCH", "/tasks/c", {"tenant": "ada"})
    together, alone, orm = await task_paths.outcomes(step, TASKS)
    assert together == alone == orm
    assert together.status == 404


# --- Deleted rows ---------------------------------------------------------------------------------


class ByFilter(Resource[Note]):
    """Notes whose scope is another one if deleted rows are asked for."""

    @override
    def query(self) -> Select[Note]:
        least: Literal[1, 2] = 1 if self.deleted_filter == "exclude" else 2
        return super().query().where(Note.rank >= least)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/notes", {"owner": "ada", "text": "new", "rank": 1}, 403),
        ("POST", "/notes", {"owner": "ada", "text": "new", "rank": 2}, 201),
        ("PATCH", "/notes/5", {"text": "new"}, 403),
        ("PATCH", "/notes/5", {"rank": 2}, 200),
        ("PATCH", "/notes/1", {"rank": 2}, 404),
    ],
)
async def test_scope_of_written_rows_includes_deleted_rows(
    notes_paths: Paths, method: str, path: str, body: Any, status: int
) -> None:
    app = notes_app(notes_paths.fast, notes(ByFilter))
    for database, is_fast in ((notes_paths.fast, status < 300), (notes_paths.orm, False)):
        await notes_paths.fill(TWENTY)
        with record_fast_path() as taken:
            response = await client_of(app, {"database": database}).request(method, path, json=body)
        assert (response.status_code, taken) == (status, [is_fast])


# --- Concurrent writes ----------------------------------------------------------------------------


async def test_concurrent_writes_have_their_own_scope(notes_paths: Paths) -> None:
    app = notes_app(notes_paths.fast, notes())
    await notes_paths.fill(TWENTY)
    client = client_of(app, {"database": notes_paths.fast})

    def post(user: str, owner: str) -> Any:
        body = {"owner": owner, "text": f"by {user}"}
        return client.post("/notes", json=body, headers={"authorization": user})

    def patch(user: str, key: int, owner: str) -> Any:
        headers = {"authorization": user}
        return client.patch(f"/notes/{key}", json={"owner": owner, "rank": 50}, headers=headers)

    pairs = [("ada", "ada"), ("bob", "bob"), ("ada", "bob")] * 8
    answers = await asyncio.gather(
        *(post(user, owner) for user, owner in pairs),
        *(patch("ada", key, "ada") for key in range(1, 11)),
        *(patch("ada", key, "bob") for key in range(11, 21)),
    )
    statuses = [summary(answer) for answer in answers]
    assert statuses[:24] == ["201", "201", "403"] * 8
    assert statuses[24:34] == ["200", "404"] * 5
    assert statuses[34:] == ["403", "404"] * 5
    async with notes_paths.orm.session(readonly=True) as session:
        rows = [*await session.scalars(select(Note).order_by(Note.id))]
    assert [row.owner for row in rows if row.text.startswith("by ")].count("ada") == 8
    assert all(row.text == f"by {row.owner}" for row in rows if row.text.startswith("by "))
    assert [row.id for row in rows if row.rank == 50] == [1, 3, 5, 7, 9]


class PlainCreate(Schema):
    """A new task, without the columns of a decorated type, which no batch has."""

    code: str


@postgres_only
async def test_concurrent_writes_of_one_scope_are_batched(task_paths: Paths) -> None:
    await task_paths.fill(TASKS)
    database = Database(task_paths.fast.url)
    routes = crud_router("/tasks", Tasks, read=TaskRead, create=PlainCreate, update=TaskUpdate)
    client = client_of(_app(routes), {"database": database})
    with driver_statements("INSERT") as inserts, driver_statements("UPDATE") as updates:
        posts = (client.post("/tasks", json={"code": f"n{n}"}) for n in range(40))
        assert {summary(response) for response in await asyncio.gather(*posts)} == {"201"}
        patches = (client.patch(f"/tasks/n{n}", json={"points": 7}) for n in range(40))
        assert {summary(response) for response in await asyncio.gather(*patches)} == {"200"}
    assert len(inserts) < 10
    assert len(updates) < 10
    await database.dispose()


@postgres_only
async def test_check_after_a_write_is_one_transaction(task_paths: Paths) -> None:
    await task_paths.fill(TASKS)
    database = Database(task_paths.fast.url)
    client = client_of(tasks_app, {"database": database})
    with driver_statements("SELECT") as checks, record_fast_path() as taken:
        response = await client.post("/tasks", json={"code": "new"}, headers={"scope": "function"})
        assert summary(response) == "201"
    assert taken == [True]
    assert len([sql for sql in checks if "lower(" in sql]) == 1
    await database.dispose()


# --- Fields that are resources --------------------------------------------------------------------


class AllNotes(Resource[Note]): ...


class Delegating(Resource[Note]):
    """Notes with a scope, which a resource in a field exports."""

    every: Annotated[AllNotes, Depends()]

    @override
    def query(self) -> Select[Note]:
        return super().query().where(Note.rank >= 0)

    @override
    async def export(self, params: ListQuery[Note], /) -> AsyncGenerator[Note]:
        async for row in self.every.export(params):
            yield row


async def test_resource_in_a_field_is_opened_after_a_declined_statement(
    notes_paths: Paths,
) -> None:
    app = notes_app(notes_paths.fast, notes(Delegating))
    await notes_paths.fill(TWENTY)
    client = client_of(app, {"database": notes_paths.fast})
    response = await client.get("/notes", headers={"accept": "application/x-ndjson"})
    assert response.status_code == 200
    assert len(response.text.splitlines()) == 20
