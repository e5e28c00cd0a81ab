"""The benchmark: `make bench`, or `make bench ARGS=--quick` for a minute.

DATABASE_URL=postgresql://… names an empty database of a PostgreSQL to be measured too; it should
write to a disk, with fsync. Load comes from `wrk`, which has to be installed.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Final

import httpx2

from benchmarks.contenders import CONTENDERS, Served, can, serving
from benchmarks.report import Cell, write
from benchmarks.service import fill
from benchmarks.wrk import Load, loaded, written
from brickwork import Database

ROWS: Final = 300_000
_PATHS: Final = {
    "GET": f"/articles/00000000-0000-0000-0000-{ROWS // 100:012x}",
    "list of 20": "/articles",
    "list of 100": "/articles?limit=100",
}
OPERATIONS: Final = (*_PATHS, "POST", "PATCH", "DELETE")
_AHEAD: Final = 1_000  # rows that are left between runs, which may have sent more than was answered


class Run:
    """One run over one database: each operation is about other rows than those before."""

    def __init__(self, url: str, asked: argparse.Namespace) -> None:
        """Begin after the first rows, which are read."""
        self.database = Database(url).url.get_backend_name()
        self.asked = asked
        self._next = ROWS // 50
        self._made = count(1)

    def cells(self, served: Mapping[str, Served], operation: str, clients: int) -> Sequence[Cell]:
        """Return what each of *served* does, measured in turn."""
        able = {k: v for k, v in served.items() if can(k, self.database, operation)}
        rounds: dict[str, list[Load]] = {name: [] for name in able}
        busy = dict.fromkeys(able, 0.0)
        for _ in range(self.asked.rounds):
            for name, each in able.items():
                begun = each.seconds()
                rounds[name].append(self._load(each, operation, clients))
                busy[name] += each.seconds() - begun
        return [
            Cell(self.database, operation, clients, name, rounds[name], busy[name]) for name in able
        ]

    def _load(self, served: Served, operation: str, clients: int) -> Load:
        seconds = self.asked.seconds
        if path := _PATHS.get(operation):
            return loaded(served.url + path, clients=clients, seconds=seconds)
        start = next(self._made) * 1_000_000 if operation == "POST" else self._next
        load = written(served.url, operation, start=start, clients=clients, seconds=seconds)
        if operation != "POST":
            self._next += load.requests + _AHEAD
        return load


def main() -> None:
    """Measure, and write the report."""
    asked = _asked()
    if shutil.which("wrk") is None:
        raise SystemExit("The load comes from wrk: install it (Debian: apt-get install wrk).")
    with tempfile.TemporaryDirectory() as folder:
        urls = [f"sqlite:///{Path(folder) / 'bench.db'}", *_given()]
        cells = [cell for url in urls for cell in _measured(url, asked)]
    how = f"{asked.rounds} rounds of {asked.seconds} s, one worker, {ROWS} rows."
    write(cells, how)


def _measured(url: str, asked: argparse.Namespace) -> Sequence[Cell]:
    fill(url, ROWS)
    run, cells = Run(url, asked), list[Cell]()
    with ExitStack() as stack:
        served = {
            name: stack.enter_context(serving(target, url))
            for name, target in CONTENDERS.items()
            if can(name, run.database, "GET")
        }
        for each in served.values():
            for path in _PATHS.values():  # what is made at the first request is not measured
                assert httpx2.get(each.url + path).is_success
        for clients in asked.clients:
            for operation in OPERATIONS:
                for cell in run.cells(served, operation, clients):
                    print(f"{run.database} {operation} {clients}: {cell.contender}", end=" ")
                    print(f"{cell.rate:.0f}/s, p99 {cell.slowest:.1f} ms, {cell.refused} refused")
                    cells.append(cell)
    return cells


def _given() -> list[str]:
    given = os.environ.get("DATABASE_URL")
    return [given] if given else []


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 clients, one round of a second")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    asked = parser.parse_args()
    if asked.quick:
        asked.clients, asked.rounds, asked.seconds = [64], 1, 1
    return asked


if __name__ == "__main__":
    main()
