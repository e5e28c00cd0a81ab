"""Exports in the session of their request."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Header
from httpx2 import AsyncClient
from sqlalchemy import ForeignKey, MetaData, Select, String, func, insert, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    Conflict,
    Database,
    Limit,
    ListQuery,
    Model,
    NotFound,
    Page,
    ReadSchema,
    Resource,
    Schema,
    SessionDep,
    SortBy,
    crud_router,
)
from brickwork.http.negotiation import NDJSON
from brickwork.operations.export import Export
from tests.support.bodies import summary
from tests.support.calls import client_of
from tests.support.databases import Databases, postgres_only
from tests.support.exporting import Download
from tests.support.notes import notes_app
from tests.support.recording import connections_in_use, statements
from tests.support.tables import Tables, insert_rows

pytestmark = pytest.mark.anyio

LINES = {"accept": NDJSON}
ROWS = 120
"""The number of rows, which takes several reads."""


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Employee(Base):
    """An employee with a salary and a team."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    team: Mapped[str] = mapped_column(String(10))
    salary: Mapped[int]
    tasks: Mapped[list["Task"]] = relationship(passive_deletes="all")


class Task(Base):
    __tablename__ = "tasks"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Employee.id))


class TaskRead(ReadSchema):
    id: int


class PersonCreate(Schema):
    team: str
    salary: int


class PersonUpdate(PersonCreate, partial=True): ...


class PersonRead(ReadSchema):
    id: int
    team: str
    salary: int


class BusyPersonRead(PersonRead):
    tasks: Annotated[list[TaskRead], Limit(3)]


class PersonQuery(ListQuery[Employee]):
    team: str | None = None
    sort: SortBy[Literal["salary"]] = None


class People(Resource[Employee]): ...


def people(
    resource: type[Resource[Employee]] = People, read: type[ReadSchema] = PersonRead
) -> APIRouter:
    return crud_router(
        "/people",
        resource,
        read=read,
        create=PersonCreate,
        update=PersonUpdate,
        query=PersonQuery,
    )


def app_of(resource: type[Resource[Employee]], read: type[ReadSchema] = PersonRead) -> FastAPI:
    return notes_app(Database("sqlite:///unused.db"), people(resource, read))


def person_rows(count: int = ROWS, **values: Any) -> list[dict[str, Any]]:
    return [{"team": "ab"[n % 2], "salary": n} | values for n in range(count)]


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    """Return the URL of a database with people of the teams a and b."""
    return await tables.of(Base.metadata, backend, {Employee: person_rows()})


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Yield a database with people of the teams a and b."""
    database = Database(url, pool_size=4)
    yield database
    await database.dispose()


def client_for(
    database: Database, resource: type[Resource[Employee]], **options: Any
) -> AsyncClient:
    """Return a client of *resource* over *database*."""
    return client_of(app_of(resource, **options), {"database": database})


async def exported_rows(client: AsyncClient, **headers: str) -> list[dict[str, Any]]:
    response = await client.get("/people", headers=LINES | headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == NDJSON
    return [json.loads(line) for line in response.content.splitlines()]


# --- Overridden methods --------------------------------------------------------------------------


class Discreet(Resource[Employee]):
    """People without their salaries in lists."""

    @override
    async def page(self, at: ListQuery[Employee], /) -> Page[Employee]:
        page = await super().page(at)
        shown: Any = [{"id": person.id, "team": person.team, "salary": 0} for person in page.items]
        return replace(page, items=shown)


class Secretive(Resource[Employee]):
    @override
    async def get(self, key: object, /) -> Employee:
        if (person := await super().get(key)).team == "b":
            raise NotFound("Employee not found")
        return person


class Exported(Discreet):
    """People without their salaries in lists and exports."""

    @override
    async def export(self, at: ListQuery[Employee], /) -> AsyncGenerator[Employee]:
        async for person in super().export(at):
            shown: Any = {"id": person.id, "team": person.team, "salary": 0}
            yield shown


class Undone(Exported):
    """People with another override of lists."""

    @override
    async def page(self, at: ListQuery[Employee], /) -> Page[Employee]:
        return replace(await super().page(at), items=[])


class Both(Resource[Employee]):
    @override
    async def page(self, at: ListQuery[Employee], /) -> Page[Employee]:
        return replace(await super().page(at), items=[])

    @override
    async def export(self, at: ListQuery[Employee], /) -> AsyncGenerator[Employee]:
        async for person in super().export(at):
            if person.salary >= ROWS - 1:
                yield person


@pytest.mark.parametrize("resource", [Discreet, Secretive, Undone])
async def test_overridden_read_without_export_disables_the_export(
    database: Database, resource: type[Resource[Employee]]
) -> None:
    async with client_for(database, resource) as client:
        assert summary(await client.get("/people", headers=LINES)) == "406"
        assert (await client.head("/people", headers=LINES)).status_code == 406
        response = await client.get("/people", headers={"accept": f"{NDJSON}, */*;q=0.1"})
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
        document = (await client.get("/openapi.json")).json()
        content = document["paths"]["/people"]["get"]["responses"]["200"]["content"]
        assert content.keys() == {"application/json"}


async def test_overridden_export_is_used(database: Database) -> None:
    async with client_for(database, Exported) as client:
        listed = (await client.get("/people?limit=100")).json()
        exported = await exported_rows(client)
        assert exported[:100] == listed
        assert (len(exported), {person["salary"] for person in exported}) == (ROWS, {0})
        document = (await client.get("/openapi.json")).json()
        content = document["paths"]["/people"]["get"]["responses"]["200"]["content"]
        assert content.keys() == {"application/json", NDJSON}
    async with client_for(database, Both) as client:
        assert [person["salary"] for person in await exported_rows(client)] == [ROWS - 1]


async def test_error_in_an_export_is_a_problem(database: Database) -> None:
    class Refusing(Resource[Employee]):
        @override
        async def export(self, at: ListQuery[Employee], /) -> AsyncGenerator[Employee]:
            async for person in super().export(at):
                if person.salary == 1:
                    raise Conflict("Not all of them.")
                yield person

    async with client_for(database, Refusing) as client:
        assert summary(await client.get("/people", headers=LINES)) == "409"
    assert connections_in_use(database) == 0


async def test_export_cannot_write(database: Database) -> None:
    class Writing(Resource[Employee]):
        @override
        async def export(self, at: ListQuery[Employee], /) -> AsyncGenerator[Employee]:
            await self.session.execute(insert(Employee), person_rows(1))
            async for person in super().export(at):
                yield person

    async with client_for(database, Writing) as client:
        assert (await client.get("/people", headers=LINES)).status_code == 500
    async with client_for(database, People) as client:
        assert len(await exported_rows(client)) == ROWS


async def test_script_can_export(database: Database) -> None:
    async with database.session(readonly=True) as session:
        rows = People(session=session)
        found = [row.salary async for row in rows.export(PersonQuery(team="a"))]
    assert found == [*range(0, ROWS, 2)]


async def test_script_can_stop_an_export(database: Database) -> None:
    async with database.session(readonly=True) as session:
        rows = People(session=session)
        export = rows.export(PersonQuery())
        assert (await anext(export)).salary == 0
        await export.aclose()
        assert await session.scalar(select(func.count(Employee.id))) == ROWS


# --- The same transaction ------------------------------------------------------------------------


async def set_team(session: SessionDep, team: Annotated[str, Header()]) -> None:
    """Set the team of the transaction."""
    await session.execute(text("SELECT set_config('app.team', :team, true)"), {"team": team})


class OfSetting(Resource[Employee]):
    team: Annotated[None, Depends(set_team)]

    @override
    def query(self) -> Select[Employee]:
        return super().query().where(Employee.team == func.current_setting("app.team", true()))


@postgres_only
async def test_setting_of_a_dependency_applies(database: Database) -> None:
    async with client_for(database, OfSetting) as client:
        for team in "ab":
            assert {person["team"] for person in await exported_rows(client, team=team)} == {team}
        assert await exported_rows(client, team="c") == []


async def take_role(session: SessionDep, team: Annotated[str, Header()]) -> None:
    """Take a role under row-level security."""
    await session.execute(text("SET LOCAL ROLE team_member"))
    await session.execute(text("SELECT set_config('app.team', :team, true)"), {"team": team})


class OfRole(Resource[Employee]):
    role: Annotated[None, Depends(take_role)]


@postgres_only
async def test_role_of_a_dependency_applies(database: Database) -> None:
    async with database.session() as session:
        for statement in (
            "DO $$ BEGIN CREATE ROLE team_member; EXCEPTION WHEN duplicate_object THEN END $$",
            "GRANT ALL ON people TO team_member",
            "ALTER TABLE people ENABLE ROW LEVEL SECURITY",
            "DROP POLICY IF EXISTS team ON people",
            "CREATE POLICY team ON people USING (team = current_setting('app.team', true))",
        ):
            await session.execute(text(statement))
    async with client_for(database, OfRole) as client:
        for team in "ab":
            assert {person["team"] for person in await exported_rows(client, team=team)} == {team}
    async with database.session() as session:
        await session.execute(text("ALTER TABLE people DISABLE ROW LEVEL SECURITY"))


@pytest.fixture
async def other(databases: Databases, backend: str) -> AsyncIterator[Database]:
    """Yield another database, with three people."""
    database = Database(databases.empty(backend), pool_size=2)
    await database.create_all(Base.metadata)
    await insert_rows(database, {Employee: person_rows(3, team="other")})
    yield database
    await database.dispose()


async def test_database_of_a_dependency_is_exported(database: Database, other: Database) -> None:
    async def session_of(team: Annotated[str, Header()]) -> AsyncGenerator[AsyncSession]:
        chosen = other if team == "other" else database
        async with chosen.session(readonly=True) as session:
            yield session

    class Elsewhere(Resource[Employee]):
        session: Annotated[AsyncSession, Depends(session_of, scope="function")]

    async with client_for(database, Elsewhere) as client:
        assert len(await exported_rows(client, team="other")) == 3
        assert len(await exported_rows(client, team="ours")) == ROWS
    assert connections_in_use(database) == connections_in_use(other) == 0


async def test_session_of_another_engine_is_exported(database: Database, other: Database) -> None:
    engine = create_async_engine(other.url)

    async def their_session() -> AsyncGenerator[AsyncSession]:
        async with async_sessionmaker(engine)() as session:
            yield session

    class Elsewhere(Resource[Employee]):
        session: Annotated[AsyncSession, Depends(their_session)]

    async with client_for(database, Elsewhere) as client:
        assert len(await exported_rows(client)) == 3
    assert "Current Checked out connections: 0" in engine.pool.status()
    await engine.dispose()


@postgres_only
async def test_session_within_an_outer_transaction_is_exported(database: Database) -> None:
    engine = create_async_engine(database.url)
    async with engine.connect() as connection, connection.begin():
        await connection.execute(insert(Employee), person_rows(1, team="outer"))

        async def their_session() -> AsyncGenerator[AsyncSession]:
            async with AsyncSession(connection, join_transaction_mode="create_savepoint") as own:
                yield own

        class Elsewhere(Resource[Employee]):
            session: Annotated[AsyncSession, Depends(their_session)]

        async with client_for(database, Elsewhere) as client:
            assert len(await exported_rows(client)) == ROWS + 1
            assert len((await client.get("/people?team=outer")).json()) == 1
    await engine.dispose()


async def read_before(session: SessionDep) -> None:
    """Begin the transaction."""
    await session.execute(select(func.count(Employee.id)))


class Begun(Resource[Employee]):
    begun: Annotated[None, Depends(read_before)]


@pytest.mark.parametrize("resource", [People, Begun])
async def test_export_shows_one_snapshot(
    database: Database, resource: type[Resource[Employee]]
) -> None:
    download = Download(database, app=app_of(resource, BusyPersonRead), path="/people")
    first = await download.lines()
    async with database.session() as session:
        keys = (await session.scalars(select(Employee.id))).all()
        await session.execute(insert(Task), [{"person_id": key} for key in keys])
    shown = [json.loads(line) for line in [*first, *await download.rest()]]

    assert len(shown) == ROWS
    assert [person["id"] for person in shown if person["tasks"]] == []


async def test_export_sends_one_statement(database: Database) -> None:
    async with client_for(database, People) as client:
        with statements() as sent:
            await exported_rows(client)
    assert len(sent) == 1


class Journal:
    """The steps of a dependency and an export, in their order."""

    def __init__(self) -> None:
        """Start without entries."""
        self.entries: list[str] = []

    async def begin(self, tasks: BackgroundTasks) -> AsyncIterator[None]:
        self.entries.append("begin")
        tasks.add_task(self.entries.append, "task")
        yield
        self.entries.append("end")


def journaled(journal: Journal) -> type[Resource[Employee]]:
    class Journaled(Resource[Employee]):
        begun: Annotated[None, Depends(journal.begin, scope="function")]

        @override
        async def export(self, at: ListQuery[Employee], /) -> AsyncGenerator[Employee]:
            try:
                async for person in super().export(at):
                    yield person
            finally:
                journal.entries.append("exported")

    return Journaled


async def test_dependencies_exit_after_the_last_row(database: Database) -> None:
    journal = Journal()
    download = Download(database, app=app_of(journaled(journal)), path="/people")
    await download.lines()
    assert journal.entries == ["begin"]

    await download.rest()
    assert journal.entries == ["begin", "exported", "end", "task"]
    assert connections_in_use(database) == 0


async def test_dependencies_exit_when_the_client_disconnects(database: Database) -> None:
    journal = Journal()
    download = Download(database, app=app_of(journaled(journal)), path="/people")
    await download.lines()
    await download.leave()

    assert journal.entries[:3] == ["begin", "exported", "end"]
    assert connections_in_use(database) == 0


async def test_disconnected_client_gets_no_final_chunk(database: Database) -> None:
    download = Download(database, app=app_of(People), path="/people")
    await download.lines()
    await download.leave()

    assert [message for message in download.late if not message.get("more_body", True)] == []


class Stuck(Resource[Employee]):
    @override
    async def export(self, at: ListQuery[Employee], /) -> AsyncGenerator[Employee]:
        async for person in super().export(at):
            yield person
        await self.session.execute(text("SELECT pg_sleep(60)"))


@postgres_only
async def test_client_may_disconnect_during_a_query(database: Database) -> None:
    download = Download(database, app=app_of(Stuck), path="/people")
    for _ in range(ROWS // 50):
        await download.lines()
    await download.leave()

    assert download.task.exception() is None
    assert connections_in_use(database) == 0


async def test_dependencies_exit_if_the_response_is_never_sent(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def do_not_send(*_: object) -> None: ...

    monkeypatch.setattr(Export, "__call__", do_not_send)
    journal = Journal()
    async with client_for(database, journaled(journal)) as client:
        with pytest.raises(AssertionError):
            await client.get("/people", headers=LINES)

    assert journal.entries[-1] == "end"
    assert connections_in_use(database) == 0


async def fail_at_the_end() -> AsyncIterator[None]:
    """Fail after the response, as a commit can."""
    yield
    raise Conflict("Read again.")


class Failing(Resource[Employee]):
    failing: Annotated[None, Depends(fail_at_the_end, scope="function")]


async def test_failed_transaction_truncates_the_export(database: Database) -> None:
    download = Download(database, app=app_of(Failing), path="/people")
    with pytest.raises(Exception, match=r"response already started|Read again"):
        await download.rest()

    assert connections_in_use(database) == 0


async def test_exports_are_limited_per_database(database: Database, other: Database) -> None:
    async def session_of(team: Annotated[str, Header()] = "") -> AsyncGenerator[AsyncSession]:
        chosen = other if team == "other" else database
        async with chosen.session(readonly=True) as session:
            yield session

    class Elsewhere(Resource[Employee]):
        session: Annotated[AsyncSession, Depends(session_of, scope="function")]

    downloads = [Download(database, app=app_of(Elsewhere), path="/people") for _ in range(2)]
    for download in downloads:
        await download.lines()
    async with client_for(database, Elsewhere) as client:
        assert summary(await client.get("/people", headers=LINES)) == "503"
        assert len(await exported_rows(client, team="other")) == 3
    for download in downloads:
        await download.rest()
