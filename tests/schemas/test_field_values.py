"""Types that a field accepts and dumps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import pytest
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    HttpUrl,
    InstanceOf,
    JsonValue,
    PlainSerializer,
    RootModel,
    SecretStr,
    Tag,
    model_validator,
)
from pydantic_core import core_schema
from typing_extensions import TypedDict

from brickwork import Schema
from brickwork.schemas.field_values import FieldValues
from tests.support.declaring import schema

NONE: Final = type(None)


class Colour(Enum):
    RED = "red"


class Cat(Schema):
    kind: Literal["cat"]


class Dog(Schema):
    kind: Literal["dog"]


class Names(RootModel[list[str]]):
    """A list of names."""


class Box(TypedDict):
    width: int


@dataclass
class Circle:
    radius: float


class Chain:
    """A type whose core schema has steps."""

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> core_schema.CoreSchema:
        return core_schema.chain_schema([core_schema.str_schema(), core_schema.int_schema()])


def to_text(value: object) -> str:
    return str(value)


ACCEPTED: Final[Mapping[str, tuple[Any, list[Any]]]] = {
    "one class": (int, [int]),
    "a class or null": (datetime | None, [datetime, NONE]),
    "several classes": (int | str, [int, str]),
    "choices of two classes": (Literal["a", 1], [str, int]),
    "members of an Enum": (Colour, [Colour]),
    "anything": (Any, [object]),
    "a schema": (Cat, [dict]),
    "one of several schemas": (Annotated[Cat | Dog, Field(discriminator="kind")], [dict, dict]),
    "one of several schemas with tags": (
        Annotated[
            Annotated[Cat, Tag("a")] | Annotated[Dog, Tag("b")], Discriminator(lambda _: "a")
        ],
        [dict, dict],
    ),
    "a root model": (Names, [list]),
    "a typed dict": (Box, [dict]),
    "an instance": (InstanceOf[Colour], [Colour]),
    "steps": (Chain, [int]),
    "code before it": (Annotated[UUID, BeforeValidator(UUID)], [UUID]),
    "an unknown type": (HttpUrl, [None]),
}


@pytest.mark.parametrize(("annotation", "kinds"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_field_has_accepted_types(annotation: Any, kinds: list[Any]) -> None:
    fields = FieldValues(schema("Row", BaseModel, value=annotation))
    assert [leaf.kind for leaf in fields.accepted_leaves("value")] == kinds


IN_JSON: Final = PlainSerializer(to_text, when_used="json")

DUMPED: Final[Mapping[str, tuple[Any, list[Any]]]] = {
    "the accepted types": (int | None, [int, NONE]),
    "a serializer with a return type": (Annotated[HttpUrl, PlainSerializer(to_text)], [str]),
    "a serializer without a return type": (Annotated[int, PlainSerializer(lambda _: "a")], [None]),
    "a serializer for JSON alone": (
        Annotated[int, PlainSerializer(to_text, when_used="json")],
        [int],
    ),
    "a secret": (SecretStr, [None]),
}


@pytest.mark.parametrize(("annotation", "kinds"), DUMPED.values(), ids=DUMPED.keys())
def test_field_has_dumped_types(annotation: Any, kinds: list[Any]) -> None:
    fields = FieldValues(schema("Row", BaseModel, value=annotation))
    assert [leaf.kind for leaf in fields.dumped_leaves("value")] == kinds


def test_custom_validator_makes_a_field_open() -> None:
    fields = FieldValues(
        schema("Row", BaseModel, value=Annotated[UUID, BeforeValidator(UUID)], url=HttpUrl)
    )
    assert [leaf.is_open for leaf in fields.accepted_leaves("value")] == [True]
    assert [leaf.is_open for leaf in fields.accepted_leaves("url")] == [False]


@pytest.mark.parametrize(
    ("annotation", "kinds"),
    [
        (list[int], {int}),
        (dict[str, list[Cat]], {str, list, dict}),
        (tuple[int, str], {int, str}),
        (tuple[int, ...], {int}),
        (Box, {int}),
        (Circle, {float}),
        (JsonValue, {str, int, float, bool, NONE, list, dict}),
        (list[Any], {object}),
    ],
)
def test_document_has_nested_types(annotation: Any, kinds: set[Any]) -> None:
    fields = FieldValues(schema("Row", BaseModel, value=annotation))
    found = [
        nested for leaf in fields.dumped_leaves("value") for nested in fields.nested_leaves(leaf)
    ]
    assert {leaf.kind for leaf in found} == kinds


def test_before_validator_keeps_the_field_types() -> None:
    class Row(BaseModel):
        value: int

        @model_validator(mode="before")
        @classmethod
        def check(cls, row: object) -> object:
            return row

    fields = FieldValues(Row)
    assert [leaf.kind for leaf in fields.accepted_leaves("value")] == [int]
    assert fields.validates_row


def test_enum_has_its_values_as_choices() -> None:
    class Row(BaseModel):
        model_config = ConfigDict(use_enum_values=True)

        value: Colour

    (leaf,) = FieldValues(Row).dumped_leaves("value")
    assert (leaf.kind, leaf.choices) == (str, ("red",))
