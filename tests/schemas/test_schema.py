"""Schemas of input, queries and output."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from functools import partial
from ipaddress import IPv4Address
from time import ctime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar
from uuid import UUID, uuid4

import pytest
from annotated_types import Ge, Len
from hypothesis import example, given, settings, strategies as st
from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    PlainSerializer,
    SecretStr,
    Tag,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
    model_validator,
)
from sqlalchemy import select
from typing_extensions import TypedDict, override

from brickwork import CustomFilter, ListQuery, ReadSchema, Schema
from brickwork.schemas.schema import is_pure, pure_fields
from brickwork.schemas.strictness import INT64
from tests.support.shop import City
from tests.support.values import WILD, law

T = TypeVar("T")


class Side(Schema):
    length: int
    note: str = ""


class Corner(TypedDict):
    angle: int


class Tree(Schema):
    size: int = 0
    trees: list["Tree"] = []  # noqa: RUF012 — Pydantic copies it


class Box(Schema, Generic[T]):
    value: T


class Level(IntEnum):
    LOW = 1


class Everything(Schema):
    flag: bool = False
    number: int = 0
    real: float = 0.0
    either: int | float | None = None
    text: str = ""
    short: Annotated[str, Len(1, 3)] = "a"
    choice: Literal["a", 1] = "a"
    level: Level = Level.LOW
    key: UUID | None = None
    at: datetime | None = None
    free: Any = None
    json_value: JsonValue = None
    mapping: dict[str, Any] = {}  # noqa: RUF012 — Pydantic copies it
    numbers: dict[str, int] = {}  # noqa: RUF012 — as above
    items: list[str] = []  # noqa: RUF012 — as above
    pair: tuple[int, str] = (0, "")
    side: Side | None = None
    sides: list[Side] = []  # noqa: RUF012 — as above
    corner: Corner | None = None
    tree: Tree | None = None
    box: Box[int] | None = None


def error_codes(schema: type[BaseModel], value: object) -> dict[tuple[int | str, ...], str]:
    """Return the error codes of *value* by location."""
    with pytest.raises(ValidationError) as error:
        schema.model_validate(value)
    return {fault["loc"]: fault["type"] for fault in error.value.errors()}


FIELDS = st.sampled_from([*Everything.model_fields, "unknown", "\ud800"])


@settings(law, max_examples=500)
@given(WILD | st.dictionaries(FIELDS, WILD, min_size=1, max_size=1))
@example({"either": 10**400})
def test_any_document_is_accepted_or_rejected(document: Any) -> None:
    try:
        accepted = Everything.model_validate(document)
    except ValidationError:
        return
    # Accepted values can be stored: texts are UTF-8 without null, numbers are valid in JSON.
    written = json.dumps(accepted.model_dump(), default=str, allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in written
    assert written.encode()


@pytest.mark.parametrize(
    ("field", "value", "path", "code"),
    [
        ("unknown", 1, (), "extra_forbidden"),
        ("number", INT64[1] + 1, (), "less_than_equal"),
        ("text", "\ud800", (), "string_unicode"),
        ("choice", True, (), "literal_error"),
        ("choice", 1.0, (), "literal_error"),
        ("level", True, (), "enum"),
        ("level", 1.0, (), "enum"),
        ("level", "1", (), "enum"),
        ("free", {"a": ["\0"]}, ("a", 0), "null_character"),
        ("json_value", ["\0"], ("list", 0, "str"), "null_character"),
        ("json_value", {"a": float("inf")}, ("dict", "a", "float"), "finite_number"),
        ("mapping", {"a": "\ud800"}, ("a",), "string_unicode"),
        ("numbers", {"a": "5"}, ("a",), "int_type"),
        ("items", ["a", "\0"], (1,), "null_character"),
        ("pair", ["5", "a"], (0,), "int_type"),
        ("side", {"length": "5"}, ("length",), "int_type"),
        ("side", {"length": 5, "note": "\0"}, ("note",), "null_character"),
        ("sides", [{"length": 5.0}], (0, "length"), "int_type"),
        ("corner", {"angle": "5"}, ("angle",), "int_type"),
        ("tree", {"trees": [{"size": "5"}]}, ("trees", 0, "size"), "int_type"),
        ("box", {"value": "5"}, ("value",), "int_type"),
    ],
)
def test_nested_values_are_strict(
    field: str, value: object, path: tuple[str | int, ...], code: str
) -> None:
    assert error_codes(Everything, {field: value}) == {(field, *path): code}


@pytest.mark.parametrize(
    "name", ["cls", "config", "default", "expected", "function", "metadata", "serialization"]
)
def test_field_of_any_name_is_strict(name: str) -> None:
    schema = type("Named", (Schema,), {"__annotations__": {name: int}})
    assert error_codes(schema, {name: "5"}) == {(name,): "int_type"}


def test_all_errors_are_reported_together() -> None:
    found = error_codes(
        Everything, {"flag": 1, "text": 1, "unknown": 1, "at": "2026-01-01T00:00:00"}
    )
    assert found == {
        ("flag",): "bool_type",
        ("text",): "string_type",
        ("unknown",): "extra_forbidden",
        ("at",): "timezone_aware",
    }


class ShelfCreate(Schema):
    name: Annotated[str, Len(1, 10)]
    boards: Annotated[int, Ge(1)] = 3
    note: str | None = None

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if name.startswith(" "):
            raise ValueError("A name starts with a letter.")
        return name

    @model_validator(mode="after")
    def _noted(self) -> Self:
        if self.boards == 7 and not self.note:
            raise ValueError("Say why there are seven.")
        return self


class ShelfUpdate(ShelfCreate, partial=True):
    colour: str


class ShelfRename(ShelfUpdate):
    nickname: str


@pytest.mark.parametrize(
    "sent", [{}, {"name": "a"}, {"boards": 1}, {"note": None}, {"colour": "red", "note": "a"}]
)
def test_fields_of_a_partial_schema_are_optional(sent: dict[str, object]) -> None:
    update = ShelfUpdate.model_validate(sent)
    assert update.model_fields_set == sent.keys()
    assert update.model_dump(exclude_unset=True) == sent


@pytest.mark.parametrize(
    ("sent", "place", "code"),
    [
        ({"name": None}, ("name",), "string_type"),
        ({"boards": None}, ("boards",), "int_type"),
        ({"colour": None}, ("colour",), "string_type"),
        ({"name": ""}, ("name",), "string_too_short"),
        ({"name": " a"}, ("name",), "value_error"),
        ({"boards": 0}, ("boards",), "greater_than_equal"),
        ({"boards": 7}, (), "value_error"),
        ({"name": "a\0"}, ("name",), "null_character"),
        ({"size": 1}, ("size",), "extra_forbidden"),
    ],
)
def test_partial_schema_keeps_all_constraints(
    sent: dict[str, object], place: tuple[str, ...], code: str
) -> None:
    assert error_codes(ShelfUpdate, sent) == {place: code}


def test_partial_schema_has_no_validated_defaults() -> None:
    class Create(Schema):
        boards: Annotated[int, Field(validate_default=True)] = 3

    class Update(Create, partial=True):
        pass

    assert Update.model_validate({}).model_fields_set == set()


def test_base_of_a_partial_schema_is_unchanged() -> None:
    assert error_codes(ShelfCreate, {}) == {("name",): "missing"}
    assert ShelfCreate.model_validate({"name": "a"}).boards == 3


def test_field_added_by_a_subclass_is_required() -> None:
    assert error_codes(ShelfRename, {}) == {("nickname",): "missing"}


def test_json_schema_of_a_partial_schema_has_no_defaults() -> None:
    shown = ShelfUpdate.model_json_schema()
    assert "required" not in shown
    assert all("default" not in field_schema for field_schema in shown["properties"].values())
    assert shown["properties"]["boards"]["minimum"] == 1
    assert shown["additionalProperties"] is False


def test_subclass_inherits_bounds() -> None:
    class Limited(ShelfCreate, bounds={"note": {"str": {"max_length": 2}}}):
        pass

    class Heir(Limited):
        pass

    long = {"name": "a", "note": "abc"}
    assert error_codes(Limited, long) == error_codes(Heir, long) == {("note",): "string_too_long"}
    assert ShelfCreate.model_validate(long).note == "abc"


def test_read_schema_validates_attributes() -> None:
    class Row:
        id, name, secret = 1, "a", "b"

    class RowRead(ReadSchema):
        id: int
        name: str

    assert RowRead.model_validate(Row()).model_dump() == {"id": 1, "name": "a"}


QUERY = TypeAdapter(ListQuery[City])


def test_list_query_has_default_limit_and_offset() -> None:
    at = QUERY.validate_python({})
    assert (at.limit, at.offset) == (20, 0)


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("100", 100), ("0020", 20), ("0000000000000000007", 7)]
)
def test_number_in_a_query_is_written_in_digits(text: str, number: int) -> None:
    assert QUERY.validate_python({"limit": text, "offset": text}).limit == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "+1",
        "1.0",
        "1e1",
        "1_0",
        "0x1",
        "٣",
        "\N{FULLWIDTH DIGIT ONE}",
        "true",
        "one",
        "1\n",
        "9" * 20,
        "\0",
    ],
)
def test_other_notation_of_a_number_is_rejected(text: str) -> None:
    for name in ("limit", "offset"):
        assert error_codes(ListQuery[City], {name: text}) == {(name,): "int_parsing"}


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("limit", "0", "greater_than_equal"),
        ("limit", "-1", "greater_than_equal"),
        ("limit", "101", "less_than_equal"),
        ("offset", "-1", "greater_than_equal"),
        ("offset", "10001", "less_than_equal"),
        ("offset", "9" * 19, "less_than_equal"),
    ],
)
def test_numbers_in_a_query_have_bounds(name: str, text: str, code: str) -> None:
    assert error_codes(ListQuery[City], {name: text}) == {(name,): code}


def test_list_query_has_no_default_filter() -> None:
    rows = select(City)
    assert QUERY.validate_python({}).filter(rows) is rows


def test_nested_base_model_is_a_type_error() -> None:
    class Plain(BaseModel):
        size: int

    with pytest.raises(TypeError, match="Plain is not a Schema"):

        class Outer(Schema):  # pyright: ignore[reportUnusedClass]
            plain: Plain


class Search(ListQuery[City]):
    text: Annotated[str, CustomFilter] = ""
    number: Annotated[float, CustomFilter] = 0
    whole: Annotated[int, CustomFilter] = 0
    at: Annotated[datetime | None, CustomFilter] = None
    key: Annotated[UUID | None, CustomFilter] = None
    open: Annotated[bool, CustomFilter] = False
    state: Annotated[Literal["on", "off"], CustomFilter] = "on"


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("text", "5", "5"),
        ("number", "1.5", 1.5),
        ("number", "-2e3", -2000.0),
        ("whole", "-7", -7),
        ("whole", 7, 7),
        ("open", "true", True),
        ("state", "off", "off"),
        ("at", "2026-02-28T12:00:00+01:00", datetime(2026, 2, 28, 11, tzinfo=UTC)),
    ],
)
def test_query_is_parsed_from_text(name: str, written: object, value: object) -> None:
    assert getattr(Search.model_validate({name: written}), name) == value


@pytest.mark.parametrize(
    ("name", "written", "code"),
    [
        ("text", "\0", "null_character"),
        ("number", "nan", "float_parsing"),
        ("number", "1e999", "finite_number"),
        ("number", "1_0", "float_parsing"),
        ("whole", "1_0", "int_parsing"),
        ("whole", "5.0", "int_parsing"),
        ("whole", str(2**63), "less_than_equal"),
        ("limit", "+5", "int_parsing"),
        ("at", "2026-02-28T12:00:00", "timezone_aware"),
        ("at", "1700000000", "datetime_parsing"),
        ("key", "00000000000000000000000000000000", "uuid_parsing"),
        ("open", "maybe", "bool_parsing"),
        ("state", "0", "literal_error"),
    ],
)
def test_query_is_as_strict_as_a_body(name: str, written: str, code: str) -> None:
    assert error_codes(Search, {name: written}) == {(name,): code}


# --- Custom code in a schema ----------------------------------------------------------------------


class Plain(ReadSchema):
    id: int
    address: IPv4Address
    home: AnyUrl | None
    secret: SecretStr
    others: list["Plain"]


class Bounded(Plain):
    function: str
    metadata: dict[str, int]


class Reversed(ReadSchema):
    metadata: Annotated[str, PlainSerializer(lambda value: value[::-1])]


class Validated(ReadSchema):
    name: str

    @field_validator("name")
    @classmethod
    def framed(cls, value: str) -> str:
        return value


class Serialized(ReadSchema):
    name: str

    @field_serializer("name")
    def said(self, value: str) -> str:
        return value


class Computed(ReadSchema):
    name: str

    @computed_field
    def length(self) -> int:
        return len(self.name)


class WithPostInit(ReadSchema):
    @override
    def model_post_init(self, context: Any, /) -> None: ...


class WithInit(ReadSchema):
    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


class WithNestedSchema(ReadSchema):
    several: list[Reversed | None]


class Kind(Enum):
    ONE = 1


class Cat(ReadSchema):
    kind: Literal["cat"]


class Dog(ReadSchema):
    kind: Literal["dog"]


class Known(ReadSchema):
    whole: int | str
    number: float = 1.5
    exact: Decimal
    day: date
    hour: time
    span: timedelta
    key: UUID
    kind: Kind = Kind.ONE
    literal: Literal["a", 1]
    document: JsonValue
    choice: Annotated[Cat | Dog, Field(discriminator="kind")]
    several: dict[str, list[set[int]]] | None = None


class Home(AnyUrl):
    @override
    def __str__(self) -> str:
        return "home"


class Cut(str):
    """A type that runs custom code."""

    __slots__ = ()


class CallableValidator:
    def __call__(self, value: str) -> str:
        return f"{value}!"


def first_tag(_: object) -> str:
    return "a"


TAGGED: Any = Annotated[
    Annotated[Cat, Tag("a")] | Annotated[Dog, Tag("b")], Discriminator(first_tag)
]


def cut(length: int, value: str) -> str:
    return value[:length]


def read_schema(annotation: Any, **default: Any) -> type[ReadSchema]:
    """Return a read schema with one field of the type *annotation*."""
    field = Field(**default)
    schema: type[ReadSchema] = create_model("Read", __base__=ReadSchema, name=(annotation, field))
    return schema


@pytest.mark.parametrize("schema", [Plain, Bounded, Known])
def test_schema_without_custom_code_is_pure(schema: type[BaseModel]) -> None:
    assert is_pure(schema)


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(Reversed, id="serializer"),
        pytest.param(Validated, id="validator"),
        pytest.param(Computed, id="computed field"),
        pytest.param(WithPostInit, id="post init"),
        pytest.param(WithInit, id="init"),
        pytest.param(WithNestedSchema, id="schema within"),
        pytest.param(Serialized, id="serializing method"),
        pytest.param(read_schema(Annotated[str, AfterValidator(partial(cut, 3))]), id="partial"),
        pytest.param(
            read_schema(Annotated[str, PlainSerializer(partial(cut, 3))]), id="partial out"
        ),
        pytest.param(
            read_schema(Annotated[str, BeforeValidator(CallableValidator())]), id="object"
        ),
        pytest.param(
            read_schema(Annotated[str, AfterValidator(CallableValidator().__call__)]), id="method"
        ),
        pytest.param(read_schema(Annotated[str, AfterValidator(str.upper)]), id="built-in method"),
        pytest.param(read_schema(Annotated[str, AfterValidator(Cut)]), id="type"),
        pytest.param(read_schema(Annotated[str, WrapValidator(lambda v, _: v)]), id="wrapper"),
        pytest.param(read_schema(Annotated[str, AfterValidator(ctime)]), id="built-in function"),
        pytest.param(read_schema(str, exclude_if=first_tag), id="exclude_if"),
        pytest.param(read_schema(str, default_factory=uuid4), id="default_factory"),
        pytest.param(read_schema(Home), id="type of a known base"),
        pytest.param(read_schema(Callable[[], str]), id="unknown node"),
        pytest.param(read_schema(TAGGED), id="discriminator"),
    ],
)
def test_schema_with_custom_code_is_not_pure(schema: type[BaseModel]) -> None:
    assert not is_pure(schema)


def test_schema_with_new_is_not_pure() -> None:
    class Counted(ReadSchema):
        def __new__(cls, **_: object) -> Self:
            return super().__new__(cls)

    assert not is_pure(Counted)


class Masked(ReadSchema):
    """A recursive schema, for which Pydantic makes a definition."""

    id: int
    name: Annotated[str, PlainSerializer(str.upper)]
    secret: str = Field(exclude=True)
    parent: "Masked | None"


class Checked(ReadSchema):
    id: int

    @model_validator(mode="before")
    @classmethod
    def check(cls, value: object) -> object:
        return value


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        (read_schema(str), ["name"]),
        (Computed, ["name"]),
        (read_schema(Annotated[str, AfterValidator(partial(cut, 3))]), []),
        (Serialized, []),
        (Checked, []),
        (Masked, []),  # the parent is serialised with custom code
    ],
)
def test_pure_fields_exclude_fields_with_custom_code(
    schema: type[BaseModel], names: list[str]
) -> None:
    assert [*pure_fields(schema)] == names


class Branch(ReadSchema):
    """A recursive schema without custom code."""

    id: int
    secret: str = Field(exclude=True)
    parent: "Branch | None"


def test_recursive_schema_has_pure_fields() -> None:
    assert pure_fields(Branch) == ["id", "parent"]
