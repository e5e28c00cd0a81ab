"""The resource of a request: resolved before its session is opened."""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from inspect import Parameter
from typing import Annotated, Any, Final, Generic, TypeVar, cast, get_args, get_origin

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from sqlalchemy.ext.asyncio import AsyncSession

from brickwork.database.database import get_db
from brickwork.database.foreign_sessions import adopt_session
from brickwork.database.unit_of_work import UnitOfWork, session_info
from brickwork.execution.eligibility import NotEligible
from brickwork.http.fastapi_internals import FUNCTION_STACK, Overrides, override
from brickwork.http.parameters import needs_request
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource

M = TypeVar("M")

RESOURCE: Final = "resource"
"""The name of the parameter that is the resource."""

_REQUEST: Final = "brickwork_request"
"""The name of the parameter with the request, which no field of a resource has."""


_READ_ONLY: Final = UnitOfWork(writable=False)
"""The unit of work of all placeholders. Nothing changes it."""


class SessionUsed(Exception):
    """An access to the session of a resource that has none yet."""


class _NoSession:
    """A placeholder for the session of a resource that is not opened."""

    def __init__(self) -> None:
        self.info = session_info(_READ_ONLY)

    def __getattr__(self, name: str) -> Any:
        raise SessionUsed(name)


class UnopenedResource(Generic[M]):
    """A resource whose dependencies are resolved, without its session."""

    def __init__(self, kind: Callable[..., Resource[M]], values: Mapping[str, Any]) -> None:
        """Take the *values* of the fields of *kind*, except the session."""
        self._kind = kind
        self._values = values
        self._opened: Resource[M] | None = None

    def preview(self) -> Resource[M]:
        """Return a resource whose methods raise `SessionUsed` if they use their session."""
        return self._build(cast("AsyncSession", _NoSession()), preview=True)

    def open(self, session: AsyncSession) -> Resource[M]:
        """Return the resource with *session*. It is the same for each caller."""
        if self._opened is None:
            self._opened = self._build(session)
        return self._opened

    def _build(self, session: AsyncSession, *, preview: bool = False) -> Resource[M]:
        values: dict[str, Any] = {
            name: value.part(session, preview=preview)
            if isinstance(value, UnopenedResource)
            else value
            for name, value in self._values.items()
        }
        return self._kind(session=session, **values)

    def part(self, session: AsyncSession, *, preview: bool) -> Resource[M]:
        """Return the resource as a field of another. A preview is not kept for `open`."""
        return self._build(session, preview=True) if preview else self.open(session)


async def open_session(request: Request) -> AsyncSession:
    """Return the session of `get_db` for *request*. It ends with the attempt."""
    session = asynccontextmanager(get_db)(request)
    opened: AsyncSession = await request.scope[FUNCTION_STACK].enter_async_context(session)
    return opened


def resource_provider(
    definition: ResourceDefinition[M],
) -> Callable[..., Awaitable[Resource[M]]]:
    """Return a dependency that builds the resource. FastAPI would call the class in a thread."""
    return _Provider(definition)


class _Provider(Generic[M]):
    """The dependency on a resource, with the signature that FastAPI reads."""

    def __init__(self, definition: ResourceDefinition[M]) -> None:
        self._definition = definition
        self.isolation_level = definition.resource.isolation_level
        self.__signature__ = _provider_signature(definition.resource)

    async def __call__(self, **dependencies: Any) -> Resource[M]:
        request: Request = dependencies.pop(_REQUEST)
        adopt_session(dependencies["session"], request.scope)
        return self._definition.resource(**dependencies)


def _provider_signature(resource: type[Resource[Any]]) -> inspect.Signature:
    """Return the signature of *resource*. Raises `TypeError` unless its session is async."""
    signature = inspect.signature(resource, eval_str=True)
    annotation = signature.parameters["session"].annotation
    session = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if session is not Any and isinstance(session, type) and not issubclass(session, AsyncSession):
        raise TypeError(
            f"{resource.__name__}.session is a {session.__name__}: make it an AsyncSession, with "
            "Annotated[AsyncSession, Depends(...)]."
        )
    annotation = Annotated[Request, Depends(_current_request)]
    request = Parameter(_REQUEST, Parameter.KEYWORD_ONLY, annotation=annotation)
    return signature.replace(parameters=[request, *signature.parameters.values()])


async def _current_request(request: Request) -> Request:
    # FastAPI passes the request to one parameter alone, which a field of the resource may be.
    return request


def without_session(endpoint: Dependant, kind: type[Resource[Any]]) -> Dependant:
    """Return *endpoint* with an `UnopenedResource` in place of its resource, a *kind*.

    It has no resource if the fields of *kind* need no request.
    Raises `NotEligible` if a dependency uses the session, so that it has to be opened before.
    """
    builders: dict[object, Callable[..., Any]] = {}
    dependencies = [item for item in endpoint.dependencies if item.name != RESOURCE]
    (own,) = (item for item in endpoint.dependencies if item.name == RESOURCE)
    if any(_ends_before_commit(item) for item in _dependencies([own])):
        raise NotEligible("a dependency that yields ends before the commit")
    if (resource := _unopened(own, kind, builders)).dependencies or needs_request(resource):
        dependencies.append(resource)
    if any(item.call is get_db for item in _dependencies(dependencies)):
        raise NotEligible("a dependency uses the session")
    return replace(endpoint, dependencies=dependencies, path_params=[])


def overridden_without_session(
    endpoint: Dependant, kind: type[Resource[Any]], overrides: Overrides
) -> Dependant:
    """Return *endpoint* with *overrides* as `without_session` does.

    Raises `NotEligible` if an override replaces a resource or its session, or as `without_session`
    does. FastAPI then resolves *endpoint*, and says what is wrong with an override.
    """
    calls = [item.call for item in _dependencies(endpoint.dependencies)]
    if any(call in overrides for call in calls if _is_opened(call)):
        raise NotEligible("a resource or its session is overridden")
    try:
        dependant = override(endpoint, overrides)
    except Exception as error:
        raise NotEligible("an override is invalid") from error
    return without_session(dependant, kind)


def _is_opened(call: object) -> bool:
    """Return whether *call* is a dependency that `without_session` replaces or drops."""
    return call in {get_db, _current_request} or isinstance(call, _Provider) or is_resource(call)


def _unopened(
    dependant: Dependant, kind: Any, builders: dict[object, Callable[..., Any]]
) -> Dependant:
    """Return *dependant*, a resource, without its session and those of nested resources.

    *builders* has a function for each kind, by which FastAPI recognises equal dependencies.
    """
    session = [item for item in dependant.dependencies if item.name == "session"]
    if [(item.call, item.scope) for item in session] != [(get_db, "function")]:
        raise NotEligible("its session is not the one of get_db")

    async def build(**values: Any) -> UnopenedResource[Any]:
        return UnopenedResource(kind, values)

    dependencies = [
        _unopened(item, item.call, builders) if is_resource(item.call) else item
        for item in dependant.dependencies
        if item.name not in {"session", _REQUEST}
    ]
    build = builders.setdefault(kind, build)
    return replace(dependant, call=build, dependencies=dependencies)


def _ends_before_commit(dependant: Dependant) -> bool:
    """Return whether *dependant* yields, and ends before the session that FastAPI opens first."""
    return dependant.scope == "function" and dependant.call is not get_db


def is_resource(call: Any) -> bool:
    """Return whether the dependency *call* is a class of resources."""
    return isinstance(call, type) and issubclass(call, Resource)


def _dependencies(dependants: Sequence[Dependant]) -> Iterator[Dependant]:
    """Yield *dependants* and their dependencies."""
    for dependant in dependants:
        yield dependant
        yield from _dependencies(dependant.dependencies)
