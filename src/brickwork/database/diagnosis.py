"""Problems with what a client wrote, from errors of the database."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, exists, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from brickwork.database import errors
from brickwork.database.constraints import look_up_constraint
from brickwork.database.flush_log import FlushLog
from brickwork.database.nested_errors import nested_places
from brickwork.problems import Problem


async def problem_from_error(
    error: DBAPIError, written: FlushLog, session: AsyncSession
) -> Problem | None:
    """Translate *error* to the problem that the client receives. None if it is a bug.

    *session* queries the database for details that *error* lacks.
    """
    error = errors.original_error(error)
    if (violation := errors.classify(error)) is None:
        return None
    verb = (error.statement or "").partition(" ")[0].upper()
    has_columns = errors.has_columns(violation, verb)
    columns = await _find_columns(violation, written, session) if has_columns else ()
    kind = errors.kind_of(violation, columns, written, verb)
    is_reference = kind == "reference"
    nested = await nested_places(columns, written, session, is_reference=is_reference)
    places = nested or errors.affected_places(columns, written)
    problem = errors.problem_of_kind(kind, places)
    return replace(problem, retryable=problem.retryable or errors.lost_race(violation, written))


async def _find_columns(
    violation: errors.Violation, written: FlushLog, session: AsyncSession
) -> Collection[Column[Any]]:
    """Return the columns of the *written* tables that *violation* is about."""
    if not (tables := errors.tables_of(written)):
        return ()
    if violation.kind == "reference" and violation.table is None:
        return await _dangling_references(written, session)
    if (columns := errors.columns_of(violation, tables)) is not None:
        return columns
    names = [violation.table] if violation.table else [table.name for table in tables]
    source = await look_up_constraint(session, names, violation.schema, violation.constraint)
    return replace(source, texts=[*source.texts, violation.columns]).columns(tables)


async def _dangling_references(written: FlushLog, session: AsyncSession) -> Collection[Column[Any]]:
    """Return the foreign key columns that refer to no row. SQLite does not report which."""
    dangling: set[Column[Any]] = set()
    for key, values in written.references:
        target = [*zip((element.column for element in key.elements), values, strict=True)]
        condition = exists().where(*(column == value for column, value in target))
        if not (written.values.issuperset(target) or await session.scalar(select(condition))):
            dangling |= {*key.columns}
    return dangling
