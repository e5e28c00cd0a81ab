"""The wanted ratios, and the measured ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.cells import Cell
from benchmarks.contenders import FAST, TUTORIAL

_ALONE: Final = "fast path, each alone"
_SCOPED: Final = "user and query(), fast path"
_OVERRIDDEN: Final = "get() and create() overridden"
_PLAIN: Final = "asyncpg in FastAPI"
_BARE: Final = "asyncpg in bare ASGI"
_INLINE: Final = "sqlite3 in bare ASGI"


@dataclass(frozen=True)
class Wanted:
    """A ratio of requests a second, or of p99 latencies if `of_p99`."""

    database: str
    operation: str
    ours: str
    other: str
    ratio: float
    clients: int = 64
    of_p99: bool = False

    def reached(self, cells: Mapping[tuple[str, str, str, int], Cell]) -> float | None:
        """Return the measured ratio. None if it was not measured."""
        place = (self.database, self.operation)
        ours = cells.get((*place, self.ours, self.clients))
        other = cells.get((*place, self.other, self.clients))
        if ours is None or other is None:
            return None
        return other.slowest / ours.slowest if self.of_p99 else ours.rate / other.rate


def _each(ours: str, other: str, database: str = "postgresql", **ratios: float) -> list[Wanted]:
    names = {"list20": "list of 20", "list100": "list of 100"}
    return [Wanted(database, names.get(k, k), ours, other, v) for k, v in ratios.items()]


WANTED: Final = (
    *_each(FAST, TUTORIAL, GET=10, POST=13),
    *_each(FAST, _BARE, GET=1.2, POST=1.2),
    *_each(_ALONE, TUTORIAL, GET=6.5, POST=9, PATCH=9, DELETE=8.5),
    *_each(_ALONE, _BARE, GET=0.8, POST=0.8, PATCH=0.8, DELETE=0.8),
    *_each(_ALONE, _PLAIN, GET=1.25, POST=1.25, PATCH=1.25, DELETE=1.25),
    *_each(FAST, TUTORIAL, list20=5.5, list100=4.5),
    *_each(FAST, _PLAIN, list20=1.4, list100=1.15),
    *_each(_SCOPED, TUTORIAL, GET=4),
    *_each(_SCOPED, _PLAIN, GET=0.9),
    *_each(_OVERRIDDEN, TUTORIAL, GET=1.3, POST=1.8),
    *_each(FAST, TUTORIAL, "sqlite", GET=9, list20=4.5, POST=15, PATCH=18),
    *_each(FAST, _INLINE, "sqlite", GET=0.85),
    Wanted("sqlite", "GET", FAST, TUTORIAL, 10, of_p99=True),
    Wanted("postgresql", "GET", FAST, TUTORIAL, 10, of_p99=True),
    Wanted("postgresql", "GET", FAST, TUTORIAL, 2.5, clients=1),
)

_WHY: Final = """\
Why some ratios are missed: most of the time of a coalesced read is spent in the server and in the
layers of FastAPI, Starlette and Brickwork; `bare hello` is a server without them. Tried: coalesced
reads by key, one serialisation of a row for all concurrent readers, statements compiled once, no
session, no greenlet, no route matching, one system call for a response, a frozen heap. Lists are
ahead because all clients request the same page, which concurrent requests share; a third of the
time of a single list is the conversion of UUIDs and timestamps. Writes wait for the disk. An
overridden method has a session and three round trips, as the tutorial has. asyncpg cannot send
them together, and AUTOCOMMIT would undo the settings that the method makes for its transaction.
`sqlite3` blocks the event loop, and needs no switch to a thread."""


def comparison(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the lines of a table of wanted and measured ratios, and an explanation."""
    known = {(cell.database, cell.operation, cell.contender, cell.clients): cell for cell in cells}
    yield "| | clients | of | to | wanted | is |"
    yield "| --- | ---: | --- | --- | ---: | ---: |"
    for target in WANTED:
        what = f"{target.database} {target.operation}{', p99' if target.of_p99 else ''}"
        ratios = f"{target.ratio:g} | {_is(target.reached(known))}"
        yield f"| {what} | {target.clients} | {target.ours} | {target.other} | {ratios} |"
    yield ""
    yield _WHY


def _is(ratio: float | None) -> str:
    return "not measured" if ratio is None else f"{ratio:.2f}"
