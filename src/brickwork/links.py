"""Where an answer points to: absolute paths, never made from the Host that a client sent."""

from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request

from brickwork.limits import current
from brickwork.queries import Page


def item_path(request: Request, key: object) -> str:
    """Return the path of the row *key* in the collection that *request* was sent to."""
    return f"{_path(request)}/{quote(str(key), safe='')}"


def link_header(request: Request, page: Page[Any]) -> str:
    """Return the `Link` of *page*: `first`, and `prev` and `next` where they are (RFC 8288).

    Every other query parameter of *request* is kept.
    """
    offsets = {"first": 0}
    if page.offset:
        offsets["prev"] = max(0, page.offset - page.limit)
    if page.has_next and page.offset + page.limit <= current.get().offset:
        offsets["next"] = page.offset + page.limit
    return ", ".join(f'<{_at(request, to)}>; rel="{rel}"' for rel, to in offsets.items())


def _at(request: Request, offset: int) -> str:
    query = [each for each in request.query_params.multi_items() if each[0] != "offset"]
    query += [("offset", str(offset))] if offset else []
    return f"{_path(request)}?{urlencode(query)}" if query else _path(request)


def _path(request: Request) -> str:
    return quote(request.scope["path"].rstrip("/"))
