"""Checks of the number of rows that a flush wrote.

A trigger, a rule or a policy of the database can skip a row without an error. SQLAlchemy notices
this for an UPDATE only, and reports it as a concurrent change.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, event, literal, select
from sqlalchemy.engine.interfaces import ExecuteStyle
from sqlalchemy.orm.exc import StaleDataError

from brickwork.database.errors import refused_by_trigger
from brickwork.sqlalchemy_internals import count_returned_rows, is_flush_statement


def confirm_writes(engine: Engine) -> None:
    """Make a flush on *engine* raise if a statement writes fewer rows than it was sent.

    The flush raises `RefusedByDatabase` for an existing row that was not written, and SQLAlchemy's
    `StaleDataError` for a missing row.
    """
    event.listen(engine, "after_cursor_execute", _require_full_count)
    if engine.dialect.name == "postgresql":
        event.listen(engine, "do_executemany", _execute_each)
        # asyncpg reports no row count for executemany.
        engine.dialect.use_insertmanyvalues_wo_returning = True


def _require_full_count(
    connection: Connection, cursor: Any, _: str, parameters: Any, context: Any, *__: object
) -> None:
    if not is_flush_statement(context):
        return
    if context.isinsert and _written_rows(cursor) < _expected_rows(context, parameters):
        raise refused_by_trigger()
    if (context.isupdate or context.isdelete) and _has_row_count(context):
        expected = _expected_rows(context, parameters)
        if _written_rows(cursor) < expected:
            remaining = len([*_matching_rows(connection, context)])
            if remaining == expected or (remaining and context.isdelete):
                raise refused_by_trigger()
            raise StaleDataError("A row was neither changed nor removed.")


def _execute_each(cursor: Any, statement: str, parameters: Sequence[Any], context: Any) -> bool:
    """Execute *statement* with each of *parameters*. False leaves it to SQLAlchemy."""
    if not is_flush_statement(context) or context.isinsert:
        return False
    for index, values in enumerate(parameters):
        cursor.execute(statement, values)
        if cursor.rowcount == 0:
            if [*_matching_rows(context.root_connection, context, index)]:
                raise refused_by_trigger()
            raise StaleDataError("A row was neither changed nor removed.")
    return True


def _matching_rows(
    connection: Connection, context: Any, index: int | None = None
) -> Iterator[object]:
    """Yield a value for each row that matches the WHERE clause of the statement.

    *index* selects one set of parameters. None selects all.
    """
    statement = select(literal(1)).where(context.compiled.statement.whereclause)
    parameters = context.compiled_parameters
    for values in parameters if index is None else [parameters[index]]:
        yield from connection.execute(statement, values)


def _has_row_count(context: Any) -> bool:
    """Return whether the driver reports a row count. False if `_execute_each` has checked it."""
    is_one = context.execute_style is not ExecuteStyle.EXECUTEMANY
    return is_one or context.dialect.supports_sane_multi_rowcount


def _expected_rows(context: Any, parameters: Sequence[Any]) -> int:
    """Return the number of rows that *parameters* stand for."""
    if context.execute_style is ExecuteStyle.EXECUTEMANY:
        return len(parameters)
    if context.execute_style is ExecuteStyle.INSERTMANYVALUES:  # one flat sequence of values
        return len(parameters) // len(context.compiled.positiontup)
    return 1


def _written_rows(cursor: Any) -> int:
    """Return the number of written rows. SQLite counts returned rows only for RETURNING."""
    count: int = cursor.rowcount
    return count_returned_rows(cursor) if count < 0 else count
