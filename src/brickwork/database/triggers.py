"""Triggers of tables: what they write, a statement does not tell."""

import time
from collections.abc import Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Table, and_, inspect, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from brickwork.database.errors import mapped_tables, refused_by_trigger

_GOOD_FOR: Final = 5.0
"""How many seconds it counts what a database said of its triggers."""

QUESTIONS: Final = {
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
    """The tables of a database that have triggers, as it said a few seconds ago."""

    def __init__(self, engine: Engine) -> None:
        """Ask nothing yet; *engine* is one of the database."""
        self._known: dict[Table[Any], tuple[float, bool]] = {}
        self._dialect = engine.dialect

    def known(self, table: "Table[Any]") -> bool | None:
        """Tell whether *table* has a trigger, a rule or the like; None if it has to be asked."""
        until, has_any = self._known.get(table, (0.0, None))
        return has_any if time.monotonic() < until else None

    async def on(self, table: "Table[Any]", session: AsyncSession) -> bool:
        """Tell whether *table* has a trigger, a rule or the like."""
        if (known := self.known(table)) is not None:
            return known
        name = self._dialect.identifier_preparer.format_table(table)
        values = {"table": name if self._dialect.name == "postgresql" else table.name}
        found = bool(await session.scalar(QUESTIONS[self._dialect.name], values))
        self._known[table] = (time.monotonic() + _GOOD_FOR, found)
        return found


_engines: Final = WeakKeyDictionary[Engine, Triggers]()


def triggers_of(engine: Engine) -> Triggers:
    """Return the triggers of the database of *engine*."""
    if engine not in _engines:
        _engines[engine] = Triggers(engine)
    return _engines[engine]


async def reload_after_triggers(session: AsyncSession, rows: Sequence[DeclarativeBase]) -> None:
    """Load *rows*, which were flushed, anew where a trigger may have changed them.

    Raises `RefusedByDatabase` if one of them is no longer there.
    """
    if not rows:
        return
    mapper = inspect(type(rows[0]))
    bind = session.get_bind(mapper)
    known = triggers_of(bind.engine)
    if not any([await known.on(each, session) for each in mapped_tables(mapper)]):
        return
    keys = [mapper.primary_key_from_instance(row) for row in rows]
    for row in rows:
        session.expire(row)
    same = (
        and_(*(column == value for column, value in zip(mapper.primary_key, key, strict=True)))
        for key in keys
    )
    found = await session.scalars(select(mapper).where(or_(*same)))
    if len({*found}) < len({*rows}):
        raise refused_by_trigger()
