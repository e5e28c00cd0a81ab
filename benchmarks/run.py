"""A run: every operation of every contender, in turn."""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final
from uuid import UUID

import httpx2

from benchmarks.cells import Cell
from benchmarks.contenders import Contender
from benchmarks.databases import allowed, is_idle
from benchmarks.operations import (
    ALIKE,
    DEEP,
    FIRST,
    LAST_SEEN,
    MAKES,
    READS,
    ROWS,
    clients_of,
    room,
    seconds_of,
)
from benchmarks.rows import fill, restore, tidy
from benchmarks.serving import Served
from benchmarks.wrk import Load, loaded, sent
from brickwork import Database

_APART: Final = 10_000_000  # between the numbers of the rows of two loads, so that slugs differ

_IDLE: Final = 0.1  # seconds without work, after which another has the core for itself
_DONE: Final = 0.3  # seconds without work, after which nothing is written any more
_PATIENCE: Final = 60.0  # seconds


@dataclass(frozen=True)
class Plan:
    """The operations, numbers of clients, rounds and seconds of a run."""

    operations: list[str]
    clients: list[int]
    rounds: int
    seconds: int


class Run:
    """A run over the database at *url* with a *plan*."""

    def __init__(self, url: str, plan: Plan) -> None:
        """Begin writing after the first rows, which are only read."""
        self.database = Database(url).url.get_backend_name()
        self.url, self._plan = url, plan
        self._paths: dict[tuple[Contender, str], str] = {}
        self._used = range(FIRST, FIRST)
        self._made = count(1)

    def prepare(self, contenders: Collection[Contender]) -> None:
        """Write the rows; exit if PostgreSQL allows too few connections for *contenders*."""
        fill(self.url, ROWS)
        few, wanted = allowed(self.url), sum(contender.connections for contender in contenders)
        if few is not None and few < wanted:
            text = f"It takes {few} connections, and {wanted} are needed: set max_connections"
            raise SystemExit(f"{text} of the PostgreSQL, or name fewer contenders with --only.")

    def warm(self, served: Mapping[Contender, Served]) -> None:
        """Send each kind of read once to all contenders, which have to answer."""
        for contender, server in served.items():
            for operation in ALIKE:
                if contender.can(self.database, operation):
                    self._paths[contender, operation] = _path(contender, operation, server.url)

    def cells(self, served: Mapping[Contender, Served]) -> Iterator[Cell]:
        """Yield the measurements of *served*, operation by operation."""
        for operation in self._plan.operations:
            for clients in dict.fromkeys(clients_of(operation, n) for n in self._plan.clients):
                yield from self._step(served, operation, clients)

    def _step(
        self, served: Mapping[Contender, Served], operation: str, clients: int
    ) -> Iterator[Cell]:
        able = {k: v for k, v in served.items() if k.can(self.database, operation)}
        rounds: dict[Contender, list[Load]] = {contender: [] for contender in able}
        busy = dict.fromkeys(able, 0.0)
        if operation not in READS:
            self._restore(range(1, ROWS))
            tidy(self.url)
        for _ in range(self._plan.rounds):
            for contender, server in able.items():
                begun = server.seconds()
                rounds[contender].append(self._load(contender, server, operation, clients))
                busy[contender] += server.seconds() - begun
                self._settle(server, _IDLE if operation in READS else _DONE)
                if operation not in READS:
                    self._restore(self._used)
        for contender, loads in rounds.items():
            took = busy[contender]
            yield Cell(self.database, operation, clients, contender.name, loads, took)

    def _load(self, contender: Contender, served: Served, operation: str, clients: int) -> Load:
        seconds = seconds_of(operation, self._plan.seconds)
        if operation in ALIKE:
            url = served.url + self._paths[contender, operation]
            return loaded(url, clients=clients, seconds=seconds)
        self._used = self._free(0 if operation in MAKES else room(seconds))
        start = next(self._made) * _APART if operation in MAKES else self._used.start
        return sent(served.url, operation, start=start, clients=clients, seconds=seconds)

    def _free(self, rows: int) -> range:
        """Return so many *rows*, unused ones as long as there are some."""
        if self._used.stop + rows <= ROWS:
            return range(self._used.stop, self._used.stop + rows)
        self._restore(range(1, ROWS))  # what came after the answers, too
        return range(FIRST, FIRST + rows)

    def _settle(self, served: Served, idle: float) -> None:
        """Wait until the work for clients that left before their response has ended."""
        end = time.monotonic() + _PATIENCE
        served.settle(idle)
        while not is_idle(self.url) and time.monotonic() < end:
            served.settle(idle)

    def _restore(self, rows: range) -> None:
        """Restore the deleted ones of *rows*, and delete those that a load made."""
        restore(self.url, first=rows.start, last=rows.stop, rows=ROWS)


def _path(contender: Contender, operation: str, url: str) -> str:
    """Return the path that an *operation* reads; a link leads to page 5 000 at a cursor."""
    path = contender.path(operation)
    response = httpx2.get(url + path, timeout=30)
    assert response.is_success, f"{contender.name}: {path} is a {response.status_code}"
    if operation == DEEP and contender.links:
        path = response.links["next"]["url"]
        first = httpx2.get(url + path).json()[0]
        assert "cursor=" in path, path
        assert first["id"] == str(UUID(int=LAST_SEEN.int + 1)), first
    return path
