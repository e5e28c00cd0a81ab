"""Entity tags: what a header may hold, how tags are compared, and what is wanted of a row."""

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


def wanted(*lines: str, name: str = "if-match") -> Preconditions:
    """Return the preconditions in a header of these *lines*."""
    raw = [(name.encode(), line.encode("latin-1")) for line in lines]
    return parse_preconditions(Headers(raw=raw))


def refused(header: Preconditions, row: Model, *, required: bool = False) -> bool:
    """Tell whether *row* is not as *header* wants it."""
    try:
        header.check(row, required=required)
    except PreconditionFailed:
        return True
    return False


OPAQUE = st.text(
    st.characters(max_codepoint=0xFF, exclude_characters='"\x7f', exclude_categories=["Zs"]).filter(
        lambda each: each > " " and not "\x7f" <= each <= "\x9f"
    )
)
TAG = st.tuples(st.sampled_from(("", "W/")), OPAQUE).map(lambda each: f'{each[0]}"{each[1]}"')
GAP = st.text(" \t,", max_size=3)


@law
@given(st.lists(st.tuples(GAP, TAG), min_size=1), GAP, st.data())
def test_every_list_of_tags_is_read(
    parts: list[tuple[str, str]], end: str, data: st.DataObject
) -> None:
    line = ",".join(gap + tag for gap, tag in parts) + end
    cut = data.draw(st.integers(0, len(parts)))
    lines = [",".join(gap + tag for gap, tag in each) for each in (parts[:cut], parts[cut:])]
    for header in (wanted(line), wanted(*filter(None, lines))):
        assert header.if_match == ETagList(frozenset(tag for _, tag in parts))
        assert header.if_none_match is None


@law
@given(st.text('"W/*, \t13é', max_size=12))
@example("")
@example("*, *")
def test_a_header_is_read_or_refused_and_says_which_tags_it_has(line: str) -> None:
    try:
        header = wanted(line, name="if-none-match").if_none_match
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
def test_a_long_header_is_refused_as_quickly_as_a_short_one(end: str) -> None:
    for gap in (", ", ",", " ,\t", '"a" , '):
        for count in (24, 8_000):  # the first is enough for what takes twice as long with each
            begun = time.perf_counter()
            with pytest.raises(BadRequest):
                wanted('"1", ' + gap * count + end)
            assert time.perf_counter() - begun < 1


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
def test_tag_of_a_version(line: str, strongly: bool, weakly: bool) -> None:  # noqa: FBT001 — a case
    header = wanted(line).if_match
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


def test_a_row_without_versions_is_there_all_the_same() -> None:
    assert (version_of(WALL), version_of(FENCE), version_of(None)) == (3, None, None)
    assert not refused(wanted("*"), FENCE)
    assert refused(wanted('"3"', 'W/"3"', '"None"', '""'), FENCE)
    assert refused(wanted("*", name="if-none-match"), FENCE)
    assert not refused(wanted('"3"', name="if-none-match"), FENCE)


def test_nothing_is_wanted_of_a_row_unless_a_header_says_so() -> None:
    header = parse_preconditions(Headers())
    assert header == Preconditions(None, None)
    assert not refused(header, WALL)
    assert not header.is_not_modified('"3"')
    with pytest.raises(PreconditionRequired):
        header.check(WALL, required=True)
    assert not refused(wanted("*"), WALL, required=True)


def test_of_two_headers_both_must_hold() -> None:
    headers = Headers({"if-match": '"3"', "if-none-match": '"4"'})
    assert not refused(parse_preconditions(headers), WALL)
    headers = Headers({"if-match": '"3"', "if-none-match": 'W/"3"'})
    assert refused(parse_preconditions(headers), WALL)
    headers = Headers({"if-match": '"4"', "if-none-match": '"4"'})
    assert refused(parse_preconditions(headers), WALL)


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
def test_client_knows_a_representation_of_which_it_has_the_tag(line: str, known: bool) -> None:  # noqa: FBT001 — a case
    assert wanted(line, name="if-none-match").is_not_modified('"3-abc"') is known
    assert not wanted(line).is_not_modified('"3-abc"')


def test_stale_tells_the_tag() -> None:
    assert precondition_failed('"3-abc"').headers == {"ETag": '"3-abc"'}
    assert precondition_failed().headers == {}
