"""The settings and the activity of a database."""

import asyncio
import sqlite3
from typing import Any, Final

from sqlalchemy import text

from brickwork import Database

_KEPT: Final = 5
_ACTIVE: Final = """
    SELECT count(*) FROM pg_stat_activity
    WHERE state <> 'idle' AND datname = current_database() AND pid <> pg_backend_pid()"""
_SETTINGS: Final = ("server_version", "fsync", "synchronous_commit", "max_connections")


def settings(url: str) -> dict[str, Any]:
    """Return the settings of a database that the report shows, by their names."""
    if Database(url).url.get_backend_name() == "sqlite":
        return {"version": sqlite3.sqlite_version}
    return asyncio.run(_settings(url))


async def _settings(url: str) -> dict[str, Any]:
    database = Database(url)
    async with database.lifespan(None), database.reader.connect() as connection:
        return {name: await connection.scalar(text(f"SHOW {name}")) for name in _SETTINGS}


def is_idle(url: str) -> bool:
    """Return whether PostgreSQL executes no statement. SQLite has no background work."""
    return Database(url).url.get_backend_name() == "sqlite" or not asyncio.run(_active(url))


async def _active(url: str) -> int:
    database = Database(url)
    async with database.lifespan(None), database.reader.connect() as connection:
        return int(await connection.scalar(text(_ACTIVE)) or 0)


def allowed(url: str) -> int | None:
    """Return the number of connections that the contenders may open. None: no limit."""
    given = settings(url).get("max_connections")
    return int(given) - _KEPT if given else None
