"""The id of a request."""

import sys
from typing import Final

from starlette.types import Scope

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid_utils import uuid7

REQUEST_ID: Final = "X-Request-Id"


def request_id(scope: Scope) -> str:
    """Return the id of the request. It is empty without `install`."""
    value: str = scope.get(REQUEST_ID, "")
    return value


def new_request_id() -> str:
    """Return a new id, a UUIDv7 (RFC 9562)."""
    return str(uuid7())
