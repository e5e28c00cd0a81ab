"""The measurements of one operation of one contender."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.wrk import Load, spread


@dataclass(frozen=True)
class Cell:
    """One operation of one contender: its rounds, and the seconds of CPU they took."""

    database: str
    operation: str
    clients: int
    contender: str
    rounds: Sequence[Load]
    busy: float

    @property
    def rate(self) -> float:
        """Return the requests a second, the median of the rounds."""
        return median(load.rate for load in self.rounds)

    @property
    def slowest(self) -> float:
        """Return the 99th percentile of the latency in milliseconds, the median of the rounds."""
        return median(load.slowest for load in self.rounds)

    @property
    def cost(self) -> float:
        """Return the microseconds of CPU per request."""
        return self.busy / max(1, sum(load.requests for load in self.rounds)) * 1e6

    @property
    def refused(self) -> int:
        """Count the requests that were rejected or had no response."""
        return sum(load.refused for load in self.rounds)

    @property
    def apart(self) -> float:
        """Return the range of the rates as a fraction of their median."""
        return spread([load.rate for load in self.rounds])
