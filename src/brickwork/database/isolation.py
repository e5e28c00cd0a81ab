"""Isolation levels of transactions."""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias, get_args

IsolationLevel: TypeAlias = Literal["read committed", "repeatable read", "serializable"]
"""Isolation levels of PostgreSQL."""

SNAPSHOT_LEVEL: Final[IsolationLevel] = "repeatable read"
"""The level at which all statements of a transaction read one snapshot."""


def strictest_isolation(levels: Iterable[IsolationLevel | None]) -> IsolationLevel | None:
    """Return the strictest of *levels*, or None if all are None."""
    candidates: list[IsolationLevel] = [level for level in levels if level]
    return max(candidates, key=get_args(IsolationLevel).index, default=None)
