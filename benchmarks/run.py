"""One run over one database: every operation of every contender, in turn."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

import httpx2

from benchmarks.contenders import Contender
from benchmarks.operations import FIRST, READS, ROWS, clients_of, room
from benchmarks.report import Cell
from benchmarks.rows import restore, tidy
from benchmarks.serving import Served
from benchmarks.wrk import Load, loaded, written
from brickwork import Database


@dataclass(frozen=True)
class Plan:
    """How often, how long and by how many clients contenders are asked for what."""

    operations: list[str]
    clients: list[int]
    rounds: int
    seconds: int


class Run:
    """A run over the database at *url*; *cursor* is the service's path of page 5 000."""

    def __init__(self, url: str, cursor: str, plan: Plan) -> None:
        """Begin after the first rows, which are read."""
        self.database = Database(url).url.get_backend_name()
        self._url, self._cursor, self._plan = url, cursor, plan
        self._next = FIRST
        self._made = count(1)

    def warm(self, served: Mapping[Contender, Served]) -> None:
        """Have all do once what they do at the first request only; all have to answer."""
        for contender, each in served.items():
            for operation in READS:
                if contender.can(self.database, operation):
                    path = contender.path(operation, self._cursor)
                    told = httpx2.get(each.url + path, timeout=30)
                    assert told.is_success, f"{contender.name}: {path} is a {told.status_code}"

    def cells(self, served: Mapping[Contender, Served]) -> Iterator[Cell]:
        """Yield what each of *served* does, operation by operation."""
        for operation in self._plan.operations:
            for clients in dict.fromkeys(clients_of(operation, n) for n in self._plan.clients):
                yield from self._step(served, operation, clients)

    def _step(
        self, served: Mapping[Contender, Served], operation: str, clients: int
    ) -> Iterator[Cell]:
        able = {k: v for k, v in served.items() if k.can(self.database, operation)}
        rounds: dict[Contender, list[Load]] = {each: [] for each in able}
        busy = dict.fromkeys(able, 0.0)
        if operation not in READS:
            tidy(self._url)
        for _ in range(self._plan.rounds):
            for contender, each in able.items():
                begun = each.seconds()
                rounds[contender].append(self._load(contender, each, operation, clients))
                busy[contender] += each.seconds() - begun
        for contender, loads in rounds.items():
            took = busy[contender]
            yield Cell(self.database, operation, clients, contender.name, loads, took)

    def _load(self, contender: Contender, served: Served, operation: str, clients: int) -> Load:
        seconds = self._plan.seconds
        if operation in READS:
            path = contender.path(operation, self._cursor)
            return loaded(served.url + path, clients=clients, seconds=seconds)
        first = self._first(room(seconds))
        makes = operation not in {"PATCH", "DELETE"}
        start = next(self._made) * 10_000_000 if makes else first
        load = written(served.url, operation, start=start, clients=clients, seconds=seconds)
        served.settle()
        last = first if makes else first + room(seconds)
        restore(self._url, first=first, last=last, rows=ROWS)
        return load

    def _first(self, rows: int) -> int:
        """Return the first of so many *rows*, other than those before as long as there are some."""
        if self._next + rows > ROWS:
            self._next = FIRST
        self._next += rows
        return self._next - rows
