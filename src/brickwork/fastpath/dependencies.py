"""Dependencies of a resource, resolved without a session.

They are resolved on the request itself, before its body or the database is read. FastAPI calls
each dependency once: the ORM path reuses the values that the fast path has resolved.
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
from brickwork.database.unit_of_work import UnitOfWork, session_info
from brickwork.fastpath.eligibility import NotEligible
from brickwork.http.attempts import SOLVED_SCOPE_KEY
from brickwork.http.request_check import request_check
from brickwork.http.routing import route_isolation
from brickwork.query.lookup import base_statement
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource

M = TypeVar("M", bound=DeclarativeBase)

_NO_VALUES: Final[Mapping[str, Any]] = {}


class ResourceDependencies(Generic[M]):
    """The dependencies of a route, and the base statement that they lead to."""

    def __init__(self, definition: ResourceDefinition[M], route: APIRoute | RouteContext) -> None:
        """Collect the dependencies of *route*. Raises `NotEligible` if one is not supported."""
        self._definition = definition
        self._base_statement = base_statement(definition.model)
        self.scopes_rows = definition.resource.query is not Resource[M].query
        self._dependant = _relevant_dependant(route.dependant)
        _require_supported(self._dependant)
        init_fields = [field for field in fields(definition.resource) if field.init]
        if "GET" not in (route.methods or ()) and route_isolation(route.dependant):
            raise NotEligible("its transactions have their own isolation level")
        self._has_dependencies = bool(len(init_fields) > 1 or self._dependant.dependencies)

    async def scoped_statement(self, request: Request) -> Select[M] | None:
        """Return the rows that the client may see. None if the ORM path has to respond.

        Raises the exceptions of dependencies, as the ORM path would.
        """
        if not (self._has_dependencies or self.scopes_rows):
            return self._base_statement
        try:
            values = await self._resolve(request) if self._has_dependencies else _NO_VALUES
        except _SessionUsed:
            return None
        if values is None or not self.scopes_rows:
            return None if values is None else self._base_statement
        try:
            return _build_resource(self._definition.resource, values).query()
        except Exception:  # noqa: BLE001 — the ORM path raises it again
            return None

    async def _resolve(self, request: Request) -> Mapping[str, Any] | None:
        request.scope[SOLVED_SCOPE_KEY] = {}
        resolved = await solve_dependencies(
            request=request,
            dependant=self._dependant,
            dependency_cache=request.scope[SOLVED_SCOPE_KEY],
            async_exit_stack=_UNUSED_EXIT_STACK,
            embed_body_fields=False,
        )
        return None if resolved.errors else resolved.values


_UNIT: Final = UnitOfWork(writable=False)
"""The unit of work of all session stubs. It is read-only, and nothing changes it."""


class _SessionUsed(Exception):
    """An access to the session stub of a resource."""


class _SessionStub:
    """A placeholder for the session of a resource."""

    def __init__(self) -> None:
        self.info = session_info(_UNIT)

    def __getattr__(self, name: str) -> Any:
        raise _SessionUsed(name)


def _build_resource(resource: type[Resource[M]], values: Mapping[str, Any]) -> Resource[M]:
    return resource(session=cast("AsyncSession", _SessionStub()), **values)


_UNUSED_EXIT_STACK: Final = AsyncExitStack()
"""The stack for FastAPI's cleanup callbacks; supported dependencies have none."""


def _relevant_dependant(endpoint: Dependant) -> Dependant:
    """Return the dependencies of routers and of the resource, in their order."""
    (resource,) = (dep for dep in endpoint.dependencies if dep.name == "resource")
    others = [dep for dep in endpoint.dependencies if dep.name is None]
    others = [dep for dep in others if dep.call is not request_check]
    return replace(resource, dependencies=[*others, *_resource_dependencies(resource)])


def _resource_dependencies(resource: Dependant) -> list[Dependant]:
    """Return the dependencies of *resource* without sessions, also those of nested resources."""
    if [dep.call for dep in resource.dependencies if dep.name == "session"] != [get_db]:
        raise NotEligible("its session is not the one of get_db")
    others = [dep for dep in resource.dependencies if dep.name != "session"]
    return [_without_session(dep) if _is_resource(dep.call) else dep for dep in others]


def _is_resource(call: Any) -> bool:
    return isinstance(call, type) and issubclass(call, Resource)


def _without_session(dependant: Dependant) -> Dependant:
    resource: Any = dependant.call

    async def build(**values: Any) -> Resource[Any]:
        return _build_resource(resource, values)

    return replace(dependant, call=build, dependencies=_resource_dependencies(dependant))


def _require_supported(dependant: Dependant) -> None:
    """Raise `NotEligible` for a dependency that does more than return one cached value."""
    call: Any = dependant.call
    name = getattr(call, "__qualname__", type(call).__qualname__)
    functions = [unwrap(function) for function in (call, type(call).__call__)]
    if any(isgeneratorfunction(f) or isasyncgenfunction(f) for f in functions):
        raise NotEligible(f"{name} yields, so that FastAPI closes it after the response")
    if dependant.body_params:
        raise NotEligible(f"{name} reads the body")
    if dependant.response_param_name or dependant.background_tasks_param_name:
        raise NotEligible(f"{name} takes the response or its background tasks")
    if not dependant.use_cache or dependant.own_oauth_scopes or dependant.parent_oauth_scopes:
        raise NotEligible(f"{name} has use_cache=False or OAuth scopes")
    for dependency in dependant.dependencies:
        _require_supported(dependency)
