"""What is asked of the contenders, and of which rows."""

from typing import Final
from uuid import UUID

ROWS: Final = 300_000
BATCH: Final = "batch of 1000"
DEEP: Final = "page 5 000"
TURN: Final = "GET in turn"
ALIKE: Final = ("GET", "list of 20", "list of 100", DEEP)
"""Those that ask all the time for the same."""
READS: Final = ("GET", TURN, *ALIKE[1:])
MAKES: Final = ("POST", BATCH)
OPERATIONS: Final = (*READS, "POST", "PATCH", "DELETE", BATCH)
ONE: Final = UUID(int=ROWS // 100)
"""The article that is read; those in turn, and which are written, come after `FIRST`."""
FIRST: Final = ROWS // 50
LAST_SEEN: Final = UUID(int=4_999 * 20)
"""The article before page 5 000."""

_ROOM: Final = 10_000  # rows a second that are set apart for a load; what is faster reads on
_LONG: Final = 3  # seconds that batches go on for at least
_FEW: Final = 8  # clients that send batches: with more, none would be answered within a round


def clients_of(operation: str, clients: int) -> int:
    """Return how many clients there are for an *operation* where others have *clients*."""
    return min(clients, _FEW) if operation == BATCH else clients


def seconds_of(operation: str, seconds: int) -> int:
    """Return how long an *operation* is asked for where others are for so many *seconds*."""
    return max(seconds, _LONG) if operation == BATCH else seconds


def room(seconds: int) -> int:
    """Return how many rows are enough for so many *seconds* of one after the other."""
    return min(_ROOM * (seconds + 1), ROWS - FIRST)
