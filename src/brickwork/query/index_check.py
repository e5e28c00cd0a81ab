"""Which declared sorts no index serves: what is quick with ten rows and slow with a million."""

from collections.abc import Iterator
from typing import Any, cast

from sqlalchemy import ColumnElement, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.orm import InstrumentedAttribute

from brickwork.database.text import code_point_text, comparable, uses_c_collation
from brickwork.query.list_query import ListQuery


def missing_indexes(query: type[ListQuery[Any]]) -> Iterator[str]:
    """Yield for each column *query* sorts by without an index what there should be."""
    for attribute in query.__sorts__:
        column = attribute.property.columns[0]
        table = cast("Table[Any]", getattr(attribute.expression, "table", None))
        if hasattr(table, "indexes") and not _has_index(column, table):
            yield (
                f"{query.__name__} sorts by {column.name}, and no index begins with it. Add to "
                f"{attribute.class_.__name__}.__table_args__: {_suggestion(attribute, table)}"
            )


def _has_index(column: ColumnElement[Any], table: "Table[Any]") -> bool:
    indexes = [each for each in table.indexes if next(iter(each.expressions)) is column]
    if _is_text(column):
        return any(uses_c_collation(each, str(column.key)) for each in indexes)
    return bool(indexes) or any(
        next(iter(each.columns)) is column for each in _unique_constraints(table)
    )


def _is_text(column: ColumnElement[Any]) -> bool:
    return isinstance(comparable(column), code_point_text)


def _unique_constraints(table: "Table[Any]") -> "list[PrimaryKeyConstraint | UniqueConstraint]":
    kinds = (PrimaryKeyConstraint, UniqueConstraint)
    return [each for each in table.constraints if isinstance(each, kinds)]


def _suggestion(attribute: InstrumentedAttribute[Any], table: "Table[Any]") -> str:
    name = attribute.property.columns[0].name
    keys = "".join(f', "{each.name}"' for each in table.primary_key.columns)
    text = _is_text(attribute.expression)
    ops = f', postgresql_ops=c_collation("{name}")' if text else ""
    return f'Index("ix_{table.name}_{name}", "{name}"{keys}{ops})'
