"""The report of a run: tables and charts, written beside this file."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import wanted
from benchmarks.cells import Cell
from benchmarks.charts import chart
from benchmarks.contenders import TUTORIAL
from benchmarks.node import versions
from benchmarks.startup import Figure

FOLDER: Final = Path(__file__).parent
_PACKAGES: Final = (
    "fastapi",
    "sqlalchemy",
    "pydantic",
    "uvicorn",
    "asyncpg",
    "aiosqlite",
    "fastcrud",
    "advanced-alchemy",
    "fastapi-restly",
    "litestar",
    "django",
    "djangorestframework",
    "psycopg",
)
_HOW: Final = f"""\
Medians of rounds in turn; the ratio is to {TUTORIAL} in the same run. Refused are
answers that are no 2xx, and connections without one. µs of CPU are those of the server for a
request, without the database's. The heap of every contender is frozen before it serves
(`gc.freeze`), as `python -m app` does it, and all are served by uvicorn with the same protocol and
without an access log. Fastify, one process of Node.js, has its own server.

All clients ask for the same row or the same page, in `GET in turn` for one row after the other:
who waits together is answered together on the fast lane, and `each alone` says what that is worth.

The work is not equal. The service counts versions, and marks what it deletes; all others delete.
Page 5 000 begins at a cursor in the service, in Django REST Framework and in what has only a
driver, and at an offset in all others. FastCRUD and fastapi-restly count all rows for each
list, as what they generate does, and FastCRUD answers a PATCH with `null`. The count of
fastapi-restly is without its DISTINCT, which PostgreSQL refuses for JSON; the filters of
advanced-alchemy that FastAPI no longer takes are written by hand. What has only a driver checks
little, and `sqlite3` blocks the loop. Batches are sent by 8 clients at most."""


@dataclass(frozen=True)
class Told:
    """What is told of a whole run: how it was made, and what each database says of itself."""

    how: str
    databases: Mapping[str, Mapping[str, str]]


def write(
    cells: Sequence[Cell], found: Sequence[Figure], told: Told, folder: Path = FOLDER
) -> None:
    """Write `report.md`, and a chart for each database."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# The benchmark", "", *_machine(told.how, cells)]
    lines += ["", "## What is wanted", "", *wanted.told(cells)]
    for database in dict.fromkeys(each.database for each in cells):
        own = [each for each in cells if each.database == database]
        known = ", ".join(f"{k} {v}" for k, v in told.databases.get(database, {}).items())
        lines += ["", f"## {database}", "", known, "", f"![{database}]({database}.svg)"]
        for operation in dict.fromkeys(each.operation for each in own):
            lines += ["", f"### {operation}", "", *_table(own, operation)]
        (folder / f"{database}.svg").write_text(chart(own), encoding="utf-8")
    if found:
        lines += ["", "## Start and memory", "", *_figures(found)]
    (folder / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _machine(how: str, cells: Sequence[Cell]) -> Iterator[str]:
    yield how
    yield ""
    yield _HOW
    yield ""
    packages = ", ".join(_versions())
    yield f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()},"
    yield f"Python {platform.python_version()}, {packages}."
    if any(len(each.rounds) > 1 for each in cells):
        yield f"Noise: half of the cells have a spread below {median(c.apart for c in cells):.0%}."


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _versions() -> Iterator[str]:
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            yield f"{name} {version(name)}"
    yield from versions()


def _figures(found: Sequence[Figure]) -> Iterator[str]:
    yield "| | |"
    yield "| --- | ---: |"
    for each in found:
        yield f"| {each.name} | {each.value:.3g} {each.unit} |"


def _table(cells: Sequence[Cell], operation: str) -> Iterator[str]:
    own = [each for each in cells if each.operation == operation]
    yield "| clients | contender | requests/s | ratio | p99, ms | µs of CPU | refused | spread |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    usual = {each.clients: each.rate for each in own if each.contender == TUTORIAL}
    for each in own:
        reference = usual.get(each.clients)
        ratio = f"{each.rate / reference:.1f}" if reference else ""
        yield (
            f"| {each.clients} | {each.contender} | {each.rate:.0f} | {ratio} "
            f"| {each.slowest:.1f} | {each.cost:.0f} | {each.refused} | {each.apart:.0%} |"
        )
