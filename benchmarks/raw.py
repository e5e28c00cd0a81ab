"""The SQL of contenders that use only asyncpg."""

import json
import os
from typing import Any, Final
from uuid import UUID

import asyncpg

from benchmarks.tutorial import ArticleRead
from brickwork import Database

_COLUMNS: Final = ", ".join(ArticleRead.model_fields)
FIRST: Final = UUID(int=0)
"""Before every article."""
ONE: Final = f"SELECT {_COLUMNS} FROM articles WHERE id = $1 AND deleted_at IS NULL"  # noqa: S608 — of this file
MANY: Final = (
    f"SELECT {_COLUMNS} FROM articles WHERE deleted_at IS NULL AND id > $1 ORDER BY id LIMIT $2"  # noqa: S608 — as above
)
CREATE: Final = (
    "INSERT INTO articles (id, title, slug, body, status, views, rating, published_at, meta,"  # noqa: S608 — as above
    " author_id, created_at, updated_at)"
    f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now(), now()) RETURNING {_COLUMNS}"
)
DELETE: Final = "DELETE FROM articles WHERE id = $1 AND deleted_at IS NULL"


def update(names: Any) -> str:
    """Return an UPDATE of the columns *names*, which a schema has validated, to $2 and on."""
    sets = "".join(f"{name} = ${place}, " for place, name in enumerate(names, 2))
    return (
        f"UPDATE articles SET {sets}updated_at = now(), version = version + 1"  # noqa: S608 — as above
        f" WHERE id = $1 AND deleted_at IS NULL RETURNING {_COLUMNS}"
    )


async def opened(**options: Any) -> Any:
    """Return a pool of ten connections, the size that all contenders have."""
    url = Database(os.environ["DATABASE_URL"]).url.set(drivername="postgresql")
    address = url.render_as_string(hide_password=False)
    return await asyncpg.create_pool(address, min_size=10, max_size=10, init=_with_json, **options)


async def _with_json(connection: Any) -> None:
    await connection.set_type_codec(
        "json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )
