"""What is known of one operation of one contender."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.wrk import Load, spread


@dataclass(frozen=True)
class Cell:
    """One operation of one contender: its rounds, and the seconds of processor they took."""

    database: str
    operation: str
    clients: int
    contender: str
    rounds: Sequence[Load]
    busy: float

    @property
    def rate(self) -> float:
        """Requests a second, the median of the rounds."""
        return median(each.rate for each in self.rounds)

    @property
    def slowest(self) -> float:
        """The milliseconds within which 99 % were answered, the median of the rounds."""
        return median(each.slowest for each in self.rounds)

    @property
    def cost(self) -> float:
        """The microseconds of processor a request took."""
        return self.busy / max(1, sum(each.requests for each in self.rounds)) * 1e6

    @property
    def refused(self) -> int:
        """How many requests were refused, or had no answer."""
        return sum(each.refused for each in self.rounds)

    @property
    def apart(self) -> float:
        """How far apart the rounds are, as a part of their median."""
        return spread([each.rate for each in self.rounds])
