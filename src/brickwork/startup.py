"""The check of the database when an application starts."""

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from sqlalchemy import INTEGER, URL, Column, Connection, FromClause, Inspector, Table, inspect
from sqlalchemy.orm import Mapper
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from brickwork.database.availability import SILENT, UNREACHABLE, is_sqlite_locked
from brickwork.database.database import Database, get_db
from brickwork.models.companions import IdempotencyKey
from brickwork.models.generated_keys import is_generated_key
from brickwork.problems import ServiceUnavailable
from brickwork.query.keys import primary_key
from brickwork.resource.definition import ResourceDefinition
from brickwork.tracking.audit import Audited, AuditEntry
from brickwork.tracking.outbox import OutboxEvent, PublishesEvents

PATIENCE: Final = 3.0
"""The seconds that start-up waits for the database."""


async def check_database(app: Starlette, database: Database) -> None:
    """Log an unreachable *database*, and the tables and generated keys of *app* that it lacks.

    The check only reads. It raises nothing, and closes its connections. Routes without
    `Database.use` have the *default* database, if there is one.
    """
    keys = {*_generated_keys(app)}
    database.tables |= (tables := {*_tables(app)})
    try:
        async with asyncio.timeout(PATIENCE):
            missing, ungenerated = await _find_missing(database, tables, keys)
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
        if ungenerated:
            database.availability.log_ungenerated(ungenerated)


def _tables(app: Starlette) -> "Iterator[Table[Any]]":
    """Yield the tables that requests to *app* use."""
    for definition, route in _definitions(app):
        yield from _model_tables(definition)
        yield from _companion_tables(definition, route.methods or ())


def _generated_keys(app: Starlette) -> Iterator[Column[Any]]:
    """Yield the keys of new rows of *app* that the database generates."""
    for definition, _ in _definitions(app):
        model: type[object] = definition.model
        key = primary_key(model)
        if not definition.create.model_fields.keys() & {*key.names}:
            yield from filter(is_generated_key, key.columns)


def _definitions(app: Starlette) -> Iterator[tuple[ResourceDefinition[Any], RouteContext]]:
    """Yield the definition and the route of each operation of *app* that uses the database."""
    if get_db not in getattr(app, "dependency_overrides", {}):
        for route in _routes(app.routes):
            definition: ResourceDefinition[Any] | None = getattr(route.endpoint, "definition", None)
            if definition and _depends_on(route.dependant, get_db):
                yield definition, route


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
    names = (*definition.embedded.references, *(rows.name for rows in definition.embedded.latest))
    tables: list[FromClause | None] = [*mapper.tables]
    for name in names:
        relationship = mapper.relationships[name]
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


async def _find_missing(
    database: Database, tables: "Collection[Table[Any]]", keys: Collection[Column[Any]]
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the names of the missing *tables*, and of *keys* that SQLite cannot generate.

    SQLite generates the keys of a table only if they are INTEGER there.
    """
    if _is_new(database.url):
        return [table.fullname for table in tables], []

    def inspect_tables(connection: Connection) -> tuple[Sequence[str], Sequence[str]]:
        inspector = inspect(connection)
        missing = [table.fullname for table in tables if not _exists(inspector, table)]
        is_sqlite = connection.dialect.name == "sqlite"
        ungenerated = [str(key) for key in keys if is_sqlite and _is_ungenerated(inspector, key)]
        connection.detach()  # so that it is closed, and not kept in the pool
        return missing, ungenerated

    async with database.reader.connect() as connection:
        return await connection.run_sync(inspect_tables)


def _is_ungenerated(inspector: Inspector, key: Column[Any]) -> bool:
    """Return whether SQLite stores *key* with a type other than INTEGER."""
    table = key.table
    exists = inspector.has_table(table.name, schema=table.schema)
    columns = inspector.get_columns(table.name, schema=table.schema) if exists else []
    return any(
        column["name"] == key.name and type(column["type"]) is not INTEGER for column in columns
    )


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
