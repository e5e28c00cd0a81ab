"""Media types in `Accept` and `Content-Type`."""

import pytest
from hypothesis import given, strategies as st

from brickwork.http.negotiation import JSON, MERGE_PATCH, NDJSON, is_utf8_type, preferred_media_type
from tests.support.values import law


@pytest.mark.parametrize(
    ("accept", "admitted"),
    [
        ([], True),
        ([""], True),
        ([" , "], True),
        (["*/*"], True),
        (["application/*"], True),
        (["application/json"], True),
        (["Application/JSON"], True),
        (["application/json; charset=utf-8"], True),
        (["text/html, application/json;q=0.1"], True),
        (["text/html", "application/json"], True),
        (["text/html,application/xhtml+xml,*/*;q=0.8"], True),
        (["application/json;q=1.000"], True),
        (["application/json ; Q=0.5"], True),
        (["application/json;q=odd"], True),
        (["*/*;q=0, application/json"], True),
        (["*/*;q=0, application/*;q=0.1"], True),
        (["text/html"], False),
        (["text/*, image/*"], False),
        (["application/xml"], False),
        (["application/json;q=0"], False),
        (["application/json;q=0.000, */*"], False),
        (["application/*;q=0, */*"], False),
        (["*/*;q=0"], False),
        (["json"], False),
    ],
)
def test_accept_header_decides_whether_json_is_acceptable(
    *, accept: list[str], admitted: bool
) -> None:
    assert (preferred_media_type(accept, [JSON]) == JSON) is admitted


@pytest.mark.parametrize(
    ("content_type", "read"),
    [
        ("application/json", True),
        ("Application/JSON", True),
        ("application/json; charset=utf-8", True),
        ('application/json;charset="UTF-8"', True),
        ("application/json; charset=utf8", True),
        ("application/json; profile=x", True),
        ("application/merge-patch+json", True),
        ("application/json; charset=latin-1", False),
        ("application/json; charset=utf-16", False),
        ("application/json; charset=", False),
        ("application/json, text/plain", False),
        ("application/jsonp", False),
        ("text/json", False),
        ("application/problem+json", False),
        ("json", False),
        ("", False),
    ],
)
def test_content_type_decides_whether_a_body_is_json(*, content_type: str, read: bool) -> None:
    assert is_utf8_type(content_type, among=[JSON, MERGE_PATCH]) is read


def test_content_type_must_be_a_supported_type() -> None:
    assert not is_utf8_type(MERGE_PATCH, among=[JSON])


# A header as a server passes it on: latin-1 characters without line ends.
HEADER = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"))
PIECES = st.lists(
    st.sampled_from(
        [
            "application/json",
            "*/*",
            "text/x",
            ";",
            "q=",
            "0",
            "1",
            ",",
            " ",
            "charset*=",
            "'",
            "%",
            '"',
        ]
    )
).map("".join)


@law
@given(HEADER | PIECES)
def test_any_header_is_parsed_without_an_error(header: str) -> None:
    assert preferred_media_type([header], [JSON, NDJSON]) in {JSON, NDJSON, None}
    assert is_utf8_type(f"application/json;{header}", among=[JSON]) in {True, False}
