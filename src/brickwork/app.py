"""How an application answers: `install` makes it keep the contract."""

import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.middleware import Middleware
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.types import ASGIApp

from brickwork.http import problem_pages
from brickwork.http.error_handling import ErrorMiddleware, exception_handlers
from brickwork.http.middleware import RequestLimitsMiddleware
from brickwork.http.openapi_document import install_openapi
from brickwork.http.ownership import Ownership
from brickwork.http.routing import StrictRoute, installed_apps
from brickwork.limits import Limits
from brickwork.query.cursors import CursorCipher
from brickwork.query.index_check import missing_indexes
from brickwork.query.list_query import ListQuery
from brickwork.startup import check_database

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

    Routes that *app* has already stay as FastAPI has them, and so does the redirect of slashes:
    call `install` first where they are to keep the contract, too. Resources keep it wherever
    they stand. A handler of the application for `HTTPException`, `RequestValidationError` or
    `Exception` answers for its routes, and not for resources.
    """
    ownership = Ownership(app)
    installed_apps.add(app)
    own_limit, app.max_body_size = app.max_body_size, None  # beyond it, FastAPI sends plain text
    limits = limits or Limits()
    if own_limit is not None:
        limits = replace(limits, body=min(own_limit, limits.body))
    app.router.redirect_slashes = app.router.redirect_slashes and ownership.has_earlier
    app.add_middleware(
        RequestLimitsMiddleware,
        limits=limits,
        signer=CursorCipher(*cursor_keys),
        ownership=ownership,
        check_database=check_database,
        earlier_limit=own_limit,
        development=development,
    )
    app.include_router(problem_pages.router)
    _wrap_middleware(app, ownership)
    install_openapi(app, limits, lambda route: _has_problems(app, route, ownership))
    if development:
        _warn_about_indexes(app)


def _wrap_middleware(app: FastAPI, ownership: Ownership) -> None:
    """Have *app* build its middleware with the edge around it all, and answers to errors within.

    Middleware and handlers may be added before and after `install`.
    """
    build = app.build_middleware_stack

    def build_arranged() -> ASGIApp:
        middleware, own = app.user_middleware, app.exception_handlers
        edges = [each for each in middleware if _is_request_limits(each)]
        errors = Middleware(ErrorMiddleware, ownership=ownership)
        innermost = Middleware(ErrorMiddleware, ownership=ownership, refuses=True)
        others = [each for each in middleware if not _is_request_limits(each)]
        within = [each for other in others for each in (errors, other)]
        app.user_middleware = [*edges, *within, innermost]
        app.exception_handlers = exception_handlers(own, ownership)
        try:
            return build()
        finally:
            app.user_middleware, app.exception_handlers = middleware, own

    app.build_middleware_stack = build_arranged  # type: ignore[method-assign]


def _is_request_limits(middleware: Middleware) -> bool:
    kind: object = middleware.cls
    return kind is RequestLimitsMiddleware


def _has_problems(app: FastAPI, route: RouteContext, ownership: Ownership) -> bool:
    """Tell whether a request that *route* cannot read is answered with a problem."""
    if isinstance(route.original_route, StrictRoute):
        return True
    handler = app.exception_handlers.get(RequestValidationError)
    return handler is request_validation_exception_handler and not ownership.is_older(route)


def _warn_about_indexes(app: FastAPI) -> None:
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def warning(app: FastAPI) -> AsyncGenerator[Any]:
        for query in dict.fromkeys(_list_query_classes(app)):
            for text in missing_indexes(query):
                log.warning("%s", text)
        async with lifespan(app) as state:
            yield state

    app.router.lifespan_context = warning


def _list_query_classes(app: FastAPI) -> Iterator[type[ListQuery[Any]]]:
    """Yield the parameters of each list of *app*."""
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route.original_route, "dependant", None)
        for field in dependant.query_params if dependant else ():
            kind = field.field_info.annotation
            if isinstance(kind, type) and issubclass(kind, ListQuery):
                yield kind
