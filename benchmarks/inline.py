"""Articles with `sqlite3` alone, in an ASGI application without a framework.

It validates nothing and blocks the event loop: its figures are the upper limit of SQLite and
Python.
"""

import os
import sqlite3
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter
from starlette.types import Receive, Scope, Send

from benchmarks.asgi import answer, live, page
from benchmarks.tutorial import ArticleRead
from brickwork import Database

_COLUMNS: Final = ", ".join(ArticleRead.model_fields)
_ONE: Final = f"SELECT {_COLUMNS} FROM articles WHERE id = ? AND deleted_at IS NULL"  # noqa: S608 — of this file
_MANY: Final = (
    f"SELECT {_COLUMNS} FROM articles WHERE deleted_at IS NULL AND id > ? ORDER BY id LIMIT ?"  # noqa: S608 — as above
)
_ROWS: Final = TypeAdapter(list[dict[str, Any]])
_ROW: Final = TypeAdapter(dict[str, Any])

connection: Any = None


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer `GET /articles/{id}` and `GET /articles?limit=&after=`."""
    if scope["type"] == "lifespan":
        await live(receive, send, _open)
    elif scope["path"] == "/":
        await answer(send, b"{}")
    elif key := scope["path"].removeprefix("/articles").strip("/"):
        row = connection.execute(_ONE, (UUID(key).hex,)).fetchone()
        await answer(send, _ROW.dump_json(_shown(row)))
    else:
        after, limit = page(scope["query_string"])
        rows = connection.execute(_MANY, (after.hex, limit))
        await answer(send, _ROWS.dump_json([_shown(row) for row in rows]))


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    """Return a row with its keys and times in the form the other contenders answer."""
    shown = dict(row)
    shown["id"] = UUID(shown["id"])
    for name in ("created_at", "updated_at"):
        shown[name] = shown[name].replace(" ", "T") + "Z"
    return shown


async def _open() -> Callable[[], object]:
    global connection  # noqa: PLW0603 — the whole application is this module
    connection = sqlite3.connect(str(Database(os.environ["DATABASE_URL"]).url.database))
    connection.row_factory = sqlite3.Row
    close: Callable[[], object] = connection.close
    return close
