"""Routes that keep the HTTP contract."""

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import replace
from os.path import commonprefix
from typing import Annotated, Any, Final, Protocol
from weakref import WeakSet

from fastapi import Depends, Query, Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, APIRouter, iter_route_contexts
from pydantic import BeforeValidator, ValidationError
from pydantic_core import PydanticCustomError
from starlette._utils import get_route_path
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Match
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from brickwork.database.database import (
    ISOLATION_SCOPE_KEY,
    SNAPSHOT_LEVEL,
    Database,
    IsolationLevel,
    strictest_isolation,
)
from brickwork.database.foreign_sessions import commit_adopted, translate_errors
from brickwork.database.retry import with_retries
from brickwork.http.body import (
    UNREADABLE_SCOPE_KEY,
    BodyField,
    RequestBody,
    received_body,
    validate_after_dependencies,
    whole_body_field,
    with_prepared_body,
)
from brickwork.http.negotiation import JSON, MERGE_PATCH, NDJSON, is_utf8_type, preferred_media_type
from brickwork.http.parameters import (
    REQUEST_PARAM,
    declared_parameters,
    read_query_directly,
    undeclared_parameter_errors,
)
from brickwork.problems import NotAcceptable, Problem, UnsupportedMediaType, problem_in
from brickwork.query.keys import BATCH

HEAD_SCOPE_KEY: Final = "brickwork.head"
"""The scope key of a HEAD request, which is handled as a GET."""

PATCH_TYPES: Final = [MERGE_PATCH, JSON]
"""The media types of a PATCH."""


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
            _current_request.set((request, bound))
            if request.method != "GET":  # a transaction that writes
                request.scope[ISOLATION_SCOPE_KEY] = bound.isolation_level
            elif media_type == NDJSON:  # an export reads all rows from one snapshot
                request.scope[ISOLATION_SCOPE_KEY] = strictest_isolation(
                    [bound.isolation_level, SNAPSHOT_LEVEL]
                )
            return await _run_with_retries(request, bound.handler(request))

        return negotiate_and_handle

    def handler(self, route: APIRoute, dependant: Dependant, **changes: object) -> "_Handler":
        """Return FastAPI's handler of *route*, which is this route as included, for *dependant*."""
        other = copy(self)
        overrides = _Overrides(route.dependency_overrides_provider)
        vars(other).update(
            vars(route), dependant=dependant, dependency_overrides_provider=overrides, **changes
        )
        return super(StrictRoute, other).get_route_handler()


_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


async def _run_with_retries(request: Request, handle: _Handler) -> Response:
    """Run *handle*, and retry it after serialization failures. Nothing is sent before."""
    database = getattr(request.state, "database", None)

    async def attempt() -> Response:
        with _reuse_dependencies(request.scope):  # in the first attempt only
            return await _run_once(request, handle)

    return await with_retries(
        attempt,
        database if isinstance(database, Database) else None,
        may_retry=lambda: not _is_body_consumed(request),
    )


async def _run_once(request: Request, handle: _Handler) -> Response:
    """Run *handle* in a transaction that ends before the response is sent."""
    request.scope.pop(FINISH_SCOPE_KEY, None)
    request.scope.pop(STREAM_SCOPE_KEY, None)
    outer = request.scope.get(_BEFORE_RESPONSE_STACK)
    try:
        async with AsyncExitStack() as transaction:
            await transaction.enter_async_context(translate_errors(request.scope))
            request.scope[_BEFORE_RESPONSE_STACK] = await transaction.enter_async_context(
                AsyncExitStack()
            )
            await transaction.enter_async_context(commit_adopted(request.scope))
            response = await handle(request)
            if finish := request.scope.get(FINISH_SCOPE_KEY):
                await finish(response)
            if stream := request.scope.get(STREAM_SCOPE_KEY):
                stream(rest := transaction.pop_all())
                # FastAPI always closes this stack after the response.
                request.scope[_AFTER_RESPONSE_STACK].push_async_exit(rest)
    except RequestValidationError as error:
        if error.body is None and isinstance(request, JSONRequest):
            error.body = (await request.read()).parsed_document()
        raise
    else:
        return response
    finally:
        request.scope[_BEFORE_RESPONSE_STACK] = outer


def _is_body_consumed(request: Request) -> bool:
    """Return whether the body was read and not kept, like a form or a stream."""
    return getattr(request, "_stream_consumed", False) and not hasattr(request, "_body")


SOLVED_SCOPE_KEY: Final = "brickwork.solved"
"""The scope key of the values that the fast path has resolved, by dependency."""

_Value = Callable[[], Awaitable[object]]

_NO_VALUES: Final[Mapping[Callable[..., Any], _Value]] = {}

_resolved_values: Final = ContextVar("brickwork.known", default=_NO_VALUES)


class _Overrides:
    """The dependency overrides of an application, with values that are already resolved."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    @property
    def dependency_overrides(self) -> Mapping[Callable[..., Any], Callable[..., Any]]:
        """Return the overrides for the current request."""
        if resolved := _resolved_values.get():
            return resolved
        overrides: Mapping[Callable[..., Any], Callable[..., Any]] = getattr(
            self._provider, "dependency_overrides", {}
        )
        return overrides


@contextmanager
def _reuse_dependencies(scope: Scope) -> Generator[None]:
    """Reuse the dependency values that the fast path has resolved for this request."""
    solved = scope.pop(SOLVED_SCOPE_KEY, {})
    token = _resolved_values.set(
        {call: _constant_dependency(value) for (call, *_), value in solved.items()}
    )
    try:
        yield
    finally:
        _resolved_values.reset(token)


def _constant_dependency(value: object) -> _Value:
    async def call() -> object:
        return value

    return call


_BEFORE_RESPONSE_STACK: Final = "fastapi_function_astack"  # FastAPI closes it before the response
_AFTER_RESPONSE_STACK: Final = "fastapi_inner_astack"  # FastAPI closes it after the response

FINISH_SCOPE_KEY: Final = "brickwork.finish"
"""The scope key of a function that gets the response before the commit."""


STREAM_SCOPE_KEY: Final = "brickwork.stream"
"""The scope key of a function that takes over the transaction until the response ends."""


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

    def handler(self, request: Request) -> "_Handler":
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


class JSONRequest(Request):
    """A request with a body of strict JSON."""

    def __init__(self, scope: Scope, receive: Receive, whole: BodyField | None = None) -> None:
        """Wrap a request. *whole* is the field that is the whole body, if there is one."""
        super().__init__(scope, receive)
        self._whole = whole
        self._document: RequestBody | None = None

    async def read(self) -> RequestBody:
        """Read the body once, and record a problem with it in the scope."""
        if self._document is None:
            self._document = body = RequestBody(self.scope)
            try:
                body.raw = await _read_body(self)
            except Exception as error:
                if (problem := problem_in(error)) is None:
                    raise
                body.reject(problem)
        received_body.set(self._document)
        return self._document

    @override
    async def json(self) -> Any:
        body = await self.read()
        body.document()
        if problem := body.problem:
            raise problem
        return body.parsed_document()

    async def data(self) -> Any:
        """Return the validated body. None if it is invalid, or if no field is the whole body.

        The endpoint gets the same value, and FastAPI the same errors.
        """
        body = await self.read()
        value, errors = await body.prepare(self._whole) if self._whole else (None, [])
        return None if errors else value


_current_request: Final = ContextVar[tuple[Request, _BoundRoute]]("brickwork.request")


def current_scope() -> Scope:
    """Return the scope of the request that a `StrictRoute` handles."""
    return _current_request.get()[0].scope


def _validate_request(_: object) -> None:
    """Raise the errors of the whole request, which FastAPI adds to the others.

    It validates an extra parameter. An invalid parameter keeps FastAPI from calling the endpoint,
    but not from solving every dependency first.
    """
    request, route = _current_request.get()
    if UNREADABLE_SCOPE_KEY in request.scope:
        raise PydanticCustomError("unreadable", "The body cannot be read.")
    if request.query_params and (
        errors := undeclared_parameter_errors(request.query_params, route.declared)
    ):
        raise ValidationError.from_exception_data("query", errors)


_REQUEST_QUERY: Final = Query(alias=REQUEST_PARAM, include_in_schema=False, validate_default=True)


async def request_check(
    _: Annotated[None, _REQUEST_QUERY, BeforeValidator(_validate_request)] = None,
) -> None:
    """Check the whole request, as a dependency."""


async def _read_body(request: Request) -> bytes:
    """Return the body of *request*. Raises the problem with its media type or its size."""
    problem = _media_type_problem(request)
    if problem and "content-type" in request.headers:
        raise problem
    body = await request.body()
    if body and problem:  # an empty body has no type; validation reports a missing body
        raise problem
    return body


def _media_type_problem(request: Request) -> Problem | None:
    header, types = ("Accept", [JSON])
    if request.method == "PATCH":
        header, types = ("Accept-Patch", PATCH_TYPES)
    coding = request.headers.get("content-encoding", "identity").lower()
    if coding == "identity" and is_utf8_type(request.headers.get("content-type", ""), among=types):
        return None
    names = ", ".join(types)
    detail = f"The body must be one of {names}, in UTF-8 and not compressed."
    return UnsupportedMediaType(detail, headers={header: names})


def head_as_get(scope: Scope) -> Scope:
    """Return *scope* with a HEAD turned into a GET."""
    return (
        {**scope, "method": "GET", HEAD_SCOPE_KEY: True} if scope.get("method") == "HEAD" else scope
    )


def toggle_slash(path: str) -> str:
    """Return *path* with its trailing slash removed, or with one added."""
    return path[:-1] if path.endswith("/") else path + "/"
