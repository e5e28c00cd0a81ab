"""The limit of a hundred validation errors."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pytest
from annotated_types import MinLen
from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError, WrapValidator
from typing_extensions import TypedDict

from brickwork import Schema
from brickwork.schemas.strictness import ErrorLimit


class RecordingValidator:
    """A validator that records its values."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def __call__(self, value: Any) -> Any:
        self.values.append(value)
        if value == "bad":
            raise ValueError("It is bad.")
        return value


def schema(**fields: Any) -> type[Schema]:
    """Return a schema with *fields*."""
    return type("Sent", (Schema,), {"__annotations__": fields, "__module__": __name__})


def errors(kind: type[Schema], **document: object) -> list[tuple[tuple[int | str, ...], str]]:
    """Return the locations and codes of the errors in *document*."""
    with pytest.raises(ValidationError) as error:
        kind.model_validate(document)
    return [(fault["loc"], fault["type"]) for fault in error.value.errors()]


# --- Collections ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, deque, set, frozenset])
def test_items_after_the_100th_error_are_not_validated(kind: Any) -> None:
    calls = RecordingValidator()
    items = schema(items=kind[Annotated[str, AfterValidator(calls)]])
    assert len(errors(items, items=["bad"] * 5_000)) == len(calls.values) == 100


def test_members_after_the_100th_error_are_not_validated() -> None:
    calls = RecordingValidator()
    members = schema(members=dict[str, Annotated[str, AfterValidator(calls)]])
    found = errors(members, members={f"k{number}": "bad" for number in range(5_000)})
    assert len(found) == len(calls.values) == 100


def test_errors_of_nested_items_count_once() -> None:
    kind = schema(items=list[list[list[int]]])
    found = errors(kind, items=[[["a", "b"], ["c"]]] * 50)
    assert len(found) == 100
    assert found[:3] == [
        (("items", 0, 0, 0), "int_type"),
        (("items", 0, 0, 1), "int_type"),
        (("items", 0, 1, 0), "int_type"),
    ]


def test_collection_after_the_100th_error_has_one_error() -> None:
    calls = RecordingValidator()
    kind = schema(a=list[int], b=list[Annotated[str, AfterValidator(calls)]], c=int)
    found = errors(kind, a=["x"] * 200, b=["bad"] * 200, c="x")
    assert found[100:] == [(("b",), "too_many_faults"), (("c",), "int_type")]
    assert calls.values == []


def test_99_errors_are_all_reported() -> None:
    found = errors(schema(a=list[int]), a=[1, *["x"] * 99, 2])
    assert [loc for loc, _ in found] == [("a", index) for index in range(1, 100)]


def test_free_json_has_at_most_100_errors() -> None:
    found = errors(schema(a=dict[str, Any]), a={"b": ["\0"] * 5_000})
    assert found == [(("a", "b", index), "null_character") for index in range(100)]


@pytest.mark.parametrize("value", ["\0", float("inf"), "\ud800"], ids=["null", "huge", "half"])
def test_collection_of_any_values_is_checked(value: object) -> None:
    arrays: list[Any] = [list[Any], set[Any], frozenset[Any], deque[Any], Sequence]
    objects: list[Any] = [dict[str, Any], dict[Any, Any], Mapping[str, Any]]
    for kind in arrays:
        assert len(errors(schema(a=kind), a=[value])) == 1
    for kind in objects:
        assert len(errors(schema(a=kind), a={"k": value})) == 1


# --- Fields ---------------------------------------------------------------------------------------


def test_unknown_fields_after_the_100th_are_not_reported() -> None:
    names = [f"k{number}" for number in range(1_000)]
    found = errors(schema(a=int), **dict.fromkeys(names), a="x")
    assert found == [(("a",), "int_type"), *(((name,), "extra_forbidden") for name in names[:100])]


def test_known_fields_after_many_unknown_fields_are_validated() -> None:
    class Aliased(Schema):
        first: int
        second: Annotated[int, ...] = 0

    names = {f"k{number}": 1 for number in range(1_000)}
    assert not {("first",), ("second",)} & {loc for loc, _ in errors(Aliased, **names, first=1)}


def test_schema_with_extra_allow_accepts_all_fields() -> None:
    class Open(Schema, extra="allow"):
        a: int = 0

    fields = {f"k{number}": number for number in range(1_000)}
    assert Open.model_validate(fields).model_extra == fields


# --- Unions ---------------------------------------------------------------------------------------


def test_valid_union_choice_is_accepted_after_many_errors() -> None:
    kind = schema(a=list[int] | list[str], b=list[int])
    assert kind.model_validate({"a": ["x"] * 500, "b": [1]}).model_dump()["a"] == ["x"] * 500


def test_union_without_a_valid_choice_is_rejected() -> None:
    found = errors(schema(a=list[int] | list[str]), a=[True] * 500)
    assert len(found) == 200
    assert {code for _, code in found} == {"int_type", "string_type"}


def test_errors_of_union_items_count() -> None:
    calls = RecordingValidator()

    class One(Schema):
        a: int

    kind = schema(items=list[One | Annotated[str, AfterValidator(calls)]])
    assert len(errors(kind, items=["bad"] * 1_000)) == 100  # two each
    assert len(calls.values) == 50


# --- Validators that suppress errors --------------------------------------------------------------


def empty_if_invalid(value: Any, handler: Any) -> Any:
    """Validate *value*, and return an empty list if it is invalid."""
    try:
        return handler(value)
    except ValidationError:
        return []


def require_first(values: list[Any]) -> list[Any]:
    """Require a first value, and return *values*."""
    assert values[0] is not None
    return values


Lenient = Annotated[list[int], WrapValidator(empty_if_invalid)]


def test_suppressed_errors_do_not_hide_others() -> None:
    kind = schema(a=list[Lenient], b=list[int])
    assert errors(kind, a=[["x"] * 10] * 50, b=[1, "x"]) == [(("b", 1), "int_type")]


def test_suppressed_errors_do_not_change_other_fields() -> None:
    kind = schema(a=list[Lenient], b=Annotated[list[int], AfterValidator(require_first)])
    read = kind.model_validate({"a": [["x"] * 10] * 50, "b": [7, 8]}).model_dump()
    assert read == {"a": [[]] * 50, "b": [7, 8]}


def test_suppressed_errors_do_not_drop_items() -> None:
    document = {"a": [["x"] * 10] * 50}
    assert schema(a=list[Lenient]).model_validate(document).model_dump() == {"a": [[]] * 50}
    fiftieth = Annotated[list[Lenient], AfterValidator(lambda values: values[49])]
    assert schema(a=fiftieth).model_validate(document).model_dump(warnings=False) == {"a": []}


def test_unexpected_error_of_a_validator_is_raised() -> None:
    with pytest.raises(IndexError):
        schema(a=Annotated[list[int], AfterValidator(require_first)]).model_validate({"a": []})


# --- Models of other libraries --------------------------------------------------------------------


class Plain(BaseModel):
    a: int
    b: int
    items: list[int] = []


class Typed(TypedDict):
    a: int


def count_errors(kind: Any, document: object) -> int:
    """Count the errors in *document*, validated as the body of a route."""
    body: Any = Annotated[kind, ErrorLimit()]
    with pytest.raises(ValidationError) as error:
        TypeAdapter[Any](body).validate_python(document)
    return error.value.error_count()


def test_errors_of_base_models_count() -> None:
    empty: dict[str, object] = {}
    assert count_errors(list[Plain], [empty] * 1_000) == 100
    assert count_errors(dict[str, Typed], {f"k{number}": empty for number in range(1_000)}) == 100
    assert count_errors(Annotated[list[int], MinLen(1)], ["x"] * 1_000) == 100
    assert count_errors(list[int] | list[bool], ["x"] * 1_000) == 200


def test_too_many_errors_are_reported_as_one() -> None:
    assert count_errors(Plain, {"a": 1, "b": 1, "items": ["x"] * 1_000}) == 1_000
    assert count_errors(Plain, {"a": 1, "b": 1, "items": ["x"] * 1_001}) == 1
