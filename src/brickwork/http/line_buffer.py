"""Lines for standard output, buffered."""

import asyncio
import atexit
import logging
import os
import select
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Final, Generic, TypeVar

R = TypeVar("R")

log: Final = logging.getLogger("brickwork")

BLOCK: Final = 4_096
"""The bytes that Linux writes to a pipe as a whole, whatever other processes write there."""

_CAPACITY: Final = 32
"""The lines that wait for each other."""

_DELAY: Final = 0.5
"""The seconds that a line waits for others."""

_PATIENCE: Final = 1.0
"""The seconds that the end of the process waits for a blocked standard output."""

MAX_BLOCKS: Final = 256
"""The blocks that wait while standard output takes none: a megabyte."""


class LineBuffer(Generic[R]):
    """Records on their way to standard output, a line each.

    They are written together: within a second, at the end of the process, and never in parts that
    another process could interrupt. A standard output that is full, blocked or closed stops no
    request. Lines wait for it up to a megabyte, and the log has a warning when more are lost.
    """

    def __init__(self, render: Callable[[R], str]) -> None:
        """Take standard output as it is now.

        *render* returns the line of a record: at most `BLOCK` characters, with its line feed. It
        runs for many records together, outside the requests.
        """
        self._descriptor = _open_stdout()
        self._render = render
        self._records: list[R] = []
        self._capacity = _CAPACITY
        self._blocks = deque[bytes]()
        self._timer: asyncio.TimerHandle | None = None
        self._lost = 0
        self._reason = ""
        atexit.register(self.close)  # a server without lifespan, or interrupted twice

    def add(self, record: R) -> None:
        """Add the line of *record*."""
        self._records.append(record)
        if len(self._records) >= self._capacity:
            self.flush()
        elif self._timer is None:
            self._start_timer()

    def flush(self, patience: float = 0.0) -> None:
        """Write what standard output takes within *patience* seconds."""
        self._collect_lines()
        end = monotonic() + patience
        try:
            while self._blocks and self._is_writable(end):
                self._write_block()
        except OSError as error:
            self._reason = str(error)
        if not self._blocks and self._lost:
            log.warning("Standard output is ready again. The access log lost %d lines.", self._lost)
            self._lost = 0

    def close(self) -> None:
        """Write all lines. Later ones are not buffered."""
        atexit.unregister(self.close)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._capacity = 1
        self.flush(_PATIENCE)

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_DELAY, self._flush_in_time)

    def _flush_in_time(self) -> None:
        self._timer = None
        self.flush()
        if self._blocks:
            self._start_timer()

    def _collect_lines(self) -> None:
        """Make blocks of the lines. Lose them if there are too many."""
        for lines in _group_lines([*map(self._render, self._records)]):
            if len(self._blocks) < MAX_BLOCKS:
                self._blocks.append("".join(lines).encode("ascii", "backslashreplace"))
                continue
            if not self._lost:
                log.warning(
                    "Standard output takes no lines (%s): the access log loses them.", self._reason
                )
            self._lost += len(lines)
        self._records.clear()

    def _is_writable(self, end: float) -> bool:
        """Return whether a block can be written without blocking, before *end*."""
        if sys.platform == "win32":
            return True
        output = select.poll()
        output.register(self._descriptor, select.POLLOUT)
        self._reason = "it is blocked"
        return bool(output.poll(max(0.0, end - monotonic()) * 1_000))

    def _write_block(self) -> None:
        written = os.write(self._descriptor, self._blocks[0])
        rest = self._blocks[0][written:]
        if rest:
            self._blocks[0] = rest
        else:
            self._blocks.popleft()


def _open_stdout() -> int:
    """Return a descriptor of standard output, or of nothing if there is none.

    It is a copy. Descriptor 1 may be another file when standard output was closed.
    """
    try:
        return os.dup(sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):  # none, one in memory, a closed one
        return os.open(os.devnull, os.O_WRONLY)


def _group_lines(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield groups of *lines* that fit into a block."""
    group: list[str] = []
    size = 0
    for line in lines:
        size += len(line)
        if group and size > BLOCK:
            yield group
            group, size = [], len(line)
        group.append(line)
    if group:
        yield group
