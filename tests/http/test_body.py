"""Parsing and validation of request bodies."""

import threading
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, AliasChoices, Field

from brickwork import BadRequest, Limits, Schema, StrictRoute, install
from tests.support.bodies import JSON, MERGE_PATCH, send, summary
from tests.support.calls import calling

pytestmark = pytest.mark.anyio

speaking: ContextVar[str] = ContextVar("speaking", default="nobody")
threads: list[tuple[str, str]] = []


def record_thread(value: int) -> int:
    """Record the thread that validates *value*, and its context."""
    threads.append((threading.current_thread().name.partition("_")[0], speaking.get()))
    return value


class Cat(Schema):
    kind: Literal["cat"]
    lives: int


class Dog(Schema):
    kind: Literal["dog"]
    name: str


class Thing(Schema):
    size: Annotated[int, AfterValidator(record_thread)]
    numbers: Annotated[list[int], Field(default_factory=list)]


async def speaker(x_name: Annotated[str, Header()]) -> str:
    speaking.set(x_name)
    if x_name == "nobody":
        raise HTTPException(401)
    return x_name


async def total(request: Request) -> int:
    """Read the body in a dependency."""
    return sum((await request.json())["numbers"])


async def tenant(tenant: Annotated[int, Body(embed=True)]) -> int:
    return tenant


router = APIRouter(route_class=StrictRoute)


@router.post("/thing")
async def thing(thing: Thing) -> int:
    return thing.size


@router.post("/signed", dependencies=[Depends(speaker)])
async def signed(thing: Thing) -> int:
    return thing.size


@router.post("/member")
async def member(size: Annotated[int, Body(embed=True, strict=True)]) -> int:
    return size


@router.post("/members")
async def members(
    a: Thing,
    b: Annotated[int, Body(validation_alias=AliasChoices("b", "bee"))],
    c: Annotated[int, Body(ge=0)] = 7,
) -> list[int]:
    return [a.size, b, c]


@router.post("/optional")
async def optional(a: Annotated[int, Body()] = 1, b: Annotated[int, Body()] = 2) -> list[int]:
    return [a, b]


@router.post("/default")
async def default(thing: Annotated[Thing | None, Body()] = None) -> str:
    return repr(thing)


@router.post("/invalid_default")
async def invalid_default(
    size: Annotated[int, Body(ge=1, validate_default=True)] = 0,
) -> int:
    return size


@router.post("/pet")
async def pet(pet: Annotated[Cat | Dog, Body(discriminator="kind")]) -> str:
    return pet.kind


@router.post("/pets")
async def pets(pets: Annotated[list[Cat | Dog], Field(max_length=3), Body()]) -> int:
    return len(pets)


@router.patch("/total")
async def read_twice(
    total: Annotated[int, Depends(total)], body: Annotated[dict[str, Any], Body()]
) -> bool:
    return bool(total == sum(body["numbers"]))


@router.post("/tenants", dependencies=[Depends(speaker)])
async def tenants(thing: Thing, tenant: Annotated[int, Depends(tenant)]) -> list[int]:
    return [thing.size, tenant]


def create_app() -> FastAPI:
    app = FastAPI()
    install(app)
    app.include_router(router)
    return app


NUMBERS = ",".join(["1"] * 6_000)


@pytest.mark.parametrize(
    ("path", "content", "answer"),
    [
        ("/thing", '{"size": 3}', 3),
        ("/member", '{"size": 3}', 3),
        ("/members", '{"a": {"size": 3}, "b": 4}', [3, 4, 7]),
        ("/members", '{"a": {"size": 3}, "bee": 4, "c": 5}', [3, 4, 5]),
        ("/optional", "", [1, 2]),
        ("/optional", "{}", [1, 2]),
        ("/optional", '{"b": 3}', [1, 3]),
        ("/default", "", "None"),
        ("/default", "null", "None"),
        ("/default", '{"size": 3}', "Thing(size=3, numbers=[])"),
        ("/pet", '{"kind": "dog", "name": "Rex"}', "dog"),
        ("/pets", '[{"kind": "cat", "lives": 9}]', 1),
    ],
)
async def test_valid_body_is_accepted(path: str, content: str, answer: object) -> None:
    async with calling(create_app()) as client:
        response = await send(client, "POST", path, content)
    assert (response.status_code, response.json()) == (200, answer)


@pytest.mark.parametrize(
    ("path", "content", "answer"),
    [
        ("/thing", "", "400"),
        ("/thing", " ", "400"),
        ("/thing", "null", "422 # object_type"),
        ("/thing", '{"size": ""}', "422 #/size int_type"),
        ("/thing", f'{{"size": "", "numbers": [{NUMBERS}]}}', "422 #/size int_type"),
        ("/thing", f"[{NUMBERS}", "400"),
        ("/thing", "[" * 6_000, "422 # too_deep"),
        ("/member", "3", "422 #/size missing"),
        ("/member", '{"size": "3"}', "422 #/size int_type"),
        ("/member", "", "422 #/size missing"),
        ("/members", '{"a": {"size": ""}, "c": 1}', "422 #/a/size int_type, #/b missing"),
        ("/members", '{"a": {"size": 1}, "b": 1, "c": -1}', "422 #/c greater_than_equal"),
        ("/members", "[]", "422 #/a missing, #/b missing, #/c missing"),
        ("/members", "{", "400"),
        ("/optional", "[]", "422 #/a missing, #/b missing"),
        ("/optional", '{"a": ""}', "422 #/a int_parsing"),
        ("/invalid_default", "", "422 # greater_than_equal"),
        ("/pet", '{"kind": "cow"}', "422 # union_tag_invalid"),
        ("/pet", '{"kind": "cat"}', "422 #/lives missing"),
        ("/pets", "[1, 2, 3, 4]", "422 # too_long"),
    ],
)
async def test_invalid_body_is_rejected(path: str, content: str, answer: str) -> None:
    async with calling(create_app()) as client:
        assert summary(await send(client, "POST", path, content)) == answer


async def test_unsupported_media_type_is_rejected_before_the_body() -> None:
    async with calling(create_app()) as client:
        assert summary(await send(client, "POST", "/members", "{", "text/plain")) == "415"
        assert summary(await send(client, "POST", "/thing", "", "text/plain")) == "415"


async def test_dependency_can_read_the_body() -> None:
    async with calling(create_app()) as client:
        for content, answer in (
            ('{"numbers": [1, 2]}', "200"),
            ("{", "400"),
            ('{"numbers": [], "numbers": []}', "400"),
        ):
            assert summary(await send(client, "PATCH", "/total", content, MERGE_PATCH)) == answer
        assert summary(await send(client, "PATCH", "/total", "{}", "text/plain")) == "415"


async def test_authentication_error_precedes_a_body_error() -> None:
    headers = {"content-type": JSON}
    async with calling(create_app()) as client:
        for name, content, answer in (
            ("nobody", "{", "401"),
            ("nobody", '{"tenant": ""}', "401"),
            ("ada", "{", "400"),
            ("ada", '{"tenant": ""}', "422 #/tenant int_parsing, #/thing missing"),
            ("ada", '{"tenant": 1, "thing": {"size": 2}}', "200"),
        ):
            named = {**headers, "x-name": name}
            response = await client.post("/tenants", content=content, headers=named)
            assert summary(response) == answer


# --- Threads --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "thread"), [("1", "MainThread"), (NUMBERS, "brickwork-body")], ids=["few", "many"]
)
async def test_large_body_is_validated_in_a_thread(numbers: str, thread: str) -> None:
    headers = {"content-type": JSON, "x-name": "ada"}
    content = f'{{"size": 3, "numbers": [{numbers}]}}'
    threads.clear()
    async with calling(create_app()) as client:
        response = await client.post("/signed", content=content, headers=headers)
    assert summary(response) == "200"
    assert threads == [(thread, "ada")]


async def test_limits_apply_in_the_thread() -> None:
    app = FastAPI()
    install(app, limits=Limits(values=6_000))
    app.include_router(router)
    async with calling(app) as client:
        for path, content, answer in (
            ("/thing", f'{{"size": 3, "numbers": [{NUMBERS}]}}', "413"),
            ("/thing", f'{{"size": "", "numbers": [{NUMBERS[:-10]}]}}', "422 #/size int_type"),
        ):
            assert summary(await send(client, "POST", path, content)) == answer


# --- Features of FastAPI --------------------------------------------------------------------------


async def test_dependency_override_can_have_a_body() -> None:
    app = create_app()
    named = {"x-name": "ada", "content-type": JSON}

    async def other(tenant: Annotated[str, Body(embed=True)]) -> int:
        return len(tenant)

    app.dependency_overrides[tenant] = other
    both = "422 #/tenant string_type, #/thing/size int_type"
    async with calling(app) as client:
        for content, answer in (
            ('{"tenant": "a", "thing": {"size": 2}}', "200"),
            ('{"tenant": 1, "thing": {"size": ""}}', both),
            ("{", "400"),
        ):
            response = await client.post("/tenants", content=content, headers=named)
            assert summary(response) == answer
        assert summary(await send(client, "POST", "/thing", "{}", "text/plain")) == "415"


async def test_validation_error_has_the_body() -> None:
    app = FastAPI()
    install(app)
    seen: list[tuple[object, int]] = []

    async def watch() -> AsyncIterator[None]:
        try:
            yield
        except RequestValidationError as error:
            seen.append((error.body, len(error.errors())))
            raise
        except BadRequest as error:
            seen.append((None, len(error.errors)))
            raise

    app.include_router(router, dependencies=[Depends(watch)])
    async with calling(app) as client:
        assert (
            summary(await send(client, "POST", "/thing", '{"size": ""}')) == "422 #/size int_type"
        )
        assert summary(await send(client, "POST", "/thing", "{")) == "400"
    assert seen == [({"size": ""}, 1), (None, 0)]
