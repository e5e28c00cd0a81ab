"""Triggers of tables, and the rows that they change."""

import time
from collections.abc import Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Table, and_, inspect, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from brickwork.database.errors import refused_by_trigger
from brickwork.database.flush_log import mapped_tables

_CACHE_SECONDS: Final = 5.0
"""Seconds for which the result of a trigger query is cached."""

UNCOUNTED: Final = {"brickwork_uncounted": True}
"""The execution options of statements that tests do not count: the cache decides about them."""

TRIGGER_QUERIES: Final = {
    "postgresql": text("""
        WITH RECURSIVE own AS (
          SELECT to_regclass(:table)::oid AS oid
          UNION SELECT inhrelid FROM pg_inherits JOIN own ON inhparent = own.oid
        )
        SELECT EXISTS (
          SELECT FROM own JOIN pg_class c USING (oid)
          WHERE c.relkind NOT IN ('r', 'p') OR c.relhasrules
        ) OR EXISTS (
          SELECT FROM own JOIN pg_trigger t ON t.tgrelid = own.oid
          WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
        )"""),
    "sqlite": text(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table)"
    ),
}


class Triggers:
    """A cache of which tables of a database have triggers."""

    def __init__(self, engine: Engine) -> None:
        """Create an empty cache. *engine* determines the dialect."""
        self._known: dict[Table[Any], tuple[float, bool]] = {}
        self._dialect = engine.dialect

    def cached(self, table: "Table[Any]") -> bool | None:
        """Return whether *table* has a trigger or rule. None if the cache does not know."""
        until, has_any = self._known.get(table, (0.0, None))
        return has_any if time.monotonic() < until else None

    async def has_any(self, table: "Table[Any]", session: AsyncSession) -> bool:
        """Return whether *table* has a trigger or rule, from the cache or the database."""
        if (has_any := self.cached(table)) is not None:
            return has_any
        name = self._dialect.identifier_preparer.format_table(table)
        values = {"table": name if self._dialect.name == "postgresql" else table.name}
        query = TRIGGER_QUERIES[self._dialect.name]
        has_any = bool(await session.scalar(query, values, execution_options=UNCOUNTED))
        self._known[table] = (time.monotonic() + _CACHE_SECONDS, has_any)
        return has_any


_triggers: Final = WeakKeyDictionary[Engine, Triggers]()


def triggers_of(engine: Engine) -> Triggers:
    """Return the trigger cache of *engine*."""
    if engine not in _triggers:
        _triggers[engine] = Triggers(engine)
    return _triggers[engine]


async def reload_after_triggers(session: AsyncSession, rows: Sequence[object]) -> None:
    """Reload flushed *rows* from tables with triggers.

    Raises `RefusedByDatabase` if a row no longer exists.
    """
    for kind in dict.fromkeys(map(type, rows)):
        await _reload_class(session, kind, [row for row in rows if type(row) is kind])


async def _reload_class(session: AsyncSession, kind: type[object], rows: Sequence[object]) -> None:
    mapper = inspect(kind)
    bind = session.get_bind(mapper)
    triggers = triggers_of(bind.engine)
    if not any([await triggers.has_any(table, session) for table in mapped_tables(mapper)]):
        return
    keys = [mapper.primary_key_from_instance(row) for row in rows]
    for row in rows:
        session.expire(row)
    conditions = (
        and_(*(column == value for column, value in zip(mapper.primary_key, key, strict=True)))
        for key in keys
    )
    reloaded = (await session.scalars(select(mapper).where(or_(*conditions)))).unique()
    if len({*map(id, reloaded)}) < len({*map(id, rows)}):
        raise refused_by_trigger()
