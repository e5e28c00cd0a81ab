"""Strict core schemas."""

import math
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError
from pydantic_core import CoreSchema, SchemaValidator, core_schema as cs

from brickwork.schemas.strictness import INT64, apply_column_bounds, make_strict
from tests.support.values import WILD, law


def validator(schema: CoreSchema) -> SchemaValidator:
    return SchemaValidator(make_strict(schema, dict))


def error_codes(schema: CoreSchema, value: object) -> list[str]:
    """Return the error codes of *value*."""
    with pytest.raises(ValidationError) as error:
        validator(schema).validate_python(value)
    return [fault["type"] for fault in error.value.errors()]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("schema", "value", "read"),
    [
        (cs.bool_schema(), True, True),
        (cs.int_schema(), 5, 5),
        (cs.int_schema(), INT64[0], INT64[0]),
        (cs.int_schema(), INT64[1], INT64[1]),
        (cs.float_schema(), 1.5, 1.5),
        (cs.float_schema(), 5, 5.0),
        (cs.str_schema(), "é \N{BRICK}", "é \N{BRICK}"),
        (cs.date_schema(), "2026-02-28", datetime(2026, 2, 28).date()),  # noqa: DTZ001
        (cs.time_schema(), "23:59:59.5", datetime(1, 1, 1, 23, 59, 59, 500_000).time()),  # noqa: DTZ001
        (cs.datetime_schema(), "2026-02-28T12:00:00Z", utc(2026, 2, 28, 12)),
        (cs.datetime_schema(), "2026-02-28t12:00:00z", utc(2026, 2, 28, 12)),
        (cs.datetime_schema(), "2026-02-28T12:00:00.25+05:30", utc(2026, 2, 28, 6, 30, 0, 250_000)),
        (cs.datetime_schema(), "0001-01-01T00:00:00-00:01", utc(1, 1, 1, 0, 1)),
        (cs.any_schema(), {"a": [1, 1.5, "b", None, True]}, {"a": [1, 1.5, "b", None, True]}),
    ],
)
def test_value_of_the_right_type_is_accepted(
    schema: CoreSchema, value: object, read: object
) -> None:
    found = validator(schema).validate_python(value)
    assert (type(found), found) == (type(read), read)


@pytest.mark.parametrize(
    ("schema", "value", "code"),
    [
        (cs.bool_schema(), 1, "bool_type"),
        (cs.bool_schema(), "true", "bool_type"),
        (cs.int_schema(), True, "int_type"),
        (cs.int_schema(), "5", "int_type"),
        (cs.int_schema(), 5.0, "int_type"),
        (cs.int_schema(), INT64[0] - 1, "greater_than_equal"),
        (cs.int_schema(), INT64[1] + 1, "less_than_equal"),
        (cs.int_schema(ge=0), -1, "greater_than_equal"),
        (cs.int_schema(le=9), 10, "less_than_equal"),
        (cs.float_schema(), "1.5", "float_type"),
        (cs.float_schema(), True, "float_type"),
        (cs.float_schema(), math.inf, "finite_number"),
        (cs.float_schema(), math.nan, "finite_number"),
        (cs.float_schema(), 10**400, "finite_number"),
        (cs.str_schema(), 5, "string_type"),
        (cs.str_schema(), "a\0", "null_character"),
        (cs.str_schema(), "\ud800", "string_unicode"),
        (cs.str_schema(max_length=3), "\udfff", "string_unicode"),
        (cs.date_schema(), "2026-02-30", "date_from_datetime_parsing"),
        (cs.date_schema(), "2026-2-3", "date_parsing"),
        (cs.date_schema(), "2026-02-03T00:00:00", "date_parsing"),
        (cs.date_schema(), "٢٠٢٦-٠٢-٠٣", "date_parsing"),
        (cs.date_schema(), 0, "date_parsing"),
        (cs.date_schema(), None, "date_type"),
        (cs.time_schema(), "12", "time_parsing"),
        (cs.time_schema(), "12:00:00Z", "time_parsing"),
        (cs.time_schema(), 0.5, "time_parsing"),
        (cs.time_schema(), "24:00:01", "time_parsing"),
        (cs.datetime_schema(), "2026-02-28T12:00:00", "timezone_aware"),
        (cs.datetime_schema(), "2026-02-28 12:00:00Z", "datetime_parsing"),
        (cs.datetime_schema(), "2026-02-28T12:00Z", "datetime_parsing"),
        (cs.datetime_schema(), "2026-02-28T12:00:00+0100", "datetime_parsing"),
        (cs.datetime_schema(), "2026-02-28", "datetime_parsing"),
        (cs.datetime_schema(), "2026-02-30T12:00:00Z", "datetime_from_date_parsing"),
        (cs.datetime_schema(), 1_700_000_000, "datetime_parsing"),
        (cs.datetime_schema(), True, "datetime_parsing"),
        (cs.datetime_schema(), "0001-01-01T00:00:00+00:01", "datetime_out_of_range"),
        (cs.datetime_schema(), "9999-12-31T23:59:59-00:01", "datetime_out_of_range"),
        (cs.uuid_schema(), "0" * 32, "uuid_parsing"),
        (cs.uuid_schema(), "{00000000-0000-0000-0000-000000000000}", "uuid_parsing"),
        (cs.uuid_schema(), "urn:uuid:00000000-0000-0000-0000-000000000000", "uuid_parsing"),
        (cs.uuid_schema(), 0, "uuid_parsing"),
        (cs.uuid_schema(), None, "uuid_type"),
    ],
)
def test_value_of_another_type_is_rejected(schema: CoreSchema, value: object, code: str) -> None:
    assert error_codes(schema, value) == [code]


def test_uuid_is_case_insensitive() -> None:
    read = validator(cs.uuid_schema()).validate_python
    assert read("0189A000-0000-7000-8000-00000000000a") == read(
        "0189a000-0000-7000-8000-00000000000A"
    )


def test_negative_zero_becomes_zero() -> None:
    assert math.copysign(1, validator(cs.float_schema()).validate_python(-0.0)) == 1


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("\0", {(): "null_character"}),
        ({"a": {"b": ["x", "\0"]}}, {("a", "b", 1): "null_character"}),
        ({"a\0": 1}, {("a\0",): "null_character"}),
        ([math.inf, -math.inf, math.nan], dict.fromkeys([(0,), (1,), (2,)], "finite_number")),
        ([10**400, 2**64], {(0,): "finite_number"}),
        (["\ud800", {"a": "\udfff"}], {(0,): "string_unicode", (1, "a"): "string_unicode"}),
        ({"a": "\0", "b": math.inf}, {("a",): "null_character", ("b",): "finite_number"}),
    ],
)
def test_free_json_is_checked_recursively(
    value: object, found: dict[tuple[object, ...], str]
) -> None:
    with pytest.raises(ValidationError) as error:
        validator(cs.any_schema()).validate_python(value)
    assert {fault["loc"]: fault["type"] for fault in error.value.errors()} == found


@law
@given(WILD)
def test_free_json_is_unchanged_or_rejected(value: Any) -> None:
    try:
        assert validator(cs.any_schema()).validate_python(value) is value
    except ValidationError as error:
        assert {fault["type"] for fault in error.errors()} <= {  # noqa: PT017 — either may be
            "finite_number",
            "null_character",
            "string_unicode",
        }


INT, TEXT = cs.int_schema(), cs.str_schema()


@pytest.mark.parametrize(
    ("schema", "value", "places"),
    [
        (cs.nullable_schema(INT), "5", [()]),
        (cs.list_schema(INT), [1, "5"], [(1,)]),
        (cs.tuple_schema([INT, TEXT]), ["5", "a\0"], [(0,), (1,)]),
        (cs.dict_schema(TEXT, INT), {"a": "5", "\0": 1}, [("a",), ("\0", "[key]")]),
        (cs.with_default_schema(INT, default="5"), "5", [()]),
        (cs.union_schema([INT, cs.bool_schema()]), "5", [("constrained-int",), ("bool",)]),
        (cs.union_schema([(INT, "five"), cs.bool_schema()]), "5", [("five",), ("bool",)]),
        (cs.lax_or_strict_schema(INT, TEXT), "5", [()]),
        (
            cs.typed_dict_schema({"metadata": cs.typed_dict_field(INT)}),
            {"metadata": "5"},
            [("metadata",)],
        ),
        (
            cs.tagged_union_schema(
                {"default": cs.typed_dict_schema({"kind": cs.typed_dict_field(INT)})},
                discriminator=lambda _: "default",
            ),
            {"kind": "5"},
            [("default", "kind")],
        ),
    ],
)
def test_nested_values_are_strict(
    schema: CoreSchema, value: object, places: list[tuple[object, ...]]
) -> None:
    with pytest.raises(ValidationError) as error:
        validator(schema).validate_python(value)
    assert [fault["loc"] for fault in error.value.errors()] == places


def fields(**kinds: CoreSchema) -> CoreSchema:
    members = {name: cs.model_field(kind) for name, kind in kinds.items()}
    return cs.no_info_after_validator_function(lambda value: value, cs.model_fields_schema(members))


def test_strict_schema_is_a_copy() -> None:
    schema = fields(a=cs.list_schema(INT), b=TEXT)
    before = deepcopy({k: v for k, v in schema.items() if k != "function"})
    make_strict(schema, dict)
    apply_column_bounds(schema, {"a": {"int": {"le": 1}}})
    assert {k: v for k, v in schema.items() if k != "function"} == before


def bounded_node(schema: CoreSchema, field: str, limits: dict[str, dict[str, int]]) -> Any:
    """Return the node of *field* after *limits* are applied."""
    bounded = apply_column_bounds(schema, {field: limits})
    return bounded["schema"]["fields"][field]["schema"]


@pytest.mark.parametrize(
    ("node", "limits", "expected"),
    [
        (cs.str_schema(), {"str": {"max_length": 5}}, {"max_length": 5}),
        (cs.str_schema(max_length=9), {"str": {"max_length": 5}}, {"max_length": 5}),
        (cs.str_schema(max_length=3), {"str": {"max_length": 5}}, {"max_length": 3}),
        (cs.int_schema(), {"int": {"ge": -8, "le": 7}}, {"ge": -8, "le": 7}),
        (cs.int_schema(ge=0, le=9), {"int": {"ge": -8, "le": 7}}, {"ge": 0, "le": 7}),
        (cs.bool_schema(), {"int": {"ge": -8}}, {}),
    ],
)
def test_narrower_limit_applies(
    node: CoreSchema, limits: dict[str, dict[str, int]], expected: dict[str, int]
) -> None:
    assert bounded_node(fields(a=node), "a", limits) == {"type": node["type"], **expected}


def test_limits_apply_to_nested_nodes_of_one_field() -> None:
    schema = fields(a=cs.nullable_schema(TEXT), b=TEXT)
    limits = {"str": {"max_length": 5}}
    assert bounded_node(schema, "a", limits)["schema"] == {"type": "str", "max_length": 5}
    bounded = apply_column_bounds(schema, {"a": limits})
    assert bounded["schema"]["fields"]["b"]["schema"] == {"type": "str"}


def test_schema_without_limits_is_unchanged() -> None:
    schema = fields(a=TEXT)
    assert apply_column_bounds(schema, {}) is schema
