"""The tables of random applications, without SQLAlchemy.

An application may have listeners on every engine, so the driver reads and writes the rows.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol, cast

import asyncpg
from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    make_url,
)
from typing_extensions import override

from brickwork import (
    AuditEntry,
    ConsumerOffset,
    Database,
    IdempotencyKey,
    ImportPosition,
    Model,
    OutboxEvent,
)

NAMES: Final = Model.metadata.naming_convention
METADATA: Final = MetaData(naming_convention=NAMES)

KEYS: Final[dict[str, Sequence[str]]] = {
    "int": [str(n) for n in range(1, 9)],
    "text": [f"k{n}" for n in range(1, 9)],
    "uuid": [f"00000000-0000-0000-0000-00000000000{n}" for n in range(1, 9)],
}
"""The keys of the first rows as in a path; the last row is deleted."""

MISSING: Final = {"int": "99", "text": "k99", "uuid": "00000000-0000-0000-0000-000000000099"}

_NEW: Final = 100_000
"""The largest key before those that a database generates."""

_OLD: Final = "2020-02-03 04:05:06.000000"
_TYPES: Final[dict[str, Any]] = {"int": Integer, "text": String(20), "uuid": Uuid}


def _items(kind: str) -> "Table[Any]":
    instant: dict[str, Any] = {"nullable": False, "server_default": _OLD}
    return Table(
        f"{kind}_items",
        METADATA,
        Column("id", _TYPES[kind], primary_key=True),
        Column("tenant", String(20), nullable=False, server_default="none"),
        Column("name", String(30), nullable=False),
        Column(
            "rank",
            Integer,
            CheckConstraint("rank < 100", name="rank"),
            nullable=False,
            server_default="3",
        ),
        Column("note", String(40)),
        Column("code", String(20), unique=True),
        Column("data", JSON),
        Column("visits", Integer, nullable=False, server_default="7"),
        Column("seen", DateTime(timezone=True)),
        Column("group_id", Integer, ForeignKey("groups.id")),
        Column("version", Integer, nullable=False, server_default="1"),
        Column("created_at", DateTime(timezone=True), **instant),
        Column("updated_at", DateTime(timezone=True), **instant),
        Column("deleted_at", DateTime(timezone=True)),
        Column("is_deleted", Boolean, Computed("deleted_at IS NOT NULL", persisted=True)),
        sqlite_autoincrement=kind == "int",
    )


Table(
    "groups",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("tenant", String(20), nullable=False, server_default="none"),
    Column("name", String(30), nullable=False, unique=True),
    sqlite_autoincrement=True,
)
for _kind in KEYS:
    _items(_kind)
Table("logs", METADATA, Column("text", String(100)))
for _companion in (AuditEntry, IdempotencyKey, ImportPosition, OutboxEvent, ConsumerOffset):
    cast("Table[Any]", _companion.__table__).to_metadata(METADATA)

_COLUMNS: Final = {
    "groups": "*",
    **{f"{kind}_items": "*" for kind in KEYS},
    "logs": "*",
    "audit_entries": "table_name, row_key, action, changes, actor",
    "outbox_events": "table_name, row_key, action, data",
    "idempotency_keys": "status, headers, body",
}
"""The compared columns of each table."""

_SQLITE_ROWS: Final = {
    name: f"SELECT {shown} FROM {name}"  # noqa: S608 — of this file alone
    for name, shown in _COLUMNS.items()
}


def _removals() -> Iterator[str]:
    yield from (f"DELETE FROM {table.name}" for table in reversed(METADATA.sorted_tables))  # noqa: S608 — as above


def _insertions(mark: str, *, dashes: bool) -> Iterator[str]:
    """Yield the statements that insert the first rows, with names that begin with *mark*."""
    for number, tenant, name in ((1, "ada", "red"), (2, "bob", "blue"), (3, "none", "grey")):
        values = f"({number}, '{tenant}', '{mark}{name}')"
        yield f"INSERT INTO groups (id, tenant, name) VALUES {values}"  # noqa: S608 — as above
    for kind, keys in KEYS.items():
        for n, key in enumerate(keys, start=1):
            row = {
                "id": key if kind == "int" else f"'{key if dashes else key.replace('-', '')}'",
                "tenant": f"'{('ada', 'bob')[n % 2] if n < 7 else 'none'}'",
                "name": f"'{mark}name {n}'",
                "rank": str((1, 60, 2, 5)[n % 4]),
                "note": "NULL" if n % 3 == 0 else f"'note {n % 2}'",
                "code": f"'code{n}'",
                "data": '\'{"b": 1, "a": [1.0]}\'' if n % 2 else "NULL",
                "group_id": ("NULL", "1", "2")[n % 3],
                "version": str(n % 3 + 1),
                "deleted_at": f"'{_OLD}'" if n == len(keys) else "NULL",
            }
            columns = ", ".join(row)
            yield f"INSERT INTO {kind}_items ({columns}) VALUES ({', '.join(row.values())})"  # noqa: S608 — as above


class Store(Protocol):
    """The rows of one database."""

    async def fill(self) -> None:
        """Restore the first rows."""
        ...

    async def rows(self) -> Sequence[str]:
        """Return each row as text."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class _SQLite(Store):
    """The rows of a file."""

    def __init__(self, path: str, mark: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA synchronous = OFF")
        own = ", ".join(f"('{name}', {_NEW})" for name in ("groups", "int_items"))
        self._fill = ";".join(
            [
                "BEGIN",
                *_removals(),
                *_insertions(mark, dashes=False),
                "DELETE FROM sqlite_sequence",
                f"INSERT INTO sqlite_sequence (name, seq) VALUES {own}",  # noqa: S608 — as above
                "COMMIT",
            ]
        )

    @override
    async def fill(self) -> None:
        self._connection.executescript(self._fill)

    @override
    async def rows(self) -> Sequence[str]:
        return [
            " ".join(map(_text, (name, *row)))
            for name, select in _SQLITE_ROWS.items()
            for row in self._connection.execute(select)
        ]

    @override
    async def close(self) -> None:
        self._connection.close()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class _PostgreSQL(Store):
    """The rows of a database, and of its schema `other`."""

    def __init__(self, connection: Any, mark: str) -> None:
        self._connection = connection
        own = "; ".join(
            f"SELECT setval('{name}_id_seq', {_NEW})" for name in ("groups", "int_items")
        )
        self._fill = "; ".join(
            [
                "BEGIN",
                *_removals(),
                *_insertions(mark, dashes=True),
                "SET search_path TO other",
                *_removals(),
                *_insertions(f"{mark}other ", dashes=True),
                "SET search_path TO public",
                own,
                "COMMIT",
            ]
        )
        self._rows = " UNION ALL ".join(
            f"SELECT '{schema}.{name} ' || row_to_json(t)::text"  # noqa: S608 — as above
            f" FROM (SELECT {_decoded(shown)} FROM {schema}.{name}) AS t"
            for schema in ("public", "other")
            for name, shown in _COLUMNS.items()
        )

    @override
    async def fill(self) -> None:
        await self._connection.execute(self._fill)

    @override
    async def rows(self) -> Sequence[str]:
        return [text for (text,) in await self._connection.fetch(self._rows)]

    @override
    async def close(self) -> None:
        await self._connection.close()


def _decoded(columns: str) -> str:
    return re.sub("body$", "convert_from(body, 'UTF8') AS body", columns)


async def store(database: Database, mark: str = "") -> Store:
    """Make the tables of the empty *database*, and return its rows, named with *mark*."""
    await database.create_all(METADATA)
    url = database.url.render_as_string(hide_password=False)
    if database.url.get_backend_name() == "sqlite":
        return _SQLite(str(make_url(url).database), mark)
    connection: Any = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute("SET timezone TO 'UTC'; CREATE SCHEMA other")
    for table in METADATA.tables:
        await connection.execute(f"CREATE TABLE other.{table} (LIKE public.{table} INCLUDING ALL)")
    return _PostgreSQL(connection, mark)
