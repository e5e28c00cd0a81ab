"""Results of executors."""

from dataclasses import dataclass
from typing import Any

from brickwork.http.representation import Representation
from brickwork.query.pagination import Page


@dataclass(slots=True)
class PageResult:
    """A page of a list: its JSON and its links."""

    content: Representation
    page: Page[Any]
    link: str | None = None
    """The Link header, once it is built. Concurrent requests for one URL share the result.

    The content is in its envelope by then, if the list has one.
    """


@dataclass(slots=True, frozen=True)
class ReplaceResult:
    """The row after a PUT, and whether the PUT has created it."""

    row: Representation
    created: bool
