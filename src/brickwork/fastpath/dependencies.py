"""The fields of a resource, solved as FastAPI solves them, but for the session.

They are solved on the request itself, before anything is read of its body or of the database. Each
dependency is called once: if the ordinary lane answers after all, FastAPI is given its value.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import fields, replace
from inspect import isasyncgenfunction, isgeneratorfunction, unwrap
from typing import Any, Final, Generic, TypeVar, cast

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import solve_dependencies
from fastapi.routing import APIRoute, RouteContext
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from brickwork.database.database import get_db
from brickwork.fastpath.eligibility import NotEligible
from brickwork.http.routing import SOLVED_SCOPE_KEY, request_check, route_isolation
from brickwork.query.lookup import base_statement
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource

M = TypeVar("M", bound=DeclarativeBase)

_NO_VALUES: Final[Mapping[str, Any]] = {}


class ResourceDependencies(Generic[M]):
    """What a route asks of a client before it shows rows, and which rows it then shows."""

    def __init__(self, shape: ResourceDefinition[M], route: APIRoute | RouteContext) -> None:
        """Look what *route* depends on; raises `NotEligible` where that is not for a fast lane."""
        self._shape = shape
        self._rows = base_statement(shape.model)
        self.narrows = shape.resource.query is not Resource[M].query
        self._dependant = _asked(route.dependant)
        _require_simple(self._dependant)
        own = [each for each in fields(shape.resource) if each.init]
        if "GET" not in (route.methods or ()) and route_isolation(route.dependant):
            raise NotEligible("its transactions have an isolation of their own")
        self._asks = bool(len(own) > 1 or self._dependant.dependencies)

    async def rows(self, request: Request) -> Select[M] | None:
        """Return the rows; None if the ordinary lane has to tell what is wrong.

        Raises what a dependency does, as the ordinary lane would.
        """
        if not (self._asks or self.narrows):
            return self._rows
        try:
            values = await self._solved(request) if self._asks else _NO_VALUES
        except _SessionNeeded:
            return None
        if values is None or not self.narrows:
            return None if values is None else self._rows
        try:
            return _made(self._shape.resource, values).query()
        except Exception:  # noqa: BLE001 — the ordinary lane raises it again
            return None

    async def _solved(self, request: Request) -> Mapping[str, Any] | None:
        request.scope[SOLVED_SCOPE_KEY] = {}
        solved = await solve_dependencies(
            request=request,
            dependant=self._dependant,
            dependency_cache=request.scope[SOLVED_SCOPE_KEY],
            async_exit_stack=_UNUSED,
            embed_body_fields=False,
        )
        return None if solved.errors else solved.values


class _SessionNeeded(Exception):
    """A resource wants more of its session than to be there."""


class _NoSession:
    """Stands where a resource has its session."""

    def __init__(self) -> None:
        self.info: dict[str, Any] = {"writes": False}

    def __getattr__(self, name: str) -> Any:
        raise _SessionNeeded(name)


def _made(resource: type[Resource[M]], values: Mapping[str, Any]) -> Resource[M]:
    return resource(session=cast("AsyncSession", _NoSession()), **values)


_UNUSED: Final = AsyncExitStack()
"""Where FastAPI would note what is to be ended later, which nothing is."""


def _asked(endpoint: Dependant) -> Dependant:
    """Return what *endpoint* depends on, in its order: what routers added, and the fields."""
    (rows,) = (each for each in endpoint.dependencies if each.name == "rows")
    others = [each for each in endpoint.dependencies if each.name is None]
    others = [each for each in others if each.call is not request_check]
    return replace(rows, dependencies=[*others, *_fields(rows)])


def _fields(resource: Dependant) -> list[Dependant]:
    """Return what *resource* depends on but its session; other resources are made without too."""
    if [each.call for each in resource.dependencies if each.name == "session"] != [get_db]:
        raise NotEligible("its session is another")
    own = [each for each in resource.dependencies if each.name != "session"]
    return [_without_session(each) if _is_resource(each.call) else each for each in own]


def _is_resource(call: Any) -> bool:
    return isinstance(call, type) and issubclass(call, Resource)


def _without_session(dependant: Dependant) -> Dependant:
    kind: Any = dependant.call

    async def make(**values: Any) -> Resource[Any]:
        return _made(kind, values)

    return replace(dependant, call=make, dependencies=_fields(dependant))


def _require_simple(dependant: Dependant) -> None:
    """Raise `NotEligible` for a dependency that does more than to return one value."""
    call: Any = dependant.call
    name = getattr(call, "__qualname__", type(call).__qualname__)
    functions = [unwrap(each) for each in (call, type(call).__call__)]
    if any(isgeneratorfunction(each) or isasyncgenfunction(each) for each in functions):
        raise NotEligible(f"{name} yields, and is ended when the answer is made")
    if dependant.body_params:
        raise NotEligible(f"{name} reads the body")
    if dependant.response_param_name or dependant.background_tasks_param_name:
        raise NotEligible(f"{name} has a part in the answer")
    if not dependant.use_cache or dependant.own_oauth_scopes or dependant.parent_oauth_scopes:
        raise NotEligible(f"{name} is called for each that depends on it")
    for each in dependant.dependencies:
        _require_simple(each)
