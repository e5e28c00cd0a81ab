"""Counts of rows that a flush wrote, against its statements.

A trigger, a rule or a policy of the database may pass over a row and report no error. SQLAlchemy
notices this of an UPDATE alone, and takes it for the change of another.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, event, literal, select
from sqlalchemy.engine.interfaces import ExecuteStyle
from sqlalchemy.orm.exc import StaleDataError

from brickwork.database.errors import refused_by_trigger


def confirm_writes(engine: Engine) -> None:
    """Have each statement of a flush on *engine* write as many rows as it is given.

    A flush raises `RefusedByDatabase` for a row that is there and was not written, and SQLAlchemy's
    `StaleDataError` for one that is not there.
    """
    event.listen(engine, "after_cursor_execute", _confirm)
    if engine.dialect.name == "postgresql":
        event.listen(engine, "do_executemany", _execute_each)
        # asyncpg counts the rows of one statement, and not those of many.
        engine.dialect.use_insertmanyvalues_wo_returning = True


def _confirm(
    connection: Connection, cursor: Any, _: str, parameters: Any, context: Any, *__: object
) -> None:
    if not _is_of_flush(context):
        return
    if context.isinsert and _count(cursor) < _rows(context, parameters):
        raise refused_by_trigger()
    if (context.isupdate or context.isdelete) and _is_counted(context):
        expected = _rows(context, parameters)
        if _count(cursor) < expected:
            left = len([*_there(connection, context)])
            if left == expected or (left and context.isdelete):
                raise refused_by_trigger()
            raise StaleDataError("A row was neither changed nor removed.")


def _execute_each(cursor: Any, statement: str, parameters: Sequence[Any], context: Any) -> bool:
    """Execute *statement* with each of *parameters*, and tell SQLAlchemy that this was done."""
    if not _is_of_flush(context) or context.isinsert:
        return False
    for index, each in enumerate(parameters):
        cursor.execute(statement, each)
        if cursor.rowcount == 0:
            if [*_there(context.root_connection, context, index)]:
                raise refused_by_trigger()
            raise StaleDataError("A row was neither changed nor removed.")
    return True


def _there(connection: Connection, context: Any, index: int | None = None) -> Iterator[object]:
    """Yield something for each row that the statement finds, or would with *index* parameters."""
    there = select(literal(1)).where(context.compiled.statement.whereclause)
    every = context.compiled_parameters
    for each in every if index is None else [every[index]]:
        yield from connection.execute(there, each)


def _is_counted(context: Any) -> bool:
    """Tell whether the driver counts the rows; else those of each execution were counted before."""
    is_one = context.execute_style is not ExecuteStyle.EXECUTEMANY
    return is_one or context.dialect.supports_sane_multi_rowcount


def _rows(context: Any, parameters: Sequence[Any]) -> int:
    """Return how many rows *parameters* are for."""
    if context.execute_style is ExecuteStyle.EXECUTEMANY:
        return len(parameters)
    if context.execute_style is ExecuteStyle.INSERTMANYVALUES:  # one after the other
        return len(parameters) // len(context.compiled.positiontup)
    return 1


def _is_of_flush(context: Any) -> bool:
    """Tell whether a flush sends the statement: it has the cache of a mapper."""
    return context is not None and "compiled_cache" in context.execution_options


def _count(cursor: Any) -> int:
    """Return how many rows were written, or returned: SQLite counts no others then."""
    count: int = cursor.rowcount
    return len(cursor._rows) if count < 0 else count  # noqa: SLF001 — it shows them nowhere else
