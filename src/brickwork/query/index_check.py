"""Detection of sorts without an index."""

from collections.abc import Iterator
from typing import Any, cast

from sqlalchemy import ColumnElement, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.orm import InstrumentedAttribute

from brickwork.database.text import code_point_text, comparable, uses_c_collation
from brickwork.query.filters import is_hybrid
from brickwork.query.list_query import ListQuery


def missing_indexes(query: type[ListQuery[Any]]) -> Iterator[str]:
    """Yield a suggested index for each sort column that has none."""
    for attribute in query.__sorts__:
        if is_hybrid(cast("type[object]", attribute.class_), attribute.key):
            continue
        column = attribute.property.columns[0]
        table = cast("Table[Any]", getattr(attribute.expression, "table", None))
        if hasattr(table, "indexes") and not has_index(column, table):
            yield (
                f"{query.__name__} sorts by {column.name}, but no index begins with it. Add to "
                f"{attribute.class_.__name__}.__table_args__: {_suggestion(attribute, table)}"
            )


def has_index(column: ColumnElement[Any], table: "Table[Any]") -> bool:
    """Return whether an index or a constraint of *table* sorts by *column*."""
    indexes = [index for index in table.indexes if next(iter(index.expressions)) is column]
    if _is_text(column):
        return any(uses_c_collation(index, str(column.key)) for index in indexes)
    return bool(indexes) or any(
        next(iter(item.columns), None) is column for item in _unique_constraints(table)
    )


def _is_text(column: ColumnElement[Any]) -> bool:
    return isinstance(comparable(column), code_point_text)


def _unique_constraints(table: "Table[Any]") -> "list[PrimaryKeyConstraint | UniqueConstraint]":
    kinds = (PrimaryKeyConstraint, UniqueConstraint)
    return [item for item in table.constraints if isinstance(item, kinds)]


def _suggestion(attribute: InstrumentedAttribute[Any], table: "Table[Any]") -> str:
    name = attribute.property.columns[0].name
    keys = "".join(f', "{key.name}"' for key in table.primary_key.columns)
    text = _is_text(attribute.expression)
    ops = f', postgresql_ops=c_collation("{name}")' if text else ""
    return f'Index("ix_{table.name}_{name}", "{name}"{keys}{ops})'
