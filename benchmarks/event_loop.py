"""`python -m benchmarks.event_loop`: how long the heaviest requests block the event loop.

`DATABASE_URL` names an empty database; without it, a temporary SQLite file is used. Each request is
sent three times, and its shortest time counts, so that a busy machine does not.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from brickwork import Database
from tests.support import heavy, heavy_calls

LONGEST: Final = 0.2
"""The seconds that the contract promises."""

_TIMES: Final = 3
_SHOWN: Final = 5


def main() -> None:
    """Measure, and print the longest times beside the target."""
    with tempfile.TemporaryDirectory() as folder:
        url = os.environ.get("DATABASE_URL", f"sqlite+aiosqlite:///{Path(folder, 'records.db')}")
        print(f"{url.partition(':')[0]}, Python {sys.version.split()[0]}, wanted: < {LONGEST} s")
        for path in ("fast", "ORM"):
            held = asyncio.run(_shortest(Database(url, fast_path=path == "fast")))
            print(f"\n{len(held)} requests, {path} path, the longest {_SHOWN}")
            for name in sorted(held, key=lambda name: held[name], reverse=True)[:_SHOWN]:
                print(f"{held[name]:.3f} s  {name}")


async def _shortest(database: Database) -> Mapping[str, float]:
    """Return the shortest of three times that each request blocks the event loop, by its name."""
    calls = [*heavy_calls.body_calls(), *heavy_calls.head_calls()]
    async with heavy.calling_records(database) as client:
        runs = [await heavy_calls.holds(client, calls) for _ in range(_TIMES)]
    return {name: min(run[name] for run in runs) for name in runs[0]}


if __name__ == "__main__":
    main()
