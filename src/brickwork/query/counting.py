"""Exact and estimated row counts."""

from collections.abc import Iterable
from typing import Any, Final, cast

from sqlalchemy import ARRAY, Executable, Select, String, bindparam, func, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import iterate

from brickwork.sqlalchemy_internals import criteria_options, listeners_to


async def count_rows(session: AsyncSession, statement: Select[Any]) -> int:
    """Count the rows of *statement*."""
    counting: Select[Any] = select(func.count()).select_from(_select_keys(statement).subquery())
    # SQLAlchemy applies only the options of the outermost statement.
    counting = counting.options(*criteria_options(statement))
    return (
        await session.scalar(counting.execution_options(**statement.get_execution_options())) or 0
    )


async def estimate_rows(session: AsyncSession, statement: Select[Any]) -> int:
    """Return the estimate of PostgreSQL's planner for *statement*, without reading rows.

    The planner estimates from all rows of a table. If the database or a listener hides some of them
    from this session, the rows are counted. SQLite always counts.
    """
    keys = _select_keys(statement)
    if not await _sees_all_rows(session, keys):
        return await count_rows(session, statement)
    (plan,) = cast("list[Any]", await session.scalar(_ExplainStatement(keys)))
    return int(plan["Plan"]["Plan Rows"])


def _select_keys(statement: Select[Any]) -> Select[Any]:
    mapper: Mapper[Any] = inspect(statement.column_descriptions[0]["entity"])
    return statement.with_only_columns(*mapper.primary_key, maintain_column_froms=True)


async def _sees_all_rows(session: AsyncSession, keys: Select[Any]) -> bool:
    """Return whether *session* sees all rows of the tables in *keys*."""
    connection = await session.connection()
    if connection.dialect.name != "postgresql" or _has_listeners(session, connection.sync_engine):
        return False
    preparer = connection.dialect.identifier_preparer
    tables: Iterable[Any] = [item for item in iterate(keys) if item.__visit_name__ == "table"]
    names = {preparer.format_table(table) for table in tables}
    visible = await connection.scalar(_COUNT_UNFILTERED_TABLES, {"names": [*names]})
    return bool(visible == len(names))


def _has_listeners(session: AsyncSession, engine: Any) -> bool:
    """Return whether a listener may change the statements of *session*, but not our EXPLAIN."""
    return bool(
        listeners_to(session.sync_session, "do_orm_execute")
        or listeners_to(engine, "before_execute")
    )


_COUNT_UNFILTERED_TABLES: Final = text(
    "SELECT count(*) FROM unnest(:names) AS names (name)"
    " JOIN pg_class ON pg_class.oid = to_regclass(names.name)"
    " WHERE relkind IN ('r', 'p') AND NOT row_security_active(pg_class.oid)"
).bindparams(bindparam("names", type_=ARRAY(String)))
"""Counts the relations that are tables without row level security."""


class _ExplainStatement(Executable, ClauseElement):
    """EXPLAIN of a statement, which does not run it."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_ExplainStatement)
def _compile_explain(element: _ExplainStatement, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"
