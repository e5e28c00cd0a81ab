"""Articles with asyncpg alone, in an ASGI application without a framework.

It validates nothing: its figures are the upper limit of Python and the driver.
"""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic import TypeAdapter
from pydantic_core import from_json
from starlette.types import Receive, Scope, Send

from benchmarks import raw
from benchmarks.asgi import answer, body_of, live, page
from benchmarks.tutorial import ArticleCreate

_ROWS: Final = TypeAdapter(list[dict[str, Any]])
_ROW: Final = TypeAdapter(dict[str, Any])
_NEW: Final = {
    name: None if field.is_required() else field.default
    for name, field in ArticleCreate.model_fields.items()
}

pool: Any = None


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer requests to `/articles` and `/articles/{id}`."""
    if scope["type"] == "lifespan":
        await live(receive, send, _open)
        return
    key = scope["path"].removeprefix("/articles").strip("/")
    match scope["method"]:
        case "GET" if scope["path"] == "/":
            await answer(send, b"{}")
        case "GET":
            await answer(send, await (_one(UUID(key)) if key else _many(scope["query_string"])))
        case "POST":
            new = _NEW | from_json(await body_of(receive))
            await answer(send, _shown(await pool.fetchrow(raw.CREATE, uuid4(), *new.values())), 201)
        case "PATCH":
            changes = from_json(await body_of(receive))
            changed = raw.update(changes)
            row = await pool.fetchrow(changed, UUID(key), *changes.values())
            await answer(send, _shown(row))
        case _:
            status = await pool.execute(raw.DELETE, UUID(key))
            await answer(send, b"", 204 if status == "DELETE 1" else 404)


async def _one(key: UUID) -> bytes:
    return _shown(await pool.fetchrow(raw.ONE, key))


async def _many(asked: bytes) -> bytes:
    after, limit = page(asked)
    return _ROWS.dump_json([dict(row) for row in await pool.fetch(raw.MANY, after, limit)])


def _shown(row: Any) -> bytes:
    return _ROW.dump_json(dict(row))


async def _open() -> Callable[[], object]:
    global pool  # noqa: PLW0603 — the whole application is this module
    pool = await raw.opened(reset=_as_it_was)
    terminate: Callable[[], object] = pool.terminate
    return terminate


async def _as_it_was(_: object) -> None:
    """Leave the connection as it is, which saves a round trip."""
