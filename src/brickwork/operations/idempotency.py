"""Idempotency-Key: replay of stored responses.

The key and the response are stored in the request's own transaction: either both the change and
its key are committed, or neither. (draft-ietf-httpapi-idempotency-key-header)
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

from fastapi import Request, Response
from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from brickwork.context import request_context
from brickwork.database.unit_of_work import unit_of_work
from brickwork.http.paths import request_path
from brickwork.models.companions import IdempotencyKey
from brickwork.models.model import now
from brickwork.problems import BadRequest, ErrorDetail, IdempotencyKeyReused, RequestInProgress
from brickwork.query.lookup import statement_fingerprint
from brickwork.resource.resource import Resource

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
RETENTION: Final = timedelta(hours=24)

_QUOTED: Final = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"')  # a string of RFC 9651
_BARE: Final = re.compile(r"[!#-~][!-~]*")
_MAX_LENGTH: Final = 255  # characters
_STORED_HEADERS: Final = ("content-type", "etag", "location", "preference-applied")


async def replay_or_record(request: Request, resource: Resource[Any]) -> Response | None:
    """Return the stored response for the request's Idempotency-Key.

    None if the request has no key, or a new one: its response will then be stored.

    Raises:
        BadRequest: the key is malformed.
        IdempotencyKeyReused: the key belongs to a different request.
        RequestInProgress: the first request with the key is still running.

    """
    if not (values := request.headers.getlist(IDEMPOTENCY_HEADER)):
        return None
    path, caller = request_path(request.scope), _caller_identity(request, resource)
    name = _digest(*caller, request.method, path, _parse_key(values))
    schema = resource.read_schema()  # a response to another schema could show hidden fields
    shown = () if schema is None else (f"{schema.__module__}.{schema.__qualname__}",)
    fingerprint = _digest(request.url.query, await request.body(), *shown)
    stored = await _find_stored(resource.session, name)
    if stored is None:
        recorder = _response_recorder(resource.session, name, fingerprint)
        request_context(request.scope).record = recorder
        return None
    if stored.fingerprint != fingerprint:
        raise IdempotencyKeyReused("This key belongs to a different request: send a new key.")
    headers = {**stored.headers, "Idempotency-Replayed": "true"}
    return Response(stored.body, status_code=stored.status, headers=headers)


def _parse_key(values: Sequence[str]) -> str:
    """Return the key in the lines of the header, quoted or bare."""
    value = ", ".join(line.strip(" \t") for line in values)  # not every server strips them
    if quoted := _QUOTED.fullmatch(value):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    else:
        key = value if _BARE.fullmatch(value) else ""
    if 0 < len(key) <= _MAX_LENGTH:
        return key
    text = f"Send one key of 1 to {_MAX_LENGTH} visible ASCII characters."
    raise BadRequest(text, errors=[ErrorDetail(code="key", detail=text, header=IDEMPOTENCY_HEADER)])


def _caller_identity(request: Request, resource: Resource[Any]) -> tuple[str, ...]:
    """Return the actor, or else the credentials, and a fingerprint of the visible rows.

    A client may refresh its token before it retries a request. Credentials therefore identify only
    callers for which `Resource.actor` returns None.
    """
    dialect = resource.session.get_bind().dialect
    fingerprint = statement_fingerprint(resource.query(), dialect)
    if (actor := resource.actor()) is not None:
        return ("actor", actor, fingerprint)
    headers = (request.headers.getlist(name) for name in ("authorization", "cookie"))
    return ("credentials", *(", ".join(lines) for lines in headers), fingerprint)


async def delete_expired_keys(session: AsyncSession, *, before: datetime | None = None) -> int:
    """Delete the keys stored *before* an instant, by default 24 hours ago. Return their number."""
    is_expired = IdempotencyKey.created_at < (before or now() - RETENTION)
    statement = delete(IdempotencyKey).where(is_expired)
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount


async def _find_stored(session: AsyncSession, name: str) -> IdempotencyKey | None:
    """Return the key stored as *name*. Raises `RequestInProgress` while another request locks it.

    None if it is not stored; on PostgreSQL, this transaction then has its lock.
    """
    statement = select(IdempotencyKey).where(IdempotencyKey.id == name)
    if (stored := await session.scalar(statement)) is not None:
        return stored
    if session.get_bind().dialect.name != "postgresql":
        return None  # SQLite has one writer, which is this transaction
    number = int.from_bytes(bytes.fromhex(name)[:8], signed=True)
    level = func.current_setting("transaction_isolation")
    result = await session.execute(select(func.pg_try_advisory_xact_lock(number), level))
    is_locked, isolation_level = result.one()
    if not is_locked:
        text = "The first request with this key is still running: retry later."
        raise RequestInProgress(text, headers={"Retry-After": "1"})
    # Another request may have stored the key before this lock. Only READ COMMITTED sees that key.
    unit_of_work(session).flush_log.snapshot_isolated = isolation_level != "read committed"
    return await session.scalar(statement)


def _response_recorder(
    session: AsyncSession, name: str, fingerprint: str
) -> Callable[[Response], Awaitable[None]]:
    async def record(response: Response) -> None:
        flush_log = unit_of_work(session).flush_log
        flush_log.retry_on_duplicate.add(IdempotencyKey.__tablename__)
        headers = {k: v for k, v in response.headers.items() if k in _STORED_HEADERS}
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

    return record


def _digest(*parts: str | bytes) -> str:
    """Return the SHA-256 of *parts*, each prefixed with its length against ambiguity."""
    digest = hashlib.sha256()
    for part in parts:
        value = part.encode() if isinstance(part, str) else part
        digest.update(len(value).to_bytes(8) + value)
    return digest.hexdigest()
