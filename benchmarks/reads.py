"""Reads: how many a second, on both lanes and in the tutorial by hand, and how slow the slowest.

DATABASE_URL=postgresql://… python -m benchmarks.reads     (SQLite, in a file of its own, if not)

One process serves, on a core of its own where there are two, and `wrk` loads it with 64 clients
for a few seconds, each in turn and three times; the medians are told. `wrk` has to be installed.
"""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final

import httpx2
from sqlalchemy import select

from benchmarks.service import ROOT, fill
from brickwork import Database

ROWS: Final = 100_000
ROUNDS: Final = 3
SECONDS: Final = 3
CLIENTS: Final = 64
SERVED: Final = {
    "tutorial": "benchmarks.tutorial:app",
    "ordinary lane": "benchmarks.reads:ordinary",
    "fast lane": "benchmarks.reads:fast",
}


def fast() -> object:
    """Return the service."""
    return _service(fast=True)


def ordinary() -> object:
    """Return the service without its fast lane."""
    return _service(fast=False)


def _service(*, fast: bool) -> object:
    from app.main import create_app  # noqa: PLC0415 — for those who are served alone
    from app.settings import Settings  # noqa: PLC0415 — as above

    url = os.environ["DATABASE_URL"]
    app = create_app(Settings(database_url=url))
    app.router.lifespan_context = Database(url, fast=fast).lifespan
    return app


@contextmanager
def _serving(target: str, url: str) -> Generator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", target, "--port", str(port), "--no-access-log"]
    command += ["--log-level", "error", "--http", "brickwork.protocol:Protocol"]
    command += ["--factory"] if "reads:" in target else []
    process = subprocess.Popen(  # noqa: S603 — the command is made here
        [*_core(0), *command], cwd=ROOT, env=os.environ | {"DATABASE_URL": url}
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/openapi.json", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _core(number: int) -> list[str]:
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
    raise SystemExit("The service ended before it answered.")


def _loaded(url: str) -> tuple[float, float]:
    """Return the requests a second, and the milliseconds within which 99 % were answered."""
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{SECONDS}", "--latency", url]
    told = subprocess.run([*_core(1), *command], capture_output=True, text=True, check=True).stdout  # noqa: S603 — as above
    assert "Non-2xx" not in told, told
    (rate,) = re.findall(r"Requests/sec:\s+([\d.]+)", told)
    ((slowest, unit),) = re.findall(r"99%\s+([\d.]+)(us|ms|s)\b", told)
    return float(rate), float(slowest) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


async def _key(url: str) -> str:
    from app.models import Article  # noqa: PLC0415 — as above

    database = Database(url)
    async with database.lifespan(None), database.session(readonly=True) as session:
        return str(await session.scalar(select(Article.id).offset(ROWS // 2).limit(1)))


def main() -> None:
    """Print a table of medians."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        url = os.environ.get("DATABASE_URL") or f"sqlite:///{Path(folder) / 'reads.db'}"
        fill(url, ROWS)
        paths = {"GET": f"/articles/{asyncio.run(_key(url))}", "list of 20": "/articles"}
        paths["list of 100"] = "/articles?limit=100"
        bases = {name: stack.enter_context(_serving(each, url)) for name, each in SERVED.items()}
        print("|  |", " | ".join(bases), "|")
        for what, path in paths.items():
            runs: dict[str, list[tuple[float, float]]] = {name: [] for name in bases}
            for _ in range(ROUNDS):
                for name, base in bases.items():
                    runs[name].append(_loaded(base + path))
            usual = median(rate for rate, _ in runs["tutorial"])
            print(f"| {what} |", " | ".join(_told(each, usual) for each in runs.values()), "|")


def _told(runs: list[tuple[float, float]], usual: float) -> str:
    rate, slowest = median(rate for rate, _ in runs), median(slowest for _, slowest in runs)
    return f"{rate:.0f}/s, {rate / usual:.1f}x, p99 {slowest:.0f} ms"


if __name__ == "__main__":
    main()
