"""Explanations of the path and SQL of each operation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from sqlalchemy import Select
from sqlalchemy.orm import DeclarativeBase

from brickwork.cli.loading import find_resource
from brickwork.database.database import Database
from brickwork.execution.eligibility import Declined, NotEligible
from brickwork.operations.endpoint import BoundOperation
from brickwork.query.lookup import base_statement, for_update, where_key
from brickwork.resource.definition import ResourceDefinition


@dataclass(frozen=True)
class Explanation:
    """One operation: its method and URL, its path with the reason, and its SQL."""

    operation: str
    path: str
    """The fast path or the ORM path, with the reason."""
    statements: Sequence[str]
    """The SQL that does not depend on a request."""


def explain_resource(app: FastAPI, database: Database, name: str) -> Iterator[Explanation]:
    """Yield an explanation for each operation of the resource with the URL path *name*.

    Raises `UsageError` for an unknown or ambiguous name.
    """
    _, definition = find_resource(app, name)
    for route in iter_route_contexts(app.routes):
        if getattr(route.endpoint, "definition", None) is definition:
            yield _explain_route(route, definition, database)


def _explain_route(
    route: RouteContext, definition: ResourceDefinition[Any], database: Database
) -> Explanation:
    operation = f"{' '.join(route.methods or ())} {(route.path or '').replace(':key', '')}"
    try:
        return Explanation(operation, *_explain_fast_path(route, definition, database))
    except NotEligible as reason:
        path = f"ORM path, since {reason}"
        return Explanation(operation, path, [*_lookup_statements(route, definition, database)])


def _explain_fast_path(
    route: RouteContext, definition: ResourceDefinition[Any], database: Database
) -> tuple[str, Sequence[str]]:
    """Return the text about the fast path, and its SQL. Raises `NotEligible` without one."""
    endpoint: Any = route.endpoint
    bound: BoundOperation[Any] = BoundOperation(endpoint.operation, route)
    statement = bound.statement(database)
    if isinstance(statement, Declined):
        raise NotEligible(statement.reason)
    sent = [*statement.common_statements(_base_statement(definition), database)]
    if not all(sent):
        raise NotEligible(f"{database.url.get_backend_name()} has no statement of its own for it")
    path = "fast path"
    if bound.scopes_rows:
        path += f", its rows filtered by {definition.resource.__name__}.query"
    return path, [one.statement.sql for one in sent if one]


def _lookup_statements(
    route: RouteContext, definition: ResourceDefinition[Any], database: Database
) -> Iterator[str]:
    """Yield the SELECT of the ORM path for a single row. A flush decides the other SQL."""
    if (route.path or "").endswith("}"):
        is_read = "GET" in (route.methods or ())
        statement = where_key(_base_statement(definition))
        statement = statement if is_read else for_update(statement)
        engine = database.reader if is_read else database.writer
        yield str(statement.compile(dialect=engine.dialect))


def _base_statement(definition: ResourceDefinition[Any]) -> Select[Any]:
    model: type[DeclarativeBase] = definition.model
    return base_statement(model)
