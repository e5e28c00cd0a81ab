"""Reads that stand alone: on PostgreSQL, a transaction begins with what first has a use for it.

Where transactions see what is committed at each of their statements, a read of tables is the same
within one and outside: it then need not wait for BEGIN, nor an answer for COMMIT. Whatever may
leave something for later statements, or be another thing in another transaction, begins one.
"""

import re
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

_BEFORE_PARENTHESES: Final = re.compile(r'([\w"$]*)\s*\(')
_KEYWORDS: Final = {"AND", "EXISTS", "FROM", "IN", "JOIN", "NOT", "ON", "OR", "WHERE"}
"""What stands before a parenthesis, and calls no function."""

_UNCERTAIN: Final = re.compile(r"['/-]|\$\D|\b(?:CURRENT_|LOCALTIME|FOR\b|INTO\b)", re.IGNORECASE)
"""What may be a text, a comment, the present instant, a lock or a table."""

_COMMITTED: Final = {None, "read_committed"}


def autocommit_plain_selects(engine: AsyncEngine) -> None:
    """Have *engine*, of PostgreSQL at READ COMMITTED, begin no transaction for a plain read."""
    event.listen(engine.sync_engine, "do_execute", _execute)


def _execute(cursor: Any, sql: str, parameters: Any, context: Any) -> bool:
    connection = context.root_connection.connection.dbapi_connection
    if (
        connection.isolation_level not in _COMMITTED
        or connection.driver_connection.is_in_transaction()
        or cursor.server_side
        or not is_plain(sql)
    ):
        return False
    connection.autocommit = True
    try:
        cursor.execute(sql, parameters)
    finally:
        connection.autocommit = False
    return True


@lru_cache(maxsize=1024)
def is_plain(sql: str) -> bool:
    """Tell whether *sql* reads tables, and surely does nothing else: it calls no function."""
    called = {each.upper() for each in _BEFORE_PARENTHESES.findall(sql)}
    return sql.startswith("SELECT ") and called <= _KEYWORDS and not _UNCERTAIN.search(sql)
