"""Retries: a unit of work that others were in the way of is carried out again, as a whole."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from brickwork.database.database import Database
from brickwork.problems import Problem, ServiceUnavailable

T = TypeVar("T")

PATIENCE: Final = 5.0
"""For how many seconds the work of a request is begun anew, at most."""

_ATTEMPTS: Final = 8
_PAUSE: Final = 0.01  # seconds, doubled with each attempt


async def with_retries(
    work: Callable[[], Awaitable[T]],
    database: Database | None,
    *,
    patience: float | None = None,
    again: Callable[[], bool] = lambda: True,
) -> T:
    """Return what *work* returns; where others were in its way, what another attempt does.

    *work* is a whole transaction. It is begun anew as long as its problem says so, *again* allows
    it, and not after *patience* seconds, or those that a request waits for *database*, which
    counts. Raises the last problem.
    """
    if patience is None:
        patience = min(PATIENCE, database.timeout) if database else PATIENCE
    begun, attempt = time.monotonic(), 1
    while True:
        try:
            return await work()
        except Problem as problem:
            late = time.monotonic() - begun > patience
            # Who was second finds what the first wrote, or never will.
            attempts = _ATTEMPTS if isinstance(problem, ServiceUnavailable) else 2
            if not problem.again or late or attempt >= attempts or not again():
                raise
        if database:
            database.retries += 1
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 — no secret
        await asyncio.sleep(_PAUSE * 2 ** (attempt - 1) * jitter)
        attempt += 1
