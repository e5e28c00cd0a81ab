"""Where an answer points to: absolute paths with the root path, never made from Host."""

from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from brickwork.http.paths import request_path
from brickwork.query.lookup import Page, PageLink


def item_path(request: Request, key: object) -> str:
    """Return the path of the row *key* in the collection that *request* was sent to."""
    return _append_key(request_path(request.scope), key)


def row_path(request: Request, key: object) -> str:
    """Return the path of the row *key* that *request* was sent to itself."""
    return _append_key(request_path(request.scope).rpartition("/")[0], key)


def link_header(request: Request, page: Page[Any]) -> str:
    """Return the `Link` of *page*: `first`, and of `prev`, `next`, `last` those there are.

    RFC 8288. Every other query parameter of *request* is kept.
    """
    places: dict[str, PageLink | None] = {
        "first": {},
        "prev": page.prev,
        "next": page.next,
        "last": page.last,
    }
    return ", ".join(
        f'<{_page_url(request, place)}>; rel="{rel}"'
        for rel, place in places.items()
        if place is not None
    )


def set_pagination_headers(request: Request, response: Response, page: Page[Any]) -> None:
    """Tell in the headers of *response* where other pages are, and how many rows, if counted."""
    response.headers["Link"] = link_header(request, page)
    if page.total is not None:
        response.headers["X-Total-Count"] = str(page.total)


def _page_url(request: Request, place: PageLink) -> str:
    parameters = request.query_params.multi_items()
    query = [each for each in parameters if each[0] not in {"offset", "cursor"}]
    query += place.items()
    path = request_path(request.scope)
    return f"{path}?{urlencode(query)}" if query else path


def _append_key(path: str, key: object) -> str:
    return f"{path.rstrip('/')}/{quote(str(key), safe='')}"
