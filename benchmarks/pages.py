"""`python -m benchmarks.pages`: durations of pages and exports.

`--rows 100000` sets the number of articles. `DATABASE_URL` names an empty database; without it, a
temporary SQLite file is used. Pages are requested in turns and medians are shown, so that a busy
machine slows all pages alike.
"""

import asyncio
import os
import secrets
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlencode

from httpx2 import Client

from app.articles.endpoints import Articles
from app.articles.schemas import ArticleQuery
from benchmarks.rows import fill
from benchmarks.service import Service, running
from brickwork import Database, Limits
from brickwork.limits import current_limits
from brickwork.query.cursors import CursorCipher, cursor_cipher
from brickwork.query.list_query import with_deleted_parameter

SORTS: Final = ("", "-created_at", "title", "rating", "-rating", "-status,title")
LIMIT: Final = 20
WARM: Final = 5
ROUNDS: Final = 31
EXPORTS: Final = 5

DEEPER: Final = 1.3
"""The largest ratio of the duration of a deep page to that of the first."""

FIRST: Final = 0.2
"""The fraction of an export's duration within which its first byte has to arrive."""

GROWN: Final = 40
"""The megabytes by which an export of any length may grow the service."""


def main() -> None:
    """Measure, and print the figures beside the targets."""
    parser = ArgumentParser(prog="python -m benchmarks.pages")
    parser.add_argument("--rows", type=int, default=100_000)
    rows: int = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        url = os.environ.get("DATABASE_URL", f"sqlite+aiosqlite:///{Path(folder, 'pages.db')}")
        fill(url, rows)
        secret = secrets.token_hex()
        numbers = (1, rows // LIMIT // 2, rows // LIMIT)
        paths = {sort: asyncio.run(pages(url, secret, sort, numbers)) for sort in SORTS}
        with running(url, secret) as service, Client(base_url=service.url, timeout=60) as client:
            print(f"{rows} articles, {url.partition(':')[0]}, Python {sys.version.split()[0]}")
            print_pages(client, numbers, paths)
            print_export(service, client)


def print_pages(client: Client, numbers: Sequence[int], paths: Mapping[str, Sequence[str]]) -> None:
    """Print the durations of the pages of each sort, and their ratios to the first page."""
    print(f"\nGET /articles?limit={LIMIT}, median of {ROUNDS} in turns, wanted: ratio <= {DEEPER}")
    print(f"{'sort':<15}" + "".join(f"{f'page {number}':>13}{'':8}" for number in numbers))
    for sort, asked in paths.items():
        times = in_turns(lambda params: get(client, params), asked)
        shown = (f"{duration:>10.2f} ms {f'({duration / times[0]:.2f})':>7}" for duration in times)
        print(f"{sort or '(none)':<15}" + "".join(shown))


def print_export(service: Service, client: Client) -> None:
    """Print when an export begins and ends, and by how much the memory of the service grows."""
    before = service.memory()
    runs = [exported(client) for _ in range(EXPORTS)]
    first, whole = (median(seconds) * 1000 for seconds in zip(*runs, strict=True))
    print(f"\nGET /articles as lines, median of {EXPORTS}, wanted: ratio < {FIRST}")
    print(f"first byte {first:.0f} ms, whole {whole:.0f} ms, ratio {first / whole:.3f}")
    print(f"grown by {service.memory() - before:.1f} MB, wanted: < {GROWN} MB")


async def pages(url: str, secret: str, sort: str, numbers: Sequence[int]) -> list[str]:
    """Return the paths of the pages with these *numbers*.

    A client follows the links page by page; here one page reads all rows before the place.
    """
    current_limits.set(Limits(page=numbers[-1] * LIMIT))
    cursor_cipher.set(CursorCipher(secret))
    sorting = {"sort": sort} if sort else {}
    database, found = Database(url), list[str]()
    async with database.lifespan(None), database.session(readonly=True) as session:
        for number in numbers:
            place: Mapping[str, str] = {}
            if before := (number - 1) * LIMIT:
                params = with_deleted_parameter(ArticleQuery).model_validate(
                    {**sorting, "limit": before}
                )
                place = (await Articles(session=session).page(params)).next or {}
            found.append(f"/articles?{urlencode({'limit': LIMIT, **sorting, **place})}")
    return found


def in_turns(ask: Callable[[str], object], paths: Sequence[str]) -> list[float]:
    """Return the median duration of a request in milliseconds, for each of *paths*."""
    times: list[list[float]] = [[] for _ in paths]
    for turn in range(WARM + ROUNDS):
        for path, found in zip(paths, times, strict=True):
            began = time.perf_counter()
            ask(path)
            if turn >= WARM:
                found.append((time.perf_counter() - began) * 1000)
    return [median(durations) for durations in times]


def get(client: Client, path: str) -> None:
    """Get the page at *path*, which has to be full."""
    response = client.get(path).raise_for_status()
    assert len(response.json()) == LIMIT, path


def exported(client: Client) -> tuple[float, float]:
    """Return the seconds until an export begins, and until it ends."""
    began = time.perf_counter()
    with client.stream("GET", "/articles", headers={"accept": "application/x-ndjson"}) as response:
        pieces = response.raise_for_status().iter_raw()
        next(pieces)
        first = time.perf_counter() - began
        for _ in pieces:
            pass
    return first, time.perf_counter() - began


if __name__ == "__main__":
    main()
