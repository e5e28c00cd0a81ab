"""Outages: 503 responses, and one log line each."""

import asyncio
import sqlite3
from pathlib import Path
from ssl import SSLCertVerificationError
from typing import NamedTuple
from uuid import uuid4

import pytest
from asyncpg import AdminShutdownError, InvalidSQLStatementNameError, UniqueViolationError
from httpx2 import AsyncClient, Response
from sqlalchemy import make_url, text

from brickwork import Database, ServiceUnavailable, SessionDep
from brickwork.database.availability import (
    EXHAUSTED,
    SILENT,
    UNREACHABLE,
    Availability,
    is_connection_lost,
)
from tests.support.journal import (
    Log,
    create,
    create_app,
    execute,
    missing_line,
    name,
    unreachable_line,
)
from tests.support.postgres import Postgres
from tests.support.server import serving

pytestmark = pytest.mark.anyio

PASSWORD = "hunter2"  # noqa: S105 — of nothing


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


def status_and_detail(response: Response) -> tuple[int, str | None, str]:
    """Return the status, the `Retry-After` and the detail of *response*."""
    body = response.json()
    return response.status_code, response.headers.get("retry-after"), body["detail"]


BUSY = (503, "1", "The database is busy or away.")


class Case(NamedTuple):
    """An unreachable URL, and the cause and remedy in the log."""

    url: str
    cause: str
    remedy: str = "Start the database, or correct its URL."


FILE = "Correct the path in its URL, or give the service write permission for its folder."

CASES = {
    "wrong port": Case(
        "postgresql://127.0.0.1:1/notes",
        "[Errno 111] Connect call failed ('127.0.0.1', 1)",
    ),
    "wrong password": Case(
        f"postgresql://shop:{PASSWORD}@{{host}}/notes",
        'password authentication failed for user "shop"',
        "Correct the user and the password in its URL.",
    ),
    "unknown database": Case(
        "postgresql://{user}@{host}/nowhere",
        'database "nowhere" does not exist',
        "Create the database, or correct its name in the URL.",
    ),
    "TLS rejected": Case(
        "postgresql://{user}@{host}/postgres?ssl=require",
        'PostgreSQL server at "{host}" rejected SSL upgrade',
    ),
    "no folder": Case("sqlite:///{folder}/none/notes.db", "unable to open database file", FILE),
    "no file": Case("sqlite:///{folder}", "unable to open database file", FILE),
    "another's file": Case("sqlite:///{folder}/text.txt", "file is not a database", FILE),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_unreachable_database_is_logged_once(
    case: Case, postgres: Postgres, tmp_path: Path, log: Log
) -> None:
    (tmp_path / "text.txt").write_text("text " * 100)
    server = make_url(postgres.url)
    user, host = f"{server.username}:{server.password}", f"{server.host}:{server.port}"
    url = case.url.format(user=user, host=host, folder=tmp_path)
    line = unreachable_line(url, case.cause.format(host=host), case.remedy)

    async with serving(create_app(url)) as client:
        assert log.take() == [line]
        requests = (client.get("/notes"), client.post("/notes", json={"text": "a"}))
        assert [status_and_detail(response) for response in await asyncio.gather(*requests)] == [
            BUSY,
            BUSY,
        ]
        assert (await client.get("/problems")).status_code == 200
    assert log.take() == []
    assert PASSWORD not in line


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
async def test_service_recovers_without_a_restart(
    backend: str, postgres: Postgres, tmp_path: Path, log: Log
) -> None:
    folder, database = tmp_path / "none", f"test_{uuid4().hex}"
    url = f"sqlite:///{folder}/notes.db"
    if backend == "postgresql":
        url = make_url(postgres.url).set(database=database).render_as_string(hide_password=False)

    async with serving(create_app(url)) as client:
        assert len(log.take()) == 1
        if backend == "postgresql":
            postgres.create(database)
        else:
            folder.mkdir()
        assert status_and_detail(await client.get("/notes")) == BUSY
        assert log.take() == [
            f"WARNING The database {name(url)} can be reached again.",
            missing_line(url, "notes"),
        ]
        await create(url)
        assert (await client.get("/notes")).json() == []
    assert log.take() == []
    postgres.drop(database)


async def request_notes(client: AsyncClient) -> list[Response]:
    """Send a request of each kind."""
    return [
        await client.get("/notes"),
        await client.get(f"/notes/{uuid4()}"),
        await client.post("/notes", json={"text": "a"}),
        await client.post("/notes/batch", json=[{"text": "a"}, {"text": "b"}]),
        await client.delete(f"/notes/{uuid4()}"),
        await client.get("/notes", headers={"accept": "application/x-ndjson"}),
    ]


async def test_request_for_a_missing_table_logs_one_line(empty_url: str, log: Log) -> None:
    async with serving(create_app(empty_url)) as client:
        log.take()
        assert [status_and_detail(response) for response in await request_notes(client)] == [
            BUSY
        ] * 6
        assert log.take() == [missing_line(empty_url, "notes")] * 6

        await create(empty_url)
        assert [response.status_code for response in await request_notes(client)] == [
            200,
            404,
            201,
            201,
            404,
            200,
        ]
        assert log.take() == []


async def test_request_with_an_idempotency_key_logs_the_missing_table(
    empty_url: str, log: Log
) -> None:
    await create(empty_url)
    await execute(empty_url, "DROP TABLE idempotency_keys")
    async with serving(create_app(empty_url)) as client:
        log.take()
        headers = {"Idempotency-Key": "a"}
        response = await client.post("/notes", json={"text": "a"}, headers=headers)
        assert status_and_detail(response) == BUSY
    assert log.take() == [missing_line(empty_url, "idempotency_keys")]


@pytest.mark.parametrize("sql", ["SELECT * FROM notess", "SELECT notes.txt FROM notes"])
async def test_misspelt_name_in_sql_is_an_internal_error(
    sql: str, empty_url: str, log: Log
) -> None:
    app = create_app(empty_url)

    @app.get("/misspelt")
    async def read(session: SessionDep) -> None:
        await session.execute(text(sql))

    await create(empty_url)
    async with serving(app) as client:
        assert (await client.get("/misspelt")).status_code == 500
    assert log.take() == []


async def test_script_logs_an_outage_too(log: Log) -> None:
    url = "postgresql://127.0.0.1:1/notes"
    with pytest.raises(ServiceUnavailable):
        async with Database(url).session() as session:
            await session.execute(text("SELECT 1"))
    assert log.take() == [unreachable_line(url, "[Errno 111] Connect call failed ('127.0.0.1', 1)")]


# --- Classification of errors ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (ConnectionResetError(), True),
        (AdminShutdownError("over"), True),
        (InvalidSQLStatementNameError("gone"), True),
        (UniqueViolationError("taken"), False),
        (sqlite3.OperationalError("no such table"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_of_a_lost_connection_are_recognised(error: Exception, *, lost: bool) -> None:
    assert is_connection_lost(error, readonly=False) is lost


def test_fatal_error_ends_the_connection() -> None:
    error = UniqueViolationError("taken")
    vars(error)["severity_en"] = "FATAL"
    assert is_connection_lost(error, readonly=False)


def test_exhausted_pool_is_not_logged_during_an_outage(log: Log) -> None:
    availability = Availability("shop", is_file=False)
    availability.begin(SILENT, TimeoutError("no answer in 1 s"), readonly=True)
    availability.begin(EXHAUSTED, "all 1 were in use for 1 s", readonly=True)
    availability.end(readonly=True, wrote=False)
    assert [line.partition(":")[0] for line in log.take()] == [
        "ERROR The database shop does not answer in time",
        "WARNING The database shop answers in time again.",
    ]


def test_outage_of_writers_ends_with_a_successful_write(log: Log) -> None:
    availability = Availability("shop", is_file=False)
    for readonly in (True, False):
        availability.begin(SILENT, "no answer", readonly=readonly)
    availability.end(readonly=True, wrote=False)
    assert len(log.take()) == 1
    availability.end(readonly=False, wrote=True)
    assert log.take() == ["WARNING The database shop answers in time again."]


def test_untrusted_certificate_is_logged_with_a_remedy(log: Log) -> None:
    cause = SSLCertVerificationError(1, "certificate verify failed")
    Availability("shop", is_file=False).begin(UNREACHABLE, cause, readonly=True)
    (line,) = log.take()
    assert line.endswith(" Name the certificates to trust in its URL: sslrootcert.")
