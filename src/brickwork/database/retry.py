"""Retries of a whole unit of work after conflicts."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from brickwork.database.database import Database
from brickwork.problems import Problem, ServiceUnavailable

T = TypeVar("T")

MAX_SECONDS: Final = 5.0
"""Seconds after which the work of a request is not retried any more."""

_ATTEMPTS: Final = 8
_PAUSE: Final = 0.01  # seconds, doubled with each attempt


async def with_retries(
    work: Callable[[], Awaitable[T]],
    database: Database | None,
    *,
    max_seconds: float | None = None,
    may_retry: Callable[[], bool] = lambda: True,
) -> T:
    """Run *work*, and retry it after a `Problem` with the flag `retryable`.

    Args:
        work: A function that runs a whole transaction.
        database: The database whose counter `retries` is incremented.
        max_seconds: Seconds after which *work* is not retried. The default is the timeout of
            *database*, at most `MAX_SECONDS`.
        may_retry: Returns False to prevent a retry.

    Raises:
        Problem: The problem of the last attempt.

    """
    if max_seconds is None:
        max_seconds = min(MAX_SECONDS, database.timeout) if database else MAX_SECONDS
    begun, attempt = time.monotonic(), 1
    while True:
        try:
            return await work()
        except Problem as problem:
            late = time.monotonic() - begun > max_seconds
            # After a lost race, the first retry finds the winner's row or none does.
            attempts = _ATTEMPTS if isinstance(problem, ServiceUnavailable) else 2
            if not problem.retryable or late or attempt >= attempts or not may_retry():
                raise
        if database:
            database.retries += 1
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 — no secret
        await asyncio.sleep(_PAUSE * 2 ** (attempt - 1) * jitter)
        attempt += 1
