"""Cells of text become values as those of a query do, and JSON where a field holds JSON."""

from datetime import UTC, date, datetime
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from annotated_types import Ge, Len
from pydantic import Field, JsonValue, ValidationError, field_validator

from brickwork import Schema
from brickwork.cli.csv_rows import csv_row_reader
from brickwork.cli.errors import UsageError

KEY = "0198c0de-0000-7000-8000-000000000000"


class Colour(Enum):
    RED = "red"


class Side(Schema):
    length: int


class Thing(Schema):
    name: Annotated[str, Len(1, 5)] = "-"
    count: Annotated[int, Ge(0)] = 7
    weight: float | None = None
    spare: bool = False
    key: UUID | None = None
    day: date | None = None
    at: datetime | None = None
    colour: Colour = Colour.RED
    kind: Literal["a", "b"] = "a"
    meta: dict[str, Any] | None = None
    sizes: list[int] = Field(default_factory=list[int])
    side: Side | None = None
    any: JsonValue = None
    renamed: int = Field(default=0, alias="other")
    listed: list[str] = Field(default_factory=list[str], alias="names")

    @field_validator("name")
    @classmethod
    def lower(cls, value: str) -> str:
        return value.lower()


def value(column: str, text: str) -> object:
    """Return what the field *column* is, if its cell has *text*."""
    fields = {"other": "renamed", "names": "listed"}
    return getattr(
        csv_row_reader(Thing, [column]).validate({column: text}), fields.get(column, column)
    )


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        ("name", "ABC", "abc"),
        ("name", "5", "5"),
        ("name", "", "-"),
        ("count", "5", 5),
        ("count", "", 7),
        ("weight", "2.5", 2.5),
        ("weight", "2", 2.0),
        ("weight", "", None),
        ("spare", "true", True),
        ("spare", "0", False),
        ("key", KEY, UUID(KEY)),
        ("day", "2026-01-31", date(2026, 1, 31)),
        ("at", "2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("colour", "red", Colour.RED),
        ("kind", "b", "b"),
        ("meta", '{"a": [1, "x"]}', {"a": [1, "x"]}),
        ("meta", "", None),
        ("meta", "null", None),
        ("sizes", "[1, 2]", [1, 2]),
        ("sizes", "", []),
        ("side", '{"length": 3}', Side(length=3)),
        ("any", '"text"', "text"),
        ("any", "5", 5),
        ("other", "3", 3),
        ("names", '["x"]', ["x"]),
    ],
)
def test_a_cell_is_read_as_its_field(column: str, text: str, expected: object) -> None:
    assert value(column, text) == expected


@pytest.mark.parametrize(
    ("column", "text", "code"),
    [
        ("name", "abcdef", "string_too_long"),
        ("name", "a\0", "null_character"),
        ("count", "-1", "greater_than_equal"),
        ("count", "5.0", "int_parsing"),
        ("count", " 5", "int_parsing"),
        ("count", "9" * 19, "less_than_equal"),
        ("weight", "NaN", "float_parsing"),
        ("spare", "maybe", "bool_parsing"),
        ("key", KEY.replace("-", ""), "uuid_parsing"),
        ("day", "31.1.2026", "date_parsing"),
        ("at", "2026-01-31T12:00:00", "timezone_aware"),
        ("colour", "blue", "enum"),
        ("kind", "c", "literal_error"),
        ("meta", "{", "malformed"),
        ("meta", '{"a": NaN}', "malformed"),
        ("meta", '{"a":' * 65 + "1" + "}" * 65, "too_deep"),
        ("meta", "5", "dict_type"),
        ("sizes", '["x"]', "int_parsing"),
        ("side", '{"length": "3"}', "int_type"),
        ("any", "text", "malformed"),
        ("other", "x", "int_parsing"),
    ],
)
def test_a_cell_that_does_not_fit_is_refused(column: str, text: str, code: str) -> None:
    with pytest.raises(ValidationError) as error:
        value(column, text)

    assert [each["type"] for each in error.value.errors()] == [code]


def test_all_faulty_cells_are_told_at_once() -> None:
    columns = ["name", "count", "meta"]
    with pytest.raises(ValidationError) as error:
        csv_row_reader(Thing, columns).validate(
            dict(zip(columns, ["abcdef", "x", "{"], strict=True))
        )

    assert {each["loc"][0] for each in error.value.errors()} == {*columns}


def test_what_is_wrong_with_json_in_a_cell_is_said_of_the_cell() -> None:
    with pytest.raises(ValidationError, match="The cell is not JSON: the error is at column 2"):
        value("meta", "{")


def test_columns_that_no_field_has_are_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="There is no field a, z: the columns may be name, count"):
        csv_row_reader(Thing, ["z", "name", "a"])


def test_a_schema_without_fields_has_no_columns() -> None:
    class Nothing(Schema): ...

    with pytest.raises(UsageError, match="no field a"):
        csv_row_reader(Nothing, ["a"])
