"""The memory of endless requests and responses."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import pytest

from brickwork.http.negotiation import NDJSON
from tests.support.bodies import JSON, article
from tests.support.databases import Databases
from tests.support.processes import MEGABYTE, children, memory, running_service
from tests.support.rows import fill_articles
from tests.support.wire import request

pytestmark = pytest.mark.anyio

LINES: Final = {"accept": NDJSON}


def streamed(port: int, head: bytes, pieces: Iterator[bytes]) -> int:
    """Send *pieces* until the server closes the connection, and return the status."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        with suppress(ConnectionError):
            connection.sendall(head)
            for piece in pieces:
                connection.sendall(piece)
        with suppress(OSError, IndexError):
            connection.shutdown(socket.SHUT_WR)
            return int(connection.recv(100).split(b" ")[1])
    return 0


def heads(path: str, *lines: str) -> list[bytes]:
    kind = f"content-type: {JSON}"
    return [request("POST", "/articles", kind, *lines), request("PATCH", path, kind, *lines)]


@dataclass(frozen=True)
class Running:
    """The service in a separate process, with one article."""

    url: str
    path: str
    process: int

    def grown(self, heads: list[bytes], pieces: list[bytes], answers: set[int]) -> int:
        """Send each of *heads* with *pieces*, and return the growth of the process in bytes."""
        before = memory(self.process)
        for head in heads:
            # 0: the connection was closed before the response arrived.
            assert streamed(int(self.url.rpartition(":")[2]), head, iter(pieces)) in {0, *answers}
        assert httpx2.get(f"{self.url}{self.path}").json()["views"] == 1
        return memory(self.process) - before


@pytest.fixture
def running(databases: Databases) -> Iterator[Running]:
    """Run the real service, after one request of each kind."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells how much memory a process has")
    before = children()
    with running_service(DATABASE_URL=databases.empty("sqlite")) as url:
        (process,) = (child for child in children() - before if b"app" in _command(child))
        path = f"/articles/{httpx2.post(f'{url}/articles', json=article()).json()['id']}"
        httpx2.patch(f"{url}{path}", json={"views": 1})
        yield Running(url, path, process)


def test_a_chunked_body_of_50_megabytes_is_not_stored(running: Running) -> None:
    coded = heads(running.path, "transfer-encoding: chunked")
    assert running.grown(coded, [chunk(b" " * MEGABYTE)] * 50, {413}) < 8 * MEGABYTE
    assert running.grown(coded, [chunk(b"[" * 100)] * 524_288, {413}) < 8 * MEGABYTE


def test_a_body_of_50_megabytes_is_not_stored(running: Running) -> None:
    sized = heads(running.path, f"content-length: {50 * MEGABYTE}")
    assert running.grown(sized, [b"[" * MEGABYTE] * 50, {413}) < 8 * MEGABYTE


@pytest.mark.parametrize(
    "body",
    [
        b"[" * (MEGABYTE - 100),
        b"[" * 500_000 + b"]" * 500_000,
        b'{"a":' * 200_000,
        b'{"a": "' + b"b" * 1_000_000,
    ],
    ids=["arrays", "arrays, closed", "objects", "cut short"],
)
def test_50_bodies_need_the_memory_of_one(running: Running, body: bytes) -> None:
    sized = heads(running.path, f"content-length: {len(body)}")
    running.grown(sized, [body], {400, 422})
    assert running.grown(sized * 25, [body], {400, 422}) < 8 * MEGABYTE


def test_endless_headers_and_urls_are_not_stored(running: Running) -> None:
    start = b"GET / HTTP/1.1\r\nhost: a\r\n"
    assert running.grown([start], [b"a: b\r\n" * 10_000] * 100 + [b"\r\n"], {431}) < 8 * MEGABYTE
    assert running.grown([b"GET /"], [b"a" * MEGABYTE] * 10, {400, 414}) < 8 * MEGABYTE


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _command(process: int) -> bytes:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


# --- Responses ---


@dataclass(frozen=True)
class Exporting:
    """The service in a separate process."""

    url: str
    process: int

    def exported(self, query: str = "") -> int:
        """Count the lines of an export, without storing them."""
        count = 0
        with httpx2.stream("GET", f"{self.url}/articles{query}", headers=LINES, timeout=60) as it:
            assert it.status_code == 200
            for piece in it.iter_raw():
                count += piece.count(b"\n")
        return count


@pytest.fixture
def exporting(service_url: str) -> Iterator[Exporting]:
    """Run the real service, after one request for each kind of list."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells how much memory a process has")
    before = children()
    with running_service(DATABASE_URL=service_url) as url:
        (process,) = children() - before
        running = Exporting(url, process)
        assert httpx2.get(f"{url}/articles").json() == []
        assert running.exported() == 0
        yield running


@pytest.mark.parametrize(("rows", "length"), [(100_000, 100), (1_000, 100_000)])
async def test_an_export_needs_the_memory_of_a_few_rows(
    exporting: Exporting, service_url: str, rows: int, length: int
) -> None:
    await fill_articles(service_url, rows, length)
    before = memory(exporting.process)
    for query in ("", "?sort=-rating,title"):
        assert exporting.exported(query) == rows
    assert memory(exporting.process) - before < 40 * MEGABYTE
