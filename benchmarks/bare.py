"""Reads of articles with asyncpg alone, in an ASGI application without a framework.

It checks nothing and knows no problem: it is what the language and the driver can do at most.
"""

import os
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter
from starlette.types import Receive, Scope, Send

from benchmarks.tutorial import ArticleRead
from brickwork import Database

_COLUMNS: Final = ", ".join(ArticleRead.model_fields)
_ONE: Final = f"SELECT {_COLUMNS} FROM articles WHERE id = $1 AND deleted_at IS NULL"  # noqa: S608 — of this file
_MANY: Final = f"SELECT {_COLUMNS} FROM articles WHERE deleted_at IS NULL ORDER BY id LIMIT $1"  # noqa: S608 — as above
_ROWS: Final = TypeAdapter(list[dict[str, Any]])
_ROW: Final = TypeAdapter(dict[str, Any])

pool: Any = None


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer `GET /articles/{id}` and `GET /articles?limit=`."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["path"] == "/":
        await _answer(send, b"{}")
    elif key := scope["path"].removeprefix("/articles").strip("/"):
        await _answer(send, _ROW.dump_json(dict(await pool.fetchrow(_ONE, UUID(key)))))
    else:
        limit = int(parse_qs(scope["query_string"]).get(b"limit", [b"20"])[0])
        await _answer(send, _ROWS.dump_json([dict(row) for row in await pool.fetch(_MANY, limit)]))


async def _live(receive: Receive, send: Send) -> None:
    global pool  # noqa: PLW0603 — the whole application is this module
    while (message := await receive())["type"] != "lifespan.shutdown":
        url = Database(os.environ["DATABASE_URL"]).url.set(drivername="postgresql")
        pool = await asyncpg.create_pool(
            url.render_as_string(hide_password=False), min_size=10, max_size=10
        )
        await send({"type": message["type"] + ".complete"})
    await pool.close()
    await send({"type": "lifespan.shutdown.complete"})


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
