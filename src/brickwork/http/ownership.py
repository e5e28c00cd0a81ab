"""Owners of routes: resources and the application."""

from collections.abc import Iterator
from enum import Enum

from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from brickwork.http.fastapi_internals import ROUTING
from brickwork.http.routing import StrictRoute, head_as_get, toggle_slash
from brickwork.http.starlette_internals import route_path


class Owner(Enum):
    """The owner of a route. It decides about errors, slashes and limits."""

    RESOURCE = "a StrictRoute, which keeps the contract"
    APPLICATION = "a later route of the application, or no route"
    EARLIER = "a route that is older than install, which stays as FastAPI has it"


class Ownership:
    """The routes of an application, with those older than `install`."""

    def __init__(self, app: FastAPI) -> None:
        """Record the routes that *app* already has."""
        self._app = app
        self._earlier = [route for route in app.router.routes if not _is_documentation(route)]
        self.has_earlier = any(
            not isinstance(route.original_route, StrictRoute)
            for route in iter_route_contexts(self._earlier)
        )

    def owner(self, scope: Scope, root_path: str) -> Owner:
        """Return the owner of the route that answers the request of *scope*.

        *root_path* is the root path of the application. If no route accepts the method, all routes
        of the path count, and resources come first.
        """
        here: Scope = {**scope, "root_path": root_path, "path_params": {}, ROUTING: {}}
        partial_owners: set[Owner] = set()
        for entry, route in self._leaves():
            match = _match(route, here)
            if match is Match.FULL:
                return self._owner(entry, route)
            if match is Match.PARTIAL:
                partial_owners.add(self._owner(entry, route))
        return next((owner for owner in Owner if owner in partial_owners), Owner.APPLICATION)

    def is_earlier(self, scope: Scope, root_path: str) -> bool:
        """Return whether a route older than `install` answers the request of *scope*."""
        return self.has_earlier and self.owner(scope, root_path) is Owner.EARLIER

    def takes_head(self, scope: Scope) -> bool:
        """Return whether the HEAD request of *scope* needs a route that only accepts GET.

        FastAPI's routes do not accept HEAD. Starlette's routes and mounted applications do.
        """
        leaves, get_scope = [*self._leaves()], head_as_get(scope)
        if any(_is_for_head(leaf) and _match(leaf, scope) is Match.FULL for _, leaf in leaves):
            return False
        full = ((entry, leaf) for entry, leaf in leaves if _match(leaf, get_scope) is Match.FULL)
        entry, route = next(full, (None, None))
        if entry is None or route is None or not isinstance(route.original_route, APIRoute):
            return False
        return self._owner(entry, route) is not Owner.EARLIER

    def is_older(self, route: RouteContext) -> bool:
        """Return whether *route* is older than `install` and not a `StrictRoute`."""
        earlier = (context.original_route for context in iter_route_contexts(self._earlier))
        is_route = isinstance(route.original_route, StrictRoute)
        return not is_route and any(route.original_route is context for context in earlier)

    def _leaves(self) -> Iterator[tuple[BaseRoute, RouteContext]]:
        """Yield the routes in the order in which FastAPI matches them, each with its entry."""
        for entry in self._app.router.routes:
            for route in iter_route_contexts([entry]):
                yield entry, route

    def _owner(self, entry: BaseRoute, route: RouteContext) -> Owner:
        if isinstance(route.original_route, StrictRoute):
            return Owner.RESOURCE
        is_earlier = any(entry is earlier for earlier in self._earlier)
        return Owner.EARLIER if is_earlier else Owner.APPLICATION


def _is_documentation(route: BaseRoute) -> bool:
    """Return whether *route* is a documentation route that FastAPI adds."""
    return getattr(getattr(route, "endpoint", None), "__module__", None) == "fastapi.applications"


def _is_for_head(route: RouteContext) -> bool:
    """Return whether *route* accepts HEAD but not GET."""
    return {"GET", "HEAD"} & set(route.methods or ()) == {"HEAD"}


def _match(route: RouteContext, scope: Scope) -> Match:
    """Return how *route* matches *scope*."""
    if not route.methods:  # a mount, a host, a websocket, or an endpoint that takes every method
        match: Match = route.matches(scope)[0]
        return match
    path = route_path(scope)
    forms = [path, toggle_slash(path)] if isinstance(route.original_route, StrictRoute) else [path]
    if not any(route.path_regex.match(form) for form in forms):
        return Match.NONE
    return Match.FULL if scope["method"] in route.methods else Match.PARTIAL
