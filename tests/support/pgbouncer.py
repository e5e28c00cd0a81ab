"""PgBouncer before a server, in transaction mode."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

_MISSING: Final = "These tests need PgBouncer: apt-get install pgbouncer"

_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin"
"""Debian has PgBouncer in a directory that is only on root's path."""

_SETTINGS: Final = """
[databases]
* = host={server.host} port={server.port} user={server.username} password={server.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
ignore_startup_parameters = {ignored}
"""

# `read` returns when this process closes its end of the pipe, even if it is killed.
_GUARD: Final = '"$@" & read -r _; kill $!; wait'


@contextmanager
def behind_pgbouncer(url: str, *, ignored: str = "") -> Generator[str]:
    """Yield *url* behind PgBouncer in transaction mode, which drops the parameters *ignored*."""
    program = shutil.which("pgbouncer", path=_PATH)
    if program is None:
        raise RuntimeError(_MISSING)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        port = _free_port()
        settings = Path(folder, "pgbouncer.ini")
        settings.write_text(_SETTINGS.format(server=make_url(url), port=port, ignored=ignored))
        command = [program, "--quiet", *_account(Path(folder), settings), str(settings)]
        process = subprocess.Popen(  # noqa: S603 — ours
            ["/bin/sh", "-c", _GUARD, "guard", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(port)
            here = make_url(url).set(host="127.0.0.1", port=port)
            yield here.render_as_string(hide_password=False)
        finally:
            process.communicate(b"\n")


def _account(*paths: Path) -> list[str]:
    """Return the option that names another user than root, which PgBouncer rejects."""
    if os.geteuid():
        return []
    nobody = pwd.getpwnam("nobody")
    for path in paths:
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return ["--user", "nobody"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    """Wait until a process listens on *port*."""
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("PgBouncer does not listen after 10 seconds.")
