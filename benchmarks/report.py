"""The report of a run: tables and charts."""

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
Medians of rounds in turn; the ratio is to {TUTORIAL} in the same run. Refused requests
have a status other than 2xx or no response. µs of CPU are the server's per request, without the
database's. The heap of every contender is frozen before it serves (`gc.freeze`), as `python -m app`
does it. All are served by uvicorn with the same protocol and without an access log. Only Fastify,
one process of Node.js, has its own server.

All clients request the same row or the same page, in `GET in turn` one row after the other. The
fast path answers concurrent requests together; `each alone` is the fast path without that.

The work is not equal. The service counts versions and deletes softly; all others delete the row.
Page 5 000 begins at a cursor in the service, in Django REST Framework and in the contenders with
only a driver, and at an offset in all others. FastCRUD and fastapi-restly count all rows for each
list, as their generated code does, and FastCRUD answers a PATCH with `null`. The count of
fastapi-restly is without its DISTINCT, which PostgreSQL rejects for JSON. The filters of
advanced-alchemy that FastAPI no longer accepts are written by hand. The contenders with only a
driver validate little, and `sqlite3` blocks the event loop. At most 8 clients send batches."""


@dataclass(frozen=True)
class Conditions:
    """The conditions of a run: its settings, and the settings of each database."""

    how: str
    databases: Mapping[str, Mapping[str, str]]


def write(
    cells: Sequence[Cell], found: Sequence[Figure], conditions: Conditions, folder: Path = FOLDER
) -> None:
    """Write `report.md`, and a chart for each database."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# The benchmark", "", *_machine(conditions.how, cells)]
    lines += ["", "## What is wanted", "", *wanted.comparison(cells)]
    for database in dict.fromkeys(cell.database for cell in cells):
        own = [cell for cell in cells if cell.database == database]
        settings = conditions.databases.get(database, {})
        known = ", ".join(f"{name} {value}" for name, value in settings.items())
        lines += ["", f"## {database}", "", known, "", f"![{database}]({database}.svg)"]
        for operation in dict.fromkeys(cell.operation for cell in own):
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
    if any(len(cell.rounds) > 1 for cell in cells):
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
    for figure in found:
        yield f"| {figure.name} | {figure.value:.3g} {figure.unit} |"


def _table(cells: Sequence[Cell], operation: str) -> Iterator[str]:
    own = [cell for cell in cells if cell.operation == operation]
    yield "| clients | contender | requests/s | ratio | p99, ms | µs of CPU | refused | spread |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    usual = {cell.clients: cell.rate for cell in own if cell.contender == TUTORIAL}
    for cell in own:
        reference = usual.get(cell.clients)
        ratio = f"{cell.rate / reference:.1f}" if reference else ""
        yield (
            f"| {cell.clients} | {cell.contender} | {cell.rate:.0f} | {ratio} "
            f"| {cell.slowest:.1f} | {cell.cost:.0f} | {cell.refused} | {cell.apart:.0%} |"
        )
