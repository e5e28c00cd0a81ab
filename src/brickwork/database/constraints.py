"""Columns of constraints, from the metadata or the database."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import CheckConstraint, Column, Constraint, Index, Table, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import ColumnCollectionConstraint

from brickwork.database.sql_identifiers import (
    Token,
    column_identifiers,
    parenthesised_tokens,
    tokenize,
    tokens_to_sql,
)

_MAX_NAME_BYTES: Final = 63
"""Maximum length of a PostgreSQL identifier in bytes."""

_POSTGRESQL_QUERY: Final = text("""
WITH RECURSIVE own AS (
  SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relname = :table AND n.nspname = coalesce(:schema, n.nspname)
), above AS (
  SELECT oid FROM own UNION SELECT i.inhparent FROM pg_inherits i JOIN above ON inhrelid = oid
)
SELECT c.relname, NULL FROM above JOIN pg_class c USING (oid)
UNION ALL
SELECT NULL, quote_ident(a.attname)
FROM own JOIN pg_constraint k ON k.conrelid = own.oid AND k.conname = :constraint
JOIN pg_attribute a ON a.attrelid = own.oid AND a.attnum = ANY (k.conkey)
UNION ALL
SELECT NULL, pg_get_indexdef(i.indexrelid, part, true)
FROM own JOIN pg_index i ON i.indrelid = own.oid
JOIN pg_class c ON c.oid = i.indexrelid AND c.relname = :constraint
CROSS JOIN generate_series(1, i.indnkeyatts) part
""")

_SQLITE_QUERY: Final = text("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index')")


@dataclass(frozen=True)
class Source:
    """The tables of a database error, and SQL that mentions their columns."""

    tables: Collection[str]
    texts: Sequence[str] = field(default=())

    def columns(self, tables: "Iterable[Table[Any]]") -> list[Column[Any]]:
        """Return the columns of *tables* that the SQL mentions."""
        return [
            column
            for table in tables
            if table.name in self.tables
            for sql in self.texts
            for column in mentioned_columns(table, sql)
        ]


def mentioned_columns(table: "Table[Any]", sql: str) -> list[Column[Any]]:
    """Return the columns of *table* that the expression *sql* mentions."""
    by_name: Mapping[str, Column[Any]] = {column.name: column for column in table.columns}
    folded = {name.lower(): column for name, column in by_name.items()}
    columns = (by_name.get(name, folded.get(name.lower())) for name in column_identifiers(sql))
    return [column for column in columns if column is not None]


def constraint_columns(table: "Table[Any]", name: str) -> list[Column[Any]] | None:
    """Return the columns of the constraint or index *name*. None if *table* lacks it."""
    every: list[Constraint | Index] = [*table.constraints, *table.indexes]
    rules = [rule for rule in every if _is_named(rule, name)]
    return [column for rule in rules for column in _rule_columns(rule, table)] if rules else None


def _rule_columns(rule: Constraint | Index, table: "Table[Any]") -> Iterator[Column[Any]]:
    if isinstance(rule, CheckConstraint):
        sql = rule.sqltext.text if isinstance(rule.sqltext, TextClause) else str(rule.sqltext)
        yield from mentioned_columns(table, sql)
    if isinstance(rule, ColumnCollectionConstraint | Index):
        yield from rule.columns


def _is_named(rule: Constraint | Index, reported: str) -> bool:
    # SQLAlchemy truncates a name that is too long for PostgreSQL, and appends a hash.
    name = str(rule.name)
    return reported == name or (len(name) > _MAX_NAME_BYTES and reported.startswith(name[:50]))


async def look_up_constraint(
    session: AsyncSession, tables: Collection[str], schema: str | None, constraint: str | None
) -> Source:
    """Read the definition of *constraint* from the database's catalog.

    The result includes the parents of a PostgreSQL partition.
    """
    if session.get_bind().dialect.name == "sqlite":
        rows = (await session.execute(_SQLITE_QUERY)).all()
        return Source(tables, [*_find_in_sqlite(rows, tables, constraint or "")])
    (table,) = tables
    values = {"table": table, "schema": schema, "constraint": constraint}
    rows = (await session.execute(_POSTGRESQL_QUERY, values)).all()
    names, texts = zip(*rows, strict=True) if rows else ((), ())
    return Source([name for name in names if name], [sql for sql in texts if sql])


def _find_in_sqlite(rows: Iterable[Any], tables: Collection[str], reported: str) -> Iterator[str]:
    """Yield the SQL of the constraint that SQLite *reported*, from the CREATE statements in *rows*.

    SQLite reports an unnamed check by its text, or by the quoted name that it begins with.
    """
    for name, sql in rows:
        tokens = tokenize(sql or "")
        if name == reported:  # an index: CREATE UNIQUE INDEX name ON table (…)
            yield tokens_to_sql(parenthesised_tokens(tokens))
        for own, check in _checks(tokens) if name in tables else ():
            if own == reported or (own is None and _is_reported(check, reported)):
                yield tokens_to_sql(check)


def _checks(tokens: Sequence[Token]) -> Iterator[tuple[str | None, list[Token]]]:
    """Yield the name and the expression of each check in *tokens*. None for an unnamed check."""
    for index, token in enumerate(tokens):
        if token.is_word("CHECK"):
            is_named = index > 1 and tokens[index - 2].is_word("CONSTRAINT")
            yield tokens[index - 1].text if is_named else None, parenthesised_tokens(tokens[index:])


def _is_reported(check: Sequence[Token], reported: str) -> bool:
    return [*check] == tokenize(reported) or check[0] == Token(reported, is_name=True)
