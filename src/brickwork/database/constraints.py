"""Columns of constraints: as the mapped tables have them, else as the database has them."""

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

_LONGEST: Final = 63
"""How many bytes of a name PostgreSQL has room for."""

_IN_POSTGRESQL: Final = text("""
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

_IN_SQLITE: Final = text("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index')")


@dataclass(frozen=True)
class Source:
    """The tables that an error of the database is about, and SQL that mentions their columns."""

    tables: Collection[str]
    texts: Sequence[str] = field(default=())

    def columns(self, tables: "Iterable[Table[Any]]") -> list[Column[Any]]:
        """Return the columns of *tables* that are meant."""
        near = [each for each in tables if each.name in self.tables]
        return [
            column
            for table in near
            for sql in self.texts
            for column in mentioned_columns(table, sql)
        ]


def mentioned_columns(table: "Table[Any]", sql: str) -> list[Column[Any]]:
    """Return the columns of *table* that an expression of *sql* mentions."""
    known: Mapping[str, Column[Any]] = {each.name: each for each in table.columns}
    folded = {name.lower(): each for name, each in known.items()}
    found = (known.get(name, folded.get(name.lower())) for name in column_identifiers(sql))
    return [each for each in found if each is not None]


def constraint_columns(table: "Table[Any]", name: str) -> list[Column[Any]] | None:
    """Return the columns of the constraint or index *name* of *table*; None if it has none."""
    every: list[Constraint | Index] = [*table.constraints, *table.indexes]
    rules = [each for each in every if _is_named(each, name)]
    return [column for rule in rules for column in _columns(rule, table)] if rules else None


def _columns(rule: Constraint | Index, table: "Table[Any]") -> Iterator[Column[Any]]:
    if isinstance(rule, CheckConstraint):
        sql = rule.sqltext.text if isinstance(rule.sqltext, TextClause) else str(rule.sqltext)
        yield from mentioned_columns(table, sql)
    if isinstance(rule, ColumnCollectionConstraint | Index):
        yield from rule.columns


def _is_named(rule: Constraint | Index, reported: str) -> bool:
    # SQLAlchemy shortens a name that PostgreSQL has no room for: its begin, and a hash of it.
    name = str(rule.name)
    return reported == name or (len(name) > _LONGEST and reported.startswith(name[:50]))


async def look_up_constraint(
    session: AsyncSession, tables: Collection[str], schema: str | None, constraint: str | None
) -> Source:
    """Return what the database says of a *constraint* of one of *tables*.

    A table of PostgreSQL may be a partition of others.
    """
    if session.get_bind().dialect.name == "sqlite":
        rows = (await session.execute(_IN_SQLITE)).all()
        return Source(tables, [*_in_sqlite(rows, tables, constraint or "")])
    (table,) = tables
    values = {"table": table, "schema": schema, "constraint": constraint}
    found = (await session.execute(_IN_POSTGRESQL, values)).all()
    names, texts = zip(*found, strict=True) if found else ((), ())
    return Source([each for each in names if each], [each for each in texts if each])


def _in_sqlite(rows: Iterable[Any], tables: Collection[str], reported: str) -> Iterator[str]:
    """Yield what the statements that made *tables* have of the constraint that SQLite *reported*.

    A check without a name is reported by its text, or by the name in quotes that it begins with.
    """
    for name, sql in rows:
        tokens = tokenize(sql or "")
        if name == reported:  # an index: CREATE UNIQUE INDEX name ON table (…)
            yield tokens_to_sql(parenthesised_tokens(tokens))
        for own, check in _checks(tokens) if name in tables else ():
            if own == reported or (own is None and _is_reported(check, reported)):
                yield tokens_to_sql(check)


def _checks(tokens: Sequence[Token]) -> Iterator[tuple[str | None, list[Token]]]:
    """Yield the names of the checks in *tokens*, and their expressions."""
    for index, each in enumerate(tokens):
        if each.is_word("CHECK"):
            is_named = index > 1 and tokens[index - 2].is_word("CONSTRAINT")
            yield tokens[index - 1].text if is_named else None, parenthesised_tokens(tokens[index:])


def _is_reported(check: Sequence[Token], reported: str) -> bool:
    return [*check] == tokenize(reported) or check[0] == Token(reported, is_name=True)
