"""What is made of a statement, and made once as long as the statement is there."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Select

M = TypeVar("M")
T = TypeVar("T")


def cached_per_statement(make: Callable[[Select[M]], T]) -> Callable[[Select[M]], T]:
    """Have *make* return again what it returned for the same statement.

    Where a resource leaves `query` alone, every request starts at the same one: what follows from
    it is then neither built nor given a key to find it compiled by.
    """
    known: WeakKeyDictionary[Select[Any], T] = WeakKeyDictionary()

    @wraps(make)
    def remember(rows: Select[M]) -> T:
        if (made := known.get(rows)) is None:
            made = known[rows] = make(rows)
        return made

    return remember
