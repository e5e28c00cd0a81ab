"""Who is compared: the service in its several ways, the tutorial by hand, and the driver alone."""

import gc
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

import httpx2
from fastapi import FastAPI
from starlette.types import ASGIApp

from brickwork import Database

ROOT: Final = Path(__file__).parents[1]

TUTORIAL: Final = "the tutorial by hand"
CONTENDERS: Final = {
    TUTORIAL: "benchmarks.tutorial:app",
    "ordinary lane": "benchmarks.contenders:ordinary",
    "fast lane, each alone": "benchmarks.contenders:alone",
    "fast lane": "benchmarks.contenders:fast",
    "asyncpg in bare ASGI": "benchmarks.bare:app",
}
"""By what they are called, where their applications are."""

_ONLY_READS_POSTGRESQL: Final = "asyncpg in bare ASGI"


def fast() -> FastAPI:
    """Return the service as it is."""
    return _service()


def alone() -> FastAPI:
    """Return the service that carries out each request alone."""
    return _service(coalesce=False)


def ordinary() -> FastAPI:
    """Return the service without its fast lane."""
    return _service(fast=False)


def frozen() -> ASGIApp:
    """Return the application that `CONTENDER` names, its heap frozen as `python -m app` has it."""
    module, _, name = os.environ["CONTENDER"].partition(":")
    found = getattr(import_module(module), name)
    app: ASGIApp = found() if module == __name__ else found
    gc.collect()
    gc.freeze()
    return app


def _service(*, fast: bool = True, coalesce: bool = True) -> FastAPI:
    from app.main import create_app  # noqa: PLC0415 — for those who are served alone
    from app.settings import Settings  # noqa: PLC0415 — as above

    url = os.environ["DATABASE_URL"]
    app = create_app(Settings(database_url=url))
    app.router.lifespan_context = Database(url, fast=fast, coalesce=coalesce).lifespan
    return app


def can(name: str, database: str, operation: str) -> bool:
    """Tell whether a contender does an *operation* on a *database* at all."""
    reads = operation in {"GET", "list of 20", "list of 100"}
    return name != _ONLY_READS_POSTGRESQL or (reads and database == "postgresql")


@dataclass(frozen=True)
class Served:
    """Where a contender listens, and which process it is."""

    url: str
    process: int

    def seconds(self) -> float:
        """Return how long it has kept a processor busy, as Linux tells."""
        numbers = Path(f"/proc/{self.process}/stat").read_text(encoding="ascii").rpartition(")")[2]
        user, system = numbers.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(target: str, url: str) -> Generator[Served]:
    """Serve *target* over the database at *url* with one worker, on the first core."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        f"{__name__}:frozen",
        "--factory",
        "--no-access-log",
    ]
    command += ["--port", str(port), "--log-level", "error"]
    command += ["--http", "brickwork.protocol:Protocol"]
    process = subprocess.Popen(  # noqa: S603 — the command is made here
        [*core(0), *command], cwd=ROOT, env=os.environ | {"DATABASE_URL": url, "CONTENDER": target}
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/", process)
        yield Served(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait(10)


def core(number: int) -> list[str]:
    """Return what keeps a command on one core, where there are several."""
    several = len(os.sched_getaffinity(0)) > 1 and shutil.which("taskset")
    return ["taskset", "-c", str(number)] if several else []


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            httpx2.get(url)
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("A contender ended before it answered.")
