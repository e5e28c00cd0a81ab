"""The benchmark: `make bench`, or `make bench ARGS=--quick` for two minutes.

DATABASE_URL=postgresql://… names an empty database of a PostgreSQL to measure too; it should
write to a disk, with fsync. `wrk` sends the load and has to be installed.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.cells import Cell
from benchmarks.contenders import CONTENDERS, Contender, chosen
from benchmarks.databases import settings
from benchmarks.operations import OPERATIONS, ROWS
from benchmarks.report import FOLDER, Conditions, write
from benchmarks.run import Plan, Run
from benchmarks.serving import are_apart, serving
from benchmarks.startup import Figure, figures


def main() -> None:
    """Measure, and write the report."""
    asked = _asked()
    if shutil.which("wrk") is None:
        raise SystemExit("The load comes from wrk: install it (Debian: apt-get install wrk).")
    contenders = chosen(asked.only, quick=asked.quick)
    plan = Plan(asked.operations, asked.clients, asked.rounds, asked.seconds)
    cells, found = list[Cell](), list[Figure]()
    with tempfile.TemporaryDirectory() as folder:
        given = os.environ.get("DATABASE_URL")
        urls = [f"sqlite:///{Path(folder) / 'bench.db'}", *([given] if given else [])]
        runs = [Run(url, plan) for url in urls]
        for run in runs:
            run.prepare(
                [contender for contender in contenders if run.database in contender.databases]
            )
        databases = {run.database: settings(run.url) for run in runs}
        conditions = Conditions(_how(plan), databases)
        try:
            for run in runs:
                cells += _measured(run, contenders)
            if not asked.only:
                found += figures(urls[-1], asked.seconds)
        finally:  # keep the measurements of hours
            write(cells, found, conditions, asked.folder)


def _measured(run: Run, contenders: Sequence[Contender]) -> Iterator[Cell]:
    with ExitStack() as stack:
        served = {
            contender: stack.enter_context(serving(contender.target, run.url))
            for contender in contenders
            if run.database in contender.databases
        }
        run.warm(served)
        for cell in run.cells(served):
            print(f"{run.database} {cell.operation} {cell.clients}: {cell.contender}", end=" ")
            print(
                f"{cell.rate:.0f}/s, p99 {cell.slowest:.1f} ms, {cell.refused} refused", flush=True
            )
            yield cell


def _how(plan: Plan) -> str:
    rounds = "1 round" if plan.rounds == 1 else f"{plan.rounds} rounds"
    apart = "a core of its own" if are_apart() else "the core of the load"
    how = f"{rounds} of {plan.seconds} s, one worker on {apart}, {ROWS} rows."
    missing = [contender.name for contender in CONTENDERS if not contender.is_here()]
    return f"{how} Not installed: {', '.join(missing)}." if missing else how


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few contenders, 64 clients, one round of a second"
    )
    parser.add_argument("--only", nargs="+", default=[], help="parts of names of contenders")
    parser.add_argument("--operations", nargs="+", default=OPERATIONS, choices=OPERATIONS)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the report goes")
    asked = parser.parse_args()
    if asked.quick:
        asked.clients, asked.rounds, asked.seconds = [64], 1, 1
    return asked


if __name__ == "__main__":
    main()
