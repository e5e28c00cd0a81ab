"""How many rows there are: counted, or estimated by those who plan the statement."""

from typing import Any, Literal, cast

from sqlalchemy import Executable, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler


async def count(
    session: AsyncSession, rows: Select[Any], how: Literal["exact", "estimated"]
) -> int:
    """Return the number of *rows*; PostgreSQL can estimate it without reading them."""
    if how == "estimated" and session.get_bind().dialect.name == "postgresql":
        (plan,) = cast("list[Any]", await session.scalar(_Explain(rows)))
        return int(plan["Plan"]["Plan Rows"])
    return await session.scalar(select(func.count()).select_from(rows.subquery())) or 0


class _Explain(Executable, ClauseElement):
    """EXPLAIN of a statement, which is not run."""

    inherit_cache = False

    def __init__(self, rows: Select[Any]) -> None:
        self.rows = rows


@compiles(_Explain)
def _explain(element: _Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.rows, **options)}"
