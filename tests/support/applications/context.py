"""What the parts of an application share: who is asking, and the functions that were called."""

from contextvars import ContextVar
from typing import Any, Final

NOBODY: Final = "nobody"
TENANTS: Final = ("ada", "bob")
EVE: Final = "eve"
"""A client that is refused by whatever refuses anybody."""

ASKING: Final = ContextVar("asking", default=NOBODY)
"""The tenant that is asking, where the application has a part that sets it."""

CALLS: Final[ContextVar[list[str]]] = ContextVar("calls")
"""The functions of the application that were called for a request, by their names."""


def asking() -> str:
    """Return the tenant that is asking."""
    return ASKING.get()


def record(name: str) -> None:
    """Record a call for the request that is answered now."""
    if (calls := CALLS.get(None)) is not None:
        calls.append(name)


def masked(value: Any) -> Any:
    """Return *value* as the tenant that is asking may see it."""
    return f"{value} for {ASKING.get()}" if isinstance(value, str) else value


def tenant_of(headers: Any) -> str:
    """Return the tenant that *headers* name."""
    name: str = headers.get("tenant", NOBODY)
    return name
