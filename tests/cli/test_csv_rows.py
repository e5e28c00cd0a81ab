"""The parsing of CSV rows."""

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
    """Return the value of the field *column* that is parsed from *text*."""
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
def test_a_cell_is_parsed_by_the_type_of_its_field(
    column: str, text: str, expected: object
) -> None:
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
def test_an_invalid_cell_is_rejected(column: str, text: str, code: str) -> None:
    with pytest.raises(ValidationError) as error:
        value(column, text)

    assert [detail["type"] for detail in error.value.errors()] == [code]


def test_one_error_lists_all_invalid_cells() -> None:
    columns = ["name", "count", "meta"]
    with pytest.raises(ValidationError) as error:
        csv_row_reader(Thing, columns).validate(
            dict(zip(columns, ["abcdef", "x", "{"], strict=True))
        )

    assert {detail["loc"][0] for detail in error.value.errors()} == {*columns}


def test_a_json_error_gives_the_column_in_the_cell() -> None:
    with pytest.raises(ValidationError, match="The cell is not JSON: the error is at column 2"):
        value("meta", "{")


def test_unknown_columns_are_listed_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="There is no field a, z: the columns may be name, count"):
        csv_row_reader(Thing, ["z", "name", "a"])


def test_a_schema_without_fields_has_no_columns() -> None:
    class Nothing(Schema): ...

    with pytest.raises(UsageError, match="no field a"):
        csv_row_reader(Nothing, ["a"])
