"""Encrypted cursors."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import pytest
from hypothesis import given, strategies as st
from pydantic_core import to_json

from brickwork.problems import InvalidCursor
from brickwork.query.cursors import MAX_CURSOR_LENGTH, Cursor, CursorCipher
from tests.support.values import law

KEY: Final = "a secret that is known to these tests alone"
CIPHER: Final = CursorCipher(KEY)


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


VALUES: Final = st.lists(st.none() | st.integers() | st.text() | st.floats(allow_nan=False))


@law
@given(values=st.none() | VALUES, backwards=st.booleans(), binding=st.binary())
def test_cursor_is_read_as_it_was_written(
    *, values: list[object] | None, backwards: bool, binding: bytes
) -> None:
    cursor = Cursor(values, backwards=backwards)
    assert CIPHER.decode(CIPHER.encode(cursor, binding), binding) == cursor


def test_cursor_is_deterministic() -> None:
    assert CIPHER.encode(Cursor([1, None, "é"]), b"list") == (
        "ozE1LAI-IyrQSOV1psnqpkZ_qRkNMsI21sVgrumZF8XK-01fVms4s6sQQYrjNbtOpM2-OONNJA_aWRZG9MBVwwT1"
        "2SzaXVw5OXSZWQN_ngg"
    )


@law
@given(number=st.integers(0, 79), bit=st.integers(0, 7))
def test_cursor_with_a_changed_bit_is_invalid(number: int, bit: int) -> None:
    data = bytearray(decode(CIPHER.encode(Cursor(["a"]), b"list")))
    assert len(data) == 80
    data[number] ^= 1 << bit
    with pytest.raises(InvalidCursor):
        CIPHER.decode(encode(bytes(data)), b"list")


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 79])
def test_truncated_cursor_is_invalid(length: int) -> None:
    data = decode(CIPHER.encode(Cursor(["a"]), b"list"))
    with pytest.raises(InvalidCursor):
        CIPHER.decode(encode(data[:length]), b"list")


def test_signed_cursor_of_an_earlier_release_is_invalid() -> None:
    with pytest.raises(InvalidCursor):
        CIPHER.decode(encode(to_json([False, ["a"]]) + bytes(16)), b"list")


def test_values_are_encrypted() -> None:
    data = decode(CIPHER.encode(Cursor(["salary", 83_000]), b"list"))
    assert b"salary" not in data
    assert b"83000" not in data


def test_cursors_of_different_values_share_no_bytes() -> None:
    first = decode(CIPHER.encode(Cursor(["salary", 83_000]), b"list"))
    for other, binding in ((["salary", 83_001], b"list"), (["salary", 83_000], b"other")):
        second = decode(CIPHER.encode(Cursor(other), binding))
        assert sum(a == b for a, b in zip(first, second, strict=True)) < 10


@pytest.mark.parametrize(
    ("longest", "length"), [(1, 107), (52, 107), (53, 192), (116, 192), (117, 363), (1000, 1387)]
)
def test_cursor_is_padded(longest: int, length: int) -> None:
    assert len(CIPHER.encode(Cursor(["a" * longest]), b"list")) == length


def test_longest_cursor_is_accepted() -> None:
    assert len(CIPHER.encode(Cursor(["a" * 4_000]), b"list")) <= MAX_CURSOR_LENGTH
