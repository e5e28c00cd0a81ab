"""The fixtures, in the tests of a project."""

import pytest

from tests.support.postgres import Postgres

MAIN = """
from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from brickwork import Database, ReadSchema, Resource, Schema, crud_router, install


class Base(DeclarativeBase): ...


class Team(Base):
    __tablename__ = "teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    leader_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))


class Person(Base):
    __tablename__ = "people"
    __table_args__ = {"sqlite_autoincrement": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id"))


class Plan(Base):
    __tablename__ = "plans"
    id: Mapped[int] = mapped_column(primary_key=True)


class TeamCreate(Schema):
    name: str
    leader_id: int | None = None


class TeamRead(ReadSchema):
    id: int
    name: str
    leader_id: int | None


class TeamUpdate(TeamCreate, partial=True): ...


class PersonCreate(Schema):
    team_id: int


class PersonRead(ReadSchema):
    id: int
    team_id: int


class Teams(Resource[Team]): ...
class People(Resource[Person]): ...


def create_app(url: str) -> FastAPI:
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app)
    app.include_router(
        crud_router("/teams", Teams, read=TeamRead, create=TeamCreate, update=TeamUpdate)
    )
    app.include_router(crud_router("/people", People, read=PersonRead, create=PersonCreate))

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("a bug")

    return app
"""

CONFTEST = """
import asyncio

import pytest
from fastapi import FastAPI
from sqlalchemy import insert, text

from brickwork import Database
from main import Base, Plan, create_app

pytest_plugins = ["brickwork.testing"]


@pytest.fixture(scope="session")
def app(database_url: str) -> FastAPI:
    async def migrate() -> None:
        database = Database(database_url)
        await database.create_all(Base.metadata)
        async with database.session() as session:
            await session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
            await session.execute(text("INSERT INTO alembic_version VALUES ('1')"))
            await session.execute(insert(Plan), [{"id": 1}, {"id": 2}])
        await database.dispose()

    asyncio.run(migrate())
    return create_app(database_url)


@pytest.fixture(scope="session")
def kept_tables() -> set[str]:
    return {"plans"}
"""

TESTS = """
import pytest
from sqlalchemy import text

from brickwork import Database
from brickwork.testing import assert_statements, build
from main import Base, PersonCreate, TeamCreate

pytestmark = pytest.mark.anyio

seen: list[object] = []


@pytest.mark.parametrize("number", range(3))
async def test_rows_are_gone(client, database_url, number):
    assert (await client.get("/teams")).json() == []
    team = (await client.post("/teams", json=build(TeamCreate))).json()
    person = await client.post("/people", json=build(PersonCreate, team_id=team["id"]))
    assert (team["id"], person.json()["id"]) == (1, 1)
    await client.patch("/teams/1", json={"leader_id": 1})
    database = Database(database_url)
    async with database.session() as session:
        assert (await session.scalars(text("SELECT id FROM plans"))).all() == [1, 2]
        assert await session.scalar(text("SELECT version_num FROM alembic_version")) == "1"
    await database.dispose()


async def test_keys_restart_after_rows_were_deleted(client):
    for _ in range(2):
        assert (await client.post("/teams", json={"name": "a"})).json()["id"] >= 1
    for key in (1, 2):
        assert (await client.delete(f"/teams/{key}")).status_code == 204


async def test_keys_begin_again(client):
    assert (await client.post("/teams", json={"name": "a"})).json()["id"] == 1


async def test_bugs_are_raised(client):
    with pytest.raises(RuntimeError, match="a bug"):
        await client.get("/bug")


async def test_statements(client):
    with assert_statements(1):
        await client.post("/teams", json={"name": "a"})
    with pytest.raises(AssertionError, match="1 statements instead of 2:\\n  1. SELECT"):
        with assert_statements(2):
            await client.get("/teams/1")


def test_the_first_body():
    seen.append(build(TeamCreate))


def test_a_synchronous_test_has_a_database(database_url):
    assert "test" in database_url
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    pytester.makepyfile(main=MAIN)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_teams=TESTS)
    pytester.makeini("[pytest]\nfilterwarnings = error")
    return pytester


ARGUMENTS = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:hypothesispytest", "-q")


def test_an_application_with_another_database_is_refused(project: pytest.Pytester) -> None:
    conftest = CONFTEST.replace("create_app(database_url)", "create_app('sqlite:///service.db')")
    project.makeconftest(conftest)
    result = project.runpytest_subprocess(*ARGUMENTS, "-k", "bugs")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*and not the database of the tests. Each test empties*"])


def test_a_project_without_an_application_fails(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["brickwork.testing"]')
    pytester.makepyfile(test_it="import pytest\n@pytest.mark.anyio\nasync def test(client): ...")
    result = pytester.runpytest_subprocess(*ARGUMENTS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["The tests have no application. Add a fixture to conftest.py:"])


def test_a_server_that_cannot_be_used_is_an_error(project: pytest.Pytester) -> None:
    url = "postgresql://127.0.0.1:1/shop"
    result = project.runpytest_subprocess(*ARGUMENTS, "--database-url", url, "-k", "synchronous")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["No test database on *Start the server, or correct*"])


def test_failing_before_each_test_names_the_cause(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_open="""
        import pytest
        from sqlalchemy import text
        from brickwork import Database

        pytestmark = pytest.mark.anyio

        @pytest.fixture
        async def held(database_url, anyio_backend, app):
            database = Database(database_url)
            async with database.writer.begin() as connection:
                await connection.execute(text("INSERT INTO plans VALUES (3)"))
                await connection.execute(text("INSERT INTO teams VALUES (3, 'a', NULL)"))
                yield
                await connection.rollback()
            await database.dispose()

        async def test_first(client): await client.post("/teams", json={"name": "a"})
        async def test_second(held, client): ...
        """
    )
    result = project.runpytest_subprocess(*ARGUMENTS, "test_open.py")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["The tables cannot be emptied*Has a test left*"])


NAMED = """
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

running = []


def create_app(name):
    @asynccontextmanager
    async def lifespan(app):
        running.append(name)
        yield {"name": name}
        running.remove(name)

    app = FastAPI(lifespan=lifespan)

    @app.get("/names")
    async def names(request: Request) -> list[str]:
        return [request.state.name, *running]

    return app
"""

NAMED_CONFTEST = """
import pytest

from main import create_app


@pytest.fixture(scope="{scope}")
def app():
    return create_app("{name}")
"""

NAMED_TEST = """
import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("number", range(2))
async def test_names(client, number):
    assert (await client.get("/names")).json() == ["{name}", "{name}"]
"""


def test_each_folder_has_an_application_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(main=NAMED)
    pytester.makeconftest('pytest_plugins = ["brickwork.testing"]')
    for name, scope in (("one", "session"), ("three", "function"), ("two", "session")):
        folder = pytester.mkpydir(name)
        (folder / "conftest.py").write_text(NAMED_CONFTEST.format(name=name, scope=scope))
        (folder / "test_it.py").write_text(NAMED_TEST.format(name=name))
    pytester.runpytest_subprocess(*ARGUMENTS).assert_outcomes(passed=6)


def test_tables_are_emptied_before_each_test_on_sqlite(project: pytest.Pytester) -> None:
    project.runpytest_subprocess(*ARGUMENTS).assert_outcomes(passed=9)


def test_tables_are_emptied_before_each_test_on_postgresql(
    project: pytest.Pytester, postgres: Postgres
) -> None:
    result = project.runpytest_subprocess(*ARGUMENTS, "--database-url", postgres.url)
    result.assert_outcomes(passed=9)
