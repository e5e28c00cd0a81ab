"""Database errors, and the problems they become."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    event,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import INT4RANGE, ExcludeConstraint, Range
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, column_property, mapped_column

from brickwork import (
    Conflict,
    Database,
    Model,
    Problem,
    RefusedByDatabase,
    ServiceUnavailable,
    UnprocessableContent,
)
from brickwork.database.errors import classify
from brickwork.problems import problem_for_status
from tests.support.databases import BACKENDS, Databases
from tests.support.waiting import until

postgresql_only = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
sqlite_only = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

LONG = "a_name_that_is_so_long_that_postgresql_cuts_it_off_at_63_bytes"


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Maker(Base):
    __tablename__ = "makers"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    mail: Mapped[str] = mapped_column("email", String(20), unique=True)
    stamp: Mapped[str | None] = mapped_column(unique=True)
    shouted = column_property(func.upper(mail))


class Brick(Base):
    __tablename__ = "bricks"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    maker_id: Mapped[int | None] = mapped_column(ForeignKey("makers.id"))
    maker_stamp: Mapped[str | None] = mapped_column(ForeignKey("makers.stamp"))
    slug: Mapped[str | None] = mapped_column()
    hidden: Mapped[bool] = mapped_column(default=False)
    name: Mapped[str | None] = mapped_column()
    x: Mapped[int | None]
    y: Mapped[int | None]
    size: Mapped[int] = mapped_column(default=1)
    weight: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        UniqueConstraint("x", "y"),
        CheckConstraint("size > 0", name="size"),
        CheckConstraint(weight > 0, name="weight"),
        Index("ux_slug", slug, unique=True, sqlite_where=~hidden, postgresql_where=~hidden),
        Index("ux_name", func.lower(name), unique=True),
    )


class Wall(Base):
    """A row with every kind of reference to bricks."""

    __tablename__ = "walls"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    first_id: Mapped[int | None] = mapped_column(ForeignKey("bricks.id", ondelete="RESTRICT"))
    last_id: Mapped[int | None] = mapped_column(
        ForeignKey("bricks.id", deferrable=True, initially="DEFERRED")
    )
    x: Mapped[int | None]
    y: Mapped[int | None]
    kind: Mapped[str] = mapped_column(default="wall")

    __table_args__: Any = (ForeignKeyConstraint(["x", "y"], ["bricks.x", "bricks.y"]),)
    __mapper_args__ = {  # noqa: RUF012 — SQLAlchemy declares it
        "polymorphic_on": "kind",
        "polymorphic_identity": "wall",
    }


class Tower(Wall):
    """A wall with a second table, by joined inheritance."""

    __tablename__ = "towers"

    id: Mapped[int] = mapped_column(ForeignKey("walls.id"), primary_key=True)
    height: Mapped[int] = mapped_column(unique=True)

    __table_args__ = ()
    __mapper_args__ = {"polymorphic_identity": "tower"}  # noqa: RUF012 — as above


class Verbose(Base):
    __tablename__ = LONG

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    one: Mapped[int]
    two: Mapped[int]

    __table_args__ = (UniqueConstraint("one", "two"),)


class Narrow(Base):
    """A model that maps one of two columns of its table."""

    __table__ = Table("wide", MetaData(), Column("id", Integer, primary_key=True))


def prepare(connection: Connection) -> None:
    Base.metadata.create_all(connection)
    connection.execute(text("CREATE TABLE wide (id INTEGER PRIMARY KEY, more INTEGER NOT NULL)"))


@pytest.fixture(scope="module", params=BACKENDS)
async def database(request: pytest.FixtureRequest, templates: Databases) -> AsyncIterator[Database]:
    """Return a database with a few rows, which no test changes."""
    databases = templates.another()
    database = Database(databases.empty(request.param))
    async with database.writer.begin() as connection:
        await connection.run_sync(prepare)
    async with database.session() as session:
        session.add_all([Maker(id=1, mail="a", stamp="A"), Maker(id=2, mail="b")])
        await session.flush()
        session.add_all(
            [
                Brick(id=1, maker_id=1, maker_stamp="A", slug="s", name="Red", x=1, y=1),
                Brick(id=2, x=2, y=2),
                Brick(id=3, slug="h", hidden=True),
                Brick(id=4),
            ]
        )
        await session.flush()
        session.add_all(
            [
                Wall(id=1, first_id=1),
                Wall(id=2, last_id=2),
                Tower(id=3, height=3),
                Verbose(id=1, one=1, two=1),
            ]
        )
    yield database
    await database.dispose()
    databases.drop()


Work = Callable[[AsyncSession], Awaitable[object]]


def add_rows(*rows: Base) -> Work:
    async def work(session: AsyncSession) -> None:
        for row in rows:
            session.add(type(row)(**column_values(row)))  # a copy, as a row is of one session
            await session.flush()

    return work


def column_values(row: Base) -> dict[str, Any]:
    return {name: value for name, value in vars(row).items() if not name.startswith("_")}


def change_row(model: type[Base], key: int, **values: object) -> Work:
    async def work(session: AsyncSession) -> None:
        row = await session.get_one(model, key)
        for name, value in values.items():
            setattr(row, name, value)
        await session.flush()

    return work


def delete_row(model: type[Base], key: int) -> Work:
    async def work(session: AsyncSession) -> None:
        await session.delete(await session.get_one(model, key))
        await session.flush()

    return work


def execute_sql(*statements: str) -> Work:
    async def work(session: AsyncSession) -> None:
        for statement in statements:
            await session.execute(text(statement))

    return work


async def raised_problem(database: Database, work: Work) -> Problem:
    """Return the problem that *work* and its commit raise."""
    with pytest.raises(Problem) as raised:
        async with database.session() as session:
            await work(session)
    return raised.value


TAKEN, MISSING, NULL, CHECK = "not_unique", "reference_not_found", "not_nullable", "check_failed"


@pytest.mark.parametrize(
    ("work", "kind", "faults"),
    [
        (add_rows(Maker(id=3, mail="a")), Conflict, {"mail": TAKEN}),
        (add_rows(Maker(id=1, mail="c")), Conflict, {"id": TAKEN}),
        (change_row(Maker, 2, mail="a"), Conflict, {"mail": TAKEN}),
        (add_rows(Brick(id=9, x=1, y=1)), Conflict, {"x": TAKEN, "y": TAKEN}),
        (add_rows(Brick(id=9, slug="s")), Conflict, {"slug": TAKEN}),
        (change_row(Brick, 3, slug="s", hidden=False), Conflict, {"slug": TAKEN}),
        (add_rows(Brick(id=9, name="RED")), Conflict, {"name": TAKEN}),
        (add_rows(Tower(id=9, height=3)), Conflict, {"height": TAKEN}),
        (add_rows(Tower(id=1, height=4)), Conflict, {"id": TAKEN}),
        (add_rows(Verbose(id=9, one=1, two=1)), Conflict, {"one": TAKEN, "two": TAKEN}),
        (add_rows(Maker(id=9)), UnprocessableContent, {"mail": NULL}),
        (change_row(Maker, 1, mail=None), UnprocessableContent, {"mail": NULL}),
        (add_rows(Brick(id=9, size=0)), UnprocessableContent, {"size": CHECK}),
        (add_rows(Brick(id=9, weight=0)), UnprocessableContent, {"weight": CHECK}),
        (add_rows(Brick(id=9, maker_id=9)), UnprocessableContent, {"maker_id": MISSING}),
        (change_row(Brick, 1, maker_id=9), UnprocessableContent, {"maker_id": MISSING}),
        (
            add_rows(Brick(id=9, maker_id=1, maker_stamp="Z")),
            UnprocessableContent,
            {"maker_stamp": MISSING},
        ),
        (add_rows(Wall(id=9, first_id=9)), UnprocessableContent, {"first_id": MISSING}),
        (add_rows(Wall(id=9, last_id=9)), UnprocessableContent, {"last_id": MISSING}),
        (change_row(Wall, 2, last_id=9), UnprocessableContent, {"last_id": MISSING}),
        (add_rows(Tower(id=9, height=9, first_id=9)), UnprocessableContent, {"first_id": MISSING}),
        (add_rows(Wall(id=9, x=1, y=2)), UnprocessableContent, {"x": MISSING, "y": MISSING}),
        (
            add_rows(Maker(id=9, mail="z"), Brick(id=9, maker_id=9), Wall(id=9, first_id=8)),
            UnprocessableContent,
            {"first_id": MISSING},
        ),
        (delete_row(Maker, 1), Conflict, {}),
        (delete_row(Brick, 1), Conflict, {}),
        (delete_row(Brick, 2), Conflict, {}),
        (change_row(Maker, 1, stamp="B"), Conflict, {}),
        (add_rows(Narrow(id=9)), UnprocessableContent, {}),
        (execute_sql("DELETE FROM bricks WHERE id = 1"), Conflict, {}),
        (
            execute_sql(
                "INSERT INTO bricks (id, maker_id, hidden, size, weight) VALUES (9, 9, false, 1, 1)"
            ),
            UnprocessableContent,
            {},
        ),
    ],
    ids=[
        "unique",
        "primary key",
        "unique, changed",
        "unique together",
        "partial unique index",
        "partial unique index, changed",
        "unique expression",
        "unique, in the table of a subclass",
        "primary key of a subclass",
        "unique, with a truncated name",
        "not null",
        "not null, changed",
        "check of text",
        "check of a column",
        "reference",
        "reference, changed",
        "reference to another column",
        "reference that restricts",
        "reference that is deferred",
        "reference that is deferred, changed",
        "reference of a superclass",
        "reference of two columns",
        "one of several references",
        "referred to",
        "referred to, restricted",
        "referred to, deferred",
        "referred to in a column that changes",
        "not null, and not mapped",
        "referred to, in SQL",
        "reference, in SQL",
    ],
)
async def test_problem_names_the_same_fields_on_both_databases(
    database: Database, work: Work, kind: type[Problem], faults: dict[str, str]
) -> None:
    problem = await raised_problem(database, work)
    assert type(problem) is kind
    assert {fault.pointer: fault.code for fault in problem.errors} == {
        f"#/{name}": code for name, code in faults.items()
    }


async def test_failed_commit_leaves_nothing_to_the_next_transaction(
    database: Database,
) -> None:
    await raised_problem(database, add_rows(Wall(id=9, last_id=9)))
    async with database.session() as session:
        assert await session.get(Wall, 9) is None


async def test_value_outside_a_partial_unique_index_can_repeat(
    database: Database,
) -> None:
    async with database.session() as session:
        session.add_all(Brick(id=10 + n, slug="s", hidden=True) for n in range(2))
        await session.flush()
        await session.rollback()


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM nowhere", "SELEKT 1", "SELECT no_column FROM bricks"]
)
async def test_programming_error_is_not_classified(database: Database, statement: str) -> None:
    with pytest.raises(DBAPIError) as error:
        async with database.session() as session:
            await session.execute(text(statement))
    assert classify(error.value) is None


@postgresql_only
@pytest.mark.parametrize(
    "work",
    [
        add_rows(Maker(id=9, mail="a" * 21)),
        add_rows(Maker(id=9, mail="a\0")),
        add_rows(Maker(id=2**31, mail="c")),
        change_row(Brick, 4, x=2**40),
        execute_sql("SELECT CAST(1000 AS numeric(3, 1))"),
        execute_sql("SELECT date '2000-01-01' + 2147483647"),
        execute_sql("SELECT CAST('five' AS integer)"),
        execute_sql("SELECT CAST('2000-13-01' AS date)"),
        execute_sql("""SELECT CAST('{"a": "\\u0000"}' AS jsonb)"""),
    ],
    ids=[
        "text too long",
        "null character",
        "integer too large",
        "integer too large, changed",
        "number out of range",
        "date out of range",
        "no integer",
        "no date",
        "null character in JSON",
    ],
)
async def test_value_that_postgresql_cannot_hold_is_invalid(database: Database, work: Work) -> None:
    problem = await raised_problem(database, work)
    assert (type(problem), list(problem.errors)) == (UnprocessableContent, [])


RAISED = "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{}'; END $$"


@postgresql_only
@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("DO $$ BEGIN RAISE EXCEPTION 'no'; END $$", RefusedByDatabase),
        ("DO $$ BEGIN ASSERT false; END $$", RefusedByDatabase),
        (RAISED.format("MY001"), RefusedByDatabase),
        (RAISED.format("0A000"), RefusedByDatabase),
        (RAISED.format("22023"), RefusedByDatabase),
        (RAISED.format("23000"), RefusedByDatabase),
        (RAISED.format("23505"), Conflict),
        (RAISED.format("23514"), UnprocessableContent),
        (RAISED.format("40001"), ServiceUnavailable),
        (RAISED.format("42501"), problem_for_status(403)),
        ("SELECT 1 / 0", UnprocessableContent),
        ("SELECT sqrt(-1)", UnprocessableContent),
        ("SELECT repeat('a', 2000000000) || repeat('a', 2000000000)", UnprocessableContent),
    ],
)
async def test_postgresql_error_becomes_the_problem_of_its_sqlstate(
    database: Database, statement: str, kind: type[Problem]
) -> None:
    problem = await raised_problem(database, execute_sql(statement))
    assert (type(problem), list(problem.errors)) == (kind, [])


@sqlite_only
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO makers (id, email) VALUES ('abc', 'z')",
        "SELECT zeroblob(2000000000)",
    ],
)
async def test_value_that_sqlite_cannot_hold_is_invalid(database: Database, statement: str) -> None:
    problem = await raised_problem(database, execute_sql(statement))
    assert (type(problem), list(problem.errors)) == (UnprocessableContent, [])


@postgresql_only
async def test_text_too_long_for_an_index_is_invalid(database: Database) -> None:
    long = "".join(str(number) for number in range(20_000))
    problem = await raised_problem(database, add_rows(Brick(id=9, name=long)))
    assert type(problem) is UnprocessableContent


@postgresql_only
async def test_row_outside_the_check_option_of_a_view_is_invalid(database: Database) -> None:
    view = "CREATE VIEW small AS SELECT * FROM makers WHERE id < 5 WITH CHECK OPTION"
    insert = "INSERT INTO small (id, email) VALUES (9, 'z')"
    problem = await raised_problem(database, execute_sql(view, insert))
    assert type(problem) is UnprocessableContent


@postgresql_only
async def test_configuration_error_is_not_a_problem(
    database: Database,
) -> None:
    with pytest.raises(DBAPIError):
        async with database.session() as session:
            await execute_sql("SELECT set_config('no_such_setting', '1', false)")(session)


@postgresql_only
async def test_violated_exclusion_constraint_is_a_conflict(database: Database) -> None:
    class Booking(Base):
        __tablename__ = "bookings"

        id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
        nights: Mapped[Range[int]] = mapped_column(INT4RANGE)

        __table_args__ = (ExcludeConstraint(("nights", "&&"), name="no_overlap", using="gist"),)

    async with database.writer.begin() as connection:
        await connection.run_sync(Base.metadata.tables["bookings"].create)
    bookings = [Booking(id=n, nights=Range(n, n + 2)) for n in range(2)]
    problem = await raised_problem(database, add_rows(*bookings))
    assert type(problem) is Conflict
    assert [(fault.pointer, fault.code) for fault in problem.errors] == [("#/nights", TAKEN)]


async def lock(session: AsyncSession, key: int) -> None:
    await session.execute(update(Brick).where(Brick.id == key).values(size=2))


@postgresql_only
async def test_deadlock_is_contention(database: Database) -> None:
    async def run(keys: list[int]) -> None:
        async with database.session() as session:
            await session.execute(text("SET LOCAL deadlock_timeout = '5ms'"))
            await lock(session, keys[0])
            await barrier.wait()
            await lock(session, keys[1])

    barrier = asyncio.Barrier(2)
    ends = await asyncio.gather(run([3, 4]), run([4, 3]), return_exceptions=True)
    (problem,) = (end for end in ends if end is not None)
    assert isinstance(problem, ServiceUnavailable)
    assert (problem.retryable, problem.headers) == (True, {"Retry-After": "1"})


@postgresql_only
async def test_serialization_failure_is_contention(
    database: Database,
) -> None:
    async def work(session: AsyncSession) -> None:
        _ = await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        await session.scalar(select(Brick.size))
        async with database.session() as other:
            await lock(other, 4)
        await lock(session, 4)

    problem = await raised_problem(database, work)
    assert (type(problem), problem.retryable) == (ServiceUnavailable, True)


@postgresql_only
async def test_lock_timeout_is_unavailable(database: Database) -> None:
    async with database.session() as other:
        await lock(other, 4)

        async def work(session: AsyncSession) -> None:
            await session.execute(text("SET LOCAL lock_timeout = '5ms'"))
            await lock(session, 4)

        problem = await raised_problem(database, work)
    assert (type(problem), problem.retryable) == (ServiceUnavailable, False)
    assert problem.headers == {"Retry-After": "1"}


@postgresql_only
@pytest.mark.parametrize(
    ("work", "retryable"),
    [
        (execute_sql("SET LOCAL statement_timeout = '5ms'", "SELECT pg_sleep(60)"), False),
        (execute_sql("SELECT pg_terminate_backend(pg_backend_pid())"), True),
    ],
    ids=["statement timeout", "connection closed"],
)
async def test_interrupted_statement_is_unavailable(
    database: Database, work: Work, *, retryable: bool
) -> None:
    problem = await raised_problem(database, work)
    assert (type(problem), problem.retryable) == (ServiceUnavailable, retryable)
    assert problem.headers == {"Retry-After": "1"}


@postgresql_only
async def test_idle_transaction_timeout_is_unavailable(database: Database) -> None:
    async def work(session: AsyncSession) -> None:
        await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '1ms'"))
        connection = await session.connection()
        driver = (await connection.get_raw_connection()).driver_connection
        await until(lambda: driver is None or driver.is_closed())
        await session.execute(text("SELECT 1"))

    problem = await raised_problem(database, work)
    assert (type(problem), problem.retryable) == (ServiceUnavailable, True)


@sqlite_only
async def test_lock_of_another_writer_is_contention(database: Database) -> None:
    impatient = Database(database.url)

    @event.listens_for(impatient.writer.sync_engine, "connect")
    def hurry(connection: Any, _: object) -> None:
        connection.cursor().execute("PRAGMA busy_timeout = 1")

    other = sqlite3.connect(str(database.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        problem = await raised_problem(impatient, execute_sql("SELECT 1"))
    finally:
        other.close()
        await impatient.dispose()
    assert isinstance(problem, ServiceUnavailable)
    assert (problem.retryable, problem.headers) == (True, {"Retry-After": "1"})


@sqlite_only
async def test_write_on_an_old_snapshot_is_contention(database: Database) -> None:
    async with database.reader.connect() as connection:
        await connection.execute(text("PRAGMA query_only = OFF"))
        await connection.execute(select(Brick.id))
        async with database.session() as session:
            await lock(session, 4)
        with pytest.raises(DBAPIError) as error:
            await connection.execute(update(Brick).values(size=2))
        await connection.execute(text("PRAGMA query_only = ON"))
    found = classify(error.value)
    assert found is not None
    assert found.kind == "contended"
