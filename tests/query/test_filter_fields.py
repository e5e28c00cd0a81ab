"""`Filter` fields: one line for all filters of a column."""

from datetime import date
from decimal import Decimal
from enum import Enum
from itertools import count
from typing import Annotated, Any, Literal, cast

import pytest
from annotated_types import Ge, MaxLen
from hypothesis import given, settings, strategies as st
from pydantic import AliasChoices, AliasGenerator, AliasPath, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from brickwork import CustomFilter, Filter, ListQuery, OneOf, Operators
from brickwork.query.filters import OPERATORS
from brickwork.query.list_query import with_deleted_parameter
from tests.support.atlas import Base, Climate, Land, Region

Every: Any = Filter
"""`Filter` at run time. A type checker takes it for an annotation."""

ORDER = ("gt", "gte", "lt", "lte")
TEXT = ("contains", "icontains", "startswith")
RANGE = ("eq", "ne", *ORDER, "in", "isnull")

COLUMNS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "name": (str, ("eq", "ne", *ORDER, "in", *TEXT, "isnull")),
    "id": (int, ("eq", "ne", *ORDER, "in")),
    "size": (int, RANGE),
    "height": (float, RANGE),
    "found": (date, RANGE),
    "money": (Decimal, RANGE),
    "climate": (Climate, ("eq", "ne", "in", "isnull")),
    "note": (Literal["a", "b"], ("eq", "ne", "in", "isnull")),
    "eq": (Annotated[int, Ge(1)], RANGE),
    "land__name": (str, ("eq", "ne", *ORDER, "in", *TEXT, "isnull")),
}
"""The types of values and the operators, by the name of a filter of `Region`."""

numbers = count()


def declare(model: type[Base], config: ConfigDict | None = None, **fields: Any) -> type[Any]:
    """Return a list query of *model* with *fields* that may be omitted."""
    base: Any = ListQuery[model]  # type: ignore[valid-type]
    if config:
        base = type(base)("Named", (base,), {"model_config": config, "__module__": __name__})
    made: dict[str, Any] = {
        name: kind if isinstance(kind, tuple) else (kind, None) for name, kind in fields.items()
    }
    return cast("type[Any]", create_model(f"Query{next(numbers)}", __base__=base, **made))


def long_spelling(name: str, value: Any, operators: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields that a `Filter` with *operators* stands for."""
    kinds = {"isnull": bool | None, "in": OneOf[value] | None}
    return {
        name if operator == "eq" else f"{name}__{operator}": kinds.get(operator, value | None)
        for operator in operators
    }


def parameters(query: type[ListQuery[Any]]) -> set[str]:
    """Return the parameters of *query* beside those of every list."""
    return {*query.model_fields} - {*ListQuery.model_fields}


@pytest.mark.parametrize("name", COLUMNS)
def test_filter_stands_for_the_operators_of_its_type(name: str) -> None:
    value, operators = COLUMNS[name]
    expected = long_spelling(name, value, operators)
    assert parameters(declare(Region, **{name: Every[value]})) == {*expected}


subsets = st.sets(st.sampled_from([*OPERATORS]), min_size=1)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_filter_equals_the_long_spelling(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from([*COLUMNS]), min_size=1, unique=True))
    short: dict[str, Any] = {}
    spelled: dict[str, Any] = {}
    for name in names:
        value, fitting = COLUMNS[name]
        some = data.draw(st.none() | st.sets(st.sampled_from(fitting), min_size=1))
        short[name] = Every[value] if some is None else Annotated[Every[value], Operators(*some)]
        spelled |= long_spelling(name, value, tuple(o for o in fitting if not some or o in some))
    one, other = declare(Region, **short), declare(Region, **spelled)
    schemas = [query.model_json_schema() for query in (one, other)]
    assert [schema.pop("title") for schema in schemas]
    assert schemas[0] == schemas[1]
    assert [*one.model_fields] == [*other.model_fields]
    assert one.__filters__ == other.__filters__
    sent = data.draw(
        st.dictionaries(st.sampled_from([*spelled]), st.sampled_from(["1", "a", "a,b", "true", ""]))
    )
    assert outcome(one, sent) == outcome(other, sent)


def outcome(query: type[ListQuery[Any]], sent: dict[str, str]) -> object:
    """Return the parsed parameters, or the errors."""
    try:
        parsed = query.model_validate(sent)
    except ValueError as error:
        errors: Any = error
        return [(item["loc"], item["type"], item["msg"]) for item in errors.errors()]
    return parsed.model_dump(), parsed.model_fields_set


def test_attributes_have_the_values_of_their_parameters() -> None:
    class RegionQuery(ListQuery[Region]):
        size: Filter[int] = None
        size__gte: int | None = None
        found: Annotated[Filter[date], Operators("gte", "lt")] = None

    query = RegionQuery.model_validate({"size": "3", "size__gte": "1", "size__in": "1,2"})
    assert (query.size, query.size__gte, query.found) == (3, 1, None)
    assert query.model_dump(exclude_none=True, include={"size__in"}) == {"size__in": (1, 2)}
    assert RegionQuery(size=3, size__gte=1).size == 3
    assert {"found__gte", "found__lt"} == {n for n in parameters(RegionQuery) if "found" in n}


def test_field_of_its_own_replaces_that_of_a_filter() -> None:
    query = declare(Region, name=Every[str], name__contains=Annotated[str | None, MaxLen(2)])
    assert [*parameters(query)].count("name__contains") == 1
    with pytest.raises(ValueError, match="at most 2 characters"):
        query(name__contains="abc")
    assert query(name__startswith="abc").name__startswith == "abc"


def test_filter_without_a_default_may_be_omitted() -> None:
    query = declare(Region, size=(Every[int], ...))
    assert query.model_validate({}).size is None


def test_subclass_has_the_filters_of_its_base() -> None:
    base = declare(Region, size=Every[int], found=Annotated[Every[date], Operators("lt")])
    queries: tuple[Any, ...] = (  # pyright: ignore[reportUnknownVariableType]
        with_deleted_parameter(base),
        create_model("Sub", __base__=base, name=(Every[str], None)),
        create_model("Sub", __base__=base, size__gt=(int, 7)),
    )
    for query in queries:
        assert parameters(base) <= parameters(query)
        assert "found" not in parameters(query)
        assert query.model_validate({"size__in": "1,2"}).size__in == (1, 2)
    narrowed = create_model("Sub", __base__=base, size=(int | None, None))
    assert parameters(narrowed) == {"size", "found__lt"}


def test_subclass_can_declare_a_filter_again() -> None:
    class Early(ListQuery[Region]):
        found: Annotated[Filter[date], Operators("lt")] = None

    class All(Early):
        found: Filter[date] = None

    class Late(All):
        found: Annotated[Filter[date], Operators("gt")] = None

    assert parameters(Early) == {"found__lt"}
    assert {"found", "found__lt", "found__isnull"} < parameters(All)
    assert parameters(Late) == {"found__gt"}
    assert (Early().found, All(found=date(2024, 1, 1)).found) == (None, date(2024, 1, 1))
    assert Late().found is None
    with pytest.raises(AttributeError, match="sise"):
        Late().sise  # type: ignore[attr-defined]  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def test_constraints_and_documentation_apply_to_all_operators() -> None:
    kind = Annotated[Every[str], MaxLen(3)]
    query = declare(Region, name=(kind, Field(None, description="The name.", deprecated=True)))
    fields: dict[str, FieldInfo] = query.model_fields
    assert {field.description for name, field in fields.items() if "name" in name} == {"The name."}
    assert all(field.deprecated for name, field in fields.items() if "name" in name)
    for name in ("name", "name__gte", "name__contains", "name__in"):
        with pytest.raises(ValueError, match="at most 3 characters"):
            query.model_validate({name: "abcd"})


def test_aliases_have_the_operators() -> None:
    alias = AliasChoices("titel", "title")
    one = declare(Region, name=(Every[str], Field(None, validation_alias="titel")))
    two = declare(Region, name=(Every[str], Field(None, validation_alias=alias)))
    three, four = (
        declare(Region, ConfigDict(alias_generator=generator), land_code=Every[str])
        for generator in (to_camel, AliasGenerator(validation_alias=to_camel))
    )
    assert one.model_validate({"titel__gte": "a"}).name__gte == "a"
    assert two.model_validate({"title__in": "a"}).name__in == ("a",)
    assert three.model_validate({"landCode__in": "a"}).land_code__in == ("a",)
    assert four.model_validate({"landCode__in": "a"}).land_code__in == ("a",)


def test_filter_of_a_reserved_name_has_a_suffix() -> None:
    query = declare(Region, eq__eq=Annotated[Every[int], Operators("eq", "gt")])
    assert parameters(query) == {"eq__eq", "eq__gt"}
    assert {filter_.operator for filter_ in query.__filters__.values()} == {"eq", "gt"}


def test_filter_across_a_list_of_related_rows_is_declared() -> None:
    query = declare(Land, parts__size=Annotated[Every[int], Operators("eq", "gte")])
    assert parameters(query) == {"parts__size", "parts__size__gte"}


class Odd(Enum):
    ONE = 1


@pytest.mark.parametrize(
    ("name", "annotation", "remedy"),
    [
        ("size", Every[str], r"\.size: Region.size is int, but is compared with str"),
        ("size", Every[Odd], "Region.size is int, but is compared with Odd"),
        ("sise", Every[int], "Region has no column sise; it has id, .* CustomFilter"),
        ("more", Every[str], r"Region.more has a type .* filter\(\)"),
        ("land", Every[str], "Region has no column land"),
        ("lnd__name", Every[str], "Region has no relationship lnd"),
        ("size__gte", Every[int], "size__gte is a Filter, .* Leave out the operator"),
        ("size", OneOf[Every[int]], r"Query\d+\.size: Region.size with eq: annotate it"),
        ("size", Annotated[int | None, Operators("eq")], "has Operators, but no Filter"),
        (
            "size",
            Annotated[Every[int], Operators("contains")],
            "Region.size is int, which contains does not compare",
        ),
        (
            "climate",
            Annotated[Every[Climate], Operators("gt")],
            "Region.climate is Climate, which gt does not compare",
        ),
    ],
)
def test_filter_unlike_its_column_is_a_type_error(name: str, annotation: Any, remedy: str) -> None:
    with pytest.raises(TypeError, match=remedy):
        declare(Region, **{name: annotation})


def test_alias_of_a_filter_must_be_text() -> None:
    alias = AliasChoices(AliasPath("a", 0))
    with pytest.raises(TypeError, match="has an alias with a path: use text"):
        declare(Region, name=(Every[str], Field(None, validation_alias=alias)))


@pytest.mark.parametrize("names", [(), ("near",), ("eq", "near")])
def test_unknown_operators_are_a_type_error(names: tuple[str, ...]) -> None:
    with pytest.raises(TypeError, match="name one or more of eq, ne, gt"):
        Operators(*names)


def test_filter_marked_custom_is_left_to_the_method() -> None:
    query = declare(Region, near=Annotated[str | None, CustomFilter], size=Every[int])
    assert "near" in parameters(query) - {*query.__filters__}
