"""Idempotency-Key: a request that is sent again is answered again, and carried out once.

The key is stored with the answer in the transaction that the answer is of: there is never the one
without the other. (draft-ietf-httpapi-idempotency-key-header)
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

from fastapi import Request, Response
from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from brickwork.http.paths import request_path
from brickwork.http.routing import FINISH_SCOPE_KEY
from brickwork.models.companions import IdempotencyKey
from brickwork.models.model import now
from brickwork.problems import BadRequest, ErrorDetail, IdempotencyKeyReused, RequestInProgress
from brickwork.query.lookup import statement_fingerprint
from brickwork.resource.resource import Resource

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
RETENTION: Final = timedelta(hours=24)

_QUOTED: Final = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"')  # a string of RFC 9651
_BARE: Final = re.compile(r"[!#-~][!-~]*")
_LONGEST: Final = 255  # characters
_REPEATED: Final = ("content-type", "etag", "location", "preference-applied")


async def replay_or_record(request: Request, rows: Resource[Any]) -> Response | None:
    """Return the answer that was given to this request before, if it brings a key and there is one.

    Else the answer that is yet to be given is stored with the transaction. Raises `BadRequest` for
    what is no key, `IdempotencyKeyReused` for one of another request, `RequestInProgress` while the
    first is carried out.
    """
    if not (values := request.headers.getlist(IDEMPOTENCY_HEADER)):
        return None
    path = request_path(request.scope)
    name = _digest(*_caller(request, rows), request.method, path, _key(values))
    fingerprint = _digest(request.url.query, await request.body())
    known = await _known(rows.session, name)
    if known is None:
        request.scope[FINISH_SCOPE_KEY] = _finish(rows.session, name, fingerprint)
        return None
    if known.fingerprint != fingerprint:
        raise IdempotencyKeyReused("This key was sent with another request.")
    headers = {**known.headers, "Idempotency-Replayed": "true"}
    return Response(known.body, status_code=known.status, headers=headers)


def _key(values: Sequence[str]) -> str:
    """Return the key that the lines of the header bring, bare or quoted."""
    value = ", ".join(each.strip(" \t") for each in values)  # as not every server has done
    if quoted := _QUOTED.fullmatch(value):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    else:
        key = value if _BARE.fullmatch(value) else ""
    if 0 < len(key) <= _LONGEST:
        return key
    text = f"The key must be one, of 1 to {_LONGEST} visible ASCII characters."
    raise BadRequest(text, errors=[ErrorDetail(code="key", detail=text, header=IDEMPOTENCY_HEADER)])


def _caller(request: Request, rows: Resource[Any]) -> tuple[str, ...]:
    """Return what tells one caller from another: a name or credentials, and what rows are shown.

    A token may be another one when a request is sent again, so that it counts only where
    `Resource.actor` does not know who it is.
    """
    scope = statement_fingerprint(rows.query(), rows.session.get_bind().dialect)
    if (actor := rows.actor()) is not None:
        return ("actor", actor, scope)
    lines = (request.headers.getlist(name) for name in ("authorization", "cookie"))
    return ("credentials", *(", ".join(each) for each in lines), scope)


async def delete_expired_keys(session: AsyncSession, *, before: datetime | None = None) -> int:
    """Remove the keys stored *before* an instant, 24 hours ago unless said; return how many."""
    old = IdempotencyKey.created_at < (before or now() - RETENTION)
    statement = delete(IdempotencyKey).where(old)
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount


async def _known(session: AsyncSession, name: str) -> IdempotencyKey | None:
    """Return what is stored under *name*; raises `RequestInProgress` while it is about to be."""
    stored = select(IdempotencyKey).where(IdempotencyKey.id == name)
    if (known := await session.scalar(stored)) is not None:
        return known
    if session.get_bind().dialect.name != "postgresql":
        return None  # there is one writer, and it is us
    number = int.from_bytes(bytes.fromhex(name)[:8], signed=True)
    level = func.current_setting("transaction_isolation")
    lock = await session.execute(select(func.pg_try_advisory_xact_lock(number), level))
    is_ours, isolation = lock.one()
    if not is_ours:
        text = "The first request with this key is still being carried out."
        raise RequestInProgress(text, headers={"Retry-After": "1"})
    # It may have been stored before the lock was ours, where that can be seen.
    session.info["written"].unseen = isolation != "read committed"
    return await session.scalar(stored)


def _finish(
    session: AsyncSession, name: str, fingerprint: str
) -> Callable[[Response], Awaitable[None]]:
    async def finish(response: Response) -> None:
        session.info["written"].first.add(IdempotencyKey.__tablename__)
        headers = {k: v for k, v in response.headers.items() if k in _REPEATED}
        session.add(
            IdempotencyKey(
                id=name,
                fingerprint=fingerprint,
                status=response.status_code,
                headers=headers,
                body=bytes(response.body),
            )
        )
        await session.flush()

    return finish


def _digest(*parts: str | bytes) -> str:
    """Return the SHA-256 of *parts*, each with its length, so that they cannot run together."""
    digest = hashlib.sha256()
    for part in parts:
        value = part.encode() if isinstance(part, str) else part
        digest.update(len(value).to_bytes(8) + value)
    return digest.hexdigest()
