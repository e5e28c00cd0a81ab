"""Validation errors of requests."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Self

import pytest
from annotated_types import Ge, Gt, Le, Len, Lt
from fastapi import APIRouter, Body, Cookie, FastAPI, Header, Path, Query
from httpx2 import AsyncClient
from pydantic import BaseModel, Field, StringConstraints, model_validator

from brickwork import ReadSchema, Schema, StrictRoute, install
from brickwork.limits import MAX_ERRORS, MAX_NAME_LENGTH
from brickwork.problems import BOUNDS
from tests.support.bodies import summary
from tests.support.calls import calling

pytestmark = pytest.mark.anyio


class Colour(Enum):
    RED = "red"


class Cat(Schema):
    kind: Literal["cat"]
    name: str


class Dog(Schema):
    kind: Literal["dog"]
    name: str
    kennel: int


class Named(Schema):
    sort: Literal["name"]
    name: str


class Numbered(Schema):
    sort: Literal["number"]
    number: int


class Thing(Schema):
    name: str
    size: int = 0
    note: str | None = None
    status: Literal["draft", "published"] = "draft"
    colour: Colour = Colour.RED
    either: int | bool = 0
    items: list[int] = []  # noqa: RUF012 — Pydantic copies it
    counts: dict[str, int] = {}  # noqa: RUF012 — as above
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    label: Annotated[Named | Numbered, Field(discriminator="sort")] | None = None
    part: "Thing | None" = None
    free: Any = None


class ThingRead(ReadSchema):
    id: int
    name: str


class Bounds(BaseModel):
    low: int = 0
    high: int = 9

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("low exceeds high")
        return self


router = APIRouter(route_class=StrictRoute)


@router.post("/things", response_model=ThingRead)
async def create(data: Thing) -> Any: ...


@router.post("/lists", response_model=list[ThingRead])
async def create_many(data: list[Thing]) -> Any: ...


@router.post("/untyped")
async def create_untyped(data: Thing) -> None: ...


@router.post("/embedded")
async def embedded(one: Annotated[int, Body()], two: Annotated[Thing, Body()]) -> None: ...


@router.get("/query")
async def query(v: int, w: Annotated[int, Gt(0)] = 1) -> None: ...


@router.get("/bounds")
async def bounds(at: Annotated[Bounds, Query()]) -> None: ...


@router.get("/headers")
async def headers(x_size: Annotated[int, Header()]) -> None: ...


@router.get("/header_bounds")
async def header_bounds(at: Annotated[Bounds, Header()]) -> None: ...


@router.get("/header_sizes")
async def header_sizes(x_size: Annotated[int, Header(ge=5)]) -> None: ...


@router.get("/cookie_sizes")
async def cookie_sizes(size: Annotated[int, Cookie(le=1)]) -> None: ...


@router.get("/cookies")
async def cookies(size: Annotated[int, Cookie()]) -> None: ...


@router.get("/paths/{size}")
async def path(size: Annotated[int, Path()], v: int = 0) -> None: ...


app = FastAPI()
install(app)
app.include_router(router)


async def post_json(client: AsyncClient, path: str, body: object) -> str:
    headers = {"content-type": "application/json"}
    return summary(await client.post(path, content=json.dumps(body), headers=headers))


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({}, "#/name missing"),
        ([], "# object_type"),
        (None, "# object_type"),
        ("a", "# object_type"),
        ({"name": "a", "zzz": 1, "a/b~c": 1}, "#/a~1b~0c unknown_field, #/zzz unknown_field"),
        ({"name": "a", "id": 1}, "#/id read_only"),
        ({"name": "a", "id": None}, "#/id read_only"),
        ({"name": "a", "zzz": None}, "#/zzz unknown_field"),
        ({"name": None}, "#/name not_nullable"),
        ({"name": "a", "status": None}, "#/status not_nullable"),
        ({"name": "a", "colour": None}, "#/colour not_nullable"),
        ({"name": "a", "either": None}, "#/either not_nullable"),
        ({"name": "a", "status": "deleted"}, "#/status literal_error"),
        ({"name": "a", "items": [1, "b", None]}, "#/items/1 int_type, #/items/2 not_nullable"),
        ({"name": "a", "items": {"0": 1}}, "#/items list_type"),
        (
            {"name": "a", "counts": {"b": "c", "\0": 1}},
            "#/counts/%00 null_character, #/counts/b int_type",
        ),
        ({"name": "a", "counts": []}, "#/counts object_type"),
        ({"name": "a", "pet": {"kind": "cat"}}, "#/pet/name missing"),
        (
            {"name": "a", "pet": {"kind": "dog", "name": 1, "kennel": "2"}},
            "#/pet/kennel int_type, #/pet/name string_type",
        ),
        ({"name": "a", "pet": {"kind": "cow"}}, "#/pet union_tag_invalid"),
        ({"name": "a", "pet": {"name": "b"}}, "#/pet union_tag_not_found"),
        ({"name": "a", "label": {"sort": "name"}}, "#/label/name missing"),
        (
            {"name": "a", "part": {"name": 1, "part": {}}},
            "#/part/name string_type, #/part/part/name missing",
        ),
        ({"name": "a", "free": {"a": [{"b": "\0"}]}}, "#/free/a/0/b null_character"),
        ({"name": "a", "\ud800": 1}, "# string_unicode"),
    ],
)
async def test_error_in_the_body_has_a_pointer(body: object, answer: str) -> None:
    async with calling(app) as client:
        assert await post_json(client, "/things", body) == f"422 {answer}"


class Bounded(Schema):
    """A schema with one field for each kind of bound."""

    least: Annotated[int, Ge(1)] = 1
    most: Annotated[float, Le(9.5)] = 1
    above: Annotated[int, Gt(0)] = 1
    below: Annotated[int, Lt(5)] = 1
    since: Annotated[datetime, Ge(datetime(2026, 1, 1, tzinfo=UTC))] | None = None
    short: Annotated[str, Len(2, 4)] = "abc"
    coded: Annotated[str, StringConstraints(pattern="^[a-z]$")] = "a"
    many: Annotated[list[int], Len(1, 2)] = [1]  # noqa: RUF012 — as above
    either: Literal["it's", "a or b", 3, True] = 3
    colour: Colour = Colour.RED
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    whole: int = 0


@router.post("/bounded")
async def create_bounded(data: Bounded) -> None: ...


@router.post("/batch")
async def create_batch(data: Annotated[list[Bounded], Len(1, 2)]) -> None: ...


@pytest.mark.parametrize(
    ("field", "bounds"),
    [
        ({"least": 0}, {"minimum": 1}),
        ({"most": 10}, {"maximum": 9.5}),
        ({"above": 0}, {"exclusive_minimum": 0}),
        ({"below": 5}, {"exclusive_maximum": 5}),
        ({"since": "2025-01-01T00:00:00Z"}, {"minimum": "2026-01-01T00:00:00Z"}),
        ({"short": "a"}, {"min_length": 2}),
        ({"short": "abcde"}, {"max_length": 4}),
        ({"coded": "A"}, {"pattern": "^[a-z]$"}),
        ({"many": []}, {"min_length": 1}),
        ({"many": [1, 2, 3]}, {"max_length": 2}),
        ({"either": "b"}, {"allowed": ["it's", "a or b", 3, True]}),
        ({"colour": "blue"}, {"allowed": ["red"]}),
        ({"pet": {"kind": "cow"}}, {"allowed": ["cat", "dog"]}),
        ({"whole": 2**63}, {"maximum": 2**63 - 1}),
        ({"whole": -(2**70)}, {"minimum": -(2**63)}),
        ({"whole": "1"}, {}),
        ({"colour": None}, {}),
        ({"zzz": 1}, {}),
    ],
)
async def test_error_has_the_bounds_of_the_value(
    field: dict[str, object], bounds: dict[str, object]
) -> None:
    async with calling(app) as client:
        (alone,) = (await client.post("/bounded", json=field)).json()["errors"]
        (inside,) = (await client.post("/batch", json=[{}, field])).json()["errors"]
    assert {k: v for k, v in alone.items() if k in BOUNDS} == bounds
    assert {k: v for k, v in inside.items() if k in BOUNDS} == bounds


@pytest.mark.parametrize(("count", "bounds"), [(0, {"min_length": 1}), (3, {"max_length": 2})])
async def test_error_of_a_whole_body_has_its_bounds(count: int, bounds: dict[str, object]) -> None:
    body: list[dict[str, object]] = [{}] * count
    async with calling(app) as client:
        (fault,) = (await client.post("/batch", json=body)).json()["errors"]
    assert {k: v for k, v in fault.items() if k in BOUNDS} == bounds


@pytest.mark.parametrize(
    ("path", "bounds"),
    [
        ("/query?v=1&w=0", {"exclusive_minimum": 0}),
        ("/header_sizes", {"minimum": 5}),
        ("/cookie_sizes", {"maximum": 1}),
    ],
)
async def test_error_of_a_parameter_has_its_bounds(path: str, bounds: dict[str, object]) -> None:
    headers = {"x-size": "3", "cookie": "size=3"}
    async with calling(app) as client:
        (fault,) = (await client.get(path, headers=headers)).json()["errors"]
    assert {k: v for k, v in fault.items() if k in BOUNDS} == bounds


class Price(Enum):
    """An enumeration with a value that JSON does not have."""

    LOW = Decimal("1.5")


@router.get("/prices")
async def prices(price: Price) -> None: ...


async def test_error_omits_bounds_that_json_cannot_represent() -> None:
    async with calling(app) as client:
        (fault,) = (await client.get("/prices?price=1")).json()["errors"]
    assert (fault["code"], fault.keys() & {*BOUNDS}) == ("enum", set())


async def test_error_in_a_list_has_its_index() -> None:
    async with calling(app) as client:
        body = [{"name": "a"}, {"id": 1}, None]
        assert await post_json(client, "/lists", body) == (
            "422 #/1/id read_only, #/1/name missing, #/2 not_nullable"
        )


async def test_field_is_unknown_without_a_read_schema() -> None:
    async with calling(app) as client:
        assert (
            await post_json(client, "/untyped", {"name": "a", "id": 1}) == "422 #/id unknown_field"
        )


async def test_errors_of_an_embedded_body_name_its_parts() -> None:
    async with calling(app) as client:
        assert await post_json(client, "/embedded", {"two": {"name": 1}}) == (
            "422 #/one missing, #/two/name string_type"
        )
        assert await post_json(client, "/embedded", {"one": None}) == (
            "422 #/one not_nullable, #/two missing"
        )


async def test_number_of_errors_has_a_limit() -> None:
    async with calling(app) as client:
        body = {"name": "a"} | dict.fromkeys(map(str, range(MAX_ERRORS + 50)))
        assert (await post_json(client, "/things", body)).count("unknown_field") == MAX_ERRORS


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/query", "?v missing"),
        ("/query?v=a&w=0", "?v int_parsing, ?w greater_than"),
        ("/query?v=1&w=", "?w int_parsing"),
        ("/bounds?low=a", "?low int_parsing"),
        ("/cookies", "?size missing"),
        ("/paths/1?v=a", "?v int_parsing"),
        ("/paths/a?v=a", "?v int_parsing"),
    ],
)
async def test_error_in_the_query_names_its_parameter(path: str, answer: str) -> None:
    async with calling(app) as client:
        assert summary(await client.get(path)) == f"422 {answer}"


@pytest.mark.parametrize("path", ["/bounds?low=2&high=1", "/header_bounds"])
async def test_inconsistent_parameters_are_invalid(path: str) -> None:
    async with calling(app) as client:
        response = await client.get(path, headers={"low": "2", "high": "1"})
    assert response.status_code == 422
    assert [fault["code"] for fault in response.json()["errors"]] == ["value_error"]


@pytest.mark.parametrize(("headers", "code"), [({}, "missing"), ({"x-size": "a"}, "int_parsing")])
async def test_error_in_a_header_has_its_name(headers: dict[str, str], code: str) -> None:
    async with calling(app) as client:
        (fault,) = (await client.get("/headers", headers=headers)).json()["errors"]
    assert {"header": "x-size", "code": code} == {k: fault[k] for k in fault.keys() - {"detail"}}


async def test_invalid_path_parameter_is_not_found() -> None:
    async with calling(app) as client:
        assert summary(await client.get("/paths/a")) == "404"


@pytest.mark.parametrize(
    ("method", "content", "kind", "answer"),
    [
        ("POST", b"{", "application/json", "400"),
        ("POST", b"", "application/json", "400"),
        ("POST", b"{}", "text/plain", "415"),
        ("POST", b"[" * 70 + b"]" * 70, "application/json", "422 # too_deep"),
    ],
)
async def test_unreadable_body_has_one_error(
    method: str, content: bytes, kind: str, answer: str
) -> None:
    async with calling(app) as client:
        headers = {"content-type": kind}
        response = await client.request(method, "/things", content=content, headers=headers)
    assert summary(response) == answer


@pytest.mark.parametrize(
    "body", [{"name": "qzx\0"}, {"qzx": 1}, {"name": "a", "pet": {"kind": "qzx"}}]
)
async def test_error_detail_does_not_repeat_the_input(body: dict[str, Any]) -> None:
    async with calling(app) as client:
        response = await client.post("/things", json=body)
    assert response.status_code == 422
    assert all("qzx" not in fault["detail"] for fault in response.json()["errors"])


async def test_pointer_ends_before_a_name_beyond_the_limit() -> None:
    body = {"name": "", "counts": {"x" * MAX_NAME_LENGTH: "1", "y" * (MAX_NAME_LENGTH + 1): "1"}}

    async with calling(app) as client:
        assert await post_json(client, "/things", body) == (
            f"422 #/counts int_type, #/counts/{'x' * MAX_NAME_LENGTH} int_type"
        )
