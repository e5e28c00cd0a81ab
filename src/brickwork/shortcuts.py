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

from brickwork.lanes import Fields, Lane, Ordinary, Replayed, knowing
from brickwork.routes import BATCH

_Segments: TypeAlias = Sequence[str]

_Place: TypeAlias = tuple[str, str, bool]
"""A method, the path of a list, and whether its rows are meant."""

_ANY: Final = "*"
_KEY: Final = "*key"
_REST: Final = "**"


@dataclass(frozen=True)
class Road:
    """A fast lane, the route whose answers it gives, and what that asks of clients before."""

    lane: Lane[Any]
    route: RouteContext
    fields: Fields[Any]

    @property
    def place(self) -> _Place:
        """Where it begins."""
        path, brace, _ = (self.route.path or "").partition("{")
        return self.lane.method, path.removesuffix("/"), bool(brace)


class Shortcuts:
    """ASGI: answers what a fast lane can answer, and leaves all else to the routes."""

    def __init__(self, app: FastAPI, routes: ASGIApp) -> None:
        """Stand before the *routes* of *app*, those that are added later included."""
        self.app = app
        self.routes = routes
        self._known = -1
        self._roads: dict[_Place, Road] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            await self.routes(scope, receive, send)
            return
        if not scope.get("root_path"):
            road, key = self._found(scope["method"], scope["path"].removesuffix("/"))
            if road:
                receive = received = Replayed(receive)
                scope["route"], scope["endpoint"] = road.route.original_route, road.route.endpoint
                scope["path_params"] = {} if key is None else {"id": key}
                if response := await road.lane(scope, received, road.route, road.fields):
                    await response(scope, receive, send)
                    return
                received.rewind()
        with knowing(scope):
            await self.routes(scope, receive, send)

    def _found(self, method: str, path: str) -> tuple[Road | None, str | None]:
        """Return the road to *path*, and the key of the row it leads to, if it leads to one."""
        if self._known != len(self.app.routes):
            self._known = len(self.app.routes)
            found = (road for _, road in roads(self.app) if isinstance(road, Road))
            self._roads = {road.place: road for road in found}
        if road := self._roads.get((method, path, False)):
            return road, None
        start, _, key = path.rpartition("/")
        return (None if key in {"", BATCH} else self._roads.get((method, start, True))), key


def roads(app: FastAPI) -> Iterator[tuple[RouteContext, Road | Ordinary]]:
    """Yield the routes of *app* that might have a fast lane, with it or with why they have none."""
    before: list[tuple[_Segments, Collection[str] | None]] = []
    for route in iter_route_contexts(app.routes):
        own = _segments(route)
        lane: Lane[Any] | Ordinary | None = getattr(route.endpoint, "lane", None)
        if isinstance(lane, Lane):
            others = [each for each, methods in before if methods is None or lane.method in methods]
            yield route, _road(lane, route, hidden=_is_hidden(own, others))
        elif lane:
            yield route, lane
        before.append((own, route.methods))


def _road(lane: Lane[Any], route: RouteContext, *, hidden: bool) -> Road | Ordinary:
    if hidden:
        return Ordinary("a route that comes before it may have the same path")
    if not isinstance(route.response_class, DefaultPlaceholder):
        return Ordinary("its router has a response class of its own")
    try:
        return Road(lane, route, Fields(lane.shape, route))
    except Ordinary as reason:
        return reason


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
