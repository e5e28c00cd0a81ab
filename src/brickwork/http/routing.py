"""Routes that keep the HTTP contract."""

from collections.abc import Callable, Coroutine
from os.path import commonprefix
from typing import Any, Final
from weakref import WeakSet

from fastapi import Request, Response
from fastapi.routing import APIRoute, APIRouter, iter_route_contexts
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Match
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from brickwork.context import request_context
from brickwork.http.fastapi_internals import (
    effective_route,
    included_router,
    route_candidates,
    route_context,
)
from brickwork.http.negotiation import JSON
from brickwork.http.pipeline import Pipeline
from brickwork.http.starlette_internals import route_path
from brickwork.query.keys import BATCH


class _RowKeyConvertor(Convertor[str]):
    """The key of a row in a path: any segment except `batch`."""

    regex = f"(?!{BATCH}$|{BATCH}/)[^/]+"

    @override
    def convert(self, value: str) -> str:
        return value

    @override
    def to_string(self, value: str) -> str:
        return value


register_url_convertor("key", _RowKeyConvertor())

installed_apps: Final = WeakSet[object]()
"""The applications that `install` has prepared."""


def require_installed(app: object) -> None:
    """Raise `TypeError` with the remedy unless `install` has prepared *app*."""
    if app not in installed_apps:
        raise TypeError(
            "The application has resources, but brickwork.install(app) was not called. Call it "
            "where the application is created; a mounted application needs a call of its own."
        )


class StrictRoute(APIRoute):
    """A FastAPI route that keeps the HTTP contract: `APIRouter(route_class=StrictRoute)`.

    - A route for GET answers HEAD, too.
    - A trailing slash makes no difference.
    - Undeclared query parameters and bodies that are not strict JSON are rejected, together with
      other invalid values. Dependencies run first, so that authentication comes before validation.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Create the route with the options of an `APIRoute`."""
        super().__init__(path, endpoint, **options)
        self._pipelines: dict[int, Pipeline] = {}
        others = self.responses.get(self.status_code or 200, {}).get("content", {})
        self._offers = [*dict.fromkeys((JSON, *others))]

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or self._cannot_match(scope):
            return Match.NONE, {}
        match, child = super().matches(head_as_get(scope))
        if match is Match.NONE:
            return super().matches({**head_as_get(scope), "path": toggle_slash(scope["path"])})
        return match, child

    def _cannot_match(self, scope: Scope) -> bool:
        """Return whether no slash form of the path can match. False if that is not sure."""
        if scope.get("root_path"):
            return False
        context = route_context(scope)
        route = context if context and context.original_route is self else self
        path: str = scope["path"]
        return not (route.path_regex.match(path) or route.path_regex.match(toggle_slash(path)))

    @override
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        require_installed(scope.get("app"))
        await super().handle(handle_head_as_get(scope), receive, send)

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handle(request: Request) -> Response:
            if failure := request_context(request.scope).failure:
                raise failure
            return await self.pipeline(effective_route(request))(request)

        return handle

    def pipeline(self, route: APIRoute) -> Pipeline:
        """Return the pipeline of *route*, which is this route as its routers include it."""
        found = self._pipelines.get(id(route))
        if found is None or found.route is not route:
            found = self._pipelines[id(route)] = Pipeline(route, self._offers)
        return found


class Router(APIRouter):
    """A FastAPI router that rejects other paths by their prefix, before it tries its routes."""

    def __init__(self, **options: Any) -> None:
        """Create the router with the options of an `APIRouter`."""
        super().__init__(**options)
        self._prefixes: dict[int, tuple[object, str]] = {}

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        included = included_router(scope)
        path = route_path(scope)
        if included and not path.startswith(self._path_prefix(included)):
            return Match.NONE, {}
        return super().matches(scope)

    def _path_prefix(self, included: Any) -> str:
        """Return the common prefix of all paths of this router, as *included*."""
        candidates = route_candidates(included)  # a new list after each change of the routes
        entry = self._prefixes.get(id(included))
        if entry is None or entry[0] is not candidates:
            paths = [route.path or "" for route in iter_route_contexts([included])]
            prefix = commonprefix([path.partition("{")[0] for path in paths]).rstrip("/")  # noqa: RUF071 — of texts, not of paths
            self._prefixes[id(included)] = entry = candidates, prefix
        return entry[1]


def head_as_get(scope: Scope) -> Scope:
    """Return *scope* with a HEAD turned into a GET."""
    return {**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope


def handle_head_as_get(scope: Scope) -> Scope:
    """Return *scope* as `head_as_get` does, and note in its context that it was a HEAD."""
    if scope.get("method") == "HEAD":
        request_context(scope).is_head = True
    return head_as_get(scope)


def toggle_slash(path: str) -> str:
    """Return *path* with its trailing slash removed, or with one added."""
    return path[:-1] if path.endswith("/") else path + "/"
