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
from xml.sax.saxutils import escape

from benchmarks.contenders import TUTORIAL
from benchmarks.startup import Figure
from benchmarks.wrk import Load, spread

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


@dataclass(frozen=True)
class Cell:
    """One operation of one contender: its rounds, and the seconds of processor they took."""

    database: str
    operation: str
    clients: int
    contender: str
    rounds: Sequence[Load]
    busy: float

    @property
    def rate(self) -> float:
        """Requests a second, the median of the rounds."""
        return median(each.rate for each in self.rounds)

    @property
    def slowest(self) -> float:
        """The milliseconds within which 99 % were answered, the median of the rounds."""
        return median(each.slowest for each in self.rounds)

    @property
    def cost(self) -> float:
        """The microseconds of processor a request took."""
        return self.busy / max(1, sum(each.requests for each in self.rounds)) * 1e6

    @property
    def refused(self) -> int:
        """How many requests were refused, or had no answer."""
        return sum(each.refused for each in self.rounds)


def write(cells: Sequence[Cell], found: Sequence[Figure], how: str, folder: Path = FOLDER) -> None:
    """Write `report.md`, and a chart for each database."""
    lines = ["# The benchmark", "", *_machine(how)]
    for database in dict.fromkeys(each.database for each in cells):
        own = [each for each in cells if each.database == database]
        lines += ["", f"## {database}", "", f"![{database}]({database}.svg)", "", *_table(own)]
        (folder / f"{database}.svg").write_text(chart(own), encoding="utf-8")
    if found:
        lines += ["", "## Start and memory", "", *_figures(found)]
    (folder / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _machine(how: str) -> Iterator[str]:
    yield f"{how} Medians of rounds in turn; the ratio is to {TUTORIAL} in the same run."
    yield "Refused are answers that are no 2xx, and connections without one. The heap of every"
    yield "contender is frozen before it serves (`gc.freeze`), as `python -m app` does it. Writes"
    yield "are no equal work: the service counts versions, and marks what it deletes."
    yield ""
    packages = ", ".join(_versions())
    yield f"{os.cpu_count()} cores, Python {platform.python_version()}, {packages}."


def _versions() -> Iterator[str]:
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            yield f"{name} {version(name)}"


def _figures(found: Sequence[Figure]) -> Iterator[str]:
    yield "| | |"
    yield "| --- | ---: |"
    for each in found:
        yield f"| {each.name} | {each.value:.3g} {each.unit} |"


def _table(cells: Sequence[Cell]) -> Iterator[str]:
    yield "| | clients | contender | requests/s | ratio | p99, ms | µs of CPU | refused | spread |"
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    usual = _usual(cells)
    for each in cells:
        apart = spread([load.rate for load in each.rounds])
        ratio = each.rate / usual.get((each.operation, each.clients), each.rate)
        yield (
            f"| {each.operation} | {each.clients} | {each.contender} | {each.rate:.0f} "
            f"| {ratio:.1f} | {each.slowest:.1f} | {each.cost:.0f} | {each.refused} | {apart:.0%} |"
        )


def _usual(cells: Sequence[Cell]) -> Mapping[tuple[str, int], float]:
    own = (each for each in cells if each.contender == TUTORIAL)
    return {(each.operation, each.clients): each.rate for each in own}


def chart(cells: Sequence[Cell]) -> str:
    """Return an SVG of bars: requests a second by operation, with the most clients but 64."""
    shown = [each for each in cells if each.clients == _shown(cells)]
    most = max((each.rate for each in shown), default=1)
    bars = "".join(_bar(row, each, most) for row, each in enumerate(shown))
    height = 20 * len(shown) + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" '
        f'font-family="sans-serif" font-size="12">{bars}</svg>\n'
    )


def _shown(cells: Sequence[Cell]) -> int:
    counts = {each.clients for each in cells}
    return 64 if 64 in counts else max(counts, default=0)  # noqa: PLR2004 — what ratios are told of


def _bar(row: int, cell: Cell, most: float) -> str:
    top, width = 20 * row + 5, 400 * cell.rate / most
    name = escape(f"{cell.operation}, {cell.contender}")
    return (
        f'<text x="250" y="{top + 12}" text-anchor="end">{name}</text>'
        f'<rect x="260" y="{top}" width="{width:.0f}" height="16" fill="#4a7fb5"/>'
        f'<text x="{265 + width:.0f}" y="{top + 12}">{cell.rate:.0f}/s</text>'
    )
