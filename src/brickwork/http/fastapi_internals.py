"""The private parts of FastAPI that the pipeline uses.

Each is behind one function. `tests/http/test_fastapi_internals.py` fails when one of them changes.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeAlias, cast

from fastapi import Request, Response
from fastapi.dependencies.models import (
    Dependant,
    _get_cache_key,  # pyright: ignore[reportPrivateUsage]
    _get_oauth_scopes,  # pyright: ignore[reportPrivateUsage]
    _uses_scopes,  # pyright: ignore[reportPrivateUsage]
)
from fastapi.dependencies.utils import (
    SolvedDependency,
    get_dependant,
    request_params_to_args,
    solve_dependencies as solve,
)
from fastapi.routing import APIRoute, APIRouter, RouteContext, get_request_handler
from starlette.types import Scope

Overrides: TypeAlias = Mapping[Callable[..., Any], Callable[..., Any]]
"""The `dependency_overrides` of an application."""

ROUTING: Final = "fastapi"
"""The scope key of what the routers found. A new search of the routes begins with `{}`."""

FUNCTION_STACK: Final = "fastapi_function_astack"
"""The scope key of the stack of dependencies that end before the response is sent."""

REQUEST_STACK: Final = "fastapi_inner_astack"
"""The scope key of the stack of dependencies that end after the response is sent."""

_UNUSED_STACK: Final = AsyncExitStack()
"""FastAPI requires a stack here, and ignores it."""


def effective_route(request: Request) -> APIRoute:
    """Return the route of *request* as its routers include it."""
    route: APIRoute = route_context(request.scope) or request.scope["route"]
    return route


def route_context(scope: Scope) -> Any:
    """Return `effective_route_context`: the route that is tried or was found, as it is included.

    None for a route of the application itself.
    """
    return scope.get(ROUTING, {}).get("effective_route_context")


def included_router(scope: Scope) -> Any:
    """Return `included_router`: the inclusion of the router whose routes are tried.

    None for the router of the application itself.
    """
    return scope.get(ROUTING, {}).get("included_router")


def route_candidates(included: Any) -> Sequence[object]:
    """Return `effective_candidates()` of an inclusion: a new list after each change of routes."""
    candidates: Sequence[object] = included.effective_candidates()
    return candidates


async def solve_dependencies(
    request: Request, dependant: Dependant, body: object, overrides: object, *, embeds_body: bool
) -> SolvedDependency:
    """Resolve *dependant* for *request*: its dependencies, and then its own parameters.

    Args:
        request: The request. Its scope has the stacks of dependencies that yield.
        dependant: The dependencies and parameters.
        body: The parsed body, for dependencies that take a part of it.
        overrides: The application, which may override dependencies.
        embeds_body: Whether several parameters share the body.

    """
    return await solve(
        request=request,
        dependant=dependant,
        body=body,
        dependency_overrides_provider=overrides,
        async_exit_stack=_UNUSED_STACK,
        embed_body_fields=embeds_body,
    )


def override(dependant: Dependant, overrides: Overrides) -> Dependant:
    """Return *dependant* with *overrides* of its dependencies, as `solve_dependencies` finds them.

    FastAPI calls an override once for each key under which it caches the original. So each of these
    keys gets an override of its own. Raises what FastAPI raises for an invalid override, and
    `LookupError` for one whose result FastAPI would cache under other keys.
    """
    return _override_parts(dependant, overrides, {})


def _override_parts(
    dependant: Dependant, overrides: Overrides, calls: dict[object, Callable[..., Any]]
) -> Dependant:
    parts = [
        _override_parts(_overridden(part, overrides, calls), overrides, calls)
        for part in dependant.dependencies
    ]
    return replace(dependant, dependencies=parts)


def _overridden(
    dependant: Dependant, overrides: Overrides, calls: dict[object, Callable[..., Any]]
) -> Dependant:
    """Return the override of *dependant*, or itself. *calls* has the callables by cache key."""
    call = overrides.get(cast("Callable[..., Any]", dependant.call))
    if call is None:
        return dependant
    own = calls.setdefault(_get_cache_key(dependant=dependant), partial(call))
    replacement = get_dependant(
        path=dependant.path or "",
        call=own,
        name=dependant.name,
        parent_oauth_scopes=_get_oauth_scopes(dependant=dependant),
        use_cache=dependant.use_cache,
        scope=dependant.scope,
        concurrency=dependant.concurrency,
    )
    if _uses_scopes(dependant=replacement) and not _uses_scopes(dependant=dependant):
        raise LookupError("the override depends on the scopes, and the original does not")
    return replacement


def parse_parameters(
    fields: Sequence[Any], received: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Any]]:
    """Return the values of the parameters *fields* in *received*, and the errors."""
    return request_params_to_args(fields, received)


def build_handler(
    route: APIRoute, dependant: Dependant
) -> Callable[[Request], Awaitable[Response]]:
    """Return FastAPI's handler of *route*, which calls the endpoint of *dependant*.

    The handler reads no body.
    """
    return get_request_handler(
        dependant=dependant,
        status_code=route.status_code,
        response_class=route.response_class,
        response_field=route.response_field,
        response_model_include=route.response_model_include,
        response_model_exclude=route.response_model_exclude,
        response_model_by_alias=route.response_model_by_alias,
        response_model_exclude_unset=route.response_model_exclude_unset,
        response_model_exclude_defaults=route.response_model_exclude_defaults,
        response_model_exclude_none=route.response_model_exclude_none,
        stream_item_field=route.stream_item_field,
        is_json_stream=route.is_json_stream,
    )


def form_limits(request: Request, route: APIRoute) -> dict[str, Any]:
    """Return the limits of forms of *route* and of the routers that include it."""
    inherited: dict[str, Any] = request.scope.get(ROUTING, {}).get("form_limits", {})
    own = getattr(getattr(route, "original_route", route), "form_limits", None)
    return {**inherited, **(own or {})}


def push_cleanup(request: Request, close: Callable[[], Awaitable[None]]) -> None:
    """Call *close* when the response to *request* has been sent."""
    request.scope["fastapi_middleware_astack"].push_async_callback(close)


def effective_context(context: RouteContext) -> dict[str, Any]:
    """Return what FastAPI keeps in a scope about *context*, the selected route."""
    inner = context._route_context  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return {} if inner is None else {"effective_route_context": inner}


def included_route(context: RouteContext) -> APIRoute:
    """Return the route of *context* as its routers include it, as `effective_route` does."""
    route: Any = context._route_context or context.route  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return cast("APIRoute", route)


def routers_of(router: APIRouter) -> Iterator[APIRouter]:
    """Yield *router* and the routers that it includes, also indirectly."""
    yield router
    for route in router.routes:
        if isinstance(included := getattr(route, "original_router", None), APIRouter):
            yield from routers_of(included)


def routes_version(routers: Sequence[APIRouter]) -> int:
    """Return a number that changes when a route is added to one of *routers*."""
    return sum(map(_version_of, routers))


_version_of: Final = attrgetter("_routes_version")


def body_limit(context: RouteContext) -> int | None:
    """Return the limit of bodies that the routers of *context* set. None without one."""
    limit: int | None = getattr(context._route_context, "max_body_size", None)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return limit


def is_traced(scope: Scope) -> bool:
    """Return whether FastAPI records telemetry of the request of *scope*."""
    return "fastapi.telemetry" in scope
