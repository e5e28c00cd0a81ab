"""The direct way to the operations of resources.

FastAPI tries the routes of an application one after the other, twice in each router that includes
another. The dispatcher finds the same route in a table, and runs its pipeline. FastAPI handles all
other requests, and answers all errors.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, cast

from fastapi import FastAPI, Request
from fastapi.routing import (
    APIRoute,
    APIRouter,
    APIWebSocketRoute,
    RouteContext,
    iter_route_contexts,
)
from starlette.convertors import Convertor
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from brickwork.context import request_context
from brickwork.http.fastapi_internals import (
    REQUEST_STACK,
    ROUTING,
    body_limit,
    effective_context,
    included_route,
    is_traced,
    routers_of,
    routes_version,
)
from brickwork.http.pipeline import Pipeline, PipelineEndpoint
from brickwork.http.routing import Router, StrictRoute, toggle_slash
from brickwork.http.starlette_internals import route_path

_ROUTES: Final = (StrictRoute, APIRoute, Route, Mount, APIWebSocketRoute, WebSocketRoute)
"""The classes of routes whose way to match is known."""

_MATCHES: Final = {kind.matches for kind in _ROUTES}

_ROUTER_MATCHES: Final = {APIRouter.matches, Router.matches}


@dataclass(slots=True, eq=False)
class _Entry:
    """A route of the table."""

    context: RouteContext
    route: BaseRoute
    regex: re.Pattern[str]
    convertors: Mapping[str, Convertor[Any]]
    methods: frozenset[str]
    """The methods. Empty for a route of all methods."""
    segment: str
    """The first segment of its paths. Empty if it varies."""
    operation: StrictRoute | None
    """The route, if it is an operation. None for other routes, which FastAPI handles."""
    _pipeline: Pipeline | None = None

    def pipeline(self) -> Pipeline | None:
        """Return the pipeline of the operation, made on first use. None for other routes."""
        if self._pipeline is None and self.operation:
            self._pipeline = self.operation.pipeline(included_route(self.context))
        return self._pipeline

    def matches(self, path: str) -> re.Match[str] | None:
        """Return the match of *path*, or of its other slash form if the route takes both."""
        found = self.regex.match(path)
        if found is None and isinstance(self.route, StrictRoute):
            found = self.regex.match(toggle_slash(path))
        return found


class RouteTable:
    """The routes of an application, by method and first segment.

    For each request it gives the route that FastAPI would choose: the first that matches. It ends
    before the first route whose way to match is unknown.
    """

    def __init__(self, app: FastAPI) -> None:
        """Build the table of *app*."""
        self._routers = [*routers_of(app.router)]
        # A version counts additions. FastAPI also sees the removal of a router, and of a route of
        # the application.
        self._routes = [
            (router, [*router.routes])
            for router in self._routers
            if router is app.router or [*routers_of(router)] != [router]
        ]
        self._version = routes_version(self._routers)
        entries = [*self._known_entries()] if self._has_known_routers() else []
        segments = {entry.segment for entry in entries if entry.operation}
        self._entries = {
            segment: [entry for entry in entries if entry.segment in {"", segment}]
            for segment in segments
        }

    def is_current(self) -> bool:
        """Return whether no route was added or removed since."""
        is_same = routes_version(self._routers) == self._version
        return is_same and all(router.routes == routes for router, routes in self._routes)

    def find(self, method: str, path: str) -> tuple[_Entry, Pipeline, dict[str, Any]] | None:
        """Return the operation for a request, its pipeline, and the parameters in the path.

        None if FastAPI has to handle the request.
        """
        segment = path[1 : path.find("/", 1)] if "/" in path[1:] else path[1:]
        for entry in self._entries.get(segment, ()):
            if entry.methods and method not in entry.methods:
                continue
            if match := entry.matches(path):
                if (pipeline := entry.pipeline()) is None:
                    return None
                params = match.groupdict().items()
                values = {name: entry.convertors[name].convert(text) for name, text in params}
                return entry, pipeline, values
        return None

    def _has_known_routers(self) -> bool:
        return all(map(_is_known_router, self._routers))

    def _known_entries(self) -> Iterator[_Entry]:
        for context in iter_route_contexts(self._routes[0][1]):
            route = context.original_route
            if type(route).matches not in _MATCHES:
                return
            if not isinstance(route, WebSocketRoute):
                yield _entry(context, route)


def _is_known_router(router: APIRouter) -> bool:
    kind = type(router)
    return (
        kind.matches in _ROUTER_MATCHES
        and kind.handle is APIRouter.handle
        and kind.app is APIRouter.app
        and not {"matches", "handle", "app"} & vars(router).keys()
    )


def _entry(context: RouteContext, route: BaseRoute) -> _Entry:
    path = context.path or ""
    segment = path[1:].partition("/")[0]
    is_fixed = "{" not in segment and not isinstance(route, Mount)
    endpoint: object = context.endpoint
    is_operation = isinstance(endpoint, PipelineEndpoint) and body_limit(context) is None
    # A subclass, or an instance, may handle a request in its own way.
    is_plain = type(route) is StrictRoute and "handle" not in vars(route)
    return _Entry(
        context,
        route,
        context.path_regex,
        context.param_convertors,
        frozenset() if isinstance(route, Mount) else frozenset(context.methods or ()),
        segment if is_fixed else "",
        cast("StrictRoute", route) if is_operation and is_plain else None,
    )


class Dispatcher:
    """ASGI middleware that runs the pipelines of operations without FastAPI's router."""

    def __init__(self, app: ASGIApp, application: FastAPI) -> None:
        """Wrap *app*, the rest of *application*."""
        self._app = app
        self._application = application
        self._table: RouteTable | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the pipeline of the operation, or else the rest of the application."""
        found = self._find(scope)
        if found is None:
            await self._app(scope, receive, send)
            return
        entry, pipeline, params = found
        before = {name: scope[name] for name in _ROUTE_KEYS if name in scope}
        self._select(scope, entry, params)
        is_begun = False
        try:
            async with AsyncExitStack() as stack:
                scope[REQUEST_STACK] = stack
                response = await pipeline(Request(scope, receive, send))
                is_begun = True
                await response(scope, receive, send)
        except Exception as error:
            if is_begun:
                raise
            failure = error
        else:
            if is_begun:
                return
            failure = TypeError("A dependency that yields has suppressed an error: raise it again.")
        # The stack of the application answers the error, as it answers those of other routes.
        for name in _ROUTE_KEYS:
            scope.pop(name, None)
        scope.update(before)
        context = request_context(scope)
        context.failure = failure
        try:
            await self._app(scope, receive, send)
        finally:
            context.failure = None  # a middleware may send the request to another path

    def _find(self, scope: Scope) -> tuple[_Entry, Pipeline, dict[str, Any]] | None:
        if scope["type"] != "http" or request_context(scope).rejection or is_traced(scope):
            return None
        if self._table is None or not self._table.is_current():
            self._table = RouteTable(self._application)
        path = route_path(scope) if scope.get("root_path") else scope["path"]
        return self._table.find(scope["method"], path)

    def _select(self, scope: Scope, entry: _Entry, params: dict[str, Any]) -> None:
        """Add the route of *entry* to *scope*, as FastAPI does."""
        scope.setdefault("router", self._application.router)
        scope["route"] = entry.route
        scope["endpoint"] = entry.context.endpoint
        scope["path_params"] = {**scope.get("path_params", {}), **params}
        scope[ROUTING] = {**scope.get(ROUTING, {}), **effective_context(entry.context)}


_ROUTE_KEYS: Final = (
    *("method", "path", "root_path"),
    *("router", "route", "endpoint", "path_params", ROUTING, REQUEST_STACK),
)
"""The scope keys by which a router finds a route, and the keys that it sets."""
