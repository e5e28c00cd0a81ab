"""Requests of clients that do not wait for the answer."""

import json
from collections.abc import Sequence

from tests.support.wire import request


def patch_of(keys: Sequence[str], *, views: int) -> bytes:
    """Return a request that sets the views of the articles with these *keys*."""
    body = json.dumps([{"id": key, "views": views} for key in keys]).encode()
    headers = ("content-type: application/json", f"content-length: {len(body)}")
    return request("PATCH", "/articles/batch", *headers, body=body)
