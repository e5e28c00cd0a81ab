"""Checks that a statement writes no row out of its scope."""

import operator
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast as sql_cast,
    inspect,
    literal_column,
    select,
    true,
)
from sqlalchemy.sql import operators, visitors

from brickwork.database.compiled import is_pure_type
from brickwork.database.driver import KEY_PARAM
from brickwork.query.keys import primary_key
from brickwork.sqlalchemy_internals import where_conditions

IN_SCOPE: Final = "brickwork_in_scope"
"""The name of the returned column that is an error for a row out of its scope."""

IN_SCOPE_COLUMN: Final = Column(IN_SCOPE, Integer)

_PLAIN_OPERATORS: Final = {
    *(operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge),
    *(operators.and_, operators.or_, operators.inv, operators.is_, operators.is_not),
    *(operators.is_true, operators.is_false, operators.between_op, operators.not_between_op),
    *(operators.is_distinct_from, operators.is_not_distinct_from),
}
"""Operators that both a SELECT and RETURNING evaluate from the values of the row alone."""


def in_scope_or_error(scope: Select[Any]) -> ColumnElement[int] | None:
    """Build the column of RETURNING that PostgreSQL cannot compute for a row out of *scope*.

    The statement then fails, and has changed nothing. None if a condition is not plain: RETURNING
    might evaluate it differently than a SELECT after the write.
    """
    conditions = where_conditions(scope)
    if not all(_is_plain(part) for item in conditions for part in visitors.iterate(item)):
        return None
    # The text is the error in the log of the database.
    text: ColumnElement[str] = case(
        (and_(true(), *conditions), literal_column("'1'", String)),
        else_=literal_column("'The row would be out of its scope.'", String),
    )
    return sql_cast(text, Integer).label(IN_SCOPE)


def _is_plain(part: Any) -> bool:
    """Return whether *part* is a comparison of the row's own columns with values, or inside one.

    Generated columns are excluded, and types with code of their own, which may add functions.
    """
    if not type(part).__module__.startswith("sqlalchemy.sql."):
        return False
    match part.__visit_name__:
        case "column":
            kind: Any = part.type
            return isinstance(part, Column) and part.computed is None and is_pure_type(kind)
        case "bindparam":
            return is_pure_type(part.type)
        case "binary" | "clauselist" | "expression_clauselist" | "unary":
            return part.operator in _PLAIN_OPERATORS
        case name:
            return name in {"false", "grouping", "null", "true"}


def select_in_scope(scope: Select[Any], model: type[object]) -> Select[Any]:
    """Build the SELECT that finds the row with `KEY_PARAM`, if it is in *scope*."""
    (key,) = primary_key(model).attributes
    one: ColumnElement[int] = literal_column("1", Integer)
    row: Select[Any] = select(one).select_from(inspect(model).local_table)
    return row.where(*where_conditions(scope), key == bindparam(KEY_PARAM, type_=key.type))
