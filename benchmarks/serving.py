"""A contender in a separate process, on a separate core."""

import gc
import os
import re
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
from starlette.types import ASGIApp

from brickwork import Database

ROOT: Final = Path(__file__).parents[1]
_ALIKE: Final = (f"{__name__}:frozen", "--factory", "--http", "brickwork.protocol:Protocol")
_PATIENCE: Final = 30.0


def frozen() -> ASGIApp:
    """Freeze the heap as `python -m app` does, and return the application `CONTENDER` names."""
    module, _, name = os.environ["CONTENDER"].partition(":")
    found = getattr(import_module(module), name.removesuffix("()"))
    app: ASGIApp = found() if name.endswith("()") else found
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
    return app


@dataclass(frozen=True)
class Served:
    """The address and the process of a contender."""

    url: str
    process: int

    def seconds(self) -> float:
        """Return the seconds of CPU that it has used, which Linux records."""
        numbers = Path(f"/proc/{self.process}/stat").read_text(encoding="ascii").rpartition(")")[2]
        user, system = numbers.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def settle(self, idle: float) -> None:
        """Wait until it used no CPU for *idle* seconds."""
        end, before = time.monotonic() + _PATIENCE, -1.0
        while (now := self.seconds()) > before and time.monotonic() < end:
            before = now
            time.sleep(idle)

    def memory(self) -> float:
        """Return the peak of its resident memory in megabytes, which Linux records."""
        status = Path(f"/proc/{self.process}/status").read_text(encoding="ascii")
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
        return int(peak) / 1024


@contextmanager
def serving(target: str, url: str, *, plain: bool = False) -> Generator[Served]:
    """Serve *target* over the database at *url* with one worker, on the first core.

    If *plain*, uvicorn runs with its defaults.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    known = {"CONTENDER": target, "PORT": str(port), "NODE_ENV": "production"}
    address = Database(url).url
    if target.endswith(".js"):
        command = ["node", target]
        address = address.set(drivername=address.get_backend_name())
    else:
        command = [sys.executable, "-m", "uvicorn", *(_alone(target) if plain else _ALIKE)]
        command += ["--port", str(port), "--no-access-log", "--log-level", "error"]
    known["DATABASE_URL"] = address.render_as_string(hide_password=False)
    process = subprocess.Popen(  # noqa: S603 — the command is made here
        [*core(0), *command], cwd=ROOT, env=os.environ | known
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/", process)
        yield Served(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait(10)


def _alone(target: str) -> list[str]:
    factory = ["--factory"] if target.endswith("()") else []
    return [target.removesuffix("()"), *factory]


def core(number: int) -> list[str]:
    """Return the prefix that binds a command to one core. Empty if there is only one."""
    return ["taskset", "-c", str(number)] if are_apart() else []


def are_apart() -> bool:
    """Return whether the contender and the load have separate cores."""
    return len(os.sched_getaffinity(0)) > 1 and shutil.which("taskset") is not None


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            httpx2.get(url)
        except httpx2.TransportError:
            time.sleep(0.01)
        else:
            return
    raise SystemExit("A contender ended before it answered.")
