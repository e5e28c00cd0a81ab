"""Resources: fields, limits, defaults and unchanged values."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import (
    DEFAULTS,
    article,
    author,
    comment,
    create_one_of_each,
    create_row,
    get_json,
    patch_row,
    send,
    summary,
)

pytestmark = pytest.mark.anyio

INSTANTS = [
    "2026-02-03T04:05:06Z",
    "2026-02-03T04:05:06+00:00",
    "2026-02-03T04:05:06-00:00",
    "2026-02-03T04:05:06+05:30",
    "2026-02-03T04:05:06.7-08:00",
    "2026-02-03T04:05:06.789012+23:59",
    "2024-02-29T23:59:59.999999-12:00",
    "1969-12-31T23:59:59.000001Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
]
RATINGS = [
    "-0.0",
    "0",
    "5",
    "-3.25",
    "0.1",
    "1E2",
    "9007199254740993",
    "5e-324",
    "1.7976931348623157e308",
]
LONGEST = {
    "/authors": {"name": "😀" * 100, "email": "é" * 254, "bio": "é" * 300_000},
    "/articles": {"title": "😀" * 200, "slug": "a" * 100, "body": "é" * 100_000},
    "/comments": {"author_name": "😀" * 100, "body": "é" * 10_000},
}
NOT_EMPTY = {
    "/authors": ("name",),
    "/articles": ("slug", "title"),
    "/comments": ("author_name", "body"),
}
META: list[Any] = [
    {},
    {"z": 1, "a": 1.0, "m": True, "b": False, "y": 0, "s": "1"},
    {"n": None, "o": {"n": None, "o": {}, "l": []}, "l": [None, [[]], {"n": None}]},
    {"": "no name", "a/b~c": "", "é😀": "\u2028 \u007f \ufeff \uffff", "\U0001d4a6": '\t\n\r"\\/'},
    {"numbers": [-0.0, 1e-7, 5e-324, 1.7976931348623157e308, 2**63, -(10**30), 0.1, 100.0]},
    {"like": ["null", "true", "2026-01-01T00:00:00Z", "NaN", "{}", "$1", "%s", "'; --"]},
]


async def test_a_new_article_has_sent_values_and_defaults(
    articles: AsyncClient,
) -> None:
    row = await create_row(articles, "/articles", article())
    assert row.pop("author_id", None) is None  # the example has none
    assert row.pop("version", 1) == 1  # nor versions
    kept = {name: row[name] for name in ("id", "created_at", "updated_at")}
    assert row == {**article(), **DEFAULTS, **kept}


async def test_every_resource_returns_exactly_its_fields(client: AsyncClient) -> None:
    rows = await create_one_of_each(client)
    writer, written = rows["/authors"], rows["/articles"]
    expected = {
        "/authors": author(bio=None),
        "/articles": article(author_id=writer["id"], version=1, **DEFAULTS),
        "/comments": comment(written["id"]),
    }
    for path, row in rows.items():
        assert await get_json(client, path) == [row]
        assert await get_json(client, f"{path}/{row['id']}") == row
        kept = {name: row.pop(name) for name in ("id", "created_at", "updated_at")}
        assert row == expected[path]
        assert kept["created_at"] == kept["updated_at"]


async def test_every_field_is_returned_as_sent(articles: AsyncClient) -> None:
    body = article(
        body="Ünï😀\r\n\t",
        status="published",
        views=2**63 - 1,
        rating=4.5,
        published_at="2026-02-03T04:05:06Z",
        meta={"a": [1]},
    )
    row = await create_row(articles, "/articles", body)
    assert {name: row[name] for name in body} == body
    assert await get_json(articles, f"/articles/{row['id']}") == row
    assert await get_json(articles, "/articles") == [row]


async def test_ids_are_uuidv7_in_the_order_of_creation(articles: AsyncClient) -> None:
    rows = [await create_row(articles, "/articles", article(slug=f"s-{n}")) for n in range(20)]
    ids = [UUID(row["id"]) for row in rows]
    assert {key.version for key in ids} == {7}
    assert ids == sorted(ids)
    assert [row["id"] for row in rows] == [str(key) for key in ids]
    assert await get_json(articles, "/articles") == rows


async def test_the_times_of_a_new_row_are_current_and_equal(articles: AsyncClient) -> None:
    row = await create_row(articles, "/articles", article())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", row["created_at"])
    assert row["created_at"] == row["updated_at"]
    age = datetime.now(UTC) - datetime.fromisoformat(row["created_at"])
    assert timedelta(0) <= age < timedelta(minutes=1)


async def test_an_instant_is_returned_in_utc(articles: AsyncClient) -> None:
    for number, sent in enumerate(INSTANTS):
        body = article(slug=f"s-{number}", published_at=sent)
        row = await create_row(articles, "/articles", body)
        path = f"/articles/{row['id']}"
        assert row["published_at"].endswith("Z"), sent
        assert datetime.fromisoformat(row["published_at"]) == datetime.fromisoformat(sent)
        assert await get_json(articles, path) == row
        assert await patch_row(articles, path, {"published_at": sent}) == row
    listed = await get_json(articles, "/articles")
    expected = [datetime.fromisoformat(sent) for sent in INSTANTS]
    assert [datetime.fromisoformat(row["published_at"]) for row in listed] == expected


async def test_a_rating_is_returned_as_the_same_double(client: AsyncClient) -> None:
    path = f"/articles/{(await create_row(client, '/articles', article()))['id']}"
    for sent in RATINGS:
        response = await send(client, "PATCH", path, f'{{"rating": {sent}}}')
        ratings = (response.json()["rating"], (await get_json(client, path))["rating"])
        expected = repr(float(sent) + 0.0)  # minus zero is zero, as databases differ on it
        assert [repr(rating) for rating in ratings] == [expected] * 2


async def test_meta_is_returned_as_sent(articles: AsyncClient) -> None:
    rows = [
        await create_row(articles, "/articles", article(slug=f"s-{number}", meta=meta))
        for number, meta in enumerate(META)
    ]
    stored = [await get_json(articles, f"/articles/{row['id']}") for row in rows]
    listed = await get_json(articles, "/articles")
    for answers in (rows, stored, listed):
        # As text, because to Python 1 == 1.0 == True, and objects have no order.
        assert [json.dumps(row["meta"]) for row in answers] == [json.dumps(meta) for meta in META]


async def test_text_of_the_maximum_length_is_returned(client: AsyncClient) -> None:
    writer = await create_row(client, "/authors", LONGEST["/authors"])
    written = await create_row(client, "/articles", LONGEST["/articles"])
    body = comment(written["id"], **LONGEST["/comments"])
    remark = await create_row(client, "/comments", body)
    for path, row in {"/authors": writer, "/articles": written, "/comments": remark}.items():
        assert {name: row[name] for name in LONGEST[path]} == LONGEST[path]
        assert await get_json(client, f"{path}/{row['id']}") == row


async def test_text_one_character_too_long_is_rejected(client: AsyncClient) -> None:
    for path, row in (await create_one_of_each(client)).items():
        too_long = {name: text[0] + text for name, text in LONGEST[path].items() if name != "bio"}
        expected = ", ".join(f"#/{name} string_too_long" for name in sorted(too_long))
        body = too_long if path != "/comments" else comment(row["article_id"], **too_long)
        assert summary(await client.post(path, json=body)) == f"422 {expected}"
        assert (
            summary(await client.patch(f"{path}/{row['id']}", json=too_long)) == f"422 {expected}"
        )
        assert await get_json(client, path) == [row]


async def test_empty_text_is_rejected(client: AsyncClient) -> None:
    for path, row in (await create_one_of_each(client)).items():
        expected = ", ".join(f"#/{name} string_too_short" for name in NOT_EMPTY[path])
        body = dict.fromkeys(NOT_EMPTY[path], "")
        assert summary(await client.patch(f"{path}/{row['id']}", json=body)) == f"422 {expected}"


async def test_a_slug_is_lowercase_words_joined_by_hyphens(
    client: AsyncClient,
) -> None:
    for slug in ("a", "0", "a1", "a-b", "1-2-3", "a" * 100):
        assert (await create_row(client, "/articles", article(slug=slug)))["slug"] == slug
    before = await get_json(client, "/articles")
    for slug in (
        "A",
        "-a",
        "a-",
        "a--b",
        "a b",
        "a_b",
        "a/b",
        "é",
        "\u0661",
        "a\n",
        "\na",
        " a",
        "-",
    ):
        response = await client.post("/articles", json=article(slug=slug))
        assert summary(response) == "422 #/slug string_pattern_mismatch", slug
    assert await get_json(client, "/articles") == before
