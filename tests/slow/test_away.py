"""Stopped and killed servers, and TLS."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url, text

from brickwork import Database
from tests.support.databases import Databases
from tests.support.journal import Log, name
from tests.support.outages import (
    BUSY,
    WELL,
    ask,
    ask_all,
    ignore_abandoned_connects,
    store_url,
    wait_until_well,
)
from tests.support.postgres import Postgres, running
from tests.support.proxy import Proxy
from tests.support.shop import calling_stores

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Run a server for these tests alone, since they stop and kill its processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TEST_DATABASE_URL", raising=False)
        with running() as server:
            yield server


@pytest.fixture
async def url(server: Postgres, tmp_path: Path) -> AsyncIterator[str]:
    """Return the URL of a database on the server with the store `a`."""
    ignore_abandoned_connects()
    databases = Databases(server, tmp_path)
    yield await store_url(databases, "postgresql")
    databases.drop()


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
def fast(request: pytest.FixtureRequest) -> bool:
    """Return whether the fast path is on."""
    return bool(request.param)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    """Return the log of the service."""
    return Log(caplog)


async def processes(url: str) -> list[int]:
    """Return the process of the server and the processes of its connections to the database."""
    database = Database(url)
    async with database.reader.connect() as connection:
        data = await connection.scalar(text("SHOW data_directory"))
        rows = await connection.execute(
            text(
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        backends = [row.pid for row in rows]
    await database.dispose()
    lines = Path(str(data), "postmaster.pid").read_text(encoding="ascii").splitlines()  # noqa: ASYNC240
    return [int(lines[0]), *backends]


def send(processes: list[int], number: signal.Signals) -> None:
    """Send a signal to *processes*."""
    for process in processes:
        os.kill(process, number)


async def test_stopped_server_is_a_503_within_the_deadline(
    url: str, log: Log, *, fast: bool
) -> None:
    async with calling_stores(Database(url, fast_path=fast, pool_timeout=3)) as client:
        assert await ask_all(client) == WELL
        stopped = await processes(url)
        send(stopped, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            kinds = [kind for kind in WELL if kind != "export"] * 5
            assert {*await asyncio.gather(*(ask(client, kind) for kind in kinds))} == {BUSY}
            assert 3 <= time.monotonic() - begun < 6
        finally:
            send(stopped, signal.SIGCONT)
        (line,) = log.take()
        assert line.startswith(f"ERROR The database {name(url)} does not answer in time: no ")
        await wait_until_well(client)


async def test_concurrent_requests_to_a_silent_server_share_the_deadline(
    url: str, *, fast: bool
) -> None:
    async with Proxy(url) as proxy:
        small = Database(proxy.url, fast_path=fast, pool_size=2, pool_timeout=4)
        async with calling_stores(small) as client:
            assert await ask_all(client) == WELL
            proxy.freeze()
            begun = time.monotonic()
            kinds = [kind for kind in WELL if kind != "export"] * 5
            assert {*await asyncio.gather(*(ask(client, kind) for kind in kinds))} == {BUSY}
            assert 4 <= time.monotonic() - begun < 8
            proxy.thaw()
            await wait_until_well(client)


async def test_crashed_server_is_a_503_until_its_recovery(
    url: str, log: Log, *, fast: bool
) -> None:
    database = Database(url, fast_path=fast)
    async with calling_stores(database) as client:
        assert await ask_all(client) == WELL
        _, *backends = await processes(url)
        connection = await connected(url)
        await connection.execute("CHECKPOINT")  # these servers do not wait for the disk
        await connection.close()
        send(backends[:1], signal.SIGKILL)  # the server then ends all other processes and recovers
        answers: set[object] = set()
        async with asyncio.timeout(60):
            while (last := await ask_all(client)) != WELL:
                answers |= {*last.values()}
        assert answers <= {*WELL.values(), BUSY}
    lines = log.take()
    assert all(line.startswith(("ERROR The database", "WARNING The database")) for line in lines)
    assert not database.availability.outages


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
async def certificate(url: str, tmp_path: Path) -> AsyncIterator[Path]:
    """Switch TLS on, with a self-signed certificate, and return the path of the certificate."""
    connection = await connected(url)
    data = Path(await connection.fetchval("SHOW data_directory"))
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(  # noqa: ASYNC221, S603 — nobody waits
        [*command.split(), "-keyout", "server.key", "-out", "server.crt", "-addext", NAMES],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    owner = data.stat()  # noqa: ASYNC240
    for file in ("server.key", "server.crt"):
        target = data / file
        target.write_bytes((tmp_path / file).read_bytes())
        target.chmod(0o600)
        os.chown(target, owner.st_uid, owner.st_gid)
    await switch(connection, "on")
    yield tmp_path / "server.crt"
    await switch(connection, "off")
    await connection.close()


NAMES = "subjectAltName=DNS:localhost"


async def connected(url: str) -> asyncpg.Connection:
    """Return a connection to the database at *url*."""
    plain = make_url(url).set(drivername="postgresql")
    return await asyncpg.connect(plain.render_as_string(hide_password=False), ssl=False)


async def switch(connection: asyncpg.Connection, value: str) -> None:
    """Switch TLS on or off."""
    await connection.execute(f"ALTER SYSTEM SET ssl = {value}")
    await connection.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(60):
        while await connection.fetchval("SHOW ssl") != value:
            pass


ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.mark.parametrize(
    ("host", "query", "encrypted"),
    [
        ("127.0.0.1", "", True),
        ("127.0.0.1", "sslmode=disable", False),
        ("127.0.0.1", "sslmode=allow", False),
        ("127.0.0.1", "sslmode=prefer", True),
        ("127.0.0.1", "sslmode=require", True),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert={file}", True),
        ("localhost", "sslmode=verify-full&sslrootcert={file}", True),
        ("localhost", "sslmode=require&channel_binding=require&sslrootcert={file}", True),
    ],
)
async def test_sslmode_of_the_url_decides_on_encryption(
    url: str, certificate: Path, host: str, query: str, *, encrypted: bool
) -> None:
    parts = make_url(url).set(host=host)
    own = parts.render_as_string(hide_password=False) + "?" + query.format(file=certificate)
    database = Database(own)
    async with database.session(readonly=True) as session:
        assert await session.scalar(text(ENCRYPTED)) is encrypted
    await database.dispose()


@pytest.mark.parametrize(
    ("query", "cause"),
    [
        ("sslmode=verify-full&sslrootcert={file}", "IP address mismatch"),
        ("sslmode=verify-full&sslrootcert=system", "self-signed certificate"),
        ("sslmode=require&channel_binding=require", "self-signed certificate"),
    ],
)
async def test_untrusted_server_is_a_503(  # noqa: PLR0913 — a case
    url: str, certificate: Path, query: str, cause: str, log: Log, *, fast: bool
) -> None:
    own = f"{url}?{query.format(file=certificate)}"
    async with calling_stores(Database(own, fast_path=fast)) as client:
        assert await ask(client, "row") == BUSY
        assert await ask(client, "create") == BUSY
    (line,) = log.take()
    assert cause in line
    assert line.endswith(" Name the certificates to trust in its URL: sslrootcert.")
