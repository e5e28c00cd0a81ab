"""Outages: full, read-only, damaged and missing databases."""

from io import SEEK_END
from pathlib import Path

import pytest
from httpx2 import AsyncClient
from sqlalchemy import make_url

from brickwork import Database
from brickwork.database.connections import PRAGMAS
from tests.support.databases import postgres_only, sqlite_only
from tests.support.journal import Log, execute, name
from tests.support.outages import BUSY, OUT, READ, WELL, WRITTEN, ask, ask_all, begin_line, end_line
from tests.support.shop import calling_stores

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]

UNWRITTEN = READ | dict.fromkeys(WRITTEN, BUSY)
"""The responses of a service that cannot write."""

ROOM = "Free space on its disk, and give the service write permission."


# --- SQLite ---------------------------------------------------------------------------------------


@sqlite_only
async def test_full_file_is_a_503_for_writes_only(
    url: str, log: Log, monkeypatch: pytest.MonkeyPatch, *, fast: bool
) -> None:
    monkeypatch.setattr("brickwork.database.connections.PRAGMAS", (*PRAGMAS, "max_page_count = 1"))
    async with calling_stores(Database(url, fast_path=fast)) as client:
        while (answer := await ask(client, "batch")) == 201:  # until all pages are in use
            pass
        assert answer == BUSY
        cause = "database or disk is full"
        assert log.take() == [begin_line(url, "cannot be written", cause, ROOM)]
        assert await ask(client, "list") == 200
        assert await ask(client, "batch") == BUSY
        for store in (await client.get("/stores?limit=100")).json():
            assert (await client.delete(f"/stores/{store['code']}")).status_code == 204
        assert await ask(client, "create") == 201
    assert log.take() == [end_line(url, "can be written again")]


@sqlite_only
async def test_read_only_file_is_a_503_for_writes_only(url: str, log: Log, *, fast: bool) -> None:
    file = make_url(url).database
    url = f"sqlite:///file:{file}?mode=ro&uri=true"
    async with calling_stores(Database(url, fast_path=fast)) as client:
        assert await ask_all(client) == UNWRITTEN | {"remove": 404}  # as there is no such row
    cause = "attempt to write a readonly database"
    assert log.take() == [begin_line(url, "cannot be written", cause, ROOM)]


PAGE = 4096


@sqlite_only
async def test_damaged_file_is_a_503(url: str, log: Log, *, fast: bool) -> None:
    with open(make_url(url).database or "", "r+b") as file:  # noqa: ASYNC230, PTH123 — nobody waits
        size = file.seek(0, SEEK_END)
        file.seek(PAGE)  # behind the schema
        file.write(bytes([7]) * (size - PAGE))
    async with calling_stores(Database(url, fast_path=fast)) as client:
        assert await ask_all(client) == OUT
    cause = "database disk image is malformed"
    begin = begin_line(url, "fails", cause, "Check the log of its server.")
    # A transaction that reads no damaged page ends the outage, and the next one begins it again.
    lines = log.take()
    assert (lines[0], {*lines} - {begin}) in [
        (begin, set()),
        (begin, {end_line(url, "works again")}),
    ]


@pytest.mark.parametrize("file", ["none/stores.db", ""], ids=["no folder", "a folder"])
async def test_inaccessible_file_is_a_503(
    tmp_path: Path, log: Log, file: str, *, fast: bool
) -> None:
    url = f"sqlite:///{tmp_path}/{file}"
    async with calling_stores(Database(url, fast_path=fast)) as client:
        assert await ask_all(client) == OUT
    remedy = "Correct the path in its URL, or give the service write permission for its folder."
    assert log.take() == [
        begin_line(url, "cannot be reached", "unable to open database file", remedy)
    ]


# --- PostgreSQL -----------------------------------------------------------------------------------


@postgres_only
async def test_read_only_server_is_a_503_for_writes_only(url: str, log: Log, *, fast: bool) -> None:
    async with calling_stores(Database(url, fast_path=fast)) as client:
        assert await ask_all(client) == WELL
        await execute(url, *read_only(url, "on"))
        await cut_off(url)
        assert await ask_all(client) == UNWRITTEN
        (line,) = log.take()
        assert line.startswith(f"ERROR The database {name(url)} cannot be written: cannot execute")
        assert line.endswith(f" in a read-only transaction. {ROOM}")
        await execute(url, "SET TRANSACTION READ WRITE", *read_only(url, "off"))
        assert await ask_all(client) == WELL
    assert log.take() == [end_line(url, "can be written again")]


def read_only(url: str, value: str) -> list[str]:
    """Return the statement that sets the default of new connections to read-only or not."""
    database = make_url(url).database
    return [f'ALTER DATABASE "{database}" SET default_transaction_read_only = {value}']


async def cut_off(url: str) -> None:
    """End all connections to the database but one."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    await execute(url, f"SELECT pg_terminate_backend(pid, 30000) {others}")


@postgres_only
@pytest.mark.parametrize(
    ("state", "message", "what", "over", "remedy"),
    [
        (
            "53100",
            "could not extend file: No space left on device",
            "cannot be written",
            "can be written again",
            ROOM,
        ),
        ("53200", "out of memory", "fails", "works again", "Check the log of its server."),
        ("58030", "could not read", "fails", "works again", "Check the log of its server."),
        ("XX001", "invalid page", "fails", "works again", "Check the log of its server."),
    ],
)
async def test_server_without_resources_is_a_503(  # noqa: PLR0913, PLR0917 — a case
    url: str, log: Log, state: str, message: str, what: str, over: str, remedy: str, *, fast: bool
) -> None:
    await execute(
        url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION '{message}' USING ERRCODE = '{state}'; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON stores"
        " FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    async with calling_stores(Database(url, fast_path=fast)) as client:
        await assert_writes_fail(client)
        assert log.take() == [begin_line(url, what, message, remedy)]
        await execute(url, "DROP TRIGGER refuse ON stores")
        assert await ask_all(client) == WELL
    assert log.take() == [end_line(url, over)]


async def assert_writes_fail(client: AsyncClient) -> None:
    """Assert that every write is a 503."""
    for kind in ("create", "batch", "change", "replace"):
        assert (kind, await ask(client, kind)) == (kind, BUSY)
