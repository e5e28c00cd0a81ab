"""Scopes: checks of written rows."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, Final

import pytest
from fastapi import APIRouter, Depends, FastAPI
from httpx2 import AsyncClient
from sqlalchemy import Select, event, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from typing_extensions import override

from brickwork import Database, Forbidden, Resource, StrictRoute
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.notes import Note, NoteRead, Notes, notes, notes_app
from tests.support.recording import path_taken, statements
from tests.support.running import Running

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

OURS = {"owner": "ada", "text": "ours"}
THEIRS = {"owner": "bob", "text": "theirs"}


own_notes = notes()


def create_app(url: str, *, fast: bool) -> FastAPI:
    """Create an application of notes, on one path."""
    return notes_app(Database(url, fast_path=fast), own_notes)


CREATE_APP: Final = {fast: partial(create_app, fast=fast) for fast in (True, False)}


@pytest.fixture(params=[True, False], ids=["fast path", "ORM path"])
async def database(request: pytest.FixtureRequest, notes_url: str) -> AsyncIterator[Database]:
    """Yield a database with twenty notes: odd numbers belong to Ada, even ones to Bob."""
    database = Database(notes_url, fast_path=request.param)
    yield database
    await database.dispose()


@asynccontextmanager
async def as_ada(database: Database, *routers: APIRouter) -> AsyncGenerator[AsyncClient]:
    """Yield a client for Ada, of an application with *routers*."""
    async with calling(notes_app(database, *routers)) as client:
        client.headers["authorization"] = "ada"
        yield client


@pytest.fixture
async def client(running: Running, database: Database, notes_url: str) -> AsyncClient:
    """Return a client for Ada, who sees her own notes."""
    client = await running.client(CREATE_APP[database.fast_path], notes_url)
    client.headers["authorization"] = "ada"
    return client


async def all_notes(database: Database) -> Sequence[tuple[Any, ...]]:
    """Return all notes in the database."""
    columns = (Note.id, Note.owner, Note.text, Note.version, Note.deleted_at)
    async with database.session(readonly=True) as session:
        return [tuple(row) for row in await session.execute(select(*columns).order_by(Note.id))]


# --- Routes of the resource ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "answer"),
    [
        ("POST", "/notes", THEIRS, "403"),
        ("PATCH", "/notes/1", {"owner": "bob"}, "403"),
        ("PUT", "/notes/1", THEIRS, "403"),
        ("POST", "/notes/batch", [THEIRS], "403 #/0 forbidden"),
        ("POST", "/notes/batch", [OURS, THEIRS, OURS, THEIRS], "403 #/1 forbidden, #/3 forbidden"),
        ("PATCH", "/notes/batch", [{"id": 1}, {"id": 3, "owner": "bob"}], "403 #/1 forbidden"),
    ],
)
async def test_write_out_of_scope_is_forbidden(  # noqa: PLR0913, PLR0917
    client: AsyncClient, database: Database, method: str, path: str, body: Any, answer: str
) -> None:
    before = await all_notes(database)
    response = await client.request(method, path, json=body)

    assert summary(response) == answer
    assert response.json()["type"] == "/problems/forbidden"
    assert await all_notes(database) == before


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/notes", OURS, 201),
        ("PATCH", "/notes/1", {"text": "new", "owner": "ada"}, 200),
        ("PUT", "/notes/1", OURS, 200),
        ("POST", "/notes/batch", [OURS, OURS], 201),
        ("PATCH", "/notes/batch", [{"id": 1, "text": "new"}, {"id": 3}], 200),
        ("DELETE", "/notes/1", None, 204),
        ("DELETE", "/notes/1?purge=true", None, 204),
        ("DELETE", "/notes/batch?id=1&id=3", None, 204),
    ],
)
async def test_write_within_the_scope_succeeds(
    client: AsyncClient, method: str, path: str, body: Any, status: int
) -> None:
    assert (await client.request(method, path, json=body)).status_code == status


async def test_deleted_row_can_be_restored(client: AsyncClient) -> None:
    assert summary(await client.delete("/notes/1")) == "204"
    assert summary(await client.post("/notes/1/restore")) == "200"


async def test_problem_has_a_page(client: AsyncClient) -> None:
    response = await client.post("/notes", json=THEIRS)

    assert response.json()["detail"] == "A row would be out of your scope."
    assert (await client.get(response.json()["type"])).status_code == 200


async def test_key_of_a_forbidden_request_is_reusable(client: AsyncClient) -> None:
    key = {"idempotency-key": "one"}

    assert summary(await client.post("/notes", json=THEIRS, headers=key)) == "403"
    assert summary(await client.post("/notes", json=OURS, headers=key)) == "201"


async def test_schema_of_a_batch_is_checked_before_its_scope(client: AsyncClient) -> None:
    batch = [THEIRS, {"owner": "ada", "text": "x" * 51}]
    assert summary(await client.post("/notes/batch", json=batch)) == (
        "422 #/1/text string_too_long"
    )


# --- Costs ---------------------------------------------------------------------------------------


class Unnarrowed(Resource[Note]): ...


class Admins(Notes):
    @override
    def query(self) -> Select[Note]:
        return super().query() if self.user == "bob" else super(Notes, self).query()


@pytest.mark.parametrize(
    ("resource", "method", "path", "body", "count"),
    [
        (Notes, "POST", "/notes", OURS, 2),
        (Notes, "PATCH", "/notes/1", {"text": "new"}, 3),
        (Notes, "PATCH", "/notes/1", {}, 1),
        (Notes, "POST", "/notes/batch", [OURS], 2),
        (Notes, "DELETE", "/notes/1", None, 2),
        (Unnarrowed, "POST", "/notes", OURS, 1),
        (Unnarrowed, "PATCH", "/notes/1", {"text": "new"}, 2),
        (Admins, "POST", "/notes", THEIRS, 1),
        (Admins, "PATCH", "/notes/1", {"owner": "bob"}, 2),
    ],
)  # fmt: skip
async def test_scope_check_costs_one_statement(  # noqa: PLR0913, PLR0917
    database: Database,
    resource: type[Resource[Note]],
    method: str,
    path: str,
    body: Any,
    count: int,
) -> None:
    async with as_ada(database, notes(resource)) as client:
        with statements() as sent:
            response = await client.request(method, path, json=body)

    assert response.is_success
    assert len(sent) == count, sent


async def test_writes_within_the_scope_take_the_fast_path(notes_url: str) -> None:
    async with as_ada(Database(notes_url, fast_path=True), notes()) as client:
        assert await path_taken(client.get("/notes/1")) == "200 fast"
        assert await path_taken(client.post("/notes", json=OURS)) == "201 fast"
        assert await path_taken(client.post("/notes", json=THEIRS)) == "403 ORM"
        assert await path_taken(client.post("/notes/batch", json=[OURS])) == "201 ORM"
        assert await path_taken(client.patch("/notes/1", json={"text": "new"})) == "200 fast"
        assert await path_taken(client.patch("/notes/1", json={"owner": "bob"})) == "403 ORM"
        assert await path_taken(client.delete("/notes/1")) == "204 fast"


# --- Methods of the resource ---------------------------------------------------------------------


async def test_resource_with_a_post_init_has_a_scope(database: Database) -> None:
    class Made(Notes):
        @override
        def __post_init__(self) -> None:
            self.made = True

    async with as_ada(database, notes(Made)) as client:
        assert summary(await client.post("/notes", json=THEIRS)) == "403"
        assert summary(await client.patch("/notes/1", json={"owner": "bob"})) == "403"
        assert summary(await client.post("/notes", json=OURS)) == "201"


async def test_rows_added_by_a_method_are_checked(database: Database) -> None:
    class Copying(Notes):
        @override
        async def create(self, row: Note, /) -> None:
            await super().create(row)
            self.session.add(Note(owner=row.text, text="copy"))

    async with as_ada(database, notes(Copying)) as client:
        before = await all_notes(database)
        assert summary(await client.post("/notes", json={"owner": "ada", "text": "bob"})) == "403"
        assert await all_notes(database) == before
        assert summary(await client.post("/notes", json={"owner": "ada", "text": "ada"})) == "201"


async def test_restored_row_is_checked(database: Database) -> None:
    class Giving(Notes):
        @override
        async def restore(self, row: Note, /) -> None:
            await super().restore(row)
            row.owner = "bob"

    async with as_ada(database, notes(Giving)) as client:
        await client.delete("/notes/1")
        before = await all_notes(database)
        assert summary(await client.post("/notes/1/restore")) == "403"
        assert await all_notes(database) == before


async def test_value_computed_by_the_database_is_checked(
    database: Database,
) -> None:
    class Lowering(Notes):
        @override
        async def update(self, row: Note, /, changes: Mapping[str, Any]) -> None:
            row.owner = func.lower(changes["text"])
            await self.session.flush()
            await self.session.refresh(row)

    async with as_ada(database, notes(Lowering)) as client:
        before = await all_notes(database)
        assert summary(await client.patch("/notes/1", json={"text": "BOB"})) == "403"
        assert await all_notes(database) == before
        assert summary(await client.patch("/notes/1", json={"text": "ADA"})) == "200"


async def test_row_may_be_out_of_scope_until_the_commit(database: Database) -> None:
    class Late(Notes):
        @override
        async def create(self, row: Note, /) -> None:
            row.owner = "nobody"
            async with self.session.begin_nested():
                await super().create(row)
                await self.session.flush()
            row.owner = self.user

    async with as_ada(database, notes(Late)) as client:
        assert summary(await client.post("/notes", json=THEIRS)) == "201"


async def test_deletion_may_move_a_row_out_of_scope(database: Database) -> None:
    class Archive(Notes):
        @override
        def query(self) -> Select[Note]:
            return select(Note).where(Note.owner == self.user, Note.rank >= 0)

        @override
        async def delete(self, row: Note, /) -> None:
            await self.update(row, {"rank": -1})

    async with as_ada(database, notes(Archive)) as client:
        assert summary(await client.patch("/notes/1", json={"rank": -1})) == "403"
        assert summary(await client.delete("/notes/1")) == "204"
        assert summary(await client.delete("/notes/batch?id=3&id=5")) == "204"
        assert [note["id"] for note in (await client.get("/notes?limit=2")).json()] == [7, 9]


async def test_row_removed_before_the_commit_is_not_checked(database: Database) -> None:
    class Brief(Notes):
        @override
        async def create(self, row: Note, /) -> None:
            await super().create(row)
            self.session.add_all(briefly := [Note(owner="bob", text=text) for text in "ab"])
            await self.session.flush()
            await self.session.delete(briefly[0])

            last = update(Note).where(Note.id == briefly[1].id).values(owner="ada")
            await self.session.execute(last)

    async with as_ada(database, notes(Brief)) as client:
        assert summary(await client.post("/notes", json=OURS)) == "201"


async def test_row_written_by_a_commit_listener_is_checked(
    database: Database,
) -> None:
    def write(session: Session) -> None:
        session.add(Note(owner=owner, text="late"))
        session.flush()

    async with as_ada(database, notes()) as client:
        event.listen(Session, "before_commit", write)
        try:
            owner = "bob"
            assert summary(await client.post("/notes", json=OURS)) == "403"
            owner = "ada"
            assert summary(await client.post("/notes", json=OURS)) == "201"
        finally:
            event.remove(Session, "before_commit", write)


# --- Custom endpoints ----------------------------------------------------------------------------


class AllNotes(Resource[Note]): ...


class AdminNotes(Resource[Note]):
    """The notes of all users, with a nested resource of the user's notes."""

    mine: Annotated[Notes, Depends()]

    @override
    async def update(self, row: Note, /, changes: Mapping[str, Any]) -> None:
        assert await self.mine.get(row.id) is row
        await super().update(row, changes)


class CarefulNotes(Notes):
    """The notes of the user, with a nested resource of all notes."""

    every: Annotated[AllNotes, Depends()]

    @override
    async def update(self, row: Note, /, changes: Mapping[str, Any]) -> None:
        await self.every.update(row, changes)


class DelegatingNotes(CarefulNotes):
    """The notes of the user, read and written by the nested resource."""

    @override
    async def get(self, key: object, /) -> Note:
        return await self.every.get(key)

    @override
    async def create(self, row: Note, /) -> None:
        await self.every.create(row)

    @override
    async def update(self, row: Note, /, changes: Mapping[str, Any]) -> None:
        row.owner = changes["owner"]


router = APIRouter(route_class=StrictRoute)


@router.post("/{id}/own", response_model=NoteRead)
async def give(id: str, owner: str, rows: Annotated[Notes, Depends()]) -> Note:  # noqa: A002
    """Assign a note to another user."""
    note = await rows.get(id)
    note.owner = owner
    return note


@router.post("/{id}/both", response_model=NoteRead)
async def give_by_two(
    id: str,  # noqa: A002
    owner: str,
    mine: Annotated[Notes, Depends()],
    every: Annotated[AllNotes, Depends()],
) -> Note:
    """Assign a note of two resources to another user."""
    note = await every.get(id)
    assert await mine.get(id) is note
    note.owner = owner
    return note


@router.post("/{id}/all", response_model=NoteRead)
async def give_by_all(
    id: str,  # noqa: A002
    owner: str,
    mine: Annotated[Notes, Depends()],
    every: Annotated[AllNotes, Depends()],
) -> Note:
    """Assign a note to another user with the resource of all notes."""
    note = await mine.get(id)
    await every.update(note, {"owner": owner})
    return note


@router.post("/{id}/statement", status_code=204)
async def give_by_statement(
    id: str,  # noqa: A002
    owner: str,
    rows: Annotated[Notes, Depends()],
) -> None:
    """Assign a note to another user in a statement."""
    note = await rows.get(id)
    await rows.session.execute(update(Note).where(Note.id == note.id).values(owner=owner))


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/1/own?owner=bob", "403"),
        ("/1/own?owner=ada", "200"),
        ("/1/both?owner=bob", "403"),
        ("/1/all?owner=bob", "200"),
        ("/1/statement?owner=bob", "204"),
    ],
)
async def test_custom_endpoint_has_the_scope(database: Database, path: str, answer: str) -> None:
    async with as_ada(database, router) as client:
        assert summary(await client.post(path)) == answer


async def test_resource_replaces_the_scope_of_a_nested_resource(
    database: Database,
) -> None:
    body = {"owner": "bob"}
    async with as_ada(database, notes(AdminNotes)) as client:
        assert summary(await client.patch("/notes/1", json=body)) == "200"
        assert summary(await client.post("/notes", json=THEIRS)) == "201"
    for resource in (CarefulNotes, DelegatingNotes):
        async with as_ada(database, notes(resource)) as client:
            assert summary(await client.patch("/notes/3", json=body)) == "403"
            assert summary(await client.post("/notes", json=THEIRS)) == "403"
            assert summary(await client.patch("/notes/3", json={"owner": "ada"})) == "200"
            assert summary(await client.post("/notes", json=OURS)) == "201"


async def test_custom_session_is_checked(database: Database) -> None:
    engine = create_async_engine(database.url)

    async def their_session() -> AsyncGenerator[AsyncSession]:
        async with AsyncSession(engine) as session:
            yield session

    class OwnSession(Notes):
        session: Annotated[AsyncSession, Depends(their_session)]

    async with as_ada(database, notes(OwnSession)) as client:
        before = await all_notes(database)
        assert summary(await client.post("/notes", json=THEIRS)) == "403"
        assert summary(await client.patch("/notes/1", json={"owner": "bob"})) == "403"
        response = await client.post("/notes/batch", json=[OURS, THEIRS])
        assert summary(response) == "403 #/1 forbidden"
        assert await all_notes(database) == before
        assert summary(await client.post("/notes", json=OURS)) == "201"
    await engine.dispose()


# --- Scripts -------------------------------------------------------------------------------------


async def test_script_can_write_for_several_users(database: Database) -> None:
    async with database.session() as session:
        for user in ("ada", "bob"):
            rows = Notes(session=session, user=user)
            await rows.create(Note(owner=user, text="new"))
    async with database.session() as session:
        for user, key in {"ada": 1, "bob": 2}.items():
            note = await Notes(session=session, user=user).get(key)
            note.text = "changed"


async def test_script_cannot_write_for_another_user(database: Database) -> None:
    before = await all_notes(database)
    with pytest.raises(Forbidden):
        async with database.session() as session:
            await Notes(session=session, user="ada").create(Note(**THEIRS))

    assert await all_notes(database) == before


async def test_row_of_no_resource_must_satisfy_every_scope(database: Database) -> None:
    async with database.session() as session:
        _ = [Notes(session=session, user=user) for user in ("ada", "bob")]
        session.add(Note(**OURS))
        with pytest.raises(Forbidden):
            await session.commit()


async def test_session_is_checked_at_each_commit(database: Database) -> None:
    async with database.session() as session:
        rows = Notes(session=session, user="ada")
        await rows.create(Note(**OURS))
        await session.commit()
        await rows.create(note := Note(**THEIRS))
        with pytest.raises(Forbidden):
            await session.commit()
        await session.rollback()
        note = await rows.get(1)
        note.text = "new"


# --- openapi.json --------------------------------------------------------------------------------


def operations_that_forbid(resource: type[Resource[Note]]) -> set[str]:
    document = notes_app(Database("sqlite:///unused.db"), notes(resource)).openapi()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    return {operation["operationId"] for operation in operations if "403" in operation["responses"]}


async def test_openapi_declares_forbidden_operations() -> None:
    assert operations_that_forbid(Unnarrowed) == set()
    assert operations_that_forbid(Notes) == {
        "notes_create",
        "notes_create_batch",
        "notes_update_batch",
        "notes_update",
        "notes_replace",
        "notes_restore",
    }
