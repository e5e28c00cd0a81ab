"""Bodies: 415 for the media type, 400 for the JSON."""

import json

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import (
    JSON,
    MERGE_PATCH,
    Body,
    article,
    create_article,
    create_row,
    get_json,
    nested,
    send,
    summary,
    text,
)

pytestmark = pytest.mark.anyio

# Each would be a valid body if it were JSON as the contract wants it, or nearly so.
BROKEN: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "cut short": b'{"title": "a", "slug": "b"',
    "half a string": b'{"title": "a',
    "no value": b'{"title": }',
    "words": b"title=a&slug=b",
    "a comma too many": b'{"title": "a", "slug": "b",}',
    "a comma too few": b'{"title": "a" "slug": "b"}',
    "two documents": b'{"title": "a", "slug": "b"} {}',
    "single quotes": b"{'title': 'a', 'slug': 'b'}",
    "no quotes": b'{title: "a", slug: "b"}',
    "a comment": b'{"title": "a", "slug": "b"} // c',
    "a line break in a string": b'{"title": "a\nb", "slug": "b"}',
    "a null byte in a string": b'{"title": "a\0", "slug": "b"}',
    "a null byte behind": b'{"title": "a", "slug": "b"}\0',
    "an escape that is none": b'{"title": "\\x41", "slug": "b"}',
    "half an escape": b'{"title": "\\u00", "slug": "b"}',
    "True": b'{"title": "a", "slug": "b", "meta": {"a": True}}',
    "undefined": b'{"title": "a", "slug": "b", "rating": undefined}',
    "a leading zero": b'{"title": "a", "slug": "b", "views": 01}',
    "a plus": b'{"title": "a", "slug": "b", "views": +1}',
    "no digit before the point": b'{"title": "a", "slug": "b", "rating": .5}',
    "no digit behind the point": b'{"title": "a", "slug": "b", "rating": 5.}',
    "a hexadecimal": b'{"title": "a", "slug": "b", "views": 0x1}',
    "an underscore": b'{"title": "a", "slug": "b", "views": 1_0}',
    "NaN": b'{"title": "a", "slug": "b", "rating": NaN}',
    "Infinity": b'{"title": "a", "slug": "b", "rating": Infinity}',
    "-Infinity": b'{"title": "a", "slug": "b", "rating": -Infinity}',
    "NaN inside": b'{"title": "a", "slug": "b", "meta": {"a": [NaN]}}',
    "NaN alone": b"NaN",
    "a key twice": b'{"title": "a", "slug": "b", "title": "a"}',
    "a key twice, once escaped": b'{"title": "a", "slug": "b", "\\u0074itle": "a"}',
    "an unknown key twice": b'{"title": "a", "slug": "b", "zzz": 1, "zzz": 2}',
    "a key twice inside": b'{"title": "a", "slug": "b", "meta": {"a": [{"b": 1, "b": 2}]}}',
    "not UTF-8": b'{"title": "\xff", "slug": "b"}',
    "Latin-1": '{"title": "é", "slug": "b"}'.encode("latin-1"),
    "an overlong encoding": b'{"title": "\xc0\x80", "slug": "b"}',
    "an encoded surrogate": b'{"title": "\xed\xa0\x80", "slug": "b"}',
    "UTF-16": '{"title": "a", "slug": "b"}'.encode("utf-16"),
    "UTF-16, no mark": '{"title": "a", "slug": "b"}'.encode("utf-16-le"),
    "UTF-32": '{"title": "a", "slug": "b"}'.encode("utf-32"),
    "a byte order mark": '{"title": "a", "slug": "b"}'.encode("utf-8-sig"),
}
NO_OBJECTS = ("[]", "null", "3", "-0.5", '"x"', '""', "true", "false", "[{}]", '["title"]')


async def broken_summaries(client: AsyncClient, method: str, path: str) -> dict[str, str]:
    """Return the summary of the response to each broken document."""
    return {
        name: summary(await send(client, method, path, content)) for name, content in BROKEN.items()
    }


async def test_invalid_json_in_a_post_is_a_bad_request(articles: AsyncClient) -> None:
    assert await broken_summaries(articles, "POST", "/articles") == dict.fromkeys(BROKEN, "400")
    assert await get_json(articles, "/articles") == []


async def test_invalid_json_in_a_patch_is_a_bad_request(articles: AsyncClient) -> None:
    path, row = await create_article(articles)
    assert await broken_summaries(articles, "PATCH", path) == dict.fromkeys(BROKEN, "400")
    assert await get_json(articles, "/articles") == [row]


async def test_invalid_json_in_a_put_is_a_bad_request(client: AsyncClient) -> None:
    path, row = await create_article(client)
    assert await broken_summaries(client, "PUT", path) == dict.fromkeys(BROKEN, "400")
    assert await get_json(client, "/articles") == [row]


async def test_a_body_other_than_an_object_is_rejected(articles: AsyncClient) -> None:
    path, row = await create_article(articles)
    for document in NO_OBJECTS:
        for method, target in (("POST", "/articles"), ("PATCH", path)):
            answer = summary(await send(articles, method, target, document))
            assert answer == "422 # object_type", document
    assert await get_json(articles, "/articles") == [row]


async def test_a_document_may_nest_64_levels(articles: AsyncClient) -> None:
    path, _ = await create_article(articles)
    # The body is the first level, meta the second.
    for deep in (f'{{"a": {nested(62)}}}', '{"a": ' * 63 + "1" + "}" * 63):
        response = await send(articles, "PATCH", path, f'{{"meta": {deep}}}')
        assert summary(response) == "200"
        assert json.dumps((await get_json(articles, path))["meta"]["a"]) in deep
    before = await get_json(articles, "/articles")
    for deep in ('{"a": ' * 64 + "1" + "}" * 64, f'{{"a": {nested(63)}}}', nested(64)):
        for method, target in (("POST", "/articles"), ("PATCH", path)):
            response = await send(articles, method, target, f'{{"meta": {deep}}}')
            assert summary(response) == "422 # too_deep", (method, deep)
    assert summary(await send(articles, "POST", "/articles", nested(200_000))) == "422 # too_deep"
    assert await get_json(articles, "/articles") == before


async def test_brackets_in_strings_add_no_depth(client: AsyncClient) -> None:
    meta: Body = {"a" + "[{" * 100: "[{" * 100, "b": [[] for _ in range(100)]}
    assert (await create_row(client, "/articles", article(meta=meta)))["meta"] == meta


async def test_an_unsupported_media_type_is_415_with_the_supported_types(
    articles: AsyncClient,
) -> None:
    path, row = await create_article(articles)
    kinds = (
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "application/xml",
        "application/jsonp",
        "application/json-patch+json",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json, text/plain",
        "json",
        "*/*",
    )
    for kind in kinds:
        response = await send(articles, "POST", "/articles", text(article(slug="a")), kind)
        assert summary(response) == "415", kind
        assert response.headers["accept"] == JSON
        response = await send(articles, "PATCH", path, '{"views": 1}', kind)
        assert summary(response) == "415", kind
        assert set(response.headers["accept-patch"].split(", ")) == {JSON, MERGE_PATCH}
    assert await get_json(articles, "/articles") == [row]


async def test_a_body_without_a_content_type_is_415(client: AsyncClient) -> None:
    path, row = await create_article(client)
    response = await client.post("/articles", content=text(article(slug="a")))
    assert (summary(response), response.headers["accept"]) == ("415", JSON)
    response = await client.patch(path, content='{"views": 1}')
    assert (summary(response), "accept-patch" in response.headers) == ("415", True)
    assert await get_json(client, "/articles") == [row]


async def test_a_compressed_body_is_415(client: AsyncClient) -> None:
    path, row = await create_article(client)
    for encoding in ("gzip", "br", "deflate, gzip"):
        headers = {"content-type": JSON, "content-encoding": encoding}
        content = text(article(slug="a"))
        response = await client.post("/articles", content=content, headers=headers)
        assert (summary(response), response.headers["accept"]) == ("415", JSON)
        response = await client.patch(path, content='{"views": 1}', headers=headers)
        assert (summary(response), "accept-patch" in response.headers) == ("415", True)
    assert await get_json(client, "/articles") == [row]


async def test_a_merge_patch_is_for_patch_only(client: AsyncClient) -> None:
    path, row = await create_article(client)
    for method, target in (("POST", "/articles"), ("PUT", path)):
        response = await send(client, method, target, text(article(slug="a")), MERGE_PATCH)
        assert (summary(response), response.headers["accept"]) == ("415", JSON)
    assert await get_json(client, "/articles") == [row]


async def test_every_spelling_of_the_json_media_type_is_accepted(client: AsyncClient) -> None:
    kinds = (
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "Application/JSON",
        "application/json ; charset=utf-8",
    )
    for number, kind in enumerate(kinds):
        response = await send(client, "POST", "/articles", text(article(slug=f"s-{number}")), kind)
        assert summary(response) == "201", kind


async def test_whitespace_and_escapes_are_accepted(client: AsyncClient) -> None:
    content = '\r\n\t {"\\u0074itle"\n:\t"\\ud83d\\ude00\\/" , "slug":"a"}\n '
    response = await send(client, "POST", "/articles", content)
    assert (response.status_code, response.json()["title"]) == (201, "😀/")
