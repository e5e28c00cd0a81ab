"""The search for differences between paths, and their report."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from traceback import extract_tb

import pydantic
from typing_extensions import override

import brickwork
from tests.support.applications.drawing import Application, generate
from tests.support.applications.playing import Comparison, Difference, Outcome, Player

_SOURCES = {Path(str(module.__file__)).parent for module in (brickwork, pydantic)}


@dataclass
class Totals:
    """The results of several applications."""

    applications: int = 0
    refused: int = 0
    """The number of applications that Brickwork or Pydantic rejected at the declaration."""
    statuses: Counter[int] = field(default_factory=Counter[int])
    asked: Counter[str] = field(default_factory=Counter[str])
    """The numbers of requests, by their methods."""
    fast: Counter[str] = field(default_factory=Counter[str])
    """The numbers of requests on the fast path, by their methods."""
    differences: list[str] = field(default_factory=list[str])

    def add(self, played: Comparison) -> None:
        """Add the result of one application."""
        self.applications += 1
        self.statuses.update(played.statuses)
        self.asked.update(played.asked)
        self.fast.update(played.fast)

    def share(self, method: str) -> float:
        """Return the fraction of the requests with *method* that took the fast path."""
        return self.fast[method] / max(self.asked[method], 1)

    @override
    def __str__(self) -> str:
        by_method = (f"{name} {self.fast[name]}/{n}" for name, n in self.asked.most_common())
        statuses = (f"{n} x {status}" for status, n in self.statuses.most_common())
        return (
            f"{self.applications} applications, {self.refused} refused, "
            f"{self.asked.total()} requests ({', '.join(statuses)}), "
            f"{self.fast.total()} fast ({', '.join(by_method)}), "
            f"{len(self.differences)} different"
        )


async def compare(player: Player, numbers: Iterable[int], backend: str) -> Totals:
    """Play the applications with *numbers* on each path."""
    found = Totals()
    for number in numbers:
        if (application := _drawn(number, backend)) is None:
            found.refused += 1
            continue
        played = await player.play(application)
        if played.difference and _is_late(played.difference):
            played = await player.play(application)
        found.add(played)
        if played.difference:
            smaller = await _smaller(player, application, played.difference)
            found.differences.append("\n".join(_report(*smaller)))
    return found


def _drawn(number: int, backend: str, without: frozenset[str] = frozenset()) -> Application | None:
    """Return the application with *number*. None if its declaration is rejected."""
    try:
        return generate(number, backend, without)
    except TypeError as error:
        if not _SOURCES.isdisjoint(Path(extract_tb(error.__traceback__)[-1].filename).parents):
            return None
        error.add_note(f"It is of application {number} on {backend}.")
        raise


def _is_late(difference: Difference) -> bool:
    """Return whether a database missed its deadline, as on a busy machine."""
    return any(
        answer.status == HTTPStatus.SERVICE_UNAVAILABLE
        for outcome in difference.outcomes.values()
        for answer in outcome.answers
    )


async def _smaller(
    player: Player, application: Application, difference: Difference
) -> tuple[Application, Difference]:
    """Return *application* without the pieces that are irrelevant to its difference."""
    without: frozenset[str] = frozenset()
    for piece in reversed(application.pieces):
        fewer = without | {piece}
        less = _drawn(application.number, application.backend, fewer)
        played = less and await player.play(less)
        if less and played and played.difference:
            without, application, difference = fewer, less, played.difference
    return application, difference


def _report(application: Application, difference: Difference) -> Iterator[str]:
    number = application.number
    yield (
        f"Application {number} on {application.backend} differs on the path "
        f"'{difference.path}' (--applications {number}:{number + 1}):"
    )
    yield from (f"  {line}" for line in application.description)
    yield "after these requests:"
    for before in application.steps[: difference.step]:
        yield from (f"  {step}" for step in before)
    one, other = difference.outcomes.items()
    pairs = [*zip(difference.asked, one[1].answers, other[1].answers, strict=True)]
    # One of the concurrent requests shows the difference.
    asked, own, usual = next((triple for triple in pairs if triple[1] != triple[2]), pairs[0])
    yield f"is asked:\n  {asked}"
    yield f"and answers, on the path '{one[0]}':\n  {own}"
    yield f"and answers, on the path '{other[0]}':\n  {usual}"
    yield from _rows(*one, other[1])
    yield from _rows(*other, one[1])


def _rows(name: str, own: Outcome, other: Outcome) -> Iterator[str]:
    if rows := Counter(own.rows) - Counter(other.rows):
        yield f"and has these rows on the path '{name}' alone:"
        yield from (f"  {row}" for row in rows.elements())
