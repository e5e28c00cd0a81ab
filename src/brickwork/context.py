"""State that travels with a request."""

from typing import Final

from starlette.types import Scope

REQUEST_ID: Final = "X-Request-Id"


def request_id(scope: Scope) -> str:
    """Return the id of the request; it is empty where `install` did not see to one."""
    known: str = scope.get(REQUEST_ID, "")
    return known
