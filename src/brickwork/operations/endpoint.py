"""Endpoints of operations: the pipeline from the resolved values to the response."""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature
from itertools import starmap
from typing import Annotated, Any, Final, Generic, TypeVar, cast

from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext
from sqlalchemy import Select

from brickwork.context import request_context
from brickwork.database.database import Database
from brickwork.database.driver import StatementFailed
from brickwork.database.unit_of_work import unit_of_work
from brickwork.execution.eligibility import Declined, NotEligible
from brickwork.execution.orm_path import UnitOfWorkExecutor
from brickwork.execution.statement import StatementCall, StatementOperation
from brickwork.http.fastapi_internals import Overrides
from brickwork.http.pipeline import Resolved, route_isolation
from brickwork.http.representation import Serializer
from brickwork.operations.idempotency import replay_or_record
from brickwork.operations.operation import Operation
from brickwork.operations.resources import (
    RESOURCE,
    SessionUsed,
    UnopenedResource,
    open_session,
    overridden_without_session,
    resource_provider,
    without_session,
)
from brickwork.query.lookup import base_statement
from brickwork.resource.read_schemas import caller_schema
from brickwork.resource.resource import Resource
from brickwork.schemas.names import row_names

M = TypeVar("M")


class CrudEndpoint(Generic[M]):
    """The endpoint of an operation. FastAPI reads its signature; the pipeline calls it."""

    def __init__(
        self, operation: Operation[M, Any, Any], variants: "Sequence[Variant[M]]" = ()
    ) -> None:
        """Build the signature of *operation*.

        *variants* are the operation with each read schema, the default one first, if
        `Resource.read_schema` chooses between several.
        """
        self.operation = operation
        self._variants = variants
        self.definition = definition = operation.definition
        self.names = row_names(definition.model, *operation.writes)
        provider = Depends(resource_provider(definition))
        types = {**operation.parameters(), RESOURCE: Annotated[definition.resource, provider]}
        self.__signature__ = Signature([*starmap(_parameter, types.items())])
        self.__doc__ = None  # FastAPI would show it as the description

    async def __call__(self, **_: Any) -> Response:
        """Raise `TypeError`: only a `StrictRoute` can call this endpoint."""
        raise TypeError("This endpoint of crud_router needs a route of brickwork.StrictRoute.")

    def bind(self, route: APIRoute) -> "BoundOperation[M] | BoundVariants[M]":
        """Return the endpoint for *route*, as its routers include it."""
        if self._variants:
            return BoundVariants(self._variants, route)
        return BoundOperation(self.operation, route)


def _parameter(name: str, declared: Any) -> Parameter:
    """Return a parameter of an annotation, or of an annotation with a default."""
    annotation, default = declared, Parameter.empty
    if isinstance(declared, tuple):
        annotation, default = cast("tuple[Any, Any]", declared)
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


class BoundOperation(Generic[M]):
    """An operation of one route: parse, plan, execute, respond."""

    def __init__(
        self,
        operation: Operation[M, Any, Any],
        route: APIRoute | RouteContext,
        response_model: Any = None,
    ) -> None:
        """Bind *operation* to *route*, and find out whether it has a statement there.

        *response_model* replaces the response model of *route*.
        """
        self._operation = operation
        self._definition = operation.definition
        content = response_model if operation.content is None else operation.content
        self._serializer = Serializer(route, content)
        self.scopes_rows = self._definition.resource.query is not Resource[Any].query
        self._route_dependant = route.dependant
        try:
            self.dependant = without_session(route.dependant, self._definition.resource)
            self.reads_body_last = True
        except NotEligible as reason:
            self.dependant, self.reads_body_last = route.dependant, False
            self._statement: StatementOperation[M, Any, Any] | Declined = Declined(str(reason))
        else:
            self._statement = self._find_statement(route)

    def dependant_with(self, overrides: Overrides) -> Dependant | None:
        """Return the dependencies with *overrides*, if they leave the session to this operation.

        None if FastAPI has to override them.
        """
        kind = self._definition.resource
        if not self.reads_body_last:
            return None
        try:
            return overridden_without_session(self._route_dependant, kind, overrides)
        except NotEligible:
            return None

    def _find_statement(
        self, route: APIRoute | RouteContext
    ) -> StatementOperation[M, Any, Any] | Declined:
        if self._definition.shown.is_union:
            return Declined("the schema of a row depends on its class")
        if "GET" not in (route.methods or ()) and route_isolation(route.dependant):
            return Declined("its transactions have their own isolation level")
        try:
            statement = self._operation.statement()
            statement.prepare(self._serializer)
        except NotEligible as reason:
            return Declined(str(reason))
        return statement

    def statement(self, database: Database) -> StatementOperation[M, Any, Any] | Declined:
        """Return the statement of this operation, unless requests to *database* go without it."""
        if isinstance(self._statement, Declined):
            return self._statement
        reason = self._statement.find_reason(database)
        return self._statement if reason is None else Declined(reason)

    async def __call__(self, request: Request, resolved: Resolved) -> Response:
        """Return the response to *request*, in the transaction of its attempt."""
        operation, values = self._operation, resolved.values
        resource: UnopenedResource[M] | Resource[M] = values.pop(
            RESOURCE, None
        ) or UnopenedResource(self._definition.resource, {})
        plan = operation.plan(request, values)
        context = request_context(request.scope)
        context.path_taken = "fast path"
        result = await self._execute_statement(request, resource, plan)
        if isinstance(result, Declined):
            context.path_taken = f"ORM path: {result.reason}"
            result = await self._execute_in_transaction(request, resource, plan)
        if isinstance(result, Response):  # an export, or a stored response
            return _with_settings(result, resolved, keeps_status=True)
        response = operation.respond(request, plan, result, self._serializer)
        keeps_status = response.status_code in _WITHOUT_BODY
        return _with_settings(response, resolved, keeps_status=keeps_status)

    async def _execute_statement(
        self, request: Request, resource: UnopenedResource[M] | Resource[M], plan: Any
    ) -> Any:
        """Return the result of the statement, or why it is declined."""
        try:
            statement, call = self._prepare_statement(request, resource)
            return await statement.execute(call, plan)
        except (NotEligible, StatementFailed) as reason:
            return Declined(str(reason))

    def _prepare_statement(
        self, request: Request, resource: UnopenedResource[M] | Resource[M]
    ) -> tuple[StatementOperation[M, Any, Any], StatementCall[M]]:
        """Return the statement for *request* and what it needs. Raises `NotEligible`."""
        # A dependency may have replaced the database of the application.
        database = request.scope.get("state", {}).get("database")
        if not isinstance(database, Database):
            raise NotEligible("the application has no database")
        statement = self.statement(database)
        if isinstance(statement, Declined):
            raise NotEligible(statement.reason)
        if not isinstance(resource, UnopenedResource):
            raise NotEligible(_OVERRIDDEN)
        if self._operation.is_idempotent and _has_header(request, b"idempotency-key"):
            raise NotEligible("an Idempotency-Key is stored in the transaction")
        rows, scope = self._find_scope(resource, statement)
        return statement, StatementCall(database, rows, self._serializer, scope)

    def _find_scope(
        self, unopened: UnopenedResource[M], statement: StatementOperation[M, Any, Any]
    ) -> tuple[Select[M], Select[M] | None]:
        """Return the visible rows, and the scope of written rows. None for all rows.

        They are asked as the ORM path does: for a written row, with deleted rows.
        """
        model = self._definition.model
        base: Select[M] = base_statement(model)
        if not self.scopes_rows:
            return base, None
        try:
            resource = unopened.preview()
            rows = resource.query() if statement.finds_rows else base
            if not statement.checks_scope:
                return rows, None
            resource.deleted_filter = "include"
            scope = resource.query()
        except Exception as error:
            kind = "the session" if isinstance(error, SessionUsed) else type(error).__name__
            raise NotEligible(f"query() uses the session, or fails: {kind}") from error
        return rows, None if scope is base_statement(model, "include") else scope

    async def _execute_in_transaction(
        self, request: Request, resource: UnopenedResource[M] | Resource[M], plan: Any
    ) -> Any:
        """Return the result of the unit of work, or a stored response."""
        if isinstance(resource, UnopenedResource):
            resource = resource.open(await open_session(request))
        writes = unit_of_work(resource.session).writable
        definition = self._definition
        resource.load_options = (
            definition.written_options if writes else definition.embedded.options
        )
        if self._operation.is_idempotent and (
            replayed := await replay_or_record(request, resource)
        ):
            return replayed
        executor = UnitOfWorkExecutor(self._definition, resource, self._serializer)
        return await self._operation.run(executor, plan)


@dataclass(frozen=True)
class Variant(Generic[M]):
    """An operation with one of several read schemas, and its response model."""

    operation: Operation[M, Any, Any]
    response_model: Any


class BoundVariants(Generic[M]):
    """An operation of one route whose read schema depends on the caller."""

    def __init__(self, variants: Sequence[Variant[M]], route: APIRoute) -> None:
        """Bind each of *variants*, the default one first, to *route*."""
        self._definition = variants[0].operation.definition
        self._default, *others = (
            BoundOperation(variant.operation, route, variant.response_model) for variant in variants
        )
        schemas = [variant.read for variant in self._definition.variants]
        self._others = dict(zip(schemas, others, strict=True))
        self.dependant = self._default.dependant
        self.reads_body_last = self._default.reads_body_last

    def dependant_with(self, overrides: Overrides) -> Dependant | None:
        """Return the dependencies with *overrides*. None if FastAPI has to override them."""
        return self._default.dependant_with(overrides)

    async def __call__(self, request: Request, resolved: Resolved) -> Response:
        """Return the response to *request* with the read schema of its caller."""
        resource: UnopenedResource[M] | Resource[M] = resolved.values.get(
            RESOURCE
        ) or UnopenedResource(self._definition.resource, {})
        opened = resource.preview() if isinstance(resource, UnopenedResource) else resource
        try:
            schema = caller_schema(opened, [*self._others])
        except SessionUsed as error:
            name = self._definition.resource.__name__
            raise TypeError(
                f"{name}.read_schema uses the session, before it is opened. Decide with the fields "
                "of the resource."
            ) from error
        bound = self._default if schema is None else self._others[schema]
        return await bound(request, resolved)


_OVERRIDDEN: Final = (
    "an override of a dependency replaces or uses the session, replaces a resource, or takes a "
    "part of the body"
)


def _with_settings(response: Response, resolved: Resolved, *, keeps_status: bool) -> Response:
    """Apply to *response* what dependencies have set. The headers of the operation come first."""
    if resolved.response is not None:
        taken = {name for name, _ in response.raw_headers} - _LIST_HEADERS
        settings = resolved.response.raw_headers
        response.raw_headers.extend(header for header in settings if header[0] not in taken)
        if resolved.response.status_code and not keeps_status:
            response.status_code = resolved.response.status_code
    if resolved.background and response.background is None:
        response.background = resolved.background
    return response


_WITHOUT_BODY: Final = {204, 304}
"""The statuses of responses without a body."""

_LIST_HEADERS: Final = {b"link", b"set-cookie", b"vary"}
"""The headers that a response may have several times."""


def _has_header(request: Request, name: bytes) -> bool:
    return any(header == name for header, _ in request.headers.raw)
