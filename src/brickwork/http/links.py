"""Paths in response headers.

They are absolute and have the root path. None is built from the Host header.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request

from brickwork.http.paths import request_path
from brickwork.query.keys import key_parts
from brickwork.query.pagination import Page, PageLink


def item_path(request: Request, key: object) -> str:
    """Return the path of the row *key* in the collection of *request*.

    A key of several columns is a tuple, and has a segment for each.
    """
    return _append_key(request_path(request.scope), key)


def row_path(request: Request, key: object) -> str:
    """Return the path of the row *key*, if *request* was sent to a row."""
    collection, *_ = request_path(request.scope).rsplit("/", len(key_parts(key)))
    return _append_key(collection, key)


def link_header(request: Request, page: Page[Any]) -> str:
    """Return the `Link` header of *page* (RFC 8288): `first`, `prev`, `next` and `last`.

    Pages that do not exist are left out. The other query parameters of *request* are kept.
    """
    return format_links(page_links(request, page))


def page_links(request: Request, page: Page[Any]) -> Mapping[str, str]:
    """Return the paths of *page*'s links by their relations, as `link_header` has them."""
    links: dict[str, PageLink | None] = {
        "first": {},
        "prev": page.prev,
        "next": page.next,
        "last": page.last,
    }
    return {rel: _page_url(request, link) for rel, link in links.items() if link is not None}


def format_links(links: Mapping[str, str]) -> str:
    """Return the `Link` header of *links*."""
    return ", ".join(f'<{path}>; rel="{rel}"' for rel, path in links.items())


def _page_url(request: Request, link: PageLink) -> str:
    parameters = request.query_params.multi_items()
    query = [pair for pair in parameters if pair[0] not in {"offset", "cursor"}]
    query += link.items()
    path = request_path(request.scope)
    return f"{path}?{urlencode(query)}" if query else path


def _append_key(path: str, key: object) -> str:
    segments = (quote(str(value), safe="") for value in key_parts(key))
    return "/".join((path.rstrip("/"), *segments))
