"""How an application answers: `install` makes it keep the contract."""

import logging
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Host, Match, Mount
from starlette.types import Scope

from brickwork import pages
from brickwork.answers import answer, request_id
from brickwork.cursors import Signer
from brickwork.description import describe
from brickwork.edge import Edge
from brickwork.indexes import unindexed
from brickwork.limits import Limits
from brickwork.lists import ListQuery
from brickwork.paths import ROOT
from brickwork.problems import Internal, MethodNotAllowed, Problem, of_status, problem_in
from brickwork.refusals import refusal
from brickwork.routes import PATCH_TYPES, Route, other_form

log: Final = logging.getLogger("brickwork")


def install(
    app: FastAPI,
    *,
    limits: Limits | None = None,
    cursor_keys: Sequence[str] = (),
    development: bool = False,
) -> None:
    """Make *app* keep the contract, within *limits*.

    The cursors of lists are encrypted with the first of *cursor_keys*, secrets of 32 characters or
    more, and read with any: to change it, put a new one before it. Without one, cursors are good
    for as long as the process and for no other: several processes do not start, except in
    *development*. Then the log warns at start-up of lists that no index serves.

    Every error is a problem, with a page to read at `/problems`; every answer has the id of its
    request; OPTIONS and 405 tell the methods of all routes. No path is redirected to its other
    slash form, as that would repeat the Host a client sent.
    """
    limits = _limits(app, limits or Limits())
    app.router.redirect_slashes = False
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
    describe(app, limits, lambda _: True)
    if development:
        _warn_at_start(app)


def _limits(app: FastAPI, limits: Limits) -> Limits:
    """Return *limits* with the `max_body_size` of *app*, beyond which FastAPI sends plain text."""
    own, app.max_body_size = app.max_body_size, None
    return limits if own is None else replace(limits, body=min(own, limits.body))


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


def _problem(request: Request, error: Exception) -> Problem:
    # The cause is what keeps FastAPI from reading a body.
    cause = error.__cause__ if isinstance(error, HTTPException) else None
    if problem := problem_in(error) or problem_in(cause):
        return problem
    match error:
        case RequestValidationError():
            return refusal(request, error)
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
    scope = request.scope
    here: Scope = {**scope, "root_path": scope.get(ROOT, ""), "path_params": {}, "fastapi": {}}
    methods = {"OPTIONS", *re.findall(r"\w+", known or ""), *_methods(request.app.routes, here)}
    if "GET" in methods:
        methods.add("HEAD")
    headers = {"Allow": ", ".join(sorted(methods))}
    return headers | {"Accept-Patch": ", ".join(PATCH_TYPES)} if "PATCH" in methods else headers


def _methods(routes: Sequence[BaseRoute], scope: Scope) -> Iterator[str]:
    """Yield the methods of *routes*, mounted ones included, that have the path of *scope*."""
    path = get_route_path(scope)
    for route in iter_route_contexts(routes):
        if isinstance(route.original_route, Mount | Host):
            match, child = route.matches(scope)
            if match is not Match.NONE:
                yield from _methods(route.routes, {**scope, **child})
        elif route.methods:
            forms = {path, other_form(path)} if isinstance(route.original_route, Route) else {path}
            if any(route.path_regex.match(form) for form in forms):
                yield from route.methods
