"""Fields with invalid values."""

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import (
    MARKER,
    MISSING,
    article,
    author,
    create_article,
    create_one_of_each,
    create_row,
    get_json,
    places,
    send,
    summary,
    text,
)

pytestmark = pytest.mark.anyio


def with_code(code: str, *values: str) -> dict[str, str]:
    """Return *code* by each of the JSON *values*."""
    return dict.fromkeys(values, code)


NOT_TEXT = with_code("string_type", "5", "0.5", "true", "[]", "{}", '["a"]')
NOT_A_UUID = with_code(
    "uuid_parsing",
    "5",
    "0.5",
    '""',
    '"abc"',
    f'"{{{MISSING}}}"',
    f'"urn:uuid:{MISSING}"',
    f'"{MISSING.replace("-", "")}"',
    f'" {MISSING}"',
    f'"{MISSING}\\n"',
    f'"{MISSING[:-1]}"',
    f'"{MISSING}0"',
    f'"{MISSING[:-1]}g"',
    f'"{MISSING[:-1]}\\u0661"',
    '"\\ud800"',
)
# By field, invalid values and the code of each.
FAULTS: dict[str, dict[str, str]] = {
    "title": NOT_TEXT
    | with_code("string_too_short", '""')
    | with_code("string_too_long", f'"{"a" * 201}"')
    | with_code("null_character", '"a\\u0000b"', '"\\u0000"')
    | with_code("string_unicode", '"\\ud800"', f'"{MARKER}\\udfff"', '"\\ude00\\ud83d"'),
    "slug": NOT_TEXT
    | with_code("string_pattern_mismatch", f'"{MARKER}!"')
    | with_code("string_too_long", f'"{"a" * 101}"'),
    "body": NOT_TEXT
    | with_code("null_character", '"\\u0000"')
    | with_code("string_unicode", '"a\\udc00"'),
    "status": with_code(
        "literal_error", '"archived"', '"Draft"', '""', '"draft "', f'"{MARKER}"', "1", "true", "[]"
    ),
    "views": with_code("int_type", "true", "false", '"5"', "5.0", "0.5", "1e2", '""', "[]", "{}")
    | with_code("greater_than_equal", "-1", "-9223372036854775809")
    | with_code("less_than_equal", "9223372036854775808", "18446744073709551616"),
    "rating": with_code("float_type", '"5"', '"NaN"', '""', "true", "[]", "{}")
    | with_code("finite_number", "1e999", "-1e999"),
    "published_at": with_code(
        "timezone_required", '"2026-02-03T04:05:06"', '"2026-02-03T04:05:06.789"'
    )
    | with_code(
        "datetime_out_of_range", '"0001-01-01T00:00:00+00:01"', '"9999-12-31T23:59:59-00:01"'
    )
    | with_code(
        "datetime_parsing", "0", "1770091506", "1.5", "true", '"0"', '"1770091506"', '"-1.5"'
    )
    | with_code("datetime_parsing", '""', '"2026-02-03"', '"04:05:06Z"', '"now"', f'"{MARKER}"'),
    "meta": with_code("object_type", "[]", "5", '"{}"', "true", "[{}]", "0.5", '""'),
}
# By field, invalid values with any code.
REFUSED: dict[str, list[str]] = {
    "title": ["9" * 5000, "1e999"],
    "slug": ['"\\ud800"', '"a\\u0000"'],
    "status": ['"\\u0000"', '"\\ud800"', "{}", "1e999"],
    "views": ["9" * 5000, "-" + "9" * 5000, "1e999", '"\\ud800"', "1" + "0" * 30],
    "rating": ["9" * 5000, "9" * 400, "-" + "9" * 5000, '"\\u0000"'],
    "published_at": [
        '"2026-13-03T04:05:06Z"',
        '"2026-02-30T04:05:06Z"',
        '"2026-02-03T24:00:00Z"',
        '"2026-02-03T04:60:06Z"',
        '"2026-02-03T04:05:60Z"',
        '"2026-02-03T04:05:06+24:00"',
        '"2026-02-03T04:05:06+0530"',
        '"2026-02-03T04:05:06 Z"',
        '"0000-01-01T00:00:00Z"',
        '"10000-01-01T00:00:00Z"',
        '"-001-01-01T00:00:00Z"',
        '"20260203T040506Z"',
        '"2026-02-03T04:05:06Z\\u0000"',
        '"\\ud800"',
        "[]",
        "{}",
        "9" * 5000,
        "1e999",
    ],
}
# Values of meta, and the errors.
IN_META: dict[str, str] = {
    '{"a": "\\u0000"}': "#/meta/a null_character",
    '{"a": {"b": [0, "x\\u0000"]}}': "#/meta/a/b/1 null_character",
    '{"a": "\\ud800"}': "#/meta/a string_unicode",
    '{"a": [[1e999]]}': "#/meta/a/0/0 finite_number",
    '{"a": -1e999}': "#/meta/a finite_number",
    f'{{"a": {"9" * 5000}}}': "#/meta/a finite_number",
    f'{{"a": {"9" * 400}}}': "#/meta/a finite_number",
    '{"a/b~c": {"d e": "\\u0000"}}': "#/meta/a~1b~0c/d%20e null_character",
    '{"a": {"b": "\\u0000"}, "c": "\\udfff"}': "#/meta/a/b null_character, #/meta/c string_unicode",
    '{"\\u0000": 1}': "#/meta/%00 null_character",
    '{"a": {"b\\u0000": 1}}': "#/meta/a/b%00 null_character",
}


async def summary_of(client: AsyncClient, method: str, path: str, field: str, raw: str) -> str:
    """Return the summary of a request with *raw* in a *field* and valid values elsewhere."""
    body = {} if method == "PATCH" else article()
    return summary(await send(client, method, path, text(body, **{field: raw})))


async def test_an_invalid_value_is_rejected_with_its_code(
    articles: AsyncClient,
) -> None:
    path, row = await create_article(articles, slug="there")
    for method, target in (("POST", "/articles"), ("PATCH", path)):
        for field, cases in FAULTS.items():
            answers = {raw: await summary_of(articles, method, target, field, raw) for raw in cases}
            assert answers == {raw: f"422 #/{field} {code}" for raw, code in cases.items()}
    assert await get_json(articles, "/articles") == [row]


async def test_an_unstorable_value_is_rejected_at_its_field(client: AsyncClient) -> None:
    path, row = await create_article(client, slug="there")
    for method, target in (("POST", "/articles"), ("PATCH", path)):
        for field, cases in REFUSED.items():
            answers = {
                raw: places(await summary_of(client, method, target, field, raw)) for raw in cases
            }
            assert answers == dict.fromkeys(cases, f"422 #/{field}")
    assert await get_json(client, "/articles") == [row]


async def test_an_invalid_value_in_meta_is_rejected_at_its_pointer(articles: AsyncClient) -> None:
    path, row = await create_article(articles, slug="there")
    for method, target in (("POST", "/articles"), ("PATCH", path)):
        answers = {raw: await summary_of(articles, method, target, "meta", raw) for raw in IN_META}
        assert answers == {raw: f"422 {answer}" for raw, answer in IN_META.items()}
    assert await get_json(articles, "/articles") == [row]


async def test_a_lone_surrogate_in_a_name_is_rejected(client: AsyncClient) -> None:
    path, row = await create_article(client, slug="there")
    expected = {
        '"\\ud800": 1': "#",
        '"meta": {"\\ud800": 1}': "#/meta",
        '"meta": {"a": {"b\\udfff": 1}}': "#/meta",
    }
    for method, target in (("POST", "/articles"), ("PATCH", path)):
        for members, place in expected.items():
            body = text(article())[:-1] + f", {members}}}"
            answer = summary(await send(client, method, target, body))
            assert answer.startswith(f"422 {place}"), (members, answer)
    assert await get_json(client, "/articles") == [row]


async def test_a_put_is_validated_like_a_post(client: AsyncClient) -> None:
    path, row = await create_article(client, slug="there")
    for field, cases in FAULTS.items():
        answers = {raw: await summary_of(client, "PUT", path, field, raw) for raw in cases}
        assert answers == {raw: f"422 #/{field} {code}" for raw, code in cases.items()}
    answers = {raw: await summary_of(client, "PUT", path, "meta", raw) for raw in IN_META}
    assert answers == {raw: f"422 {answer}" for raw, answer in IN_META.items()}
    assert await get_json(client, "/articles") == [row]


async def test_a_reference_is_a_uuid_in_canonical_form(client: AsyncClient) -> None:
    rows = await create_one_of_each(client)
    fields = {"/articles": "author_id", "/comments": "article_id"}
    for path, field in fields.items():
        item = f"{path}/{rows[path]['id']}"
        answers = {raw: await summary_of(client, "PATCH", item, field, raw) for raw in NOT_A_UUID}
        assert answers == {raw: f"422 #/{field} {code}" for raw, code in NOT_A_UUID.items()}
        for raw in ("true", "[]", "{}", "9" * 5000):
            answer = await summary_of(client, "PATCH", item, field, raw)
            assert places(answer) == f"422 #/{field}"
        assert await get_json(client, item) == rows[path]


async def test_a_reference_is_case_insensitive(client: AsyncClient) -> None:
    writer = await create_row(client, "/authors", author())
    row = await create_row(client, "/articles", article(author_id=writer["id"].upper()))
    assert row["author_id"] == writer["id"]


async def test_authors_and_comments_are_validated_as_strictly(client: AsyncClient) -> None:
    fields = {"/authors": ("name", "email", "bio"), "/comments": ("author_name", "body")}
    faults = NOT_TEXT | {'"a\\u0000"': "null_character", '"\\ud800"': "string_unicode"}
    for path, row in (await create_one_of_each(client)).items():
        for field in fields.get(path, ()):
            item = f"{path}/{row['id']}"
            answers = {raw: await summary_of(client, "PATCH", item, field, raw) for raw in faults}
            assert answers == {raw: f"422 #/{field} {code}" for raw, code in faults.items()}
        assert await get_json(client, path) == [row]


async def test_a_post_without_fields_names_all_missing_fields(client: AsyncClient) -> None:
    missing = {
        "/authors": "#/email missing, #/name missing",
        "/articles": "#/slug missing, #/title missing",
        "/comments": "#/article_id missing, #/author_name missing, #/body missing",
    }
    for path, answer in missing.items():
        assert summary(await client.post(path, json={})) == f"422 {answer}"
        assert await get_json(client, path) == []


async def test_an_undeclared_field_is_unknown(client: AsyncClient) -> None:
    path, row = await create_article(client, slug="there")
    names = {
        "zzz": "zzz",
        "Title": "Title",
        "a/b~c": "a~1b~0c",
        "é d": "%C3%A9%20d",
        "": "",
        "%": "%25",
    }
    for name, token in names.items():
        for method, target in (("POST", "/articles"), ("PATCH", path)):
            response = await client.request(method, target, json=article(**{name: MARKER}))
            assert summary(response) == f"422 #/{token} unknown_field"
    answer = "422 #/aaa unknown_field, #/zzz unknown_field"
    assert summary(await client.patch(path, json={"zzz": 1, "aaa": None})) == answer
    assert await get_json(client, "/articles") == [row]


async def test_a_post_rejects_read_only_fields(articles: AsyncClient) -> None:
    _, row = await create_article(articles, slug="there")
    values = {name: row[name] for name in ("id", "created_at", "updated_at")}
    expected = "422 #/created_at read_only, #/id read_only, #/updated_at read_only"
    assert summary(await articles.post("/articles", json=article(**values))) == expected
    nulls = dict.fromkeys(values)
    assert summary(await articles.post("/articles", json=article(**nulls))) == expected
    assert await get_json(articles, "/articles") == [row]


async def test_all_errors_of_a_body_are_reported_together(articles: AsyncClient) -> None:
    path, row = await create_article(articles, slug="there")
    body = {
        "title": "",
        "slug": MARKER.upper(),
        "body": 1,
        "status": MARKER,
        "views": "1",
        "rating": MARKER,
        "published_at": MARKER,
        "meta": {"a": ["\0"], "b": {"c": "\0"}},
        "id": MISSING,
        "zzz": MARKER,
    }
    expected = (
        "422 #/body string_type, #/id read_only, #/meta/a/0 null_character"
        ", #/meta/b/c null_character, #/published_at datetime_parsing, #/rating float_type"
        ", #/slug string_pattern_mismatch, #/status literal_error, #/title string_too_short"
        ", #/views int_type, #/zzz unknown_field"
    )
    assert summary(await articles.post("/articles", json=body)) == expected
    assert summary(await articles.patch(path, json=body)) == expected
    assert await get_json(articles, "/articles") == [row]


async def test_a_response_is_not_longer_than_its_request(client: AsyncClient) -> None:
    body = {f"{number:05}": MARKER for number in range(20_000)}
    response = await client.post("/articles", json=body)
    assert response.status_code == 422
    assert len(response.content) < len(response.request.content)
