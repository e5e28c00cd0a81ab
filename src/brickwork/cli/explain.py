"""Which lane each operation of a resource takes, what it sends, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from sqlalchemy import Select
from sqlalchemy.orm import DeclarativeBase

from brickwork.cli.loading import find_resource
from brickwork.database.database import Database
from brickwork.fastpath import BoundOperation, NotEligible
from brickwork.query.lookup import base_statement, for_update, where_key
from brickwork.resource.definition import ResourceDefinition


@dataclass(frozen=True)
class Explanation:
    """One operation: its method and path, its lane and why, and the SQL that is known before."""

    operation: str
    lane: str
    statements: Sequence[str]


def explain_resource(app: FastAPI, database: Database, name: str) -> Iterator[Explanation]:
    """Yield the operations of the resource of *app* whose path is *name*; raises `Misuse`."""
    _, shape = find_resource(app, name)
    for route in iter_route_contexts(app.routes):
        if getattr(route.endpoint, "shape", None) is shape:
            yield _explain_route(route, shape, database)


def _explain_route(
    route: RouteContext, shape: ResourceDefinition[Any], database: Database
) -> Explanation:
    operation = f"{' '.join(route.methods or ())} {(route.path or '').replace(':key', '')}"
    try:
        return Explanation(operation, *_explain_fast_path(route, shape, database))
    except NotEligible as reason:
        lane = f"ordinary, since {reason}"
        return Explanation(operation, lane, [*_lookup_statements(route, shape, database)])


def _explain_fast_path(
    route: RouteContext, shape: ResourceDefinition[Any], database: Database
) -> tuple[str, Sequence[str]]:
    """Return what is said of the fast path, and its SQL. Raises `NotEligible` if there is none."""
    lane = getattr(route.endpoint, "fast_operation", None) or NotEligible("no lane is made for it")
    if isinstance(lane, NotEligible):
        raise lane
    found: BoundOperation[Any] = lane.bind(route)
    if not database.fast_path:
        raise NotEligible("the database is not fast, or has methods of its own")
    if observer := found.operation.find_observer(database):
        raise NotEligible(f"SQLAlchemy calls code of the application: {observer}")
    sent = [*found.operation.common_statements(_base_statement(shape), database)]
    if not all(sent):
        raise NotEligible(f"{database.url.get_backend_name()} has no statement of its own for it")
    lane = "fast"
    if found.dependencies.scopes_rows:
        lane += f", its rows narrowed by {shape.resource.__name__}.query besides"
    return lane, [each.statement.sql for each in sent if each]


def _lookup_statements(
    route: RouteContext, shape: ResourceDefinition[Any], database: Database
) -> Iterator[str]:
    """Yield how the ordinary lane finds the row that is meant; what it writes, a flush decides."""
    if (route.path or "").endswith("}"):
        reads = "GET" in (route.methods or ())
        rows = where_key(_base_statement(shape))
        engine = database.reader if reads else database.writer
        yield str((rows if reads else for_update(rows)).compile(dialect=engine.dialect))


def _base_statement(shape: ResourceDefinition[Any]) -> Select[Any]:
    model: type[DeclarativeBase] = shape.model
    return base_statement(model)
