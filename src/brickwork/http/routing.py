"""How a route meets HTTP: it answers HEAD, takes both slash forms, and reads strict JSON."""

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
"""Where in its scope a request says that it is a HEAD, and its body is not sent."""

PATCH_TYPES: Final = [MERGE_PATCH, JSON]
"""What a PATCH may bring."""


class _RowKeyConvertor(Convertor[str]):
    """The key of a row in a path: any segment but that of the routes for many rows."""

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
            "The application has resources, and is not prepared for them: its errors would have "
            "no answer. Call brickwork.install(app) where it is made; a mounted application "
            "needs a call of its own."
        )


class StrictRoute(APIRoute):
    """A route of FastAPI's that keeps the contract: `APIRouter(route_class=StrictRoute)`.

    HEAD is answered wherever GET is, a trailing slash makes no difference, a query parameter that
    is not declared is refused, and so is a body that is not strict JSON: with the other faults,
    after the dependencies had their say of who is asking.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        dependencies: Sequence[params.Depends] | None = None,
        **options: Any,
    ) -> None:
        """Take what FastAPI takes."""
        every = [*(dependencies or []), Depends(request_check)]
        super().__init__(path, endpoint, dependencies=every, **options)
        others = self.responses.get(self.status_code or 200, {}).get("content", {})
        self._offers = [*dict.fromkeys((JSON, *others))]

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or self._is_elsewhere(scope):
            return Match.NONE, {}
        match, child = super().matches(head_as_get(scope))
        if match is Match.NONE:
            return super().matches({**head_as_get(scope), "path": toggle_slash(scope["path"])})
        return match, child

    def _is_elsewhere(self, scope: Scope) -> bool:
        """Tell at once, as most routes can of most requests, that neither form leads here."""
        if scope.get("root_path"):
            return False
        context = scope.get("fastapi", {}).get("effective_route_context")
        here = context if context and context.original_route is self else self
        path: str = scope["path"]
        return not (here.path_regex.match(path) or here.path_regex.match(toggle_slash(path)))

    @override
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        require_installed(scope.get("app"))
        await super().handle(head_as_get(scope), receive, send)

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        known: _BoundRoute | None = None

        async def negotiate_and_handle(request: Request) -> Response:
            nonlocal known
            accept = request.headers.getlist("accept")
            kind = preferred_media_type(accept, self._offers)
            if self.response_model and not kind:
                raise NotAcceptable("The answer is JSON, and the Accept header admits none.")
            known = known or _BoundRoute(self, _effective_route(request))
            if known.reads_json:
                request = JSONRequest(request.scope, request.receive, known.whole)
            if known.fast and (response := await known.fast(request)):
                return response
            if isinstance(request, JSONRequest):
                await request.read()
            _current_request.set((request, known))
            if request.method != "GET":  # of those that change rows
                request.scope[ISOLATION_SCOPE_KEY] = known.isolation_level
            elif kind == NDJSON:  # of all rows, as they were at one instant
                request.scope[ISOLATION_SCOPE_KEY] = strictest_isolation(
                    [known.isolation_level, SNAPSHOT_LEVEL]
                )
            return await _run_with_retries(request, known.handler(request))

        return negotiate_and_handle

    def handler(self, route: APIRoute, dependant: Dependant, **changes: object) -> "_Handler":
        """Return FastAPI's own handler of *route*, this one as it is included, for *dependant*."""
        other = copy(self)
        overrides = _Overrides(route.dependency_overrides_provider)
        vars(other).update(
            vars(route), dependant=dependant, dependency_overrides_provider=overrides, **changes
        )
        return super(StrictRoute, other).get_route_handler()


_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


async def _run_with_retries(request: Request, handle: _Handler) -> Response:
    """Return the answer of *handle*, perhaps that of another attempt: none was sent before."""
    database = getattr(request.state, "database", None)

    async def attempt() -> Response:
        with _reuse_dependencies(request.scope):  # which another attempt does not
            return await _run_once(request, handle)

    return await with_retries(
        attempt,
        database if isinstance(database, Database) else None,
        may_retry=lambda: not _is_body_consumed(request),
    )


async def _run_once(request: Request, handle: _Handler) -> Response:
    """Carry out a request, with a transaction of its own that ends before its answer is sent."""
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
                # FastAPI ends this other stack after the answer, whatever happens.
                request.scope[_AFTER_RESPONSE_STACK].push_async_exit(rest)
    except RequestValidationError as error:
        if error.body is None and isinstance(request, JSONRequest):
            error.body = (await request.read()).known()
        raise
    else:
        return response
    finally:
        request.scope[_BEFORE_RESPONSE_STACK] = outer


def _is_body_consumed(request: Request) -> bool:
    """Tell whether the body was read and not kept, as a form or a stream is."""
    return getattr(request, "_stream_consumed", False) and not hasattr(request, "_body")


SOLVED_SCOPE_KEY: Final = "brickwork.solved"
"""Where in a request's scope stands what its dependencies returned, each by what was called."""

_Value = Callable[[], Awaitable[object]]

_NO_VALUES: Final[Mapping[Callable[..., Any], _Value]] = {}

_resolved_values: Final = ContextVar("brickwork.known", default=_NO_VALUES)


class _Overrides:
    """The overrides of an application, and the values of dependencies that are known already."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    @property
    def dependency_overrides(self) -> Mapping[Callable[..., Any], Callable[..., Any]]:
        """The function to call in the place of another, for the request that is answered now."""
        if known := _resolved_values.get():
            return known
        overrides: Mapping[Callable[..., Any], Callable[..., Any]] = getattr(
            self._provider, "dependency_overrides", {}
        )
        return overrides


@contextmanager
def _reuse_dependencies(scope: Scope) -> Generator[None]:
    """Have FastAPI call no dependency again that was called for the request of *scope*."""
    solved = scope.pop(SOLVED_SCOPE_KEY, {})
    token = _resolved_values.set(
        {call: _constant_dependency(value) for (call, *_), value in solved.items()}
    )
    try:
        yield
    finally:
        _resolved_values.reset(token)


def _constant_dependency(value: object) -> _Value:
    async def answer() -> object:
        return value

    return answer


_BEFORE_RESPONSE_STACK: Final = (
    "fastapi_function_astack"  # where FastAPI looks for what ends before the answer
)
_AFTER_RESPONSE_STACK: Final = (
    "fastapi_inner_astack"  # where FastAPI looks for what ends after the answer
)

FINISH_SCOPE_KEY: Final = "brickwork.finish"
"""Where in a request's scope stands what is to be done with its answer before the commit."""


STREAM_SCOPE_KEY: Final = "brickwork.stream"
"""Where in a request's scope stands what takes its transaction, to end it with the answer."""


class _BoundRoute:
    """A route with what the routers that include it add, which is the same for each request."""

    def __init__(self, own: StrictRoute, route: APIRoute) -> None:
        """Look at *route*, which is *own* as it is included."""
        body = route.body_field
        self.reads_json = body is not None and not isinstance(body.field_info, params.Form)
        self.isolation_level: IsolationLevel | None = route_isolation(route.dependant)
        self.declared = declared_parameters(route.dependant)
        self.fast = _fast_path(route)
        # What is called in the place of a dependency may have fields of the body, of FastAPI's.
        self._handle_overridden = own.handler(route, route.dependant)
        dependant, changes = route.dependant, dict[str, object]()
        self.whole: BodyField | None = None
        if self.reads_json:
            dependant, changes = validate_after_dependencies(dependant), {"body_field": None}
            self.whole = whole_body_field(dependant)
        if self.whole:
            dependant = with_prepared_body(dependant, self.whole)
        self._handle = own.handler(route, dependant, **changes)
        others = [each for each in dependant.dependencies if each.call is not request_check]
        plain = replace(read_query_directly(dependant), dependencies=others)
        self._handle_plain = own.handler(route, plain, **changes)

    def handler(self, request: Request) -> "_Handler":
        """Return what carries out *request*, past `request_check` where that would find nothing."""
        if request.app.dependency_overrides:
            return self._handle_overridden
        if UNREADABLE_SCOPE_KEY in request.scope:
            return self._handle
        sent = request.query_params
        plain = len(sent.multi_items()) == len(sent) and sent.keys() <= self.declared.keys()
        return self._handle_plain if plain else self._handle


class FastPath(Protocol):
    """A way to answer some requests to a route without the session."""

    async def __call__(self, request: Request) -> Response | None:
        """Return the answer to *request*; None if the route has to give it."""


def _fast_path(route: APIRoute) -> FastPath | None:
    """Return the fast path of *route*; None if its endpoint has none, or none for this route."""
    make = getattr(getattr(route.endpoint, "fast_operation", None), "try_bind", None)
    found: FastPath | None = make(route) if make else None
    return found


def route_isolation(dependant: Dependant) -> IsolationLevel | None:
    """Return how far the resources among the dependencies want to be kept apart from others."""
    return strictest_isolation(_isolation_levels(dependant))


def _isolation_levels(dependant: Dependant) -> Iterator[IsolationLevel | None]:
    """Yield how far the resources among the dependencies want to be kept apart from others."""
    for each in dependant.dependencies:
        yield getattr(each.call, "isolation_level", None)
        yield from _isolation_levels(each)


def _effective_route(request: Request) -> APIRoute:
    """Return the route with what the routers that include it add; FastAPI keeps it in the scope."""
    route: APIRoute = (
        request.scope.get("fastapi", {}).get("effective_route_context") or request.scope["route"]
    )
    return route


class Router(APIRouter):
    """A router of FastAPI's that says sooner than its routes that none of them is meant."""

    def __init__(self, **options: Any) -> None:
        """Take what FastAPI takes."""
        super().__init__(**options)
        self._known: dict[int, tuple[object, str]] = {}

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        included = scope.get("fastapi", {}).get("included_router")
        path = get_route_path(scope)
        if included and not path.startswith(self._beginning(included)):
            return Match.NONE, {}
        return super().matches(scope)

    def _beginning(self, included: Any) -> str:
        """Return the text that every path of this router begins with, where it is *included*."""
        candidates = included.effective_candidates()  # another list for other routes
        known = self._known.get(id(included))
        if known is None or known[0] is not candidates:
            paths = [route.path or "" for route in iter_route_contexts([included])]
            beginning = commonprefix([path.partition("{")[0] for path in paths]).rstrip("/")  # noqa: RUF071 — of texts, not of paths
            self._known[id(included)] = known = candidates, beginning
        return known[1]


class JSONRequest(Request):
    """A request whose body is strict JSON, or refused."""

    def __init__(self, scope: Scope, receive: Receive, whole: BodyField | None = None) -> None:
        """Read nothing yet; *whole* is the field that is the whole body, if one is."""
        super().__init__(scope, receive)
        self._whole = whole
        self._document: RequestBody | None = None

    async def read(self) -> RequestBody:
        """Return the body, which is read once; what is wrong with it is noted in the scope."""
        if self._document is None:
            self._document = body = RequestBody(self.scope)
            try:
                body.raw = await _read_body(self)
            except Exception as error:
                if (problem := problem_in(error)) is None:
                    raise
                body.refuse(problem)
        received_body.set(self._document)
        return self._document

    @override
    async def json(self) -> Any:
        body = await self.read()
        body.document()
        if problem := body.problem:
            raise problem
        return body.known()

    async def data(self) -> Any:
        """Return the whole body, validated; None if it has faults, or if there is no such field.

        The endpoint is given the same value, and FastAPI the same faults.
        """
        body = await self.read()
        value, errors = await body.prepare(self._whole) if self._whole else (None, [])
        return None if errors else value


_current_request: Final = ContextVar[tuple[Request, _BoundRoute]]("brickwork.request")


def current_scope() -> Scope:
    """Return the scope of the request that a `StrictRoute` answers now."""
    return _current_request.get()[0].scope


def _validate_request(_: object) -> None:
    """Raise what is wrong with the request as a whole; FastAPI adds it to the other faults.

    It looks as if the value of one more parameter were wrong, since that is the one thing which
    keeps FastAPI from calling the endpoint and yet lets it solve every dependency before.
    """
    request, known = _current_request.get()
    if UNREADABLE_SCOPE_KEY in request.scope:
        raise PydanticCustomError("unreadable", "The body cannot be read.")
    if request.query_params and (
        faults := undeclared_parameter_errors(request.query_params, known.declared)
    ):
        raise ValidationError.from_exception_data("query", faults)


_REQUEST_QUERY: Final = Query(alias=REQUEST_PARAM, include_in_schema=False, validate_default=True)


async def request_check(
    _: Annotated[None, _REQUEST_QUERY, BeforeValidator(_validate_request)] = None,
) -> None:
    """Depend on the request as a whole."""


async def _read_body(request: Request) -> bytes:
    """Return the body of *request*; raises the `Problem` with its type or its length."""
    refusal = _media_type_problem(request)
    if refusal and "content-type" in request.headers:
        raise refusal
    body = await request.body()
    if (
        body and refusal
    ):  # an empty body has no type, and it is seen later whether there must be one
        raise refusal
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
    """Return *scope* as that of a GET, if it is that of a HEAD."""
    return (
        {**scope, "method": "GET", HEAD_SCOPE_KEY: True} if scope.get("method") == "HEAD" else scope
    )


def toggle_slash(path: str) -> str:
    """Return *path* with the trailing slash it has not, or without the one it has."""
    return path[:-1] if path.endswith("/") else path + "/"
