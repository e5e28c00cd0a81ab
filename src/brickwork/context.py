"""The id of a request."""

from typing import Final

from starlette.types import Scope

REQUEST_ID: Final = "X-Request-Id"


def request_id(scope: Scope) -> str:
    """Return the id of the request. It is empty without `install`."""
    value: str = scope.get(REQUEST_ID, "")
    return value
