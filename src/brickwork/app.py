"""How an application answers: `install` makes it keep the contract."""

import logging
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from brickwork import pages
from brickwork.answers import answer, request_id
from brickwork.cursors import Signer
from brickwork.edge import Edge
from brickwork.indexes import unindexed
from brickwork.lanes import Overrides
from brickwork.limits import Limits
from brickwork.lists import ListQuery
from brickwork.openapi import describe
from brickwork.problems import Internal, MethodNotAllowed, Problem, of_status
from brickwork.refusals import refusal
from brickwork.routes import PATCH_TYPES, Route, other_form
from brickwork.shortcuts import Shortcuts

log: Final = logging.getLogger("brickwork")


def install(
    app: FastAPI,
    *,
    limits: Limits | None = None,
    cursor_keys: Sequence[str] = (),
    development: bool = False,
) -> None:
    """Make *app* keep the contract, within *limits*.

    The cursors of lists are signed with the first of *cursor_keys*, secrets of 32 characters or
    more, and read with any: to change it, put a new one before it. Without one, cursors are good
    for as long as the process and for no other: several processes do not start, except in
    *development*. Then the log warns at start-up of lists that no index serves.

    Every error is a problem, with a page to read at `/problems`; every answer has the id of its
    request; OPTIONS and 405 tell the methods of all routes. No path is redirected to its other
    slash form, as that would repeat the Host a client sent.
    """
    limits = limits or Limits()
    app.router.redirect_slashes = False
    app.router.dependency_overrides_provider = Overrides(app)
    signer = Signer(*cursor_keys)
    app.add_middleware(Edge, limits=limits, signer=signer, development=development)
    app.include_router(pages.router)
    for kind in (
        Problem,
        RequestValidationError,
        HTTPException,
        ClientDisconnect,
        Exception,
    ):
        app.add_exception_handler(kind, handle)
    app.router.middleware_stack = Shortcuts(app, app.router.middleware_stack)
    describe(app, limits)
    if development:
        _warn_at_start(app)


def _warn_at_start(app: FastAPI) -> None:
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def warning(app: FastAPI) -> AsyncGenerator[Any]:
        for query in dict.fromkeys(_queries(app)):
            for text in unindexed(query):
                log.warning("%s", text)
        async with lifespan(app) as state:
            yield state

    app.router.lifespan_context = warning


def _queries(app: FastAPI) -> Iterator[type[ListQuery[Any]]]:
    """Yield the parameters of each list of *app*."""
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route.original_route, "dependant", None)
        for field in dependant.query_params if dependant else ():
            kind = field.field_info.annotation
            if isinstance(kind, type) and issubclass(kind, ListQuery):
                yield kind


async def handle(request: Request, error: Exception) -> Response:
    """Return the answer to a request that ended in *error*."""
    if isinstance(error, HTTPException) and error.status_code < 400:  # noqa: PLR2004 — no error
        return Response(status_code=error.status_code, headers=error.headers)
    problem = _problem(request, error)
    if isinstance(problem, MethodNotAllowed) and request.method == "OPTIONS":
        return Response(status_code=204, headers=problem.headers)
    return answer(problem, request.scope)


def _problem(request: Request, error: Exception) -> Problem:  # noqa: PLR0911 — one a kind
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return refusal(request, error)
        case HTTPException(__cause__=Problem() as cause):  # FastAPI's word for an unread body
            return cause
        case HTTPException(status_code=MethodNotAllowed.status):
            own = dict(error.headers or {})
            return MethodNotAllowed(error.detail, headers=own | _allow(request, own.get("Allow")))
        case HTTPException():
            headers = dict(error.headers or {})
            return of_status(error.status_code)(str(error.detail), headers=headers)
        case ClientDisconnect():  # nobody will read it
            return of_status(400)("The client went away.")
        case _:
            return _unexpected(request, error)


def _unexpected(request: Request, error: Exception) -> Problem:
    path = getattr(request.scope.get("route"), "path", "no route")
    # Starlette raises the error again, and the server logs its traceback with this note.
    error.add_note(f"{request.method} {path} failed, request {request_id(request.scope)}")
    return Internal("The service failed, and its log says why.")


def _allow(request: Request, known: str | None) -> dict[str, str]:
    """Return the headers that name every method there is for the path: the *known* and others."""
    path: str = request.scope["path"]
    root = request.scope.get("app_root_path", request.scope.get("root_path", ""))
    path = path.removeprefix(root) if path.startswith(f"{root}/") else path
    methods = {"OPTIONS", *re.findall(r"\w+", known or "")}
    for route in iter_route_contexts(request.app.routes):
        forms = {path, other_form(path)} if isinstance(route.original_route, Route) else {path}
        if route.methods and any(route.path_regex.match(form) for form in forms):
            methods |= route.methods
    if "GET" in methods:
        methods.add("HEAD")
    headers = {"Allow": ", ".join(sorted(methods))}
    return headers | {"Accept-Patch": ", ".join(PATCH_TYPES)} if "PATCH" in methods else headers
