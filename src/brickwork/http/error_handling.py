"""Error handling inside the middleware stack."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import HTTPException as FastAPIHTTPException, RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brickwork.context import request_context, request_id
from brickwork.http.fastapi_internals import ROUTING
from brickwork.http.json_request import PATCH_TYPES
from brickwork.http.ownership import Owner, Ownership
from brickwork.http.paths import application_root
from brickwork.http.problem_response import problem_response
from brickwork.http.routing import StrictRoute, toggle_slash
from brickwork.http.starlette_internals import is_async, route_path
from brickwork.http.validation_errors import problem_from_validation_error
from brickwork.problems import (
    ContentTooLarge,
    InternalServerError,
    MethodNotAllowed,
    Problem,
    problem_for_status,
    problem_in,
)

_Handler = Callable[[Request, Any], Response | Awaitable[Response]]

_DEFAULTS: Final[Mapping[Any, _Handler]] = {
    HTTPException: http_exception_handler,
    RequestValidationError: request_validation_exception_handler,
}


class ErrorMiddleware:
    """ASGI middleware that answers errors inside the surrounding middleware.

    Starlette answers an unexpected error outside every middleware, without the headers of CORS. A
    browser then hides the response. Here the error is raised again, so that the server logs it.
    """

    def __init__(self, app: ASGIApp, ownership: Ownership, *, rejects: bool = False) -> None:
        """Wrap *app*. The *ownership* of a route decides who answers its errors.

        The innermost middleware also *rejects* requests that `RequestLimitsMiddleware` marked.
        """
        self._app = app
        self._ownership = ownership
        self._rejects = rejects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, and answer its errors."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = request_context(scope)
        if self._rejects and (problem := context.rejection):
            context.rejection = None
            await problem_response(problem, scope)(scope, receive, send)
            return
        root_path, is_begun = scope.get("root_path", ""), False

        async def send_recorded(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_recorded)
        except Exception as error:
            problem = problem_in(error)
            if is_begun or not (problem or self._becomes_problem(scope, root_path)):
                raise
            answer = problem or _internal_error(Request(scope), error)
            await problem_response(answer, scope)(scope, receive, send)
            if problem is None:
                raise

    def _becomes_problem(self, scope: Scope, root_path: str) -> bool:
        """Return whether an unexpected error becomes a problem. Otherwise Starlette answers it."""
        if scope["app"].debug:
            return False
        if isinstance(scope.get("route"), StrictRoute):
            return True
        has_handler = bool({500, Exception} & scope["app"].exception_handlers.keys())
        return not has_handler and not self._ownership.is_earlier(scope, root_path)


def exception_handlers(own: Mapping[Any, _Handler], ownership: Ownership) -> dict[Any, _Handler]:
    """Return the exception handlers of an application that has *own* handlers.

    - Errors of a resource become problems.
    - Errors of another route go to the own handler. Without one, they become problems.
    - FastAPI answers errors of routes that are older than `install`.
    """
    handlers: dict[Any, _Handler] = {
        Problem: _problem_handler(ownership),
        ClientDisconnect: handle_exception,
    }
    handlers |= {**_DEFAULTS, **own}
    if 500 not in handlers:  # noqa: PLR2004 — Starlette accepts this key as well
        handlers.setdefault(Exception, _plain_500)
    general = {HTTPException, FastAPIHTTPException, RequestValidationError, Exception}
    return {
        kind: _limit_to_owner(handler, ownership)
        if isinstance(kind, int) or kind in general
        else handler
        for kind, handler in handlers.items()
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
    """Return a handler that calls *own* only for routes that do not keep the contract."""
    is_default = any(own is handler for handler in (*_DEFAULTS.values(), _plain_500))

    async def handle_for_owner(request: Request, error: Exception) -> Response:
        owner = _route_owner(request.scope, ownership)
        if owner is Owner.RESOURCE or (is_default and owner is Owner.APPLICATION):
            return await handle_exception(request, error)
        if isinstance(problem_in(error.__cause__), ContentTooLarge):
            return _plain_413()
        call = own(request, error) if is_async(own) else run_in_threadpool(own, request, error)
        result: Any = call
        response: Response = await result
        return response

    return handle_for_owner


def _route_owner(scope: Scope, ownership: Ownership) -> Owner:
    if isinstance(scope.get("route"), StrictRoute):
        return Owner.RESOURCE
    return ownership.owner(scope, application_root(scope))


def _plain_413() -> Response:
    """Return Starlette's response to a body that exceeds `max_body_size`."""
    return PlainTextResponse("Content Too Large", status_code=413)


async def _plain_500(_: Request, _error: Exception) -> Response:
    """Return Starlette's response to an unexpected error."""
    return PlainTextResponse("Internal Server Error", status_code=500)


async def handle_exception(request: Request, error: Exception) -> Response:
    """Return the response to a request that failed with *error*."""
    if isinstance(error, HTTPException) and error.status_code < 400:  # noqa: PLR2004 — no error
        return Response(status_code=error.status_code, headers=error.headers)
    problem = _problem_from_exception(request, error)
    if isinstance(problem, MethodNotAllowed) and request.method == "OPTIONS":
        return Response(status_code=204, headers=problem.headers)
    return problem_response(problem, request.scope)


def _problem_from_exception(request: Request, error: Exception) -> Problem:
    # FastAPI raises an HTTPException from the error that it had with the body.
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
    if note not in getattr(error, "__notes__", ()):  # Starlette calls this twice
        error.add_note(note)  # and the server logs it with the traceback
    return InternalServerError("Internal error. The id of the request is in the server log.")


def _allow_header(request: Request, known: str | None) -> dict[str, str]:
    """Return the Allow header with the methods of all routes of the path, and with *known*."""
    scope = request.scope
    here: Scope = {
        **scope,
        "root_path": request_context(scope).root_path or "",
        "path_params": {},
        ROUTING: {},
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
    """Yield the methods of *routes*, including mounted ones, that match the path of *scope*."""
    path = route_path(scope)
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
