"""The pipeline of a request: dependencies, validation, execution, response.

A `StrictRoute` matches a request, and its pipeline handles it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, runtime_checkable

from fastapi import BackgroundTasks, Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic_core import PydanticUndefined
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.datastructures import FormData, QueryParams
from starlette.exceptions import HTTPException

from brickwork.context import request_context
from brickwork.database.database import Database
from brickwork.database.isolation import SNAPSHOT_LEVEL, IsolationLevel, strictest_isolation
from brickwork.database.retry import with_retries
from brickwork.http.attempts import Attempt
from brickwork.http.body import BodyFields, RequestBody, received_body, takes_body
from brickwork.http.fastapi_internals import (
    Overrides,
    build_handler,
    form_limits,
    parse_parameters,
    push_cleanup,
    solve_dependencies,
)
from brickwork.http.json_request import JSONRequest
from brickwork.http.negotiation import NDJSON, preferred_media_type
from brickwork.http.parameters import (
    declared_parameters,
    needs_request,
    read_query_directly,
    undeclared_parameter_errors,
)
from brickwork.http.starlette_internals import is_body_consumed
from brickwork.problems import NotAcceptable
from brickwork.request_internals import embeds_body


@dataclass(slots=True)
class Resolved:
    """The values of an endpoint's parameters, and what dependencies set on the response."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    errors: list[Any] = field(default_factory=list[Any])
    response: Response | None = None
    background: StarletteBackgroundTasks | None = None


class BoundEndpoint(Protocol):
    """The endpoint of a route as its routers include it."""

    dependant: Dependant
    """The dependencies and parameters to resolve."""
    reads_body_last: bool
    """Whether no dependency uses a transaction, so that the body is read after them."""

    def dependant_with(self, overrides: Overrides) -> Dependant | None:
        """Return the dependencies and parameters to resolve, with *overrides* in their place.

        None if FastAPI has to override the dependencies of the route itself.
        """
        ...

    async def __call__(self, request: Request, resolved: Resolved) -> Response:
        """Return the response to *request*, in the transaction of its attempt."""
        ...


@runtime_checkable
class PipelineEndpoint(Protocol):
    """An endpoint that the pipeline calls with the resolved values, instead of FastAPI."""

    def bind(self, route: APIRoute) -> BoundEndpoint:
        """Return the endpoint for *route*, as its routers include it."""
        ...


class Pipeline:
    """The handler of a route as its routers include it."""

    def __init__(self, route: APIRoute, offers: Sequence[str]) -> None:
        """Prepare the pipeline of *route*, which responds in one of the media types *offers*."""
        self.route = route
        self._offers = offers
        self._declared = declared_parameters(route.dependant)
        self._isolation_level: IsolationLevel | None = route_isolation(route.dependant)
        endpoint: object = route.endpoint
        self._endpoint: BoundEndpoint = (
            endpoint.bind(route)
            if isinstance(endpoint, PipelineEndpoint)
            else _FunctionEndpoint(route)
        )
        body = route.body_field
        self._is_form = body is not None and isinstance(body.field_info, params.Form)
        self._has_json = body is not None and not self._is_form
        self._parameters = _Parameters(self._endpoint.dependant, route, has_json=self._has_json)
        self._reads_body_first = (
            self._parameters.dependencies_take_body or not self._endpoint.reads_body_last
        )
        self._overridden: tuple[Overrides, _Parameters | None] = {}, None

    async def __call__(self, request: Request) -> Response:
        """Return the response to *request*. Nothing is sent before the transaction has ended."""
        media_type = preferred_media_type(request.headers.getlist("accept"), self._offers)
        if self.route.response_model and not media_type:
            raise NotAcceptable("The response is JSON, which the Accept header excludes.")
        if self._has_json:
            request = JSONRequest(request.scope, request.receive)
        context = request_context(request.scope)
        context.isolation_level = self._transaction_isolation(request, media_type)
        database = getattr(request.state, "database", None)
        return await with_retries(
            lambda: self._attempt(request),
            database if isinstance(database, Database) else None,
            may_retry=lambda: not is_body_consumed(request),
        )

    def _transaction_isolation(
        self, request: Request, media_type: str | None
    ) -> IsolationLevel | None:
        """Return the isolation level of the transaction. None is that of the database."""
        if request.method != "GET":
            return self._isolation_level
        if media_type == NDJSON:  # an export reads all rows from one snapshot
            return strictest_isolation([self._isolation_level, SNAPSHOT_LEVEL])
        return None

    def _parameters_with(self, overrides: Overrides) -> "_Parameters | None":
        """Return the parameters with *overrides*. None if FastAPI has to override dependencies.

        The answer is cached until the overrides change.
        """
        known, parameters = self._overridden
        if known != overrides:
            dependant = self._endpoint.dependant_with(overrides)
            parameters = (
                _Parameters(dependant, self.route, has_json=self._has_json) if dependant else None
            )
            if parameters and parameters.dependencies_take_body:
                parameters = None
            self._overridden = dict(overrides), parameters
        return parameters

    async def _attempt(self, request: Request) -> Response:
        response: Response | None = None
        async with Attempt(request.scope) as attempt:
            try:
                resolved = await self._resolve(request)
                response = await self._endpoint(request, resolved)
            except RequestValidationError as error:
                if error.body is None and isinstance(request, JSONRequest):
                    error.body = (await request.read()).parsed_document()
                raise
            await attempt.finish(response)
        if response is None:
            raise TypeError("A dependency that yields has suppressed an error: raise it again.")
        return response

    async def _resolve(self, request: Request) -> Resolved:
        """Resolve the dependencies, and then parse and validate the request.

        Raises the problem with the body, or else `RequestValidationError` with all errors.
        """
        # Before a dependency can change them. Most requests have no query.
        sent = request.query_params if request.scope["query_string"] else _NO_QUERY
        _ = request.headers
        overrides: Overrides = request.app.dependency_overrides
        parameters = self._parameters_with(overrides) if overrides else self._parameters
        body: RequestBody | None = None
        if isinstance(request, JSONRequest) and (parameters is None or self._reads_body_first):
            body = await request.read()
        form = await _read_form(request, self.route) if self._is_form else PydanticUndefined
        if parameters is None:
            resolved = await self._parameters.resolve_overridden(request, body, form)
        elif parameters.are_plain:
            resolved = parameters.parse(request, sent)
        else:
            resolved = await parameters.resolve(request, body, form)
        if sent and (undeclared := undeclared_parameter_errors(sent, self._declared)):
            places = [error["loc"] for error in undeclared]
            others = [error for error in resolved.errors if (*error["loc"][:2],) not in places]
            resolved.errors = [*undeclared, *others]
        if isinstance(request, JSONRequest):
            body = body or await request.read()
            values, errors = await self._parameters.validate_body(body)
            if problem := body.problem:
                raise problem
            resolved.values |= values
            resolved.errors += errors
        if resolved.errors:
            raise RequestValidationError(resolved.errors)
        return resolved


class _Parameters:
    """The parameters of an endpoint, and the dependencies of the route."""

    def __init__(self, dependant: Dependant, route: APIRoute, *, has_json: bool) -> None:
        """Sort the parameters of *dependant*, and those of *route* for overrides."""
        self._dependant = dependant = read_query_directly(dependant)
        self._overridable = route.dependant
        self._embedded = embeds_body(route)
        self._body = BodyFields(dependant, embedded=self._embedded) if has_json else None
        self.dependencies_take_body = takes_body(dependant.dependencies)
        """Whether a dependency takes a part of the body."""
        if self._body:
            self._overridable = replace(route.dependant, body_params=[])
            self._dependant = replace(
                dependant, body_params=[], dependencies=self._body.dependencies
            )
        own = (dependant.path_params, dependant.query_params, dependant.header_params)
        self._sources = [*zip(own, ("path_params", _QUERY, "headers"), strict=True)]
        others = replace(self._dependant, path_params=[], query_params=[], header_params=[])
        self.are_plain = not (others.dependencies or needs_request(others))

    async def resolve(self, request: Request, body: RequestBody | None, form: object) -> Resolved:
        """Resolve all but the fields of a JSON body.

        Args:
            request: The request.
            body: The JSON body, if a dependency may take a part of it.
            form: The form, if the body is one.

        """
        if body and self.dependencies_take_body:
            received_body.set(body)
        return await self._solve(request, self._dependant, form)

    async def resolve_overridden(
        self, request: Request, body: RequestBody | None, form: object
    ) -> Resolved:
        """Let FastAPI override the dependencies of the route, the session of a resource included.

        An override may have body fields of its own, which FastAPI validates.
        """
        document = body.document() if body else form
        return await self._solve(request, self._overridable, document, overrides=request.app)

    async def _solve(
        self, request: Request, dependant: Dependant, document: object, *, overrides: object = None
    ) -> Resolved:
        solved = await solve_dependencies(
            request, dependant, document, overrides, embeds_body=self._embedded
        )
        return Resolved(solved.values, solved.errors, solved.response, solved.background_tasks)

    def parse(self, request: Request, query: QueryParams) -> Resolved:
        """Parse the parameters of an endpoint without dependencies, as FastAPI does."""
        resolved = Resolved()
        for fields, name in self._sources:
            if fields:
                values, errors = parse_parameters(
                    fields, query if name == _QUERY else getattr(request, name)
                )
                resolved.values |= values
                resolved.errors += errors
        return resolved

    async def validate_body(self, body: RequestBody) -> tuple[dict[str, Any], list[Any]]:
        """Return the values of the endpoint's fields in a JSON *body*, and the errors."""
        return await self._body.validate_all(body) if self._body else ({}, [])


_QUERY: Final = "query_params"

_NO_QUERY: Final = QueryParams()


class _FunctionEndpoint:
    """A hand-written endpoint. FastAPI calls it, and serialises what it returns."""

    reads_body_last = False

    def __init__(self, route: APIRoute) -> None:
        """Build FastAPI's handler of *route*, with values that are already resolved."""
        self.dependant = own = route.dependant
        fields = (own.path_params, own.query_params, own.header_params, own.cookie_params)
        names = [field.name for group in (*fields, own.body_params) for field in group]
        names += [dependency.name for dependency in own.dependencies if dependency.name]
        names += [own.security_scopes_param_name] if own.security_scopes_param_name else []
        resolved = Dependant(
            call=own.call,
            path=own.path,
            dependencies=[_RESPONSE_SETTINGS, *map(_resolved_value, dict.fromkeys(names))],
            request_param_name=own.request_param_name,
            http_connection_param_name=own.http_connection_param_name,
            response_param_name=own.response_param_name,
            background_tasks_param_name=own.background_tasks_param_name,
        )
        self._handle = build_handler(route, resolved)

    def dependant_with(self, overrides: Overrides) -> Dependant | None:  # noqa: ARG002
        """Return None: FastAPI overrides the dependencies of its endpoints."""
        return None

    async def __call__(self, request: Request, resolved: Resolved) -> Response:
        """Return the response of the endpoint."""
        request_context(request.scope).resolved = resolved
        return await self._handle(request)


def _resolved_value(name: str) -> Dependant:
    """Return a dependency with the resolved value of the parameter *name*."""

    async def value(request: Request) -> Any:
        resolved: Resolved = request_context(request.scope).resolved
        return resolved.values[name]

    return Dependant(call=value, name=name, request_param_name="request", use_cache=False)


async def _set_response(request: Request, response: Response, background: BackgroundTasks) -> None:
    """Share the state of the dependencies' response and tasks with those of the endpoint.

    A dependency may keep them, and change them while the endpoint runs.
    """
    resolved: Resolved = request_context(request.scope).resolved
    if resolved.response:
        response.__dict__ = vars(resolved.response)
    if resolved.background:
        background.tasks = resolved.background.tasks


_RESPONSE_SETTINGS: Final = Dependant(
    call=_set_response,
    request_param_name="request",
    response_param_name="response",
    background_tasks_param_name="background",
    use_cache=False,
)


async def _read_form(request: Request, route: APIRoute) -> FormData:
    """Return the form in the body of *request*, as FastAPI reads it."""
    try:
        form = await request.form(**form_limits(request, route))
    except HTTPException:
        raise
    except Exception as error:
        raise HTTPException(400, "There was an error parsing the body") from error
    push_cleanup(request, form.close)
    return form


def route_isolation(dependant: Dependant) -> IsolationLevel | None:
    """Return the strictest isolation level of the resources in *dependant*."""
    return strictest_isolation(_isolation_levels(dependant))


def _isolation_levels(dependant: Dependant) -> Iterator[IsolationLevel | None]:
    """Yield the isolation level of each dependency. None if it has no level."""
    for dependency in dependant.dependencies:
        yield getattr(dependency.call, "isolation_level", None)
        yield from _isolation_levels(dependency)
