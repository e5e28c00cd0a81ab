"""A cache that keeps the signature of its function."""

from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def cached_per_model(make: Callable[P, T]) -> Callable[P, T]:
    """Cache the results of *make*, whose arguments are models and constants.

    For type checkers, a result of `functools.cache` takes any hashable arguments, and no class
    without a known metaclass.
    """
    return cast("Callable[P, T]", cache(make))
