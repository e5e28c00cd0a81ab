"""Primary keys and their canonical text in URLs."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st
from sqlalchemy import BigInteger, Boolean, MetaData, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import Entity, Model
from brickwork.query.keys import primary_key
from brickwork.schemas.strictness import INT64
from tests.support.values import law


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


class Wall(Base, Entity):
    __tablename__ = "walls"


class Small(Base):
    __tablename__ = "small"
    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)


class Plain(Base):
    __tablename__ = "plain"
    number: Mapped[int] = mapped_column("id", primary_key=True)


class Big(Base):
    __tablename__ = "big"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)


class Code(Base):
    __tablename__ = "codes"
    code: Mapped[str] = mapped_column(String(3), primary_key=True)


class Word(Base):
    __tablename__ = "words"
    word: Mapped[str] = mapped_column(Text, primary_key=True)


class Pair(Base):
    __tablename__ = "pairs"
    one: Mapped[int] = mapped_column(primary_key=True)
    two: Mapped[str] = mapped_column(String(3), primary_key=True)


class Day(Base):
    __tablename__ = "days"
    day: Mapped[date] = mapped_column(primary_key=True)


class Moment(Base):
    __tablename__ = "moments"
    moment: Mapped[datetime] = mapped_column(primary_key=True)


class Flag(Base):
    __tablename__ = "flags"
    flag: Mapped[bool] = mapped_column(Boolean, primary_key=True)


ID = UUID("0189a000-0000-7000-8000-00000000000a")


@pytest.mark.parametrize(
    ("model", "name", "kind"),
    [
        (Wall, "id", UUID),
        (Small, "id", int),
        (Plain, "number", int),
        (Code, "code", str),
        (Word, "word", str),
    ],
)
def test_primary_key_is_an_attribute_with_a_type(model: type[Base], name: str, kind: type) -> None:
    key = primary_key(model)
    assert (key.attributes, key.names) == ((getattr(model, name),), (name,))
    assert key.kinds == (kind,)
    assert not key.is_composite


def test_composite_key_has_its_columns_in_order() -> None:
    key = primary_key(Pair)
    assert (key.names, key.kinds, key.is_composite) == (("one", "two"), (int, str), True)
    assert key.value_of(Pair(one=1, two="b")) == (1, "b")


@pytest.mark.parametrize("model", [Moment, Flag])
def test_key_of_an_unsupported_type_is_a_type_error(model: type[Base]) -> None:
    with pytest.raises(TypeError, match=rf"^The key of {model.__name__} is a .+: use UUID, int,"):
        _ = primary_key(model).kinds


@pytest.mark.parametrize(
    ("model", "text", "key"),
    [
        (Wall, str(ID), ID),
        (Wall, str(ID).upper(), ID),
        (Wall, ID.hex, None),
        (Wall, f"{{{ID}}}", None),
        (Wall, f"urn:uuid:{ID}", None),
        (Wall, f" {ID}", None),
        (Wall, f"{ID}\n", None),
        (Wall, str(ID)[:-1], None),
        (Wall, "", None),
        (Wall, "0189a000-0000-7000-8000-00000000000g", None),
        (Wall, "0189a000-0000-7000-8000-00000000000٣", None),
        (Small, "32767", 32767),
        (Small, "32768", None),
        (Small, "-32768", -32768),
        (Small, "-32769", None),
        (Plain, "2147483647", 2**31 - 1),
        (Plain, "2147483648", None),
        (Big, str(INT64[0]), INT64[0]),
        (Big, str(INT64[1]), INT64[1]),
        (Big, str(INT64[1] + 1), None),
        (Big, "9" * 5000, None),
        (Plain, "0", 0),
        (Plain, "-1", -1),
        (Plain, "00", None),
        (Plain, "01", None),
        (Plain, "-0", None),
        (Plain, "+1", None),
        (Plain, "1.0", None),
        (Plain, "1_0", None),
        (Plain, "0x1", None),
        (Plain, "٣", None),
        (Plain, " 1", None),
        (Plain, "1\n", None),
        (Plain, "abc", None),
        (Plain, "", None),
        (Code, "abc", "abc"),
        (Code, "äöü", "äöü"),
        (Code, "abcd", None),
        (Code, "a\0", None),
        (Code, "\ud800", None),
        (Code, "", ""),
        (Day, "2026-01-02", date(2026, 1, 2)),
        (Day, "2026-1-2", None),
        (Day, "20260102", None),
        (Day, "2026-02-30", None),
        (Day, "0000-01-01", None),
        (Day, "٢٠٢٦-01-02", None),
        (Pair, "1/b", (1, "b")),
        (Pair, "1/", (1, "")),
        (Pair, "1", None),
        (Pair, "01/b", None),
        (Pair, "1/bbbb", None),
        (Pair, "1/b/c", None),
        (Pair, ("1", "b"), (1, "b")),
        (Pair, (1, "b"), (1, "b")),
        (Pair, ["1", "b"], (1, "b")),
        (Pair, ("1",), None),
        (Pair, 2, None),
        (Word, "a" * 5000, "a" * 5000),
        (Word, "a\0b", None),
    ],
)
def test_only_the_canonical_text_is_a_key(model: type[Base], text: object, key: object) -> None:
    assert primary_key(model).parse(text) == key


@pytest.mark.parametrize(("model", "key"), [(Wall, ID), (Plain, 5), (Plain, 2**31), (Wall, None)])
def test_value_that_is_no_text_is_returned_unchanged(model: type[Base], key: object) -> None:
    assert primary_key(model).parse(key) is key


KEYS: list[tuple[type[Base], st.SearchStrategy[Any]]] = [
    (Wall, st.uuids()),
    (Small, st.integers(-(2**15), 2**15 - 1)),
    (Plain, st.integers(-(2**31), 2**31 - 1)),
    (Big, st.integers(*INT64)),
    (Code, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3)),
    (Word, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))),
    (Day, st.dates()),
]


@pytest.mark.parametrize(("model", "keys"), KEYS, ids=lambda value: getattr(value, "__name__", ""))
def test_key_is_parsed_from_its_text(model: type[Base], keys: st.SearchStrategy[Any]) -> None:
    @law
    @given(keys)
    def read_back(key: object) -> None:
        assert primary_key(model).parse(str(key)) == key

    read_back()


NEARLY = st.text("0123456789-+ _abcdef\n", max_size=20) | st.integers().map(str) | st.text()


@law
@given(NEARLY)
def test_key_has_one_text(text: str) -> None:
    for model in (Wall, Small, Plain, Big, Code, Word, Day):
        key = primary_key(model).parse(text)
        assert key is None or str(key) == text
