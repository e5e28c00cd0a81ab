"""Input schemas that fit the columns of a model."""

from typing import Annotated, Any

import pytest
from annotated_types import Ge, Len
from pydantic import BaseModel, ValidationError
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Double,
    Enum,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeEngine
from typing_extensions import override

from brickwork import Entity, ReadSchema, Schema
from brickwork.schemas.derived import column_bounds, fit_to_model, replace_schema
from brickwork.schemas.strictness import INT64, Bounds


class Brick(Entity):
    __tablename__ = "bricks"
    metadata = MetaData()

    name: Mapped[str] = mapped_column(String(5))
    mark: Mapped[str] = mapped_column("stamp", String(2))
    count: Mapped[int] = mapped_column(SmallInteger)
    note: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[dict[str, Any]]

    @property
    def label(self) -> str:
        return self.name


class BrickCreate(Schema):
    """A new brick."""

    name: Annotated[str, Len(1, 9)]
    mark: str = ""
    count: Annotated[int, Ge(0)] = 0
    note: str | None = None
    tags: dict[str, Any] = {}  # noqa: RUF012 — Pydantic copies it
    label: str = ""


class BrickUpdate(BrickCreate, partial=True):
    pass


class BrickRead(ReadSchema):
    id: int
    name: str
    weight: float


class Short(TypeDecorator[str]):
    """A type that changes the length of a text."""

    impl = String(3)
    cache_ok = True

    @override
    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        return value and value[:3]


class Plain(TypeDecorator[str]):
    """A type that does not change a text."""

    impl = String(3)
    cache_ok = True


INT16 = {"ge": -(2**15), "le": 2**15 - 1}
INT32 = {"ge": -(2**31), "le": 2**31 - 1}


@pytest.mark.parametrize(
    ("kind", "bounds"),
    [
        (String(3), {"str": {"max_length": 3}}),
        (Short(), {}),  # its result may be longer or shorter
        (Plain(), {"str": {"max_length": 3}}),
        (ARRAY(String(3)), {"str": {"max_length": 3}}),
        (ARRAY(SmallInteger()), {"int": INT16}),
        (Enum("a", "abc"), {"str": {"max_length": 3}}),
        (String(5).with_variant(String(3), "sqlite"), {"str": {"max_length": 3}}),
        (String(5).with_variant(String(3), "postgresql"), {"str": {"max_length": 3}}),
        (Text().with_variant(String(3), "sqlite"), {"str": {"max_length": 3}}),
        (String(), {}),
        (Text(), {}),
        (SmallInteger(), {"int": INT16}),
        (Integer(), {"int": INT32}),
        (BigInteger(), {"int": {"ge": INT64[0], "le": INT64[1]}}),
        (BigInteger().with_variant(Integer(), "sqlite"), {"int": {"ge": INT64[0], "le": INT64[1]}}),
        (BigInteger().with_variant(Integer(), "postgresql"), {"int": INT32}),
        (Double[float](), {}),
    ],
)
def test_column_type_has_bounds(kind: TypeEngine[Any], bounds: Bounds) -> None:
    assert column_bounds(Column("a", kind)) == bounds


@pytest.mark.parametrize(
    ("sent", "place", "code"),
    [
        ({"name": "abcdef"}, ("name",), "string_too_long"),
        ({"name": ""}, ("name",), "string_too_short"),
        ({"name": "a", "mark": "abc"}, ("mark",), "string_too_long"),
        ({"name": "a", "count": 2**15}, ("count",), "less_than_equal"),
        ({"name": "a", "count": -1}, ("count",), "greater_than_equal"),
    ],
)
def test_fitted_schema_rejects_values_beyond_the_columns(
    sent: dict[str, object], place: tuple[str], code: str
) -> None:
    with pytest.raises(ValidationError) as error:
        fit_to_model(BrickCreate, Brick).model_validate(sent)
    assert [(fault["loc"], fault["type"]) for fault in error.value.errors()] == [(place, code)]


def test_fitted_schema_accepts_values_within_the_columns() -> None:
    sent = {"name": "abcde", "mark": "ab", "count": 2**15 - 1, "note": "a" * 999, "label": "a" * 9}
    assert fit_to_model(BrickCreate, Brick).model_validate(sent).model_dump() == {
        **sent,
        "tags": {},
    }


def test_fitted_schema_keeps_its_name_and_docstring() -> None:
    schema = fit_to_model(BrickCreate, Brick)
    assert issubclass(schema, BrickCreate)
    assert (schema.__name__, schema.__module__, schema.__doc__) == (
        "BrickCreate",
        __name__,
        "A new brick.",
    )
    assert schema.model_json_schema()["properties"]["name"]["maxLength"] == 5
    assert BrickCreate.model_json_schema()["properties"]["name"]["maxLength"] == 9


def test_fitted_partial_schema_is_partial() -> None:
    schema = fit_to_model(BrickUpdate, Brick)
    assert schema.model_validate({}).model_fields_set == set()
    with pytest.raises(ValidationError, match="at most 5 characters"):
        schema.model_validate({"name": "abcdef"})


def test_replacement_schema_accepts_read_only_fields() -> None:
    schema = replace_schema(BrickCreate, BrickRead, Brick)
    assert (schema.__name__, schema.__module__) == ("BrickReplace", __name__)
    assert schema.model_fields.keys() - BrickCreate.model_fields.keys() == {"id", "weight"}
    assert schema.model_validate({"name": "a"}).model_fields_set == {"name"}
    assert schema.model_validate({"name": "a", "weight": 1.5}).model_fields_set == {
        "name",
        "weight",
    }


def test_replacement_schema_marks_read_only_fields() -> None:
    fields = replace_schema(BrickCreate, BrickRead, Brick).model_json_schema()["properties"]
    assert {name for name in fields if fields[name].get("readOnly")} == {"id", "weight"}


@pytest.mark.parametrize(
    ("sent", "place", "code"),
    [
        ({}, ("name",), "missing"),
        ({"name": "a", "id": "1"}, ("id",), "int_type"),
        ({"name": "a", "weight": None}, ("weight",), "float_type"),
        ({"name": "a", "size": 1}, ("size",), "extra_forbidden"),
    ],
)
def test_replacement_schema_is_strict(
    sent: dict[str, object], place: tuple[str], code: str
) -> None:
    with pytest.raises(ValidationError) as error:
        replace_schema(BrickCreate, BrickRead, Brick).model_validate(sent)
    assert [(fault["loc"], fault["type"]) for fault in error.value.errors()] == [(place, code)]


def test_replacement_schema_prefers_the_create_field() -> None:
    class Shown(BaseModel):
        count: str

    schema = replace_schema(BrickCreate, Shown, Brick)
    assert schema.model_fields["count"].annotation is int
