"""Requests of attackers: one request, one answer.

`tests/slow/test_hostile.py` sends thousands, made for each field and each parameter.
"""

from typing import Final

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import article, ask, create_row, get_json, nested, send, summary, text

pytestmark = pytest.mark.anyio

UUID: Final = "01890000-0000-7000-8000-00000000abcd"


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        pytest.param(b"[" * 500_000, "422 # too_deep", id="half a megabyte of brackets"),
        pytest.param(b"1" * 1_000_000, "422 # object_type", id="a megabyte of digits"),
        pytest.param(b" " * 1_048_577, "413", id="more than a megabyte"),
        pytest.param(b"null", "422 # object_type", id="null"),
        pytest.param(text(article()).encode("utf-16"), "400", id="UTF-16"),
        pytest.param(b'{"title": "\xe9", "slug": "a"}', "400", id="Latin-1"),
        pytest.param(b'{"title": "\xed\xa0\x80", "slug": "a"}', "400", id="an encoded surrogate"),
        pytest.param(b'{"title": "\xc0\x80", "slug": "a"}', "400", id="an overlong encoding"),
        pytest.param(b"\xef\xbb\xbf" + text(article()).encode(), "400", id="a byte order mark"),
        pytest.param(b'{"slug": "a", "title": "b", "title": "c"}', "400", id="a key twice"),
        pytest.param(
            rb'{"slug": "a", "title": "b", "\u0074itle": "c"}',
            "400",
            id="a key twice, once escaped",
        ),
        pytest.param(b"a: !!python/object/apply:os.system ['id']", "400", id="YAML"),
        pytest.param(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "400", id="an entity of XML"),
    ],
)
async def test_a_hostile_document_is_rejected(
    client: AsyncClient, content: bytes, answer: str
) -> None:
    response = await send(client, "POST", "/articles", content)
    assert summary(response) == answer


@pytest.mark.parametrize(
    ("field", "value", "answer"),
    [
        ("title", r'"a\u0000"', "422 #/title null_character"),
        ("title", r'"a\ud800"', "422 #/title string_unicode"),
        ("slug", r'"a-b\n"', "422 #/slug string_pattern_mismatch"),
        ("views", "9" * 5_000, "422 #/views int_type"),
        ("views", "9223372036854775808", "422 #/views less_than_equal"),
        ("views", "true", "422 #/views int_type"),
        ("rating", "NaN", "400"),
        ("rating", "1e999", "422 #/rating finite_number"),
        ("rating", "9" * 5_000, "422 #/rating finite_number"),
        ("published_at", "1770091506", "422 #/published_at datetime_parsing"),
        ("published_at", '"infinity"', "422 #/published_at datetime_parsing"),
        (
            "published_at",
            '"2016-12-31T23:59:60Z"',
            "422 #/published_at datetime_from_date_parsing",
        ),
        (
            "published_at",
            '"9999-12-31T23:59:59-00:01"',
            "422 #/published_at datetime_out_of_range",
        ),
        ("author_id", f'"{{{UUID}}}"', "422 #/author_id uuid_parsing"),
        ("meta", r'{"a": [{"k\u0000": 1}]}', "422 #/meta/a/0/k%00 null_character"),
        ("meta", f'{{"a": {nested(64)}}}', "422 # too_deep"),
        ("__proto__", '{"admin": true}', "422 #/__proto__ unknown_field"),
        ("_sa_instance_state", "1", "422 #/_sa_instance_state unknown_field"),
        ("/title", "1", "422 #/~1title unknown_field"),
    ],
    ids=lambda value: value[:30],
)
async def test_a_hostile_value_is_rejected(
    client: AsyncClient, field: str, value: str, answer: str
) -> None:
    response = await send(client, "POST", "/articles", text(article(), **{field: value}))
    assert summary(response) == answer


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("title=%00", "422 ?title null_character"),
        ("title=%FF", "400"),
        ("title=%ED%A0%80", "400"),
        ("title[$gt]=1", "422 ?title[$gt] unknown_parameter"),
        ("title__regex=a", "422 ?title__regex unknown_parameter"),
        ("author__email=a", "422 ?author__email unknown_parameter"),
        ("self=1", "422 ?self unknown_parameter"),
        ("sort=random()", "422 ?sort literal_error"),
        ("sort=title;id", "422 ?sort literal_error"),
        ("limit=NaN", "422 ?limit int_parsing"),
        ("limit=%D9%A1", "422 ?limit int_parsing"),
        ("limit=9223372036854775808", "422 ?limit less_than_equal"),
        ("views=18446744073709551616", "422 ?views int_parsing"),
        ("views__in=" + "1," * 100 + "1", "422 ?views__in too_long"),
        ("rating=1e999", "422 ?rating finite_number"),
        ("published_at__gt=0000-01-01T00:00:00Z", "422 ?published_at__gt datetime_parsing"),
        (f"author_id=%7B{UUID}%7D", "422 ?author_id uuid_parsing"),
        ("cursor=AAAA", "400 ?cursor invalid_cursor"),
    ],
    ids=lambda value: value[:30],
)
async def test_a_hostile_query_is_rejected(client: AsyncClient, query: str, answer: str) -> None:
    assert summary(await ask(client, "GET", f"/articles?{query}")) == answer


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("%00", id="a null character"),
        pytest.param("%FF", id="a byte of no encoding"),
        pytest.param("%ED%A0%80", id="a surrogate"),
        pytest.param("..", id="the folder above"),
        pytest.param("%2e%2e", id="the folder above, encoded"),
        pytest.param(f"{{{UUID}}}", id="a UUID in braces"),
        pytest.param(f"urn:uuid:{UUID}", id="a UUID as a URN"),
        pytest.param("9" * 5_000, id="5 000 digits"),
        pytest.param("1'%20OR%20'1'='1", id="SQL"),
    ],
)
async def test_a_hostile_id_is_not_found(client: AsyncClient, key: str) -> None:
    assert summary(await ask(client, "DELETE", f"/articles/{key}")) == "404"


@pytest.mark.parametrize(
    ("name", "value", "answer"),
    [
        ("content-type", "application/json; charset=latin-1", "415"),
        ("content-type", "application/json, text/plain", "415"),
        ("content-encoding", "gzip", "415"),
        ("accept", "application/json;q=nan", "406"),
        ("accept", "text/html," * 1_000, "406"),
        ("idempotency-key", "\xe9", "400 Idempotency-Key key"),
        ("x-a", "a" * 40_000, "431"),
        ("x-http-method-override", "DELETE", "201"),
        ("cookie", "\xe9", "201"),
    ],
    ids=lambda value: value[:30],
)
async def test_a_hostile_header_is_rejected_or_ignored(
    client: AsyncClient, name: str, value: str, answer: str
) -> None:
    headers = {b"content-type": b"application/json", name.encode(): value.encode("latin-1")}
    response = await client.post("/articles", content=text(article()), headers=headers)
    assert summary(response) == answer


async def test_sql_in_a_value_is_text(client: AsyncClient) -> None:
    row = await create_row(client, "/articles", article(title="'; DROP TABLE articles; --"))
    assert row["title"] == "'; DROP TABLE articles; --"
    assert await get_json(client, "/articles?title=%27;%20DROP%20TABLE%20articles;%20--") == [row]


async def test_sql_in_a_search_is_text(client: AsyncClient) -> None:
    await create_row(client, "/articles", article())
    assert await get_json(client, "/articles?q=%27%20OR%20%271%27=%271") == []
