"""Triggers that reject, skip or change rows."""

# ruff: noqa: S608 — the statements are of constants

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import Connection, MetaData, String, event, select, text, update
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from brickwork import Database, Model, ReadSchema, Resource, Schema, Versioned, crud_router, install
from brickwork.database import triggers
from tests.support.bodies import create_row, get_json, summary
from tests.support.both import FAST, serving_routers
from tests.support.databases import postgres_only, sqlite_only
from tests.support.recording import path_taken
from tests.support.running import Running
from tests.support.tables import Tables

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Attempt(Base):
    """A record that a trigger writes before it rejects a row."""

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(String(20))


class Named:
    """Columns of a row that has no hash, as a dataclass has none."""

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    name: Mapped[str] = mapped_column(String(20))
    ending: Mapped[str] = mapped_column(String(20), default="")


class Plain(Base, Named):
    """A row with a key from the client, and no value from the database."""

    __tablename__ = "plain"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Counted(Base, Named, Versioned):
    """A row that counts its versions."""

    __tablename__ = "counted"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Numbered(Base, Named):
    """A row with a key from the database."""

    __tablename__ = "numbered"

    id: Mapped[int] = mapped_column(primary_key=True)


SECRET = "the words of a trigger"  # noqa: S105 — which no answer repeats

_SQLITE: Mapping[str, str] = {
    "abort": f"SELECT RAISE(ABORT, '{SECRET}')",
    "fail": f"SELECT RAISE(FAIL, '{SECRET}')",
    "rollback": f"SELECT RAISE(ROLLBACK, '{SECRET}')",
    "ignore": "SELECT RAISE(IGNORE)",
}
_POSTGRESQL: Mapping[str, str] = {
    "raise": f"RAISE EXCEPTION '{SECRET} %', whole",
    "custom": f"RAISE EXCEPTION '{SECRET}' USING ERRCODE = 'MY001'",
    "data": f"RAISE EXCEPTION '{SECRET}' USING ERRCODE = '22023'",
    "feature": f"RAISE EXCEPTION '{SECRET}' USING ERRCODE = '0A000'",
    "integrity": f"RAISE EXCEPTION '{SECRET}' USING ERRCODE = '23000'",
    "assert": f"ASSERT false, '{SECRET}'",
    "strict": "SELECT what INTO STRICT unused FROM attempts WHERE id = -1",
    "null": "RETURN NULL",
}
_BEFORE_ALONE = {"ignore", "null"}
"""Modes that reject a row only in a `BEFORE` trigger."""

REFUSALS = [
    pytest.param(backend, path, f"{when} {mode}", id=f"{backend}{path} {when} {mode}")
    for backend, modes in (("sqlite", _SQLITE), ("postgresql", _POSTGRESQL))
    for mode in modes
    for path, when in (
        ("/plain", "before"),
        ("/plain", "after"),
        ("/counted", "before"),
        ("/numbered", "before"),
    )
    if when == "before" or mode not in _BEFORE_ALONE
]


def _sqlite(table: str) -> list[str]:
    """Return the triggers of *table*, which reject a row by its name, such as `before abort`."""
    return [
        f"CREATE TRIGGER {table}_{when}_{verb}_{mode} {when} {verb} ON {table}"
        f" WHEN {column} = '{when} {mode}'"
        f" BEGIN INSERT INTO attempts (what) VALUES ('{mode}'); {action}; END"
        for verb, column in (
            ("INSERT", "NEW.name"),
            ("UPDATE", "NEW.name"),
            ("DELETE", "OLD.ending"),
        )
        for when in ("before", "after")
        for mode, action in _SQLITE.items()
    ]


def _postgresql(table: str) -> list[str]:
    cases = "".join(
        f" IF word = tg_when || ' {mode}' THEN"
        f" INSERT INTO attempts (what) VALUES ('{mode}'); {action}; END IF;"
        for mode, action in _POSTGRESQL.items()
    )
    return [
        (
            f"CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS $$"
            f" DECLARE whole {table}; word text; unused text; BEGIN"
            " IF tg_op = 'DELETE' THEN whole := OLD; word := whole.ending;"
            " ELSE whole := NEW; word := whole.name; END IF;"
            f" word := replace(replace(word, 'before', 'BEFORE'), 'after', 'AFTER'); {cases}"
            " RETURN whole; END $$"
        ),
        *(
            f"CREATE TRIGGER {table}_{when} {when} INSERT OR UPDATE OR DELETE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION refuse_{table}()"
            for when in ("before", "after")
        ),
    ]


def _create_after_tables(backend: str, statements: Sequence[str]) -> None:
    def create(_: MetaData, connection: Connection, **__: object) -> None:
        if connection.dialect.name == backend:
            for statement in statements:
                connection.execute(text(statement))

    event.listen(Base.metadata, "after_create", create)


for model in (Plain, Counted, Numbered):
    _create_after_tables("sqlite", _sqlite(model.__tablename__))
    _create_after_tables("postgresql", _postgresql(model.__tablename__))


class Read(ReadSchema):
    id: int
    name: str


class Create(Schema):
    name: str
    ending: str = ""


class Update(Create, partial=True): ...


class CreateWithKey(Create):
    id: int


class LateCreate(Schema):
    id: int
    name: str


class LateUpdate(LateCreate, partial=True): ...


class PlainRows(Resource[Plain]): ...


class CountedRows(Resource[Counted]): ...


class NumberedRows(Resource[Numbered]): ...


ROUTERS = [
    crud_router("/plain", PlainRows, read=Read, create=CreateWithKey, update=Update),
    crud_router("/counted", CountedRows, read=Read, create=CreateWithKey, update=Update),
    crud_router("/numbered", NumberedRows, read=Read, create=Create, update=Update),
]


@pytest.fixture(params=FAST)
def fast(request: pytest.FixtureRequest) -> bool:
    """Return whether the fast path is enabled."""
    return FAST[request.param]


def create_app(url: str, *, fast: bool) -> FastAPI:
    app = FastAPI(lifespan=Database(url, fast_path=fast).lifespan)
    install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app


CREATE_APP = {fast: partial(create_app, fast=fast) for fast in FAST.values()}
"""Functions that create the application, by their `fast_path`."""


@pytest.fixture
async def database(tables: Tables, backend: str) -> AsyncIterator[Database]:
    database = Database(await tables.of(Base.metadata, backend))
    yield database
    async with database.writer.begin() as connection:  # so that each row can be removed
        for model in (Plain, Counted, Numbered):
            await connection.execute(update(model).values(ending=""))
    await database.dispose()


@pytest.fixture
async def client(running: Running, database: Database, fast: bool) -> AsyncClient:  # noqa: FBT001
    url = database.url.render_as_string(hide_password=False)
    return await running.client(CREATE_APP[fast], url)


async def recorded_attempts(database: Database) -> list[str]:
    async with database.session(readonly=True) as session:
        return [*await session.scalars(select(Attempt.what))]


@pytest.mark.parametrize(("backend", "path", "word"), REFUSALS, indirect=["backend"])
async def test_row_rejected_by_a_trigger_rolls_back(
    client: AsyncClient, database: Database, path: str, word: str
) -> None:
    bodies = [{"id": key, "name": "a", "ending": word if key == 2 else ""} for key in (1, 2)]
    rows = [await create_row(client, path, _body(path, body)) for body in bodies]
    one, two = (row["id"] for row in rows)
    responses = [
        await client.post(path, json=_body(path, {"id": 9, "name": word})),
        await client.patch(f"{path}/{one}", json={"name": word}),
        await client.put(f"{path}/{one}", json={"id": one, "name": word}),
        await client.delete(f"{path}/{two}"),
        await client.post(
            f"{path}/batch",
            json=[_body(path, {"id": 8, "name": "b"}), _body(path, {"id": 9, "name": word})],
        ),
        await client.patch(
            f"{path}/batch", json=[{"id": one, "name": "b"}, {"id": two, "name": word}]
        ),
        await client.delete(f"{path}/batch?id={one}&id={two}"),
    ]
    code = "refused_by_database"
    # After a ROLLBACK there is no transaction to retry the items of a batch one by one.
    is_over = word.endswith("rollback")
    batches = [f"422 #/1 {code}", f"422 #/1 {code}", f"422 ?id {code}"]
    assert [summary(response) for response in responses] == [
        *["422"] * 4,
        *(["422"] * 3 if is_over else batches),
    ]
    assert {response.json()["type"] for response in responses} == {f"/problems/{code}"}
    assert not any(SECRET in response.text for response in responses)
    assert await get_json(client, path) == rows
    assert await recorded_attempts(database) == []


def _body(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return *body* without the key, where the database makes it."""
    return {k: v for k, v in body.items() if k != "id"} if path == "/numbered" else body


# --- What a trigger writes ---------------------------------------------------------------------


class Touched(Base, Versioned):
    """A row with a column that a trigger writes."""

    __tablename__ = "touched"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(20))
    slug: Mapped[str] = mapped_column(String(20), default="")


_create_after_tables(
    "sqlite",
    [
        f"CREATE TRIGGER {name} AFTER {when} ON touched BEGIN"
        " UPDATE touched SET slug = lower(name) || '!' WHERE id = NEW.id; END"
        for name, when in (("made", "INSERT"), ("changed", "UPDATE OF name"))
    ],
)
_create_after_tables(
    "postgresql",
    [
        (
            "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN NEW.slug := lower(NEW.name) || '!'; RETURN NEW; END $$"
        ),
        (
            "CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON touched"
            " FOR EACH ROW EXECUTE FUNCTION touch()"
        ),
    ],
)


class TouchedRead(Read):
    slug: str


class TouchedCreate(Schema):
    id: int
    name: str


class TouchedUpdate(TouchedCreate, partial=True): ...


class TouchedRows(Resource[Touched]): ...


ROUTERS.append(
    crud_router(
        "/touched", TouchedRows, read=TouchedRead, create=TouchedCreate, update=TouchedUpdate
    )
)


async def test_response_has_the_values_a_trigger_wrote(client: AsyncClient) -> None:
    row = {"id": 1, "name": "A", "slug": "a!"}
    responses = [
        await client.post("/touched", json={"id": 1, "name": "A"}),
        await client.patch("/touched/1", json={"name": "B"}),
        await client.put("/touched/1", json={"id": 1, "name": "C"}),
    ]
    assert [response.json() for response in responses] == [
        row,
        {**row, "name": "B", "slug": "b!"},
        {**row, "name": "C", "slug": "c!"},
    ]
    assert await get_json(client, "/touched/1") == {**row, "name": "C", "slug": "c!"}


async def test_batch_response_has_the_values_a_trigger_wrote(client: AsyncClient) -> None:
    bodies = [{"id": 1, "name": "A"}, {"id": 2, "name": "B"}]
    rows = [{**body, "slug": f"{str(body['name']).lower()}!"} for body in bodies]
    assert (await client.post("/touched/batch", json=bodies)).json() == rows
    bodies = [{"id": 2, "name": "C"}, {"id": 1, "name": "D"}]
    rows = [{**body, "slug": f"{str(body['name']).lower()}!"} for body in bodies]
    assert (await client.patch("/touched/batch", json=bodies)).json() == rows


# --- Triggers created while an application runs ------------------------------------------------


class Late(Base):
    """A row of a table without triggers, at first."""

    __tablename__ = "late"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(20))


class LateRows(Resource[Late]): ...


LATE = crud_router("/late", LateRows, read=Read, create=LateCreate, update=LateUpdate)


@pytest.fixture
async def late(empty_url: str) -> AsyncIterator[Database]:
    """Return a database without triggers, which takes the fast path."""
    database = Database(empty_url)
    async with database.writer.begin() as connection:
        for name in ("late", "attempts"):
            await connection.execute(CreateTable(Base.metadata.tables[name]))
    yield database
    await database.dispose()


async def create_trigger(database: Database, timing: str, *, sqlite: str, postgresql: str) -> None:
    """Create a trigger that runs a statement for names that begin with `bad`."""
    insert = "INSERT INTO attempts (what) VALUES ('late')"
    statements = {
        "sqlite": [
            (
                f"CREATE TRIGGER stop {timing} ON late WHEN NEW.name LIKE 'bad%'"
                f" BEGIN {insert}; {sqlite}; END"
            )
        ],
        "postgresql": [
            (
                "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$"
                f" BEGIN IF NEW.name LIKE 'bad%' THEN {insert}; {postgresql}; END IF;"
                " RETURN NEW; END $$"
            ),
            f"CREATE TRIGGER stop {timing} ON late FOR EACH ROW EXECUTE FUNCTION stop()",
        ],
    }
    async with database.writer.begin() as connection:
        for statement in statements[connection.dialect.name]:
            await connection.execute(text(statement))


def post_late_rows(client: AsyncClient, *names: str) -> list[Any]:
    return [client.post("/late", json={"id": n, "name": name}) for n, name in enumerate(names, 1)]


FAIL = {"sqlite": "SELECT RAISE(FAIL, 'no')", "postgresql": "RAISE EXCEPTION 'no'"}
SKIP = {"sqlite": "SELECT RAISE(IGNORE)", "postgresql": "RETURN NULL"}


async def test_insert_rejected_by_a_new_trigger_is_not_stored(
    late: Database,
) -> None:
    async with serving_routers(late, LATE) as client:
        assert await path_taken(client.post("/late", json={"id": 0, "name": "a"})) == "201 fast"
        await create_trigger(late, "AFTER INSERT", **FAIL)
        names = [*"bcd", "bad", *"efg", "bad again", *"hij"]
        answers = [
            response.status_code
            for response in await asyncio.gather(*post_late_rows(client, *names))
        ]
        assert answers == [201] * 3 + [422] + [201] * 3 + [422] + [201] * 3
        assert [row["name"] for row in await get_json(client, "/late")] == [*"abcdefghij"]
    assert await recorded_attempts(late) == []


async def test_insert_skipped_by_a_new_trigger_is_a_422(
    late: Database,
) -> None:
    async with serving_routers(late, LATE) as client:
        assert await path_taken(client.post("/late", json={"id": 0, "name": "a"})) == "201 fast"
        await create_trigger(late, "BEFORE INSERT", **SKIP)
        names = [*"bcd", "bad", *"efg"]
        answers = [
            response.status_code
            for response in await asyncio.gather(*post_late_rows(client, *names))
        ]
        assert answers == [201] * 3 + [422] + [201] * 3
        assert [row["name"] for row in await get_json(client, "/late")] == [*"abcdefg"]


async def test_batch_with_a_skipped_row_is_not_stored(
    late: Database,
) -> None:
    rows = [{"id": 1, "name": "b"}, {"id": 2, "name": "bad"}]
    async with serving_routers(late, LATE) as client:
        first = client.post("/late/batch", json=[{"id": 0, "name": "a"}])
        assert await path_taken(first) == "201 fast"
        await create_trigger(late, "BEFORE INSERT", **SKIP)
        response = await client.post("/late/batch", json=rows)
        assert summary(response) == "422 #/1 refused_by_database"
        assert [row["name"] for row in await get_json(client, "/late")] == ["a"]
    assert await recorded_attempts(late) == []


async def test_batch_rejected_by_a_new_trigger_is_not_stored(late: Database) -> None:
    rows = [{"id": 1, "name": "b"}, {"id": 2, "name": "bad"}]
    async with serving_routers(late, LATE) as client:
        await create_row(client, "/late", {"id": 0, "name": "a"})
        await create_trigger(late, "AFTER INSERT", **FAIL)
        response = await client.post("/late/batch", json=rows)
        assert summary(response) == "422 #/1 refused_by_database"
        assert [row["name"] for row in await get_json(client, "/late")] == ["a"]
    assert await recorded_attempts(late) == []


async def test_update_rejected_by_a_new_trigger_is_not_stored(late: Database) -> None:
    async with serving_routers(late, LATE) as client:
        await create_row(client, "/late", {"id": 0, "name": "a"})
        assert await path_taken(client.patch("/late/0", json={"name": "b"})) == "200 fast"
        await create_trigger(late, "AFTER UPDATE", **FAIL)
        assert summary(await client.patch("/late/0", json={"name": "bad"})) == "422"
        assert await get_json(client, "/late/0") == {"id": 0, "name": "b"}
    assert await recorded_attempts(late) == []


@sqlite_only
async def test_trigger_that_rolls_back_fails_no_other_write(late: Database) -> None:
    async with serving_routers(late, LATE) as client:
        await create_row(client, "/late", {"id": 0, "name": "a"})
        stop = "SELECT RAISE(ROLLBACK, 'no')"
        await create_trigger(late, "AFTER INSERT", sqlite=stop, postgresql="")
        names = [*"bcd", "bad", *"efg"]
        answers = [
            response.status_code
            for response in await asyncio.gather(*post_late_rows(client, *names))
        ]
        assert answers == [201] * 3 + [422] + [201] * 3
        assert [row["name"] for row in await get_json(client, "/late")] == [*"abcdefg"]


async def test_table_with_a_trigger_takes_the_orm_path(
    late: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triggers, "_CACHE_SECONDS", 0.0)
    async with serving_routers(late, LATE) as client:
        assert await path_taken(client.post("/late", json={"id": 0, "name": "a"})) == "201 fast"
        await create_trigger(late, "AFTER INSERT", **FAIL)
        assert await path_taken(client.post("/late", json={"id": 1, "name": "b"})) == "201 ORM"
        assert await path_taken(client.patch("/late/1", json={"name": "c"})) == "200 ORM"
        assert await path_taken(client.delete("/late/1")) == "204 ORM"
        response = client.post("/late/batch", json=[{"id": 2, "name": "d"}])
        assert await path_taken(response) == "201 ORM"


# --- Rules and policies ------------------------------------------------------------------------


@postgres_only
async def test_write_skipped_by_a_rule_is_a_422(late: Database) -> None:
    async with late.writer.begin() as connection:
        for verb in ("UPDATE", "DELETE"):
            rule = f"CREATE RULE no_{verb} AS ON {verb} TO late WHERE OLD.id = 1 DO INSTEAD NOTHING"
            await connection.execute(text(rule))
    async with serving_routers(late, LATE) as client:
        row = await create_row(client, "/late", {"id": 1, "name": "a"})
        assert summary(await client.patch("/late/1", json={"name": "b"})) == "422"
        assert summary(await client.delete("/late/1")) == "422"
        assert await get_json(client, "/late/1") == row


PASSWORD = "of nobody"  # noqa: S105 — of a server that is gone when the tests are


@pytest.fixture
async def restricted_database(late: Database, fast: bool) -> AsyncIterator[Database]:  # noqa: FBT001
    """Return the same database, as a user with restricted privileges."""
    user = f"user_{uuid4().hex}"
    async with late.writer.begin() as connection:
        for statement in (
            "ALTER TABLE late ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY shown ON late FOR SELECT USING (true)",
            "CREATE POLICY made ON late FOR INSERT WITH CHECK (name <> 'foreign')",
            "CREATE POLICY changed ON late FOR UPDATE USING (name <> 'kept') WITH CHECK (true)",
            f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'",
            f"GRANT SELECT, INSERT, UPDATE ON late TO {user}",
        ):
            await connection.execute(text(statement))
    database = Database(late.url.set(username=user, password=PASSWORD), fast_path=fast)
    yield database
    await database.dispose()


@postgres_only
async def test_row_rejected_by_a_policy_is_forbidden(restricted_database: Database) -> None:
    async with serving_routers(restricted_database, LATE) as client:
        row = await create_row(client, "/late", {"id": 1, "name": "kept"})
        foreign = {"id": 2, "name": "foreign"}
        assert summary(await client.post("/late", json=foreign)) == "403"
        response = await client.post("/late/batch", json=[{"id": 3, "name": "a"}, foreign])
        assert summary(response) == "403 #/1 forbidden"
        assert response.json()["type"] == "/problems/forbidden"
        assert summary(await client.patch("/late/1", json={"name": "b"})) == "404"
        assert await get_json(client, "/late") == [row]


@postgres_only
async def test_statement_without_a_grant_is_forbidden(restricted_database: Database) -> None:
    async with serving_routers(restricted_database, LATE) as client:
        row = await create_row(client, "/late", {"id": 1, "name": "a"})
        assert summary(await client.delete("/late/1")) == "403"
        assert await get_json(client, "/late/1") == row
