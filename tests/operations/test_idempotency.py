"""Keys, as units: which texts are one, what is stored of a request, and what is swept."""

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
from tests.support.wire import wired

pytestmark = pytest.mark.anyio

AUTHOR = {"name": "Ada", "email": "secret@example.org"}
KEY = "a-key-that-is-guessed-by-nobody"


async def keys(database: Database) -> list[IdempotencyKey]:
    async with database.session(readonly=True) as session:
        return [*await session.scalars(select(IdempotencyKey))]


def stored(name: str, age: timedelta) -> IdempotencyKey:
    return IdempotencyKey(
        id=name, fingerprint="", status=201, headers={}, body=b"", created_at=now() - age
    )


async def test_neither_the_key_nor_who_sent_it_can_be_read_in_the_database(
    client: AsyncClient, database: Database
) -> None:
    headers = {IDEMPOTENCY_HEADER: KEY, "authorization": "Bearer sesame"}
    response = await client.post("/authors", json=AUTHOR, headers=headers)

    (one,) = await keys(database)
    told = f"{one.id} {one.fingerprint} {one.headers}"
    assert len(one.id) == len(one.fingerprint) == 64
    assert KEY not in told
    assert "sesame" not in told
    assert (one.status, one.body) == (201, response.content)
    assert timedelta() <= datetime.now(UTC) - one.created_at < timedelta(minutes=1)


async def test_of_the_headers_those_are_kept_that_belong_to_the_answer(
    client: AsyncClient, database: Database
) -> None:
    headers = {IDEMPOTENCY_HEADER: KEY, "x-request-id": "first", "origin": "https://example.org"}
    await client.post("/authors", json=AUTHOR, headers=headers)
    again = await client.post("/authors", json=AUTHOR, headers=headers | {"x-request-id": "again"})

    (one,) = await keys(database)
    assert one.headers.keys() == {"content-type", "location"}
    assert again.headers["x-request-id"] == "again"


async def test_parts_of_a_request_do_not_run_together(
    client: AsyncClient, database: Database
) -> None:
    # "ab" asks with the key "c", and "a" with "bc".
    for number, (caller, text) in enumerate((("ab", "c"), ("a", "bc"), ("", "abc"))):
        body = AUTHOR | {"email": f"{number}@example.org"}
        headers = {IDEMPOTENCY_HEADER: text, "authorization": caller}
        assert (await client.post("/authors", json=body, headers=headers)).status_code == 201

    assert len({each.id for each in await keys(database)}) == 3


async def test_a_key_of_another_request_is_none_of_ours(
    client: AsyncClient, database: Database
) -> None:
    for number, text in enumerate(("k", "K", "kk", "k.")):
        body = AUTHOR | {"email": f"{number}@example.org"}
        response = await client.post("/authors", json=body, headers={IDEMPOTENCY_HEADER: text})
        assert response.status_code == 201

    assert len(await keys(database)) == 4


async def test_blanks_around_a_key_are_none_of_it(served: AsyncClient) -> None:
    body = json.dumps(AUTHOR).encode()
    async with wired(served.base_url) as wire:
        for text, replayed in (("k", None), ("k ", "true"), (" \t k", "true"), ('"k" ', "true")):
            headers = [
                (IDEMPOTENCY_HEADER.encode(), text.encode()),
                (b"content-type", b"application/json"),
            ]
            response = await wire.request("POST", b"/authors", headers=headers, content=body)
            assert response.status_code == 201, text
            assert response.headers.get("idempotency-replayed") == replayed, text


def key(*lines: str) -> str | None:
    """Return the key that the lines of a header bring, None if they bring none."""
    try:
        return _parse_key(lines)
    except BadRequest:
        return None


TEXTS = st.text(st.characters(max_codepoint=0xFF), max_size=300) | st.text('k"\\', max_size=8)


@law
@given(text=TEXTS)
def test_a_text_is_a_key_quoted_if_it_is_visible_and_bare_if_it_begins_with_no_quote(
    text: str,
) -> None:
    visible = 1 <= len(text) <= 255 and all("!" <= each <= "~" for each in text)
    assert key(quoted(text)) == (text if visible else None)
    if not (bare := text.strip(" \t")).startswith('"'):
        assert key(text) == key(quoted(bare))


@pytest.mark.parametrize("text", ['"', '""', '"k', '"k""', r'"\k"', r'"k\"', r'"\"', '"k";a=1'])
def test_what_begins_with_a_quote_is_a_whole_string_of_rfc_9651(text: str) -> None:
    assert key(text) is None


@law
@given(lines=st.lists(TEXTS | st.just("k"), min_size=2, max_size=4))
def test_several_lines_are_no_key(lines: list[str]) -> None:
    assert key(*lines) is None


async def test_keys_are_kept_for_a_day_unless_said(database: Database) -> None:
    minute = timedelta(minutes=1)
    assert timedelta(hours=24) == RETENTION
    async with database.session() as session:
        session.add_all(
            [stored("older", RETENTION + minute), stored("younger", RETENTION - minute)]
        )
    async with database.session() as session:
        assert await delete_expired_keys(session) == 1
    assert [each.id for each in await keys(database)] == ["younger"]
    async with database.session() as session:
        assert await delete_expired_keys(session, before=now() - RETENTION) == 0
        assert await delete_expired_keys(session, before=now()) == 1
    assert await keys(database) == []


async def test_a_sweep_is_of_the_transaction_it_runs_in(database: Database) -> None:
    async with database.session() as session:
        session.add(stored("old", RETENTION * 2))

    async def sweep_in_vain() -> None:
        async with database.session() as session:
            assert await delete_expired_keys(session) == 1
            raise RuntimeError("not today")

    with pytest.raises(RuntimeError, match="not today"):
        await sweep_in_vain()
    assert [each.id for each in await keys(database)] == ["old"]
