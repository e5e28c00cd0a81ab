"""Idempotency keys: parsing, stored columns and expiry."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from httpx2 import AsyncClient
from hypothesis import given, strategies as st
from sqlalchemy import select

from brickwork import Database, IdempotencyKey
from brickwork.models.model import now
from brickwork.operations.idempotency import (
    IDEMPOTENCY_HEADER,
    RETENTION,
    _parse_key,  # pyright: ignore[reportPrivateUsage]
    delete_expired_keys,
)
from brickwork.problems import BadRequest
from tests.support.bodies import quoted
from tests.support.values import law
from tests.support.wire import open_wire

pytestmark = pytest.mark.anyio

AUTHOR = {"name": "Ada", "email": "secret@example.org"}
KEY = "a-key-that-is-guessed-by-nobody"


async def stored_keys(database: Database) -> list[IdempotencyKey]:
    async with database.session(readonly=True) as session:
        return [*await session.scalars(select(IdempotencyKey))]


def key_of_age(name: str, age: timedelta) -> IdempotencyKey:
    return IdempotencyKey(
        id=name, fingerprint="", status=201, headers={}, body=b"", created_at=now() - age
    )


async def test_key_and_caller_are_stored_as_hashes(client: AsyncClient, database: Database) -> None:
    headers = {IDEMPOTENCY_HEADER: KEY, "authorization": "Bearer sesame"}
    response = await client.post("/authors", json=AUTHOR, headers=headers)

    (one,) = await stored_keys(database)
    stored_text = f"{one.id} {one.fingerprint} {one.headers}"
    assert len(one.id) == len(one.fingerprint) == 64
    assert KEY not in stored_text
    assert "sesame" not in stored_text
    assert (one.status, one.body) == (201, response.content)
    assert timedelta() <= datetime.now(UTC) - one.created_at < timedelta(minutes=1)


async def test_stored_headers_are_those_of_the_response(
    client: AsyncClient, database: Database
) -> None:
    headers = {IDEMPOTENCY_HEADER: KEY, "x-request-id": "first", "origin": "https://example.org"}
    await client.post("/authors", json=AUTHOR, headers=headers)
    again = await client.post("/authors", json=AUTHOR, headers=headers | {"x-request-id": "again"})

    (one,) = await stored_keys(database)
    assert one.headers.keys() == {"content-type", "location"}
    assert again.headers["x-request-id"] == "again"


async def test_caller_and_key_are_hashed_separately(
    client: AsyncClient, database: Database
) -> None:
    # The caller "ab" has the key "c", and "a" has "bc".
    for number, (caller, text) in enumerate((("ab", "c"), ("a", "bc"), ("", "abc"))):
        body = AUTHOR | {"email": f"{number}@example.org"}
        headers = {IDEMPOTENCY_HEADER: text, "authorization": caller}
        assert (await client.post("/authors", json=body, headers=headers)).status_code == 201

    assert len({row.id for row in await stored_keys(database)}) == 3


async def test_similar_keys_are_different(client: AsyncClient, database: Database) -> None:
    for number, text in enumerate(("k", "K", "kk", "k.")):
        body = AUTHOR | {"email": f"{number}@example.org"}
        response = await client.post("/authors", json=body, headers={IDEMPOTENCY_HEADER: text})
        assert response.status_code == 201

    assert len(await stored_keys(database)) == 4


async def test_whitespace_around_a_key_is_ignored(served: AsyncClient) -> None:
    body = json.dumps(AUTHOR).encode()
    async with open_wire(served.base_url) as wire:
        for text, replayed in (("k", None), ("k ", "true"), (" \t k", "true"), ('"k" ', "true")):
            headers = [
                (IDEMPOTENCY_HEADER.encode(), text.encode()),
                (b"content-type", b"application/json"),
            ]
            response = await wire.request("POST", b"/authors", headers=headers, content=body)
            assert response.status_code == 201, text
            assert response.headers.get("idempotency-replayed") == replayed, text


def parsed_key(*lines: str) -> str | None:
    """Return the key in the *lines* of a header. None if the key is invalid."""
    try:
        return _parse_key(lines)
    except BadRequest:
        return None


TEXTS = st.text(st.characters(max_codepoint=0xFF), max_size=300) | st.text('k"\\', max_size=8)


@law
@given(text=TEXTS)
def test_key_is_accepted_with_or_without_quotes(
    text: str,
) -> None:
    visible = 1 <= len(text) <= 255 and all("!" <= character <= "~" for character in text)
    assert parsed_key(quoted(text)) == (text if visible else None)
    if not (bare := text.strip(" \t")).startswith('"'):
        assert parsed_key(text) == parsed_key(quoted(bare))


@pytest.mark.parametrize("text", ['"', '""', '"k', '"k""', r'"\k"', r'"k\"', r'"\"', '"k";a=1'])
def test_quoted_key_must_be_a_string_of_rfc_9651(text: str) -> None:
    assert parsed_key(text) is None


@law
@given(lines=st.lists(TEXTS | st.just("k"), min_size=2, max_size=4))
def test_repeated_header_is_rejected(lines: list[str]) -> None:
    assert parsed_key(*lines) is None


async def test_keys_expire_after_a_day_by_default(database: Database) -> None:
    minute = timedelta(minutes=1)
    assert timedelta(hours=24) == RETENTION
    async with database.session() as session:
        session.add_all(
            [key_of_age("older", RETENTION + minute), key_of_age("younger", RETENTION - minute)]
        )
    async with database.session() as session:
        assert await delete_expired_keys(session) == 1
    assert [row.id for row in await stored_keys(database)] == ["younger"]
    async with database.session() as session:
        assert await delete_expired_keys(session, before=now() - RETENTION) == 0
        assert await delete_expired_keys(session, before=now()) == 1
    assert await stored_keys(database) == []


async def test_purge_uses_the_callers_transaction(database: Database) -> None:
    async with database.session() as session:
        session.add(key_of_age("old", RETENTION * 2))

    async def purge_and_fail() -> None:
        async with database.session() as session:
            assert await delete_expired_keys(session) == 1
            raise RuntimeError("not today")

    with pytest.raises(RuntimeError, match="not today"):
        await purge_and_fail()
    assert [row.id for row in await stored_keys(database)] == ["old"]
