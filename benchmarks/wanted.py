"""How far ahead the service is to be, and how far it is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.cells import Cell
from benchmarks.contenders import FAST, TUTORIAL

_ALONE: Final = "fast lane, each alone"
_SCOPED: Final = "user and query(), fast lane"
_OVERRIDDEN: Final = "get() and create() overridden"
_PLAIN: Final = "asyncpg in FastAPI"
_BARE: Final = "asyncpg in bare ASGI"
_INLINE: Final = "sqlite3 in bare ASGI"


@dataclass(frozen=True)
class Wanted:
    """A ratio: of requests a second, or where it says so of the time of the slowest 1 %."""

    database: str
    operation: str
    ours: str
    other: str
    ratio: float
    clients: int = 64
    of_p99: bool = False

    def reached(self, cells: Mapping[tuple[str, str, str, int], Cell]) -> float | None:
        """Return the ratio as it was measured; None if it was not."""
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
Where it is not reached: most of a read that is coalesced are the server, the layers of FastAPI and
Starlette, and ours among them; `bare hello` says what a server does that has none of them. Tried:
a coalescer for reads by key, a row that is written out once for all who wait for it, statements
compiled once, no session, no greenlet, no matching of routes, one call of the system for an
answer, a frozen heap. Lists are ahead since all clients ask for the same page, which is made once
for those who wait; a third of a list that is made for one alone is making UUIDs and instants of
what the driver has. Writes wait for the disk. An overridden step has a session and three round
trips as the tutorial has them; asyncpg cannot send them at once, and AUTOCOMMIT would undo what a
step of the author's own sets for its transaction. `sqlite3` in the loop blocks it, and has no hop
to a thread to pay for."""


def told(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield what was wanted, what there is of it, and why not more."""
    known = {(each.database, each.operation, each.contender, each.clients): each for each in cells}
    yield "| | clients | of | to | wanted | is |"
    yield "| --- | ---: | --- | --- | ---: | ---: |"
    for each in WANTED:
        what = f"{each.database} {each.operation}{', p99' if each.of_p99 else ''}"
        ratios = f"{each.ratio:g} | {_is(each.reached(known))}"
        yield f"| {what} | {each.clients} | {each.ours} | {each.other} | {ratios} |"
    yield ""
    yield _WHY


def _is(ratio: float | None) -> str:
    return "not measured" if ratio is None else f"{ratio:.2f}"
