"""The reference service as a process of its own, over a database with many articles."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
from sqlalchemy import func, select, text

from app.migrations import migrate
from app.models import Article
from brickwork import Database

ROOT: Final = Path(__file__).parents[1]

# Titles and ratings are in another order than keys; a third have no rating, and many share one.
_FILL: Final = {
    "sqlite": """
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)
        INSERT INTO articles
            (id, title, slug, body, status, views, rating, created_at, updated_at)
        SELECT printf('%032x', n), printf('Title %010d', n * 48271 % 2147483647), 'slug-' || n,
            replace(hex(zeroblob(100)), '0', 'x'), iif(n % 2, 'draft', 'published'), n % 1000,
            iif(n % 3, n * 7919 % 1000 / 10.0, NULL), made, made
        FROM (
            SELECT n, strftime('%Y-%m-%d %H:%M:%S.000000', 1704067200 + n, 'unixepoch') AS made
            FROM numbers
        )""",
    "postgresql": """
        INSERT INTO articles
            (id, title, slug, body, status, views, rating, created_at, updated_at)
        SELECT lpad(to_hex(n), 32, '0')::uuid,
            'Title ' || lpad((n * 48271 % 2147483647)::text, 10, '0'), 'slug-' || n,
            repeat('x', 200), CASE n % 2 WHEN 1 THEN 'draft' ELSE 'published' END, n % 1000,
            CASE n % 3 WHEN 0 THEN NULL ELSE n * 7919 % 1000 / 10.0 END, made, made
        FROM (
            SELECT n, timestamptz '2024-01-01Z' + n * interval '1 second' AS made
            FROM generate_series(1::bigint, :rows) AS n
        ) AS numbers""",
}


def fill(url: str, rows: int) -> None:
    """Migrate the database at *url*, and write *rows* articles, unless they are there."""
    migrate(url)
    asyncio.run(_fill(Database(url), rows))


async def _fill(database: Database, rows: int) -> None:
    async with database.lifespan(None), database.session() as session:
        there = await session.scalar(select(func.count()).select_from(Article))
        if there not in {0, rows}:
            raise SystemExit(f"There are {there} articles: name an empty database.")
        if not there:
            await session.execute(text(_FILL[database.url.get_backend_name()]), {"rows": rows})
            await session.execute(text("ANALYZE"))


@dataclass(frozen=True)
class Service:
    """Where the service listens, and which process it is."""

    url: str
    process: int

    def memory(self) -> float:
        """Return the megabytes that it ever had in memory at once, as Linux tells."""
        status = Path(f"/proc/{self.process}/status").read_text(encoding="ascii")
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
        return int(peak) / 1024


@contextmanager
def running(url: str, secret: str) -> Generator[Service]:
    """Run the service over the database at *url*, its cursors signed with *secret*."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": url,
            "PORT": str(port),
            "CURSOR_KEYS": json.dumps([secret]),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        service = Service(f"http://127.0.0.1:{port}", process.pid)
        _wait_for(service, process)
        yield service
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(service: Service, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            httpx2.get(f"{service.url}/openapi.json")
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("The service ended before it answered.")
