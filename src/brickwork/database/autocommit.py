"""Autocommit: plain SELECTs on PostgreSQL without a transaction.

At READ COMMITTED, each statement reads its own snapshot. A plain SELECT then returns the same rows
inside and outside a transaction, and saves the round trips of BEGIN and COMMIT. Every other
statement begins a transaction.
"""

import re
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

_CALL_NAME: Final = re.compile(r'([\w"$]*)\s*\(')
_KEYWORDS: Final = {"AND", "EXISTS", "FROM", "IN", "JOIN", "NOT", "ON", "OR", "WHERE"}
"""Words before a parenthesis that do not call a function."""

_UNSAFE: Final = re.compile(r"['/-]|\$\D|\b(?:CURRENT_|LOCALTIME|FOR\b|INTO\b)", re.IGNORECASE)
"""A string, a comment, the current time, a lock or SELECT INTO."""

_READ_COMMITTED: Final = {None, "read_committed"}


def autocommit_plain_selects(engine: AsyncEngine) -> None:
    """Send plain SELECTs of *engine* in autocommit. It is PostgreSQL at READ COMMITTED."""
    event.listen(engine.sync_engine, "do_execute", _execute_in_autocommit)


def _execute_in_autocommit(cursor: Any, sql: str, parameters: Any, context: Any) -> bool:
    connection = context.root_connection.connection.dbapi_connection
    if (
        connection.isolation_level not in _READ_COMMITTED
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
    """Return whether *sql* is certain to read tables only. False for any function call."""
    words = {word.upper() for word in _CALL_NAME.findall(sql)}
    return sql.startswith("SELECT ") and words <= _KEYWORDS and not _UNSAFE.search(sql)
