"""Answers to errors, inside the middleware."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from fastapi.exception_handlers import (
    http_exception_handler,
    request_validation_exception_handler,
)
from fastapi.exceptions import HTTPException as FastAPIHTTPException, RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette._utils import get_route_path, is_async_callable
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brickwork.context import request_id
from brickwork.http.ownership import Owner, Ownership
from brickwork.http.paths import ROOT_PATH_SCOPE_KEY
from brickwork.http.problem_response import problem_response
from brickwork.http.routing import PATCH_TYPES, StrictRoute, toggle_slash
from brickwork.http.validation_errors import problem_from_validation_error
from brickwork.problems import (
    ContentTooLarge,
    InternalServerError,
    MethodNotAllowed,
    Problem,
    problem_for_status,
    problem_in,
)

REJECTION_SCOPE_KEY: Final = "brickwork.refused"
"""The key of the scope for the problem with a request that is refused before its route."""

_Handler = Callable[[Request, Any], Response | Awaitable[Response]]

_DEFAULTS: Final[Mapping[Any, _Handler]] = {
    HTTPException: http_exception_handler,
    RequestValidationError: request_validation_exception_handler,
}


class ErrorMiddleware:
    """ASGI middleware that answers an error inside the middleware that stands around it.

    Starlette answers an unexpected error outside every middleware: a browser that waits for the
    headers of CORS then sees no answer. The error is raised again, for the server to log it.
    """

    def __init__(self, app: ASGIApp, ownership: Ownership, *, refuses: bool = False) -> None:
        """Stand before *app*, whose errors are answered as their *ownership* says.

        The innermost middleware also *refuses* what the edge has found wrong with a request.
        """
        self._app = app
        self._ownership = ownership
        self._refuses = refuses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._refuses and (problem := scope.pop(REJECTION_SCOPE_KEY, None)):
            await problem_response(problem, scope)(scope, receive, send)
            return
        root_path, is_begun = scope.get("root_path", ""), False

        async def send_noted(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:
            problem = problem_in(error)
            if is_begun or not (problem or self._is_ours(scope, root_path)):
                raise
            answered = problem or _internal_error(Request(scope), error)
            await problem_response(answered, scope)(scope, receive, send)
            if problem is None:
                raise

    def _is_ours(self, scope: Scope, root_path: str) -> bool:
        """Tell whether an unexpected error is a problem, which Starlette does not answer."""
        if scope["app"].debug:
            return False
        if isinstance(scope.get("route"), StrictRoute):
            return True
        has_handler = bool({500, Exception} & scope["app"].exception_handlers.keys())
        return not has_handler and not self._ownership.is_earlier(scope, root_path)


def exception_handlers(own: Mapping[Any, _Handler], ownership: Ownership) -> dict[Any, _Handler]:
    """Return the handlers of an application whose *own* handlers answer for its routes.

    An error of a resource is a problem. A handler of the application answers an error of another
    route; without a handler, the error is a problem. FastAPI answers an error of a route that is
    older than `install`.
    """
    found: dict[Any, _Handler] = {
        Problem: _problem_handler(ownership),
        ClientDisconnect: handle_exception,
    }
    found |= {**_DEFAULTS, **own}
    if 500 not in found:  # noqa: PLR2004 — as which Starlette knows it, too
        found.setdefault(Exception, _plain_500)
    general = {HTTPException, FastAPIHTTPException, RequestValidationError, Exception}
    return {
        kind: _limit_to_owner(handler, ownership)
        if isinstance(kind, int) or kind in general
        else handler
        for kind, handler in found.items()
    }


def _problem_handler(ownership: Ownership) -> _Handler:
    async def handle_problem(request: Request, error: Problem) -> Response:
        if (
            isinstance(error, ContentTooLarge)
            and _route_owner(request.scope, ownership) is Owner.EARLIER
        ):
            return _plain_413()
        return await handle_exception(request, error)

    return handle_problem


def _limit_to_owner(own: _Handler, ownership: Ownership) -> _Handler:
    """Return a handler that calls *own* for errors outside the contract."""
    is_default = any(own is each for each in (*_DEFAULTS.values(), _plain_500))

    async def handle_divided(request: Request, error: Exception) -> Response:
        owner = _route_owner(request.scope, ownership)
        if owner is Owner.RESOURCE or (is_default and owner is Owner.APPLICATION):
            return await handle_exception(request, error)
        if isinstance(problem_in(error.__cause__), ContentTooLarge):
            return _plain_413()
        is_async = is_async_callable(own)
        answered: Any = own(request, error) if is_async else run_in_threadpool(own, request, error)
        response: Response = await answered
        return response

    return handle_divided


def _route_owner(scope: Scope, ownership: Ownership) -> Owner:
    if isinstance(scope.get("route"), StrictRoute):
        return Owner.RESOURCE
    return ownership.owner(scope, scope.get(ROOT_PATH_SCOPE_KEY, scope.get("root_path", "")))


def _plain_413() -> Response:
    """Return the answer of Starlette to a body beyond `max_body_size`."""
    return PlainTextResponse("Content Too Large", status_code=413)


async def _plain_500(_: Request, _error: Exception) -> Response:
    """Return the answer of Starlette to an unexpected error."""
    return PlainTextResponse("Internal Server Error", status_code=500)


async def handle_exception(request: Request, error: Exception) -> Response:
    """Return the answer to a request that ended in *error*."""
    if isinstance(error, HTTPException) and error.status_code < 400:  # noqa: PLR2004 — no error
        return Response(status_code=error.status_code, headers=error.headers)
    problem = _problem_from_exception(request, error)
    if isinstance(problem, MethodNotAllowed) and request.method == "OPTIONS":
        return Response(status_code=204, headers=problem.headers)
    return problem_response(problem, request.scope)


def _problem_from_exception(request: Request, error: Exception) -> Problem:
    # The cause is what keeps FastAPI from reading a body.
    cause = error.__cause__ if isinstance(error, HTTPException) else None
    if problem := problem_in(error) or problem_in(cause):
        return problem
    match error:
        case RequestValidationError():
            return problem_from_validation_error(request, error)
        case HTTPException(status_code=MethodNotAllowed.status):
            own = dict(error.headers or {})
            return MethodNotAllowed(
                error.detail, headers=own | _allow_header(request, own.get("Allow"))
            )
        case HTTPException():
            headers = dict(error.headers or {})
            return problem_for_status(error.status_code)(str(error.detail), headers=headers)
        case ClientDisconnect():  # nobody will read it
            return problem_for_status(400)("The client went away.")
        case _:
            return _internal_error(request, error)


def _internal_error(request: Request, error: Exception) -> Problem:
    path = getattr(request.scope.get("route"), "path", "no route")
    note = f"{request.method} {path} failed, request {request_id(request.scope)}"
    if note not in getattr(error, "__notes__", ()):  # Starlette asks once more
        error.add_note(note)  # and the server logs it with the traceback
    return InternalServerError("The service failed, and its log says why.")


def _allow_header(request: Request, known: str | None) -> dict[str, str]:
    """Return the headers that name every method there is for the path: the *known* and others."""
    scope = request.scope
    here: Scope = {
        **scope,
        "root_path": scope.get(ROOT_PATH_SCOPE_KEY, ""),
        "path_params": {},
        "fastapi": {},
    }
    methods = {
        "OPTIONS",
        *re.findall(r"\w+", known or ""),
        *_methods_of_path(request.app.routes, here),
    }
    if "GET" in methods:
        methods.add("HEAD")
    headers = {"Allow": ", ".join(sorted(methods))}
    return headers | {"Accept-Patch": ", ".join(PATCH_TYPES)} if "PATCH" in methods else headers


def _methods_of_path(routes: Sequence[BaseRoute], scope: Scope) -> Iterator[str]:
    """Yield the methods of *routes*, mounted ones included, that have the path of *scope*."""
    path = get_route_path(scope)
    for route in iter_route_contexts(routes):
        if isinstance(route.original_route, Mount | Host):
            match, child = route.matches(scope)
            if match is not Match.NONE:
                yield from _methods_of_path(route.routes, {**scope, **child})
        elif route.methods:
            forms = (
                {path, toggle_slash(path)}
                if isinstance(route.original_route, StrictRoute)
                else {path}
            )
            if any(route.path_regex.match(form) for form in forms):
                yield from route.methods
