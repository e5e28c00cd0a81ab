"""Installation of the HTTP contract."""

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

from brickwork.database.lifespans import watch_lifespan
from brickwork.http import problem_pages
from brickwork.http.dispatcher import Dispatcher
from brickwork.http.error_handling import ErrorMiddleware, exception_handlers
from brickwork.http.middleware import RequestLimitsMiddleware
from brickwork.http.openapi_document import install_openapi
from brickwork.http.ownership import Ownership
from brickwork.http.routing import StrictRoute, installed_apps
from brickwork.limits import Limits
from brickwork.query.cursors import CursorCipher
from brickwork.query.index_check import missing_indexes
from brickwork.query.list_query import ListQuery
from brickwork.startup import check_databases

log: Final = logging.getLogger("brickwork")


def install(
    app: FastAPI,
    *,
    limits: Limits | None = None,
    cursor_keys: Sequence[str] = (),
    development: bool = False,
) -> None:
    """Make *app* keep the HTTP contract.

    Every error is a problem (RFC 9457) with a page at `/problems`, and every response has the id
    of its request. OPTIONS and 405 list the methods of all routes. No path is redirected to its
    other slash form: the redirect would repeat the Host that the client sent.

    Routes that *app* already has stay as FastAPI has them, and so does the redirect of slashes. To
    have them keep the contract, call `install` before adding them. Resources always keep it.
    Exception handlers of the application apply to its own routes, not to resources.

    Args:
        app: The application.
        limits: The limits of a request; `Limits()` by default.
        cursor_keys: Secrets of at least 32 characters. The first one encrypts the cursors of
            lists, and each can decrypt them: to rotate, prepend a new key. Without keys, cursors
            are valid in one process only, and several processes start only in *development*.
        development: Whether to log at start-up which sorts lack an index, and to name the path of
            each request, with the reason, in the header `X-Brickwork-Path`.

    Raises:
        TypeError: *app* has the contract already.
        ValueError: A key is too short.

    """
    if app in installed_apps:
        raise TypeError(
            "brickwork.install(app) was called twice for one application: keep one call, with all "
            "options. A mounted application needs a call of its own."
        )
    ownership, cipher = Ownership(app), CursorCipher(*cursor_keys)
    installed_apps.add(app)
    own_limit, app.max_body_size = app.max_body_size, None  # beyond it, FastAPI sends plain text
    limits = limits or Limits()
    if own_limit is not None:
        limits = replace(limits, body=min(own_limit, limits.body))
    app.router.redirect_slashes = app.router.redirect_slashes and ownership.has_earlier
    app.add_middleware(
        RequestLimitsMiddleware,
        limits=limits,
        cipher=cipher,
        ownership=ownership,
        check_databases=check_databases,
        earlier_limit=own_limit,
        development=development,
    )
    app.include_router(problem_pages.router)
    watch_lifespan(app.router)
    _wrap_middleware(app, ownership)
    install_openapi(app, limits, lambda route: _has_problems(app, route, ownership))
    if development:
        _warn_about_indexes(app)


def _wrap_middleware(app: FastAPI, ownership: Ownership) -> None:
    """Wrap each middleware of *app* in an `ErrorMiddleware`, and all in the request limits.

    Middleware and handlers may be added before and after `install`.
    """
    build = app.build_middleware_stack

    def build_wrapped() -> ASGIApp:
        middleware, handlers = app.user_middleware, app.exception_handlers
        outermost = [entry for entry in middleware if _is_request_limits(entry)]
        errors = Middleware(ErrorMiddleware, ownership=ownership)
        innermost = Middleware(ErrorMiddleware, ownership=ownership, rejects=True)
        dispatcher = Middleware(Dispatcher, application=app)
        others = [entry for entry in middleware if not _is_request_limits(entry)]
        wrapped = [entry for other in others for entry in (errors, other)]
        own = [innermost, dispatcher] if others else [dispatcher, innermost]
        app.user_middleware = [*outermost, *wrapped, *own]
        app.exception_handlers = exception_handlers(handlers, ownership)
        try:
            return build()
        finally:
            app.user_middleware, app.exception_handlers = middleware, handlers

    app.build_middleware_stack = build_wrapped  # type: ignore[method-assign]


def _is_request_limits(middleware: Middleware) -> bool:
    kind: object = middleware.cls
    return kind is RequestLimitsMiddleware


def _has_problems(app: FastAPI, route: RouteContext, ownership: Ownership) -> bool:
    """Return whether *route* answers an invalid request with a problem."""
    if isinstance(route.original_route, StrictRoute):
        return True
    handler = app.exception_handlers.get(RequestValidationError)
    return handler is request_validation_exception_handler and not ownership.is_older(route)


def _warn_about_indexes(app: FastAPI) -> None:
    """Log the missing indexes of *app* when it starts."""
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
    """Yield the query class of each list of *app*."""
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route.original_route, "dependant", None)
        for field in dependant.query_params if dependant else ():
            kind = field.field_info.annotation
            if isinstance(kind, type) and issubclass(kind, ListQuery):
                yield kind
