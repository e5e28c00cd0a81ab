"""The check of the database when an application starts."""

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
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


async def check_databases(app: Starlette, default: Database | None) -> None:
    """Log the databases of *app* that are unreachable, and the tables and keys that they lack.

    The check only reads. It raises nothing, and closes its connections. Routes without
    `Database.use` have the *default* database, if there is one.
    """
    uses: dict[Database, _Use] = {} if default is None else {default: _Use()}
    for definition, route in _definitions(app):
        if database := _used_database(route.dependant) or default:
            use = uses.setdefault(database, _Use())
            use.tables |= {*_model_tables(definition)}
            use.tables |= {*_companion_tables(definition, route.methods or ())}
            use.keys |= {*_generated_keys(definition)}
    await asyncio.gather(*(_check(database, use) for database, use in uses.items()))


@dataclass
class _Use:
    """The tables that requests use in a database, and the keys that it generates."""

    tables: "set[Table[Any]]" = field(default_factory=set["Table[Any]"])
    keys: set[Column[Any]] = field(default_factory=set[Column[Any]])


async def _check(database: Database, use: _Use) -> None:
    """Log that *database* is unreachable, or what it lacks for its *use*."""
    database.tables |= use.tables
    try:
        async with asyncio.timeout(PATIENCE):
            missing, ungenerated = await _find_missing(database, use)
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


def _definitions(app: Starlette) -> Iterator[tuple[ResourceDefinition[Any], RouteContext]]:
    """Yield the definition and the route of each operation of *app* that uses a database."""
    if get_db not in getattr(app, "dependency_overrides", {}):
        for route in _routes(app.routes):
            definition: ResourceDefinition[Any] | None = getattr(route.endpoint, "definition", None)
            if definition and get_db in _calls(route.dependant):
                yield definition, route


def _generated_keys(definition: ResourceDefinition[Any]) -> Iterator[Column[Any]]:
    """Yield the keys of new rows that the database generates."""
    key = primary_key(definition.model)
    if not definition.create.model_fields.keys() & {*key.names}:
        yield from filter(is_generated_key, key.columns)


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


def _used_database(dependant: Dependant) -> Database | None:
    """Return the database that `Database.use` gives to a route. None without that dependency."""
    owners = ((call, getattr(call, "__self__", None)) for call in _calls(dependant))
    used = [owner for call, owner in owners if isinstance(owner, Database) and call == owner.use]
    return used[-1] if used else None


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


async def _find_missing(database: Database, use: _Use) -> tuple[Sequence[str], Sequence[str]]:
    """Return the names of the missing tables, and of the keys that SQLite cannot generate.

    SQLite generates the keys of a table only if they are INTEGER there.
    """
    if _is_new(database.url):
        return [table.fullname for table in use.tables], []

    def inspect_tables(connection: Connection) -> tuple[Sequence[str], Sequence[str]]:
        inspector = inspect(connection)
        missing = [table.fullname for table in use.tables if not _exists(inspector, table)]
        is_sqlite = connection.dialect.name == "sqlite"
        ungenerated = [
            str(key) for key in use.keys if is_sqlite and _is_ungenerated(inspector, key)
        ]
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
