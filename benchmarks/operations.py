"""The operations that are measured, and their rows."""

from typing import Final
from uuid import UUID

ROWS: Final = 300_000
BATCH: Final = "batch of 1000"
DEEP: Final = "page 5 000"
TURN: Final = "GET in turn"
ALIKE: Final = ("GET", "list of 20", "list of 100", DEEP)
"""The operations whose requests are all equal."""
READS: Final = ("GET", TURN, *ALIKE[1:])
MAKES: Final = ("POST", BATCH)
OPERATIONS: Final = (*READS, "POST", "PATCH", "DELETE", BATCH)
ONE: Final = UUID(int=ROWS // 100)
"""The article that is read. Articles that are read in turn or written come after `FIRST`."""
FIRST: Final = ROWS // 50
LAST_SEEN: Final = UUID(int=4_999 * 20)
"""The article before page 5 000."""

_ROOM: Final = 10_000  # rows a second that are reserved for a load; a faster one reads further rows
_LONG: Final = 3  # the least seconds of a load of batches
_FEW: Final = 8  # clients that send batches: with more, no batch would end within a round


def clients_of(operation: str, clients: int) -> int:
    """Return the number of clients of an *operation*: *clients*, or fewer for batches."""
    return min(clients, _FEW) if operation == BATCH else clients


def seconds_of(operation: str, seconds: int) -> int:
    """Return the duration of an *operation*: *seconds*, or more for batches."""
    return max(seconds, _LONG) if operation == BATCH else seconds


def room(seconds: int) -> int:
    """Return the number of rows that are reserved for a load of so many *seconds*."""
    return min(_ROOM * (seconds + 1), ROWS - FIRST)
