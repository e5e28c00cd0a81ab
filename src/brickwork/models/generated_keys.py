"""Integer keys that SQLite generates.

SQLite generates the values of an `INTEGER PRIMARY KEY` alone. An INTEGER has 64 bits there.
"""

from typing import Any, cast

from sqlalchemy import BigInteger, Column
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import GenericTypeCompiler


@compiles(BigInteger, "sqlite")
def _compile_big_integer(
    kind: BigInteger, compiler: GenericTypeCompiler, *, type_expression: Any = None, **options: Any
) -> str:
    """Return INTEGER for a generated key in CREATE TABLE, else BIGINT."""
    is_column = isinstance(type_expression, Column)
    if is_column and is_generated_key(cast("Column[Any]", type_expression)):
        return "INTEGER"
    return compiler.visit_big_integer(kind, **options)


def is_generated_key(column: Column[Any]) -> bool:
    """Return whether the database generates the values of *column*, the key of its table."""
    table: Any = column.table
    return table is not None and column is table.autoincrement_column and column.default is None


def sqlite_type(column: Column[Any]) -> str:
    """Return the type of *column* in a CREATE TABLE of SQLite."""
    compiler = sqlite.dialect().type_compiler_instance
    text: str = compiler.process(column.type, type_expression=column)
    return text
