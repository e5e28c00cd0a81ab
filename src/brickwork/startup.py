"""The check of the database when an application starts."""

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Sequence
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
"""The seconds that start-up waits for the database."""


async def check_databases(app: Starlette, default: Database | None) -> None:
    """Log the databases of *app* that are unreachable, and the tables that they lack.

    The check only reads. It raises nothing, and closes its connections. Routes without
    `Database.use` have the *default* database, if there is one.
    """
    tables: dict[Database, set[Table[Any]]] = {} if default is None else {default: set()}
    for database, table in _tables(app):
        if owner := database or default:
            tables.setdefault(owner, set()).add(table)
    await asyncio.gather(*(_check(database, used) for database, used in tables.items()))


async def _check(database: Database, tables: "Collection[Table[Any]]") -> None:
    """Log that *database* is unreachable, or which of *tables* it lacks."""
    database.tables |= {*tables}
    try:
        async with asyncio.timeout(PATIENCE):
            missing = await _find_missing(database, tables)
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


def _tables(app: Starlette) -> "Iterator[tuple[Database | None, Table[Any]]]":
    """Yield the tables that requests to *app* use, with the database of `Database.use`."""
    if get_db not in getattr(app, "dependency_overrides", {}):
        for route in _routes(app.routes):
            definition: ResourceDefinition[Any] | None = getattr(route.endpoint, "definition", None)
            calls = [*_calls(route.dependant)] if definition else []
            if definition and get_db in calls:
                used = [owner for call in calls if (owner := _used_database(call))]
                database = used[-1] if used else None
                for table in _model_tables(definition):
                    yield database, table
                for table in _companion_tables(definition, route.methods or ()):
                    yield database, table


def _routes(routes: Sequence[BaseRoute]) -> Iterator[RouteContext]:
    """Yield *routes* and the routes of mounted applications."""
    for route in iter_route_contexts(routes):
        yield route
        yield from _routes(getattr(route.original_route, "routes", None) or ())


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    """Yield the dependencies of *dependant*, direct and indirect, in the order of their calls."""
    for dependency in dependant.dependencies:
        yield from _calls(dependency)
        if dependency.call:
            yield dependency.call


def _used_database(call: Callable[..., Any]) -> Database | None:
    """Return the database whose `use` is *call*. None for another dependency."""
    owner: object = getattr(call, "__self__", None)
    return owner if isinstance(owner, Database) and call == owner.use else None


def _model_tables(definition: ResourceDefinition[Any]) -> "Iterator[Table[Any]]":
    """Yield the tables that *definition* reads rows from."""
    mapper: Mapper[Any] = inspect(definition.model)
    own = [mapper, *(inspect(kind) for kind in definition.shown.by_class)]
    tables: list[FromClause | None] = [table for one in own for table in one.tables]
    for relationship in definition.embedded.relationships():
        tables += [*relationship.mapper.tables, relationship.secondary]
    yield from (table for table in tables if isinstance(table, Table))


def _companion_tables(
    definition: ResourceDefinition[Any], methods: Collection[str]
) -> "Iterator[Table[Any]]":
    """Yield the companion tables that *definition* writes to."""
    companions = {
        IdempotencyKey: "POST" in methods or "PATCH" in methods,
        AuditEntry: issubclass(definition.model, Audited),
        OutboxEvent: issubclass(definition.model, PublishesEvents),
    }
    for companion, is_written in companions.items():
        if is_written:
            yield cast("Table[Any]", companion.__table__)


async def _find_missing(database: Database, tables: "Collection[Table[Any]]") -> Sequence[str]:
    """Return the names of the *tables* that do not exist."""
    if _is_new(database.url):
        return [table.fullname for table in tables]

    def inspect_tables(connection: Connection) -> Sequence[str]:
        inspector = inspect(connection)
        missing = [table.fullname for table in tables if not _exists(inspector, table)]
        connection.detach()  # so that it is closed, and not kept in the pool
        return missing

    async with database.reader.connect() as connection:
        return await connection.run_sync(inspect_tables)


def _is_new(url: URL) -> bool:
    """Return whether *url* names an SQLite file that the first connection would create."""
    if url.get_backend_name() != "sqlite" or "uri" in url.query:
        return False
    file = Path(url.database or "")
    return not file.exists() and os.access(file.parent, os.W_OK)


def _exists(inspector: Inspector, table: "Table[Any]") -> bool:
    """Return whether *table*, or a view of its name, exists.

    A table without a schema may be in any schema, since requests can set the `search_path`.
    """
    if inspector.has_table(table.name, schema=table.schema):
        return True
    others = [] if table.schema else inspector.get_schema_names()
    return any(inspector.has_table(table.name, schema=schema) for schema in others)
