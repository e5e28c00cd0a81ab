"""The private parts of FastAPI and Starlette for all layers."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Body, FastAPI, Request
from fastapi.exceptions import (
    RequestValidationError,
    ResponseValidationError,
    ValidationException,
)
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel

from brickwork import request_internals as internals
from brickwork.http.fastapi_internals import included_route
from tests.support.calls import calling

pytestmark = pytest.mark.anyio


class Thing(BaseModel):
    name: str


def test_body_is_embedded_in_several_parameters() -> None:
    async def one(thing: Thing) -> None: ...

    async def two(thing: Thing, size: Annotated[int, Body()]) -> None: ...

    router = APIRouter()
    router.add_api_route("/one", one, methods=["POST"])
    router.add_api_route("/two", two, methods=["POST"])
    app = FastAPI()
    app.include_router(router)
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    assert [internals.embeds_body(route) for route in routes] == [False, True]
    included = [
        context for context in iter_route_contexts(app.routes) if context.methods == {"POST"}
    ]
    assert [internals.embeds_body(included_route(context)) for context in included] == [False, True]


async def test_mounted_application_is_recognised() -> None:
    async def tell(request: Request) -> bool:
        return internals.is_mounted(request.scope)

    outer, inner = FastAPI(), FastAPI()
    for app in (outer, inner):
        app.add_api_route("/mounted", tell)
    outer.mount("/inner", inner)
    async with calling(outer, root_path="/proxy") as client:
        paths = ("/proxy/mounted", "/proxy/inner/mounted")
        assert [(await client.get(path)).json() for path in paths] == [False, True]


@pytest.mark.parametrize("kind", [RequestValidationError, ResponseValidationError])
def test_errors_are_replaced(kind: type[ValidationException]) -> None:
    before = {"type": "missing", "loc": ("body", "name"), "msg": "secret", "input": "secret"}
    error = kind([before])
    assert "secret" in str(error)
    assert "secret" in str(error.errors())
    internals.replace_errors(error, [{"type": "missing", "loc": ("body",)}])
    assert error.errors() == [{"type": "missing", "loc": ("body",)}]
    assert "secret" not in f"{error} {vars(error)}"
