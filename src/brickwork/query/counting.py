"""The number of rows: counted, or estimated by the planner."""

from collections.abc import Iterable
from typing import Any, Final, cast

from sqlalchemy import (
    ARRAY,
    Executable,
    Select,
    String,
    bindparam,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm.util import LoaderCriteriaOption as _Criteria
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import iterate


async def count_rows(session: AsyncSession, rows: Select[Any]) -> int:
    """Return the number of *rows*."""
    counting: Select[Any] = select(func.count()).select_from(_select_keys(rows).subquery())
    # SQLAlchemy heeds the options of the outermost statement alone.
    options: Iterable[Any] = rows._with_options  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    counting = counting.options(*(each for each in options if isinstance(each, _Criteria)))
    return await session.scalar(counting.execution_options(**rows.get_execution_options())) or 0


async def estimate_rows(session: AsyncSession, rows: Select[Any]) -> int:
    """Return the number of *rows* as PostgreSQL's planner has it, which reads none of them.

    The planner knows all rows of a table. So the rows are counted where the database or a listener
    hides some of them from this session, and on SQLite.
    """
    keys = _select_keys(rows)
    if not await _sees_all_rows(session, keys):
        return await count_rows(session, rows)
    (plan,) = cast("list[Any]", await session.scalar(_Explain(keys)))
    return int(plan["Plan"]["Plan Rows"])


def _select_keys(rows: Select[Any]) -> Select[Any]:
    model: type[DeclarativeBase] = rows.column_descriptions[0]["entity"]
    return rows.with_only_columns(*inspect(model).primary_key, maintain_column_froms=True)


async def _sees_all_rows(session: AsyncSession, keys: Select[Any]) -> bool:
    """Tell whether this session sees every row of the tables that *keys* are selected from."""
    connection = await session.connection()
    if connection.dialect.name != "postgresql" or _has_listeners(session, connection.sync_engine):
        return False
    prepared = connection.dialect.identifier_preparer
    tables: Iterable[Any] = [each for each in iterate(keys) if each.__visit_name__ == "table"]
    names = {prepared.format_table(each) for each in tables}
    shown = await connection.scalar(_COUNT_UNFILTERED_TABLES, {"names": [*names]})
    return bool(shown == len(names))


def _has_listeners(session: AsyncSession, engine: Any) -> bool:
    """Tell whether a listener may change the statements of *session*, but not our EXPLAIN."""
    listeners = (session.sync_session.dispatch.do_orm_execute, engine.dispatch.before_execute)
    return any(listeners)


_COUNT_UNFILTERED_TABLES: Final = text(
    "SELECT count(*) FROM unnest(:names) AS names (name)"
    " JOIN pg_class ON pg_class.oid = to_regclass(names.name)"
    " WHERE relkind IN ('r', 'p') AND NOT row_security_active(pg_class.oid)"
).bindparams(bindparam("names", type_=ARRAY(String)))
"""Counts the tables among relations, of which no row is hidden by row level security."""


class _Explain(Executable, ClauseElement):
    """EXPLAIN of a statement, which is not run."""

    inherit_cache = False

    def __init__(self, rows: Select[Any]) -> None:
        self.rows = rows


@compiles(_Explain)
def _explain(element: _Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.rows, **options)}"
