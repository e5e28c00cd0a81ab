"""How long pages and exports of the reference service take: `python -m benchmarks.pages`.

`--rows 100000` says of how many articles. `DATABASE_URL` names an empty database; without, it is a
file of SQLite that is gone afterwards. Pages are asked for in turns, and what is shown are
medians, so that a busy machine slows all alike.
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
"""How much longer than the first a page may take, however deep in the list."""

FIRST: Final = 0.2
"""The part of an export's time after which its first byte is wanted."""

GROWN: Final = 40
"""The megabytes by which an export of any length may grow the service."""


def main() -> None:
    """Measure, and print what is seen beside what is wanted."""
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
    """Print for each sort how long its pages take, and how much longer than the first."""
    print(f"\nGET /articles?limit={LIMIT}, median of {ROUNDS} in turns, wanted: ratio <= {DEEPER}")
    print(f"{'sort':<15}" + "".join(f"{f'page {each}':>13}{'':8}" for each in numbers))
    for sort, asked in paths.items():
        times = in_turns(lambda params: get(client, params), asked)
        shown = (f"{each:>10.2f} ms {f'({each / times[0]:.2f})':>7}" for each in times)
        print(f"{sort or '(none)':<15}" + "".join(shown))


def print_export(service: Service, client: Client) -> None:
    """Print how long an export takes to begin and to end, and by how much the service grows."""
    before = service.memory()
    runs = [exported(client) for _ in range(EXPORTS)]
    first, whole = (median(each) * 1000 for each in zip(*runs, strict=True))
    print(f"\nGET /articles as lines, median of {EXPORTS}, wanted: ratio < {FIRST}")
    print(f"first byte {first:.0f} ms, whole {whole:.0f} ms, ratio {first / whole:.3f}")
    print(f"grown by {service.memory() - before:.1f} MB, wanted: < {GROWN} MB")


async def pages(url: str, secret: str, sort: str, numbers: Sequence[int]) -> list[str]:
    """Return the paths of the pages with these *numbers*.

    A client goes from one to the next; here what is before a page is read as a single one.
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
    """Return for each of *paths* the median of milliseconds that asking takes."""
    times: list[list[float]] = [[] for _ in paths]
    for turn in range(WARM + ROUNDS):
        for path, found in zip(paths, times, strict=True):
            began = time.perf_counter()
            ask(path)
            if turn >= WARM:
                found.append((time.perf_counter() - began) * 1000)
    return [median(each) for each in times]


def get(client: Client, path: str) -> None:
    """Get the page at *path*, which has as many rows as it can."""
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
