"""Entity tags and preconditions."""

import time
from typing import Final

import pytest
from hypothesis import example, given, strategies as st
from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, mapped_column
from starlette.datastructures import Headers

from brickwork import Model, PreconditionFailed, Versioned
from brickwork.http.conditional import (
    ETagList,
    Preconditions,
    format_etag,
    parse_preconditions,
    precondition_failed,
    version_of,
)
from brickwork.problems import BadRequest, PreconditionRequired
from tests.support.values import law


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


class Wall(Base, Versioned):
    __tablename__ = "walls"
    id: Mapped[int] = mapped_column(primary_key=True)


class Fence(Base):
    __tablename__ = "fences"
    id: Mapped[int] = mapped_column(primary_key=True)


WALL: Final = Wall(id=1, version=3)
FENCE: Final = Fence(id=1)


def preconditions(*lines: str, name: str = "if-match") -> Preconditions:
    """Return the preconditions in a header with *lines*."""
    raw = [(name.encode(), line.encode("latin-1")) for line in lines]
    return parse_preconditions(Headers(raw=raw))


def fails(header: Preconditions, row: Model, *, required: bool = False) -> bool:
    """Return whether *row* fails the preconditions of *header*."""
    try:
        header.check(row, required=required)
    except PreconditionFailed:
        return True
    return False


OPAQUE = st.text(
    st.characters(max_codepoint=0xFF, exclude_characters='"\x7f', exclude_categories=["Zs"]).filter(
        lambda character: character > " " and not "\x7f" <= character <= "\x9f"
    )
)
TAG = st.tuples(st.sampled_from(("", "W/")), OPAQUE).map(lambda parts: f'{parts[0]}"{parts[1]}"')
GAP = st.text(" \t,", max_size=3)


@law
@given(st.lists(st.tuples(GAP, TAG), min_size=1), GAP, st.data())
def test_list_of_tags_is_parsed(
    parts: list[tuple[str, str]], end: str, data: st.DataObject
) -> None:
    line = ",".join(gap + tag for gap, tag in parts) + end
    cut = data.draw(st.integers(0, len(parts)))
    lines = [",".join(gap + tag for gap, tag in half) for half in (parts[:cut], parts[cut:])]
    for header in (preconditions(line), preconditions(*filter(None, lines))):
        assert header.if_match == ETagList(frozenset(tag for _, tag in parts))
        assert header.if_none_match is None


@law
@given(st.text('"W/*, \t13é', max_size=12))
@example("")
@example("*, *")
def test_any_header_is_parsed_or_rejected(line: str) -> None:
    try:
        header = preconditions(line, name="if-none-match").if_none_match
    except BadRequest as problem:
        (fault,) = problem.errors
        assert (fault.header, fault.code) == ("If-None-Match", "etag")
        assert line.strip() not in {"*", '"3"', 'W/"3"'}
        return
    assert header is not None
    assert header.any == (line.strip(" \t") == "*")
    assert all(tag in line for tag in header.tags)
    assert line.count('"') == 2 * len(header.tags) or len(header.tags) < line.count('"') // 2


@pytest.mark.parametrize("end", ["x", '"', "*", "W/", '"1" "2"'])
def test_invalid_long_header_is_rejected_in_linear_time(end: str) -> None:
    for gap in (", ", ",", " ,\t", '"a" , '):
        for count in (24, 8_000):  # 24 is enough to find exponential time
            begun = time.process_time()
            with pytest.raises(BadRequest):
                preconditions('"1", ' + gap * count + end)
            assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("line", "strongly", "weakly"),
    [
        ('"3"', True, True),
        ('"3-aaaaaaaaaaaaaaaaaaaa"', True, True),
        ('W/"3"', False, True),
        ('W/"3-aaaaaaaaaaaaaaaaaaaa"', False, True),
        ('"4", "4-3", "33", "-3", "3.5", "3-", "3-abc", "3-aaaaaaaaaaaaaaaaaaa,3"', False, False),
        ("*", True, True),
    ],
)
def test_tags_match_a_version(line: str, strongly: bool, weakly: bool) -> None:  # noqa: FBT001 — a case
    header = preconditions(line).if_match
    assert header is not None
    assert (header.match_strong(3), header.match_weak(3)) == (strongly, weakly)


def test_tag_has_the_version_and_a_digest_of_the_representation() -> None:
    assert format_etag(3) == '"3"'
    assert format_etag(3, b"{}") == '"3-4ae4acf2f802f6f5210f"'
    assert (
        len(
            {
                format_etag(3),
                format_etag(3, b""),
                format_etag(3, b"{}"),
                format_etag(3, b"[]"),
                format_etag(4, b"{}"),
            }
        )
        == 5
    )


def test_row_without_a_version_matches_only_a_star() -> None:
    assert (version_of(WALL), version_of(FENCE), version_of(None)) == (3, None, None)
    assert not fails(preconditions("*"), FENCE)
    assert fails(preconditions('"3"', 'W/"3"', '"None"', '""'), FENCE)
    assert fails(preconditions("*", name="if-none-match"), FENCE)
    assert not fails(preconditions('"3"', name="if-none-match"), FENCE)


def test_request_without_headers_has_no_preconditions() -> None:
    header = parse_preconditions(Headers())
    assert header == Preconditions(None, None)
    assert not fails(header, WALL)
    assert not header.is_not_modified('"3"')
    with pytest.raises(PreconditionRequired):
        header.check(WALL, required=True)
    assert not fails(preconditions("*"), WALL, required=True)


def test_both_preconditions_must_hold() -> None:
    headers = Headers({"if-match": '"3"', "if-none-match": '"4"'})
    assert not fails(parse_preconditions(headers), WALL)
    headers = Headers({"if-match": '"3"', "if-none-match": 'W/"3"'})
    assert fails(parse_preconditions(headers), WALL)
    headers = Headers({"if-match": '"4"', "if-none-match": '"4"'})
    assert fails(parse_preconditions(headers), WALL)


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ('"3-abc"', True),
        ('W/"3-abc"', True),
        ("*", True),
        ('"2-abc", "3-abc"', True),
        ('"3"', False),
        ('"3-abd", "2-abc"', False),
    ],
)
def test_known_tag_means_not_modified(line: str, known: bool) -> None:  # noqa: FBT001 — a case
    assert preconditions(line, name="if-none-match").is_not_modified('"3-abc"') is known
    assert not preconditions(line).is_not_modified('"3-abc"')


def test_failed_precondition_returns_the_current_tag() -> None:
    assert precondition_failed('"3-abc"').headers == {"ETag": '"3-abc"'}
    assert precondition_failed().headers == {}
