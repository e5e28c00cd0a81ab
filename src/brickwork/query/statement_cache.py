"""Cache of values derived from a statement."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Select

M = TypeVar("M")
T = TypeVar("T")


def cached_per_statement(make: Callable[[Select[M]], T]) -> Callable[[Select[M]], T]:
    """Cache the results of *make* for as long as their statements exist.

    A resource that does not override `query` uses the same statement for every request. What is
    derived from it is then built once, and SQLAlchemy computes its cache key once.
    """
    results: WeakKeyDictionary[Select[Any], T] = WeakKeyDictionary()

    @wraps(make)
    def cached(statement: Select[M]) -> T:
        if (result := results.get(statement)) is None:
            result = results[statement] = make(statement)
        return result

    return cached
