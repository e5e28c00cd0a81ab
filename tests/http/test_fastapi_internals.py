"""The private parts of FastAPI, each by what it is used for."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Form, Request, Security
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security import SecurityScopes
from starlette.datastructures import QueryParams
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from brickwork.http import fastapi_internals as internals
from tests.support.calls import calling

pytestmark = pytest.mark.anyio


async def get_thing(name: str, limit: int = 5) -> dict[str, Any]:
    return {"name": name, "limit": limit}


def routes_of(app: FastAPI) -> list[Any]:
    return [route for route in iter_route_contexts(app.routes) if route.endpoint is get_thing]


def including_app(**options: Any) -> FastAPI:
    router = APIRouter()
    router.add_api_route("/things/{name}", get_thing)
    app = FastAPI()
    app.include_router(router, prefix="/shop", **options)
    return app


async def test_effective_route_has_the_prefix_of_its_routers() -> None:
    seen: list[APIRoute] = []

    async def record(request: Request) -> None:
        seen.append(internals.effective_route(request))

    app = including_app(dependencies=[Depends(record)])
    async with calling(app) as client:
        assert (await client.get("/shop/things/a")).status_code == 200
    (context,) = routes_of(app)
    assert [route.path for route in seen] == ["/shop/things/{name}"]
    assert internals.included_route(context) is seen[0]
    assert internals.effective_context(context) == {"effective_route_context": seen[0]}


async def test_route_of_the_application_itself_has_no_context() -> None:
    app = FastAPI()
    app.add_api_route("/things/{name}", get_thing)
    (context,) = routes_of(app)
    assert internals.effective_context(context) == {}
    assert internals.included_route(context) is app.routes[-1]


async def test_routers_share_their_results_in_the_scope() -> None:
    found: list[Any] = []

    class Recording(APIRouter):
        @override
        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            included = internals.included_router(scope)
            found.append((included, internals.route_candidates(included)))
            return super().matches(scope)

    async def record(request: Request) -> None:
        found.append(internals.route_context(request.scope))
        assert internals.ROUTING in request.scope

    router, app = Recording(), FastAPI()
    router.add_api_route("/things/{name}", get_thing, dependencies=[Depends(record)])
    app.include_router(router, prefix="/shop")
    async with calling(app) as client:
        assert (await client.get("/shop/things/a")).status_code == 200
        (included, candidates), context = found[0], found[-1]
        assert [route.path for route in candidates] == ["/shop/things/{name}"]
        assert internals.route_candidates(included) is candidates
        assert context is candidates[0]
        router.add_api_route("/other/{name}", get_thing)
        assert internals.route_candidates(included) is not candidates


async def test_function_stack_ends_before_the_response() -> None:
    events: list[str] = []

    async def record(request: Request) -> AsyncIterator[None]:
        stacks = (internals.FUNCTION_STACK, internals.REQUEST_STACK)
        for name, stack in zip(("function", "request"), stacks, strict=True):
            found = request.scope[stack]
            assert isinstance(found, AsyncExitStack)
            found.callback(events.append, name)
        yield

    app = including_app(dependencies=[Depends(record)])

    class Sending:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def send_recorded(message: Message) -> None:
                events.append("response")
                await send(message)

            await self._app(scope, receive, send_recorded)

    app.add_middleware(Sending)
    async with calling(app) as client:
        await client.get("/shop/things/a")
    assert events == ["function", "response", "response", "request"]


async def test_dependencies_are_solved_for_a_request() -> None:
    solved: list[Any] = []

    async def solve(request: Request) -> None:
        (context,) = routes_of(app)
        found = await internals.solve_dependencies(
            request, context.dependant, None, None, embeds_body=False
        )
        solved.append((found.values, found.errors))

    app = FastAPI()
    app.add_api_route("/things/{name}", get_thing)
    app.add_api_route("/solve/{name}", solve)
    async with calling(app) as client:
        await client.get("/solve/a?limit=7")
        await client.get("/solve/a?limit=x")
    assert solved[0] == ({"name": "a", "limit": 7}, [])
    assert [error["loc"] for error in solved[1][1]] == [("query", "limit")]


@pytest.mark.parametrize("by", ["FastAPI", "us"])
async def test_an_override_is_called_as_often_as_fastapi_calls_it(by: str) -> None:
    calls: list[str] = []

    async def original() -> str:
        return "original"

    async def other(scopes: SecurityScopes) -> str:
        calls.append(f"other {scopes.scopes}")
        return ""

    async def both(
        one: Annotated[str, Security(original, scopes=["a"])],
        two: Annotated[str, Security(original, scopes=["b"])],
        three: Annotated[str, Security(original, scopes=["a"])],
        four: Annotated[str, Security(other, scopes=["a"])],
        five: Annotated[str, Security(original, scopes=["a"], use_cache=False)],
    ) -> None:
        raise NotImplementedError(one + two + three + four + five)

    async def solve(request: Request) -> None:
        (dependant,) = (route.dependant for route in iter_route_contexts(app.routes[-2:-1]))
        overrides = {original: other}
        if by == "us":
            dependant = internals.override(dependant, overrides)
        else:
            app.dependency_overrides.update(overrides)
        provider = app if by == "FastAPI" else None
        await internals.solve_dependencies(request, dependant, None, provider, embeds_body=False)

    app = FastAPI()
    app.add_api_route("/both", both)
    app.add_api_route("/solve", solve)
    async with calling(app) as client:
        assert (await client.get("/solve")).status_code == 200
    assert calls == [f"other {scopes}" for scopes in (["a"], ["b"], ["a"], ["a"])]


def test_an_override_with_other_cache_keys_is_refused() -> None:
    async def original() -> None: ...

    async def other(_: SecurityScopes) -> None: ...

    app = FastAPI()
    app.add_api_route("/things", get_thing, dependencies=[Depends(original)])
    (context,) = routes_of(app)
    with pytest.raises(LookupError):
        internals.override(context.dependant, {original: other})


def test_parameters_are_parsed() -> None:
    (context,) = routes_of(including_app())
    fields = context.dependant.query_params
    assert internals.parse_parameters(fields, QueryParams("limit=3")) == ({"limit": 3}, [])
    assert internals.parse_parameters(fields, QueryParams()) == ({"limit": 5}, [])


async def test_handler_calls_the_endpoint_of_the_dependant() -> None:
    app = including_app()
    (context,) = routes_of(app)
    route = internals.included_route(context)

    async def handle(request: Request) -> Any:
        return await internals.build_handler(route, route.dependant)(request)

    app.add_api_route("/other/{name}", handle)
    async with calling(app) as client:
        assert (await client.get("/other/b?limit=2")).json() == {"name": "b", "limit": 2}


async def test_form_has_the_limits_of_its_routers() -> None:
    limits: list[Any] = []

    async def read(request: Request, name: Annotated[str, Form()]) -> str:
        limits.append(internals.form_limits(request, internals.effective_route(request)))
        return name

    router = APIRouter(form_limits={"max_fields": 7})
    router.add_api_route("/form", read, methods=["POST"])
    app = FastAPI()
    app.include_router(router)
    async with calling(app) as client:
        assert (await client.post("/form", data={"name": "a"})).json() == "a"
    assert [found["max_fields"] for found in limits] == [7]


async def test_cleanup_runs_after_the_response() -> None:
    events: list[str] = []

    async def close() -> None:
        events.append("closed")

    async def push(request: Request) -> None:
        internals.push_cleanup(request, close)

    app = including_app(dependencies=[Depends(push)])
    async with calling(app) as client:
        await client.get("/shop/things/a")
    assert events == ["closed"]


def test_version_changes_with_each_route() -> None:
    app, inner = including_app(), APIRouter()
    outer = APIRouter()
    outer.include_router(inner)
    app.include_router(outer)

    def version() -> int:
        return internals.routes_version([*internals.routers_of(app.router)])

    assert inner in [*internals.routers_of(app.router)]
    versions = [version()]
    for router in (inner, outer, app):
        router.add_api_route(f"/new-{len(versions)}", get_thing)
        versions.append(version())
    assert len({*versions}) == 4


def test_body_limit_is_that_of_the_router() -> None:
    limited, unlimited = routes_of(including_app(max_body_size=9)), routes_of(including_app())
    assert [internals.body_limit(context) for context in (*limited, *unlimited)] == [9, None]


def test_request_with_telemetry_is_traced() -> None:
    assert internals.is_traced({"fastapi.telemetry": object()})
    assert not internals.is_traced({})
