"""The tenant of a request, and its function calls."""

from contextvars import ContextVar
from typing import Any, Final

NOBODY: Final = "nobody"
TENANTS: Final = ("ada", "bob")
EVE: Final = "eve"
"""The client that every rejecting part rejects."""

ASKING: Final = ContextVar("asking", default=NOBODY)
"""The tenant of the request, if a part of the application sets it."""

CALLS: Final[ContextVar[list[str]]] = ContextVar("calls")
"""The names of the functions that were called for a request."""


def asking() -> str:
    """Return the tenant of the request."""
    return ASKING.get()


def record(name: str) -> None:
    """Record a call for the current request."""
    if (calls := CALLS.get(None)) is not None:
        calls.append(name)


def masked(value: Any) -> Any:
    """Return *value* as the tenant of the request may see it."""
    return f"{value} for {ASKING.get()}" if isinstance(value, str) else value


def tenant_of(headers: Any) -> str:
    """Return the tenant in *headers*."""
    name: str = headers.get("tenant", NOBODY)
    return name
