"""The way to the fast lanes: past the matching of routes, and behind every middleware."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, TypeAlias

from fastapi import FastAPI
from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from brickwork.lanes import Lane, Replayed
from brickwork.routes import BATCH

_Segments: TypeAlias = Sequence[str]

_Place: TypeAlias = tuple[str, str, bool]
"""A method, the path of a list, and whether its rows are meant."""

_ANY: Final = "*"
_KEY: Final = "*key"
_REST: Final = "**"


@dataclass(frozen=True)
class _Road:
    """A fast lane, and the route whose answers it gives."""

    lane: Lane[Any]
    route: RouteContext


class Shortcuts:
    """ASGI: answers what a fast lane can answer, and leaves all else to the routes."""

    def __init__(self, app: FastAPI, routes: ASGIApp) -> None:
        """Stand before the *routes* of *app*, those that are added later included."""
        self.app = app
        self.routes = routes
        self._known = -1
        self._roads: dict[_Place, _Road] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] == "http" and not scope.get("root_path"):
            road, key = self._found(scope["method"], scope["path"].removesuffix("/"))
            if road:
                receive = Replayed(receive)
                scope["route"], scope["endpoint"] = road.route.original_route, road.route.endpoint
                scope["path_params"] = {} if key is None else {"id": key}
                if response := await road.lane(scope, receive, road.route):
                    await response(scope, receive, send)
                    return
        await self.routes(scope, receive, send)

    def _found(self, method: str, path: str) -> tuple[_Road | None, str | None]:
        """Return the road to *path*, and the key of the row it leads to, if it leads to one."""
        if self._known != len(self.app.routes):
            self._known = len(self.app.routes)
            self._roads = dict(_roads(self.app))
        if road := self._roads.get((method, path, False)):
            return road, None
        start, _, key = path.rpartition("/")
        return (None if key in {"", BATCH} else self._roads.get((method, start, True))), key


def _roads(app: FastAPI) -> Iterator[tuple[_Place, _Road]]:
    """Yield the lanes of *app* by their places."""
    before: list[tuple[_Segments, Collection[str] | None]] = []
    for route in iter_route_contexts(app.routes):
        own = _segments(route)
        lane: Lane[Any] | None = getattr(route.endpoint, "lane", None)
        if lane and _is_bare(route):
            others = [each for each, methods in before if methods is None or lane.method in methods]
            if not _is_hidden(own, others):
                path, brace, _ = (route.path or "").partition("{")
                yield (lane.method, path.removesuffix("/"), bool(brace)), _Road(lane, route)
        before.append((own, route.methods))


def _is_bare(route: RouteContext) -> bool:
    """Tell whether the routers that include *route* leave it as `crud_router` made it."""
    return len(route.dependencies) == 1 and isinstance(route.response_class, DefaultPlaceholder)


def _is_hidden(own: _Segments, before: Sequence[_Segments]) -> bool:
    """Tell whether a route that comes *before* might be meant."""
    return any(_overlap(own, each) for each in before)


def _segments(route: RouteContext) -> _Segments:
    if route.path is None:
        return [_REST]
    path = route.path.rstrip("/") + ("/" + _REST if isinstance(route.original_route, Mount) else "")
    return [_segment(each) for each in path.split("/")]


def _segment(text: str) -> str:
    """Return what stands for a segment of a path, as a route has it."""
    if ":path}" in text:
        return _REST
    if ":key}" in text:
        return _KEY
    return _ANY if "{" in text else text


def _overlap(one: _Segments, other: _Segments) -> bool:
    """Tell whether there is a path that leads to both."""
    for mine, theirs in zip_longest(one, other):
        if _REST in {mine, theirs}:
            return True
        if None in {mine, theirs} or not _meet(mine, theirs):
            return False
    return True


def _meet(mine: str, theirs: str) -> bool:
    """Tell whether there is a segment that both stand for."""
    both = {mine, theirs}
    return len(both) == 1 or _ANY in both or (_KEY in both and BATCH not in both)
