"""Owners of routes: resources and the application."""

from collections.abc import Iterator
from enum import Enum

from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from brickwork.http.routing import StrictRoute, head_as_get, toggle_slash


class Owner(Enum):
    """The owner of a route, on whom errors, slashes and limits depend."""

    RESOURCE = "a Route, which keeps the contract"
    APPLICATION = "a later route of the application, or no route"
    EARLIER = "a route that is older than install, which stays as FastAPI has it"


class Ownership:
    """The routes of an application, and which of them are older than `install`."""

    def __init__(self, app: FastAPI) -> None:
        """Note the routes that *app* has."""
        self._app = app
        self._earlier = [each for each in app.router.routes if not _is_documentation(each)]
        self.has_earlier = any(
            not isinstance(each.original_route, StrictRoute)
            for each in iter_route_contexts(self._earlier)
        )

    def owner(self, scope: Scope, root_path: str) -> Owner:
        """Return the owner of the route that answers the request of *scope*.

        *root_path* is that of the application. If no route takes the method of the request, all
        routes of its path count, and those of resources come first.
        """
        here: Scope = {**scope, "root_path": root_path, "path_params": {}, "fastapi": {}}
        partial: set[Owner] = set()
        for entry, route in self._leaves():
            match = _match(route, here)
            if match is Match.FULL:
                return self._owner(entry, route)
            if match is Match.PARTIAL:
                partial.add(self._owner(entry, route))
        return next((each for each in Owner if each in partial), Owner.APPLICATION)

    def is_earlier(self, scope: Scope, root_path: str) -> bool:
        """Tell whether a route that is older than `install` answers the request of *scope*."""
        return self.has_earlier and self.owner(scope, root_path) is Owner.EARLIER

    def takes_head(self, scope: Scope) -> bool:
        """Tell whether a HEAD, the request of *scope*, is for a route that only takes GET.

        FastAPI's routes do not take HEAD. Those of Starlette do, and mounted applications.
        """
        leaves, found = [*self._leaves()], head_as_get(scope)
        if any(_is_for_head(each) and _match(each, scope) is Match.FULL for _, each in leaves):
            return False
        full = ((entry, each) for entry, each in leaves if _match(each, found) is Match.FULL)
        entry, route = next(full, (None, None))
        if entry is None or route is None or not isinstance(route.original_route, APIRoute):
            return False
        return self._owner(entry, route) is not Owner.EARLIER

    def is_older(self, route: RouteContext) -> bool:
        """Tell whether *route* is older than `install`, and no `StrictRoute`."""
        earlier = (each.original_route for each in iter_route_contexts(self._earlier))
        is_route = isinstance(route.original_route, StrictRoute)
        return not is_route and any(route.original_route is each for each in earlier)

    def _leaves(self) -> Iterator[tuple[BaseRoute, RouteContext]]:
        """Yield the routes in the order in which FastAPI matches them, each with its entry."""
        for entry in self._app.router.routes:
            for route in iter_route_contexts([entry]):
                yield entry, route

    def _owner(self, entry: BaseRoute, route: RouteContext) -> Owner:
        if isinstance(route.original_route, StrictRoute):
            return Owner.RESOURCE
        is_earlier = any(entry is each for each in self._earlier)
        return Owner.EARLIER if is_earlier else Owner.APPLICATION


def _is_documentation(route: BaseRoute) -> bool:
    """Tell whether *route* is one of those with which every application of FastAPI begins."""
    return getattr(getattr(route, "endpoint", None), "__module__", None) == "fastapi.applications"


def _is_for_head(route: RouteContext) -> bool:
    """Tell whether *route* takes HEAD, and no GET that a HEAD could be."""
    return {"GET", "HEAD"} & set(route.methods or ()) == {"HEAD"}


def _match(route: RouteContext, scope: Scope) -> Match:
    """Return how *route* matches *scope*."""
    if not route.methods:  # a mount, a host, a websocket, or an endpoint that takes every method
        match: Match = route.matches(scope)[0]
        return match
    path = get_route_path(scope)
    forms = [path, toggle_slash(path)] if isinstance(route.original_route, StrictRoute) else [path]
    if not any(route.path_regex.match(each) for each in forms):
        return Match.NONE
    return Match.FULL if scope["method"] in route.methods else Match.PARTIAL
