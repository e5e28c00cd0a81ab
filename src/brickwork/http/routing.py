"""Routes that keep the HTTP contract."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from copy import copy
from dataclasses import replace
from os.path import commonprefix
from typing import Any, Final, Protocol
from weakref import WeakSet

from fastapi import Depends, Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter, iter_route_contexts
from starlette._utils import get_route_path
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Match
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from brickwork.database.database import ISOLATION_SCOPE_KEY
from brickwork.database.isolation import SNAPSHOT_LEVEL, IsolationLevel, strictest_isolation
from brickwork.http.attempts import Handler, ResolvedOverrides, run_with_retries
from brickwork.http.body import (
    UNREADABLE_SCOPE_KEY,
    BodyField,
    validate_after_dependencies,
    whole_body_field,
    with_prepared_body,
)
from brickwork.http.json_request import JSONRequest
from brickwork.http.negotiation import JSON, NDJSON, preferred_media_type
from brickwork.http.parameters import declared_parameters, read_query_directly
from brickwork.http.request_check import current_request, request_check
from brickwork.problems import NotAcceptable
from brickwork.query.keys import BATCH

HEAD_SCOPE_KEY: Final = "brickwork.head"
"""The scope key of a HEAD request, which is handled as a GET."""


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

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        dependencies: Sequence[params.Depends] | None = None,
        **options: Any,
    ) -> None:
        """Create the route with the options of an `APIRoute`."""
        checked = [*(dependencies or []), Depends(request_check)]
        super().__init__(path, endpoint, dependencies=checked, **options)
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
        context = scope.get("fastapi", {}).get("effective_route_context")
        route = context if context and context.original_route is self else self
        path: str = scope["path"]
        return not (route.path_regex.match(path) or route.path_regex.match(toggle_slash(path)))

    @override
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        require_installed(scope.get("app"))
        await super().handle(head_as_get(scope), receive, send)

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        bound: _BoundRoute | None = None

        async def negotiate_and_handle(request: Request) -> Response:
            nonlocal bound
            accept = request.headers.getlist("accept")
            media_type = preferred_media_type(accept, self._offers)
            if self.response_model and not media_type:
                raise NotAcceptable("The response is JSON, which the Accept header excludes.")
            bound = bound or _BoundRoute(self, _effective_route(request))
            if bound.reads_json:
                request = JSONRequest(request.scope, request.receive, bound.whole)
            if bound.fast and (response := await bound.fast(request)):
                return response
            if isinstance(request, JSONRequest):
                await request.read()
            current_request.set((request, bound.declared))
            if request.method != "GET":  # a transaction that writes
                request.scope[ISOLATION_SCOPE_KEY] = bound.isolation_level
            elif media_type == NDJSON:  # an export reads all rows from one snapshot
                request.scope[ISOLATION_SCOPE_KEY] = strictest_isolation(
                    [bound.isolation_level, SNAPSHOT_LEVEL]
                )
            return await run_with_retries(request, bound.handler(request))

        return negotiate_and_handle

    def handler(self, route: APIRoute, dependant: Dependant, **changes: object) -> "Handler":
        """Return FastAPI's handler of *route*, which is this route as included, for *dependant*."""
        other = copy(self)
        overrides = ResolvedOverrides(route.dependency_overrides_provider)
        vars(other).update(
            vars(route), dependant=dependant, dependency_overrides_provider=overrides, **changes
        )
        return super(StrictRoute, other).get_route_handler()


class _BoundRoute:
    """A route as its routers include it: what is the same for each request."""

    def __init__(self, own: StrictRoute, route: APIRoute) -> None:
        """Prepare *route*, which is *own* as included."""
        body = route.body_field
        self.reads_json = body is not None and not isinstance(body.field_info, params.Form)
        self.isolation_level: IsolationLevel | None = route_isolation(route.dependant)
        self.declared = declared_parameters(route.dependant)
        self.fast = _fast_path(route)
        # An override of a dependency may have body fields of its own, which FastAPI validates.
        self._handle_overridden = own.handler(route, route.dependant)
        dependant, changes = route.dependant, dict[str, object]()
        self.whole: BodyField | None = None
        if self.reads_json:
            dependant, changes = validate_after_dependencies(dependant), {"body_field": None}
            self.whole = whole_body_field(dependant)
        if self.whole:
            dependant = with_prepared_body(dependant, self.whole)
        self._handle = own.handler(route, dependant, **changes)
        others = [item for item in dependant.dependencies if item.call is not request_check]
        unchecked = replace(read_query_directly(dependant), dependencies=others)
        self._handle_unchecked = own.handler(route, unchecked, **changes)

    def handler(self, request: Request) -> "Handler":
        """Return the handler of *request*, without `request_check` where it would find no error."""
        if request.app.dependency_overrides:
            return self._handle_overridden
        if UNREADABLE_SCOPE_KEY in request.scope:
            return self._handle
        sent = request.query_params
        is_valid = len(sent.multi_items()) == len(sent) and sent.keys() <= self.declared.keys()
        return self._handle_unchecked if is_valid else self._handle


class FastPath(Protocol):
    """A handler of some requests that bypasses the ORM session."""

    async def __call__(self, request: Request) -> Response | None:
        """Return the response to *request*. None if the ORM path must handle it."""


def _fast_path(route: APIRoute) -> FastPath | None:
    """Return the fast path of *route*. None if its endpoint has none for this route."""
    build = getattr(getattr(route.endpoint, "fast_operation", None), "try_bind", None)
    fast_path: FastPath | None = build(route) if build else None
    return fast_path


def route_isolation(dependant: Dependant) -> IsolationLevel | None:
    """Return the strictest isolation level of the resources in *dependant*."""
    return strictest_isolation(_isolation_levels(dependant))


def _isolation_levels(dependant: Dependant) -> Iterator[IsolationLevel | None]:
    """Yield the isolation level of each dependency. None if it has no level."""
    for dependency in dependant.dependencies:
        yield getattr(dependency.call, "isolation_level", None)
        yield from _isolation_levels(dependency)


def _effective_route(request: Request) -> APIRoute:
    """Return the route as its routers include it. FastAPI keeps it in the scope."""
    route: APIRoute = (
        request.scope.get("fastapi", {}).get("effective_route_context") or request.scope["route"]
    )
    return route


class Router(APIRouter):
    """A FastAPI router that rejects other paths by their prefix, before it tries its routes."""

    def __init__(self, **options: Any) -> None:
        """Create the router with the options of an `APIRouter`."""
        super().__init__(**options)
        self._prefixes: dict[int, tuple[object, str]] = {}

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        included = scope.get("fastapi", {}).get("included_router")
        path = get_route_path(scope)
        if included and not path.startswith(self._path_prefix(included)):
            return Match.NONE, {}
        return super().matches(scope)

    def _path_prefix(self, included: Any) -> str:
        """Return the common prefix of all paths of this router, as *included*."""
        candidates = included.effective_candidates()  # a new list after each change of the routes
        entry = self._prefixes.get(id(included))
        if entry is None or entry[0] is not candidates:
            paths = [route.path or "" for route in iter_route_contexts([included])]
            prefix = commonprefix([path.partition("{")[0] for path in paths]).rstrip("/")  # noqa: RUF071 — of texts, not of paths
            self._prefixes[id(included)] = entry = candidates, prefix
        return entry[1]


def head_as_get(scope: Scope) -> Scope:
    """Return *scope* with a HEAD turned into a GET."""
    return (
        {**scope, "method": "GET", HEAD_SCOPE_KEY: True} if scope.get("method") == "HEAD" else scope
    )


def toggle_slash(path: str) -> str:
    """Return *path* with its trailing slash removed, or with one added."""
    return path[:-1] if path.endswith("/") else path + "/"
