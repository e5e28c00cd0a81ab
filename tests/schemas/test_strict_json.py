"""Strict JSON parsing."""

import gc
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from brickwork import BadRequest, Limits, UnprocessableContent
from brickwork.limits import current_limits
from brickwork.problems import ContentTooLarge, Problem
from brickwork.schemas.strict_json import is_array, is_object, parse_json
from tests.support.values import VALID, law

MAX_DEPTH = Limits().depth

# Tokens of JSON in any order come closer to a document than random bytes.
_PIECES = [
    *'[]{}",: \n\\-+.eE0123456789',
    "true",
    "null",
    "\\u",
    "\\ud800",
    "NaN",
    "Infinity",
    "\0",
]
NEARLY = st.lists(st.sampled_from(_PIECES), max_size=30).map(
    lambda pieces: "".join(pieces).encode()
)


def arrays(depth: int, inside: str = "") -> bytes:
    return ("[" * depth + inside + "]" * depth).encode()


def objects(depth: int, inside: str = "{}") -> bytes:
    return ('{"a": ' * (depth - 1) + inside + "}" * (depth - 1)).encode()


@law
@given(document=VALID, ascii_only=st.booleans(), indent=st.sampled_from((None, 0, 2)))
def test_valid_json_is_parsed_as_by_python(
    *, document: Any, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    assert repr(parse_json(text.encode())) == repr(json.loads(text))  # 1, 1.0 and True differ


@law
@given(st.binary(max_size=40) | NEARLY)
def test_any_bytes_are_parsed_or_rejected(raw: bytes) -> None:
    try:
        document = parse_json(raw)
    except (BadRequest, UnprocessableContent):
        return
    assert repr(document) == repr(json.loads(raw))


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"", "The body is not JSON: the error is at line 1, column 1."),
        (b"{", "The body is not JSON: the error is at line 1, column 2."),
        (b'{\n "a": x\n}', "The body is not JSON: the error is at line 2, column 7."),
        (b"[1] [2]", "The body is not JSON: the error is at line 1, column 5."),
        (b"{'a': 1}", "The body is not JSON: the error is at line 1, column 2."),
        (b'"\n"', "The body is not JSON: the error is at line 1, column 2."),
        (b"01", "The body is not JSON: the error is at line 1, column 2."),
        (b"\xef\xbb\xbf{}", "The body is not JSON: the error is at line 1, column 1."),
        (b'{"a": NaN}', "The body is not JSON: NaN is no JSON number."),
        (b"[Infinity]", "The body is not JSON: Infinity is no JSON number."),
        (b"-Infinity", "The body is not JSON: -Infinity is no JSON number."),
        (b'{"a": 1, "a": 1}', "The body is ambiguous: an object has the same key twice."),
        (
            b'[{"b": {"a": 1, "\\u0061": 2}}]',
            "The body is ambiguous: an object has the same key twice.",
        ),
        (b'"\xff"', "The body is not UTF-8."),
        (b'"\xed\xa0\x80"', "The body is not UTF-8."),  # a surrogate, as CESU-8 has it
        ('{"a": 1}'.encode("utf-16"), "The body is not UTF-8."),
    ],
)
def test_invalid_json_is_a_bad_request(raw: bytes, detail: str) -> None:
    with pytest.raises(BadRequest) as raised:
        parse_json(raw)
    assert raised.value.detail == detail


def test_same_key_in_two_objects_is_accepted() -> None:
    assert parse_json(b'[{"a": 1}, {"a": {"a": 2}}]') == [{"a": 1}, {"a": {"a": 2}}]


@pytest.mark.parametrize(
    ("raw", "document"),
    [
        (b"[1e999, -1e999]", [float("inf"), float("-inf")]),
        (b"[1e-999, -0.0, -0]", [0.0, -0.0, 0]),
        (b"[18446744073709551616]", [2**64]),
        (b"[" + b"9" * 4300 + b"]", [10**4300 - 1]),
        (b"[" + b"9" * 5000 + b", -" + b"9" * 5000 + b"]", [float("inf"), float("-inf")]),
        (b"[1, 9007199254740993, " + b"9" * 5000 + b"]", [1, 2**53 + 1, float("inf")]),
    ],
    ids=["too large", "tiny", "64 bits", "4300 digits", "5000 digits", "beside 5000 digits"],
)
def test_number_beyond_a_double_is_infinite(raw: bytes, document: list[float]) -> None:
    assert repr(parse_json(raw)) == repr(document)


@pytest.mark.parametrize(
    "raw",
    [
        arrays(MAX_DEPTH),
        arrays(MAX_DEPTH, "1"),
        objects(MAX_DEPTH),
        b"[" * 32 + objects(32) + b"]" * 32,
        b"[" + b"[],{}," * 100 + b"1]",
        json.dumps("[{" * 100).encode(),
    ],
    ids=["arrays", "arrays with a value", "objects", "both", "side by side", "in text"],
)
def test_nesting_up_to_the_limit_is_accepted(raw: bytes) -> None:
    assert parse_json(raw) == json.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        arrays(MAX_DEPTH + 1),
        arrays(MAX_DEPTH + 1, "1"),
        objects(MAX_DEPTH + 1),
        objects(MAX_DEPTH + 1, '{"b": 1}'),
        b"[" * 32 + objects(33) + b"]" * 32,
        b"[1, " + arrays(MAX_DEPTH) + b"]",
        arrays(100_000),
        objects(100_000),
    ],
    ids=[
        "arrays",
        "arrays with a value",
        "objects",
        "objects with a value",
        "both",
        "in the second place",
        "arrays beyond measure",
        "objects beyond measure",
    ],
)
def test_nesting_beyond_the_limit_is_invalid(raw: bytes) -> None:
    with pytest.raises(UnprocessableContent) as raised:
        parse_json(raw)
    (fault,) = raised.value.errors
    assert (fault.code, fault.pointer) == ("too_deep", "#")


def count_values(document: Any) -> int:
    """Count the values in *document*, itself included."""
    if is_object(document):
        return 1 + sum(map(count_values, document.values()))
    return 1 + sum(map(count_values, document)) if is_array(document) else 1


def parse_with_limit(raw: bytes, values: int) -> object:
    """Parse *raw* with a limit of *values* values."""
    token = current_limits.set(Limits(values=values))
    try:
        return parse_json(raw)
    finally:
        current_limits.reset(token)


@law
@given(document=VALID, indent=st.sampled_from((None, 0, 2)))
def test_number_of_values_has_a_limit(document: Any, indent: int | None) -> None:
    raw, values = json.dumps(document, indent=indent).encode(), count_values(document)
    assert repr(parse_with_limit(raw, values)) == repr(document)
    with pytest.raises(ContentTooLarge) as raised:
        parse_with_limit(raw, values - 1)
    assert raised.value.detail == f"The body may have at most {values - 1} values."


@pytest.mark.parametrize(
    "raw",
    [
        b'[",,,,", "[[[[", "{{{{"]',
        b'["\\",,,,\\\\", "\\\\", "\\""]',
        b'{",,": ",", "[": "{"}',
        b"[ ] ",
        b"[[\n], {\r\n}, {\t }]",
    ],
)
def test_punctuation_in_strings_is_not_counted(raw: bytes) -> None:
    document = json.loads(raw)
    assert parse_with_limit(raw, count_values(document)) == document
    with pytest.raises(ContentTooLarge):
        parse_with_limit(raw, count_values(document) - 1)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"[" + b"1," * 200_000, ContentTooLarge),
        (b"[" * 200_000, UnprocessableContent),
        (b"[" + arrays(65) + b"," + b"[]," * 200_000 + b"1]", UnprocessableContent),
        (b'"' + b",[" * 200_000, BadRequest),
        (b'"\\"' * 200_000, BadRequest),
        (b'"' * 400_001, BadRequest),
        (b"\\" * 400_001, BadRequest),
    ],
    ids=["values", "brackets", "deep first", "text", "quotes in text", "quotes", "backslashes"],
)
def test_invalid_long_document_is_rejected(raw: bytes, error: type[Problem]) -> None:
    with pytest.raises(error):
        parse_json(raw)


def test_garbage_collector_keeps_its_state() -> None:
    many = b"[" + b"1," * 2_000 + b"1]"
    gc.disable()
    try:
        parse_json(many)
        assert not gc.isenabled()
    finally:
        gc.enable()
    with pytest.raises(BadRequest):
        parse_json(many + b"]")
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("value", "kind"),
    [({}, "object"), ([], "array"), ((), ""), ("{}", ""), (None, ""), (0, ""), (False, "")],
)
def test_objects_and_arrays_are_distinguished(value: object, kind: str) -> None:
    assert is_object(value) is (kind == "object")
    assert is_array(value) is (kind == "array")
