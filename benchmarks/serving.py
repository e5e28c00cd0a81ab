"""A contender as a process of its own, on a core of its own where there are several."""

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
    """Return the application that `CONTENDER` names, its heap frozen as `python -m app` has it."""
    module, _, name = os.environ["CONTENDER"].partition(":")
    found = getattr(import_module(module), name.removesuffix("()"))
    app: ASGIApp = found() if name.endswith("()") else found
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
    return app


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

    def settle(self, idle: float) -> None:
        """Wait until it did nothing for *idle* seconds, for those who did not await answers too."""
        end, before = time.monotonic() + _PATIENCE, -1.0
        while (now := self.seconds()) > before and time.monotonic() < end:
            before = now
            time.sleep(idle)

    def memory(self) -> float:
        """Return the megabytes that it ever had in memory at once, as Linux tells."""
        status = Path(f"/proc/{self.process}/status").read_text(encoding="ascii")
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
        return int(peak) / 1024


@contextmanager
def serving(target: str, url: str, *, plain: bool = False) -> Generator[Served]:
    """Serve *target* over the database at *url* with one worker, on the first core.

    When *plain*, its process has nothing that it does not have by itself.
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
    """Return what keeps a command on one core, where there are several."""
    return ["taskset", "-c", str(number)] if are_apart() else []


def are_apart() -> bool:
    """Tell whether contenders and load have cores of their own."""
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
