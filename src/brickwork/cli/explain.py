"""Explanations of the path and SQL of each operation."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from pydantic import ValidationError
from sqlalchemy import Select, bindparam

from brickwork.cli.loading import find_resource
from brickwork.cli.placeholders import (
    UnknownScope,
    deleted_filter_without_request,
    scope_without_request,
)
from brickwork.cli.sql_text import query_text, statement_text
from brickwork.database.database import Database
from brickwork.database.driver import KEYS_PARAM
from brickwork.execution.eligibility import Declined, NotEligible
from brickwork.execution.statement import require_statement
from brickwork.models.soft_delete import DeletedFilter
from brickwork.operations.batch import DeleteBatch, UpdateBatch
from brickwork.operations.collection import List
from brickwork.operations.endpoint import BoundOperation
from brickwork.operations.history import History
from brickwork.operations.operation import Operation
from brickwork.operations.rows import Delete, Get, Replace, Restore, Update
from brickwork.query.lookup import base_statement, for_update, selected_model, where_key, where_keys
from brickwork.query.pagination import list_order, page_source
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource

_READS: Final = (Get, History, List)
"""Operations that read alone: they lock no rows, and load the related rows of the response."""

_LOOKUPS: Final = (*_READS, Delete, DeleteBatch, Replace, Restore, Update, UpdateBatch)
"""Operations that find rows."""


@dataclass(frozen=True)
class Explanation:
    """One operation: its method and URL, its path with the reason, and its SQL."""

    operation: str
    path: str
    """The fast path or the ORM path, with the reason."""
    statements: Sequence[str] = ()
    """The SQL, with parameters in place of values."""
    omission: str | None = None
    """Why the SQL is not known without a request. None if it is known."""

    def format(self) -> str:
        """Return a block: a line for the path, then the SQL."""
        omission = [f"-- no SQL: {self.omission}"] if self.omission else []
        statements = [f"{statement};" for statement in self.statements]
        lines = "\n".join([*statements, *omission]).splitlines()
        return "\n    ".join([f"{self.operation}: {self.path}", *lines])


def explain_resource(app: FastAPI, database: Database, name: str) -> Iterator[Explanation]:
    """Yield an explanation for each operation of the resource with the URL path *name*.

    Raises `UsageError` for an unknown or ambiguous name.
    """
    _, definition = find_resource(app, name)
    for route in iter_route_contexts(app.routes):
        if getattr(route.endpoint, "definition", None) is definition:
            yield _RouteExplainer(route, definition, database).explain()


class _RouteExplainer:
    """Explains the operation of one route."""

    def __init__(
        self, route: RouteContext, definition: ResourceDefinition[Any], database: Database
    ) -> None:
        """Bind the operation of *route*, as requests do."""
        endpoint: Any = route.endpoint
        self._operation: Operation[Any, Any, Any] = endpoint.operation
        self._bound: BoundOperation[Any] = BoundOperation(endpoint.operation, route)
        self._route = route
        self._definition = definition
        self._model: type[object] = definition.model
        self._database = database

    def explain(self) -> Explanation:
        """Return the explanation, without SQL that depends on a request."""
        url = (self._route.path or "").replace(":key", "")
        operation = f"{' '.join(self._route.methods or ())} {url}"
        try:
            scope, unknown = self._scope(), None
        except UnknownScope as reason:
            scope, unknown = base_statement(self._model), reason
        omission = str(unknown) if unknown else self._missing_parameter()
        statements: Iterable[str]
        try:
            path, statements = self._explain_fast_path(scope, unknown)
        except NotEligible as reason:
            path, statements = f"ORM path, since {reason}", self._lookup_statements(scope)
        return Explanation(operation, path, [] if omission else [*statements], omission)

    def _scope(self) -> Select[Any]:
        """Return the rows that the operation can find. Raises `UnknownScope`."""
        resource = self._definition.resource
        deleted_filter: DeletedFilter = "exclude"
        if isinstance(self._operation, Restore):
            deleted_filter = "include"
            if resource.include_deleted is not Resource[Any].include_deleted:
                deleted_filter = deleted_filter_without_request(self._route.dependant, resource)
        own = self._scope_of(deleted_filter)
        base: Select[Any] = base_statement(self._model, deleted_filter)
        scope = base if own is None or not isinstance(self._operation, _LOOKUPS) else own
        try:
            selected_model(scope)
            if isinstance(self._operation, List):
                with suppress(ValidationError):
                    list_order(scope, self._definition.query())
        except TypeError as error:
            raise UnknownScope(f"requests fail: {error}", is_declined=True) from error
        return scope

    def _missing_parameter(self) -> str | None:
        """Return why a list has no common SQL. None if it has."""
        try:
            self._definition.query()
        except ValidationError:
            return "a parameter is required" if isinstance(self._operation, List) else None
        return None

    def _explain_fast_path(
        self, scope: Select[Any], unknown: UnknownScope | None
    ) -> tuple[str, Sequence[str]]:
        """Return the text about the fast path, and its SQL. Raises `NotEligible` without one."""
        statement = self._bound.statement(self._database)
        if isinstance(statement, Declined):
            raise NotEligible(statement.reason)
        unscoped = [*statement.common_statements(base_statement(self._model), self._database)]
        if not all(unscoped):
            backend = self._database.url.get_backend_name()
            raise NotEligible(f"{backend} has no statement of its own for it")
        name = f"{self._definition.resource.__name__}.query"
        if unknown and unknown.is_declined:
            raise NotEligible("query() has more than conditions, or uses the session")
        if unknown:
            return f"fast path, if {name} has only conditions", []
        written = self._scope_of("include") if statement.checks_scope else None
        statements = statement.common_statements(scope, self._database, written)
        sent = [require_statement(bound) for bound in statements]
        sent += [bound.check for bound in sent if bound.check]
        path = f"fast path, its rows filtered by {name}" if self._bound.scopes_rows else "fast path"
        return path, [*dict.fromkeys(map(statement_text, sent))]

    def _scope_of(self, deleted_filter: DeletedFilter) -> Select[Any] | None:
        """Return the rows of `query`. None if it is not overridden. Raises `UnknownScope`."""
        if not self._bound.scopes_rows:
            return None
        resource = self._definition.resource
        return scope_without_request(self._route.dependant, resource, deleted_filter)

    def _lookup_statements(self, scope: Select[Any]) -> Iterator[str]:
        """Yield the SELECT by which the ORM path finds rows. A flush decides the other SQL."""
        operation, database = self._operation, self._database
        finds_many = isinstance(operation, DeleteBatch | UpdateBatch) or (
            isinstance(operation, Replace) and self._definition.resource.get is Resource[Any].get
        )
        if isinstance(operation, List):
            params = self._definition.query()
            source = page_source(scope, params, database.reader.dialect)
            found = source.window(params).statement
        elif finds_many:
            found = where_keys(scope, bindparam(KEYS_PARAM, expanding=True))
        elif isinstance(operation, _LOOKUPS):
            found = where_key(scope)
        else:
            return
        if isinstance(operation, _READS):
            found = found.options(*self._definition.embedded.options)
            yield query_text(found, database.reader.dialect)
        else:
            found = found.options(*self._definition.written_options)
            yield query_text(for_update(found), database.writer.dialect)
