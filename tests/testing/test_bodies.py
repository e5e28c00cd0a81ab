"""Bodies that are built from schemas."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    EmailStr,
    Field,
    HttpUrl,
    StringConstraints,
    field_validator,
)

from app.articles.schemas import ArticleCreate
from brickwork import NaiveUTC, Schema
from brickwork.testing import build
from brickwork.testing.bodies import seed_bodies
from examples.shop import schemas as shop


class Colour(Enum):
    RED = "red"


class Line(Schema):
    product_id: int
    amount: Annotated[int, Field(gt=0, le=10)]
    note: str = Field(alias="lineNote")
    extra: str | None = None


class Cat(Schema):
    kind: Literal["cat"]
    lives: int


class Dog(Schema):
    kind: Literal["dog"]
    name: str


class Everything(Schema):
    short: str = Field(min_length=3, max_length=5)
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}-\d{4}$")]
    number: int
    step: Annotated[int, Field(ge=5, multiple_of=5)]
    price: Annotated[Decimal, Field(max_digits=6, decimal_places=2, gt=0)]
    rate: float
    moment: datetime
    stored: NaiveUTC
    day: date
    hour: time
    pause: timedelta
    key: UUID
    email: EmailStr
    site: HttpUrl
    lines: Annotated[list[Line], Field(min_length=2, max_length=3)]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    colour: Colour
    parent_id: int | None
    named: str = Field(alias="displayName")
    choice: str = Field(validation_alias=AliasChoices("first", "second"))
    content: bytes
    counts: dict[str, int]
    tags: Annotated[set[str], Field(min_length=3)]
    flag: bool
    optional: str | None = None
    author_id: int | None = None


@pytest.mark.parametrize("schema", [Everything, ArticleCreate, shop.ProductCreate])
def test_a_body_is_valid_json_of_the_schema(schema: type[BaseModel]) -> None:
    bodies = [build(schema) for _ in range(50)]
    assert all(schema.model_validate_json(_json(body)) for body in bodies)
    assert len({_json(body) for body in bodies}) > 25


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body)


def test_a_body_has_the_required_fields_only() -> None:
    body = build(Everything)
    assert body.keys() & {"optional", "author_id", "named", "choice", "second"} == set()
    assert body.keys() >= {"displayName", "first"}
    assert body["parent_id"] is None
    assert body["lines"][0].keys() == {"product_id", "amount", "lineNote"}


def test_fields_have_the_values_of_the_call() -> None:
    key = UUID(int=5)
    body = build(Everything, key=key, named="Ada", second="2", first="1", author_id=3, day="x")
    assert (body["key"], body["displayName"]) == (str(key), "Ada")
    assert (body["first"], body["second"], body["author_id"], body["day"]) == ("1", "2", 3, "x")


def test_values_repeat_with_their_seed() -> None:
    seed_bodies(1)
    first = [build(Everything) for _ in range(3)]
    seed_bodies(1)
    assert [build(Everything) for _ in range(3)] == first
    assert first[0] != first[1]


class Even(Schema):
    name: str

    @field_validator("name")
    @classmethod
    def require_form(cls, value: str) -> str:
        if value != "form":
            raise ValueError("no form")
        return value


def test_a_schema_with_a_validator_asks_for_its_field() -> None:
    with pytest.raises(TypeError, match=r"pass build\(Even, name=…\)"):
        build(Even)
    assert build(Even, name="form") == {"name": "form"}
