"""Mapped classes: keys, times, documents and constraints."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import count, pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from sqlalchemy import (
    CheckConstraint,
    Engine,
    ForeignKey,
    Index,
    MetaData,
    String,
    UniqueConstraint,
    create_engine,
    inspect,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, load_only, mapped_column

from brickwork import Entity, JSONDocument, Model, Timestamped, UTCDateTime, Versioned
from brickwork.models.model import new_key, now
from tests.support.values import VALID, law

DIALECTS = (sqlite.dialect(), postgresql.dialect())  # type: ignore[no-untyped-call]
INSTANT = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Yard(Base, Entity, Timestamped):
    __tablename__ = "yards"

    name: Mapped[str] = mapped_column(String(9), unique=True)
    town: Mapped[str] = mapped_column(index=True, default="")
    area: Mapped[int] = mapped_column(default=0)
    opened: Mapped[datetime | None]
    meta: Mapped[dict[str, Any] | None]
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("yards.id"))

    __table_args__ = (
        UniqueConstraint("town", "area"),
        CheckConstraint("area >= 0", name="area"),
        Index(None, "area", "name"),
    )


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    "value",
    [
        INSTANT,
        INSTANT.astimezone(timezone(timedelta(hours=5, minutes=30))),
        INSTANT.astimezone(timezone(-timedelta(hours=9))),
    ],
)
def test_datetime_is_stored_and_read_in_utc(value: datetime, dialect: Any) -> None:
    kind = UTCDateTime()
    for found in (
        kind.process_bind_param(value, dialect),
        kind.result_processor(dialect, None)(value),
    ):
        assert found is not None
        assert (found, found.tzinfo) == (INSTANT, UTC)


def test_naive_datetime_is_read_as_utc() -> None:
    naive = INSTANT.replace(tzinfo=None)
    assert UTCDateTime().result_processor(DIALECTS[0], None)(naive) == INSTANT


def test_naive_datetime_cannot_be_written() -> None:
    with pytest.raises(ValueError, match=r"has no time zone"):
        UTCDateTime().process_bind_param(INSTANT.replace(tzinfo=None), DIALECTS[0])


def test_missing_datetime_is_null() -> None:
    assert UTCDateTime().process_bind_param(None, DIALECTS[0]) is None
    assert UTCDateTime().result_processor(DIALECTS[0], None)(None) is None


def test_now_is_in_utc() -> None:
    assert now().tzinfo is UTC
    assert abs(now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_new_keys_are_in_order() -> None:
    keys = [new_key() for _ in range(1000)]
    assert {(key.version, key.variant) for key in keys} == {(7, "specified in RFC 4122")}
    assert all(one < two for one, two in pairwise(keys))


def test_key_begins_with_its_creation_time() -> None:
    milliseconds = new_key().int >> 80
    assert abs(milliseconds - time.time() * 1000) < 60_000


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        (1, 1.0, False),
        (1, True, False),
        (0, False, False),
        ({"a": [0]}, {"a": [0.0]}, False),
        (None, None, True),
        (None, {}, False),
        ("1", 1, False),
    ],
)
def test_documents_are_equal_if_their_json_is_equal(
    *, one: object, two: object, same: bool
) -> None:
    assert JSONDocument().compare_values(one, two) is same


NUMBERS = count()


def store_yard(engine: Engine, **values: Any) -> Any:
    """Store a row, and return its key."""
    with Session(engine) as session, session.begin():
        number = next(NUMBERS)
        yard = Yard(name=str(number), area=number, **values)
        session.add(yard)
        session.flush()
        return yard.id


@law
@given(VALID.map(lambda value: [value]) | VALID.map(lambda value: {"a": value}))
@example([1.0])
@example([2**64])
def test_document_is_read_as_it_was_written(engine: Engine, document: Any) -> None:
    key = store_yard(engine, meta=document)
    with Session(engine) as session:
        assert repr(session.get_one(Yard, key).meta) == repr(document)


def test_missing_document_is_null(engine: Engine) -> None:
    key = store_yard(engine, meta=None)
    with Session(engine) as session:
        assert session.scalars(select(Yard.id).where(Yard.meta.is_(None), Yard.id == key)).all()


def test_unloaded_document_can_be_replaced(engine: Engine) -> None:
    key = store_yard(engine, meta={"a": 1})
    with Session(engine) as session, session.begin():
        yard = session.scalars(
            select(Yard).where(Yard.id == key).options(load_only(Yard.name))
        ).one()
        yard.meta = {"a": 2}
    with Session(engine) as session:
        assert session.get_one(Yard, key).meta == {"a": 2}


def test_document_has_an_attribute_history() -> None:
    yard = Yard(meta={"a": 1})
    assert inspect(yard).attrs.meta.history.added == [{"a": 1}]


def test_constraints_are_named_after_their_columns() -> None:
    table = Base.metadata.tables["yards"]
    names = {str(constraint.name) for constraint in table.constraints}
    names |= {str(index.name) for index in table.indexes}
    assert names == {
        "pk_yards",
        "uq_yards_name",
        "uq_yards_town_area",
        "ck_yards_area",
        "fk_yards_parent_id_yards",
        "ix_yards_town",
        "ix_yards_area_name",
    }


def test_key_is_the_first_column_and_times_the_last() -> None:
    names = [column.name for column in inspect(Yard).local_table.columns]
    assert names[0] == "id"
    assert names[-2:] == ["created_at", "updated_at"]


def test_updated_at_equals_created_at_until_a_change(engine: Engine) -> None:
    key = store_yard(engine)
    with Session(engine) as session, session.begin():
        yard = session.get_one(Yard, key)
        assert yard.created_at == yard.updated_at
        assert abs(now() - yard.created_at) < timedelta(minutes=1)
        created, yard.town = yard.created_at, "Köln"
    with Session(engine) as session:
        yard = session.get_one(Yard, key)
        assert yard.created_at == created < yard.updated_at


def test_rows_of_one_flush_have_equal_times_each(engine: Engine) -> None:
    keys = [new_key() for _ in range(3)]
    with Session(engine) as session, session.begin():
        session.add_all(
            Yard(id=key, name=f"n{n}", area=n, town="Ulm") for n, key in enumerate(keys)
        )
    with Session(engine) as session:
        yards = [session.get_one(Yard, key) for key in keys]
    assert all(yard.created_at == yard.updated_at for yard in yards)


def test_explicit_times_are_kept(engine: Engine) -> None:
    key = store_yard(engine, created_at=INSTANT)
    with Session(engine) as session:
        yard = session.get_one(Yard, key)
    assert (yard.created_at, yard.updated_at) == (INSTANT, INSTANT)


def test_models_have_eager_defaults() -> None:
    assert inspect(Yard).eager_defaults is True


class Plot(Base, Entity, Versioned):
    __tablename__ = "plots"

    kind: Mapped[str] = mapped_column(default="plot")
    __mapper_args__ = {  # noqa: RUF012 — SQLAlchemy declares it
        "polymorphic_on": "kind",
        "polymorphic_identity": "plot",
    }


class Meadow(Plot):
    __mapper_args__ = {"polymorphic_identity": "meadow"}  # noqa: RUF012 — as above


class Careless(Base):
    __abstract__ = True
    __mapper_args__ = {"confirm_deleted_rows": False}  # noqa: RUF012 — as above


class Hedge(Careless, Entity, Versioned):
    __tablename__ = "hedges"


def test_mapper_arguments_are_merged_with_those_of_brickwork() -> None:
    models: list[type[Model]] = [Plot, Meadow, Hedge]
    for model in models:
        assert inspect(model).eager_defaults is True
        assert inspect(model).version_id_col is inspect(model).columns["version"]
    assert inspect(Meadow).polymorphic_identity == "meadow"
    assert not inspect(Hedge).confirm_deleted_rows


def test_column_types_follow_from_annotations() -> None:
    columns = inspect(Yard).columns
    assert isinstance(columns["opened"].type, UTCDateTime)
    assert isinstance(columns["meta"].type, JSONDocument)
    assert columns["opened"].nullable
