"""Validation ends at the hundredth fault, and takes nothing for valid that is not."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pytest
from annotated_types import MinLen
from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError, WrapValidator
from typing_extensions import TypedDict

from brickwork import Schema
from brickwork.schemas.strictness import ErrorLimit


class Calls:
    """A validator that collects the values it is given."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def __call__(self, value: Any) -> Any:
        self.values.append(value)
        if value == "bad":
            raise ValueError("It is bad.")
        return value


def schema(**fields: Any) -> type[Schema]:
    """Return a schema with these fields."""
    return type("Sent", (Schema,), {"__annotations__": fields, "__module__": __name__})


def errors(kind: type[Schema], **document: object) -> list[tuple[tuple[int | str, ...], str]]:
    """Return the places and codes of what is wrong with *document*."""
    with pytest.raises(ValidationError) as error:
        kind.model_validate(document)
    return [(each["loc"], each["type"]) for each in error.value.errors()]


# --- Collections ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, deque, set, frozenset])
def test_items_behind_the_hundredth_fault_are_not_validated(kind: Any) -> None:
    calls = Calls()
    items = schema(items=kind[Annotated[str, AfterValidator(calls)]])
    assert len(errors(items, items=["bad"] * 5_000)) == len(calls.values) == 100


def test_members_behind_the_hundredth_fault_are_not_validated() -> None:
    calls = Calls()
    members = schema(members=dict[str, Annotated[str, AfterValidator(calls)]])
    found = errors(members, members={f"k{number}": "bad" for number in range(5_000)})
    assert len(found) == len(calls.values) == 100


def test_faults_of_items_within_items_count_once() -> None:
    kind = schema(items=list[list[list[int]]])
    found = errors(kind, items=[[["a", "b"], ["c"]]] * 50)
    assert len(found) == 100
    assert found[:3] == [
        (("items", 0, 0, 0), "int_type"),
        (("items", 0, 0, 1), "int_type"),
        (("items", 0, 1, 0), "int_type"),
    ]


def test_collection_behind_the_hundredth_fault_has_one() -> None:
    calls = Calls()
    kind = schema(a=list[int], b=list[Annotated[str, AfterValidator(calls)]], c=int)
    found = errors(kind, a=["x"] * 200, b=["bad"] * 200, c="x")
    assert found[100:] == [(("b",), "too_many_faults"), (("c",), "int_type")]
    assert calls.values == []


def test_ninety_nine_faults_are_all_named() -> None:
    found = errors(schema(a=list[int]), a=[1, *["x"] * 99, 2])
    assert [loc for loc, _ in found] == [("a", index) for index in range(1, 100)]


def test_free_json_has_a_hundred_faults() -> None:
    found = errors(schema(a=dict[str, Any]), a={"b": ["\0"] * 5_000})
    assert found == [(("a", "b", index), "null_character") for index in range(100)]


@pytest.mark.parametrize("value", ["\0", float("inf"), "\ud800"], ids=["null", "huge", "half"])
def test_collection_of_anything_is_checked(value: object) -> None:
    arrays: list[Any] = [list[Any], set[Any], frozenset[Any], deque[Any], Sequence]
    objects: list[Any] = [dict[str, Any], dict[Any, Any], Mapping[str, Any]]
    for kind in arrays:
        assert len(errors(schema(a=kind), a=[value])) == 1
    for kind in objects:
        assert len(errors(schema(a=kind), a={"k": value})) == 1


# --- Fields ---------------------------------------------------------------------------------------


def test_unknown_fields_behind_the_hundredth_are_not_named() -> None:
    names = [f"k{number}" for number in range(1_000)]
    found = errors(schema(a=int), **dict.fromkeys(names), a="x")
    assert found == [(("a",), "int_type"), *(((name,), "extra_forbidden") for name in names[:100])]


def test_known_fields_behind_many_unknown_ones_are_read() -> None:
    class Aliased(Schema):
        first: int
        second: Annotated[int, ...] = 0

    names = {f"k{number}": 1 for number in range(1_000)}
    assert not {("first",), ("second",)} & {loc for loc, _ in errors(Aliased, **names, first=1)}


def test_schema_that_takes_unknown_fields_gets_all() -> None:
    class Open(Schema, extra="allow"):
        a: int = 0

    fields = {f"k{number}": number for number in range(1_000)}
    assert Open.model_validate(fields).model_extra == fields


# --- Unions ---------------------------------------------------------------------------------------


def test_choice_of_a_union_is_not_refused_for_the_faults_of_another() -> None:
    kind = schema(a=list[int] | list[str], b=list[int])
    assert kind.model_validate({"a": ["x"] * 500, "b": [1]}).model_dump()["a"] == ["x"] * 500


def test_choice_of_a_union_is_not_taken_for_the_faults_of_another() -> None:
    found = errors(schema(a=list[int] | list[str]), a=[True] * 500)
    assert len(found) == 200
    assert {code for _, code in found} == {"int_type", "string_type"}


def test_items_of_a_union_count() -> None:
    calls = Calls()

    class One(Schema):
        a: int

    kind = schema(items=list[One | Annotated[str, AfterValidator(calls)]])
    assert len(errors(kind, items=["bad"] * 1_000)) == 100  # two each
    assert len(calls.values) == 50


# --- Validators that take faults back -------------------------------------------------------------


def or_none(value: Any, handler: Any) -> Any:
    """Return no integers for what has others."""
    try:
        return handler(value)
    except ValidationError:
        return []


def first(values: list[Any]) -> list[Any]:
    """Return *values*, the first of which has to be there."""
    assert values[0] is not None
    return values


Forgiving = Annotated[list[int], WrapValidator(or_none)]


def test_forgiven_faults_hide_no_other() -> None:
    kind = schema(a=list[Forgiving], b=list[int])
    assert errors(kind, a=[["x"] * 10] * 50, b=[1, "x"]) == [(("b", 1), "int_type")]


def test_forgiven_faults_leave_the_rest_as_it_is() -> None:
    kind = schema(a=list[Forgiving], b=Annotated[list[int], AfterValidator(first)])
    read = kind.model_validate({"a": [["x"] * 10] * 50, "b": [7, 8]}).model_dump()
    assert read == {"a": [[]] * 50, "b": [7, 8]}


def test_forgiven_faults_leave_no_item_out() -> None:
    document = {"a": [["x"] * 10] * 50}
    assert schema(a=list[Forgiving]).model_validate(document).model_dump() == {"a": [[]] * 50}
    fiftieth = Annotated[list[Forgiving], AfterValidator(lambda values: values[49])]
    assert schema(a=fiftieth).model_validate(document).model_dump(warnings=False) == {"a": []}


def test_error_of_a_validator_is_raised() -> None:
    with pytest.raises(IndexError):
        schema(a=Annotated[list[int], AfterValidator(first)]).model_validate({"a": []})


# --- Types of others ------------------------------------------------------------------------------


class Plain(BaseModel):
    a: int
    b: int
    items: list[int] = []


class Typed(TypedDict):
    a: int


def count(kind: Any, document: object) -> int:
    """Return how many faults are named in *document*, as the body of a route."""
    body: Any = Annotated[kind, ErrorLimit()]
    with pytest.raises(ValidationError) as error:
        TypeAdapter[Any](body).validate_python(document)
    return error.value.error_count()


def test_items_of_other_models_count() -> None:
    empty: dict[str, object] = {}
    assert count(list[Plain], [empty] * 1_000) == 100
    assert count(dict[str, Typed], {f"k{number}": empty for number in range(1_000)}) == 100
    assert count(Annotated[list[int], MinLen(1)], ["x"] * 1_000) == 100
    assert count(list[int] | list[bool], ["x"] * 1_000) == 200


def test_too_many_faults_are_not_named() -> None:
    assert count(Plain, {"a": 1, "b": 1, "items": ["x"] * 1_000}) == 1_000
    assert count(Plain, {"a": 1, "b": 1, "items": ["x"] * 1_001}) == 1
