"""The check of the database when an application starts."""

import asyncio
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from sqlalchemy import URL, Connection, FromClause, Inspector, Table, inspect
from sqlalchemy.orm import Mapper
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from brickwork.database.availability import SILENT, UNREACHABLE, is_sqlite_locked
from brickwork.database.database import Database, get_db
from brickwork.models.companions import IdempotencyKey
from brickwork.problems import ServiceUnavailable
from brickwork.resource.definition import ResourceDefinition
from brickwork.tracking.audit import Audited, AuditEntry
from brickwork.tracking.outbox import OutboxEvent, PublishesEvents

PATIENCE: Final = 3.0
"""How many seconds the start-up waits for the database."""


async def check_database(app: Starlette, database: Database) -> None:
    """Log an unreachable *database*, and the tables of *app* that it lacks.

    The check only reads. It raises nothing, and closes its connection.
    """
    database.tables |= (wanted := {*_tables(app)})
    try:
        async with asyncio.timeout(PATIENCE):
            missing = await _find_missing(database, wanted)
    except ServiceUnavailable:
        return  # the log already has the cause
    except TimeoutError:
        error = TimeoutError(f"no answer in {PATIENCE:g} s")
        database.availability.begin(SILENT, error, readonly=True)
    except Exception as error:  # noqa: BLE001 — the service starts, and its requests fail alike
        if not is_sqlite_locked(error):
            database.availability.begin(UNREACHABLE, error, readonly=True)
    else:
        if missing:
            database.availability.log_missing(missing)


def _tables(app: Starlette) -> "Iterator[Table[Any]]":
    """Yield the tables that requests to *app* use."""
    if get_db not in getattr(app, "dependency_overrides", {}):
        for route in _routes(app.routes):
            shape: ResourceDefinition[Any] | None = getattr(route.endpoint, "shape", None)
            if shape and _depends_on(route.dependant, get_db):
                yield from _model_tables(shape)
                yield from _companion_tables(shape, route.methods or ())


def _routes(routes: Sequence[BaseRoute]) -> Iterator[RouteContext]:
    """Yield *routes* and the routes of mounted applications."""
    for route in iter_route_contexts(routes):
        yield route
        yield from _routes(getattr(route.original_route, "routes", None) or ())


def _depends_on(dependant: Dependant, call: object) -> bool:
    """Tell whether *dependant* depends on *call*, directly or indirectly."""
    return any(each.call is call or _depends_on(each, call) for each in dependant.dependencies)


def _model_tables(shape: ResourceDefinition[Any]) -> "Iterator[Table[Any]]":
    """Yield the tables of the rows that *shape* reads."""
    mapper: Mapper[Any] = inspect(shape.model)
    names = (*shape.embedded.references, *(each.name for each in shape.embedded.latest))
    related = [mapper.relationships[each] for each in names]
    found: list[FromClause | None] = [*mapper.tables]
    for each in related:
        found += [*each.mapper.tables, each.secondary]
    yield from (each for each in found if isinstance(each, Table))


def _companion_tables(
    shape: ResourceDefinition[Any], methods: Collection[str]
) -> "Iterator[Table[Any]]":
    """Yield the tables of Brickwork that *shape* writes to."""
    companions = {
        IdempotencyKey: "POST" in methods or "PATCH" in methods,
        AuditEntry: issubclass(shape.model, Audited),
        OutboxEvent: issubclass(shape.model, PublishesEvents),
    }
    for each, is_written in companions.items():
        if is_written:
            yield cast("Table[Any]", each.__table__)


async def _find_missing(database: Database, tables: "Collection[Table[Any]]") -> Sequence[str]:
    """Return the names of the *tables* that do not exist."""
    if _is_new(database.url):
        return [each.fullname for each in tables]

    def look(connection: Connection) -> Sequence[str]:
        inspector = inspect(connection)
        missing = [each.fullname for each in tables if not _exists(inspector, each)]
        connection.detach()  # so that it is closed, and not kept in the pool
        return missing

    async with database.reader.connect() as connection:
        return await connection.run_sync(look)


def _is_new(url: URL) -> bool:
    """Tell whether *url* names a file of SQLite that the first connection would create."""
    if url.get_backend_name() != "sqlite" or "uri" in url.query:
        return False
    file = Path(url.database or "")
    return not file.exists() and os.access(file.parent, os.W_OK)


def _exists(inspector: Inspector, table: "Table[Any]") -> bool:
    """Tell whether *table*, or a view of its name, exists.

    A table without a schema may be in any: requests can set the `search_path` to their tenant's.
    """
    if inspector.has_table(table.name, schema=table.schema):
        return True
    others = [] if table.schema else inspector.get_schema_names()
    return any(inspector.has_table(table.name, schema=each) for each in others)
