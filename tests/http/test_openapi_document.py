"""What openapi.json says of errors that a route, its dependencies and its router may raise."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Security, status
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer, OAuth2PasswordBearer
from pydantic import BaseModel

from brickwork import Conflict, Problem, Resource, SessionDep, StrictRoute, install
from brickwork.http.statuses import raised_statuses
from tests.support.bodies import Body
from tests.support.openapi import operations_of
from tests.support.shop import Store, stores

PROBLEM = "application/problem+json"


class Payment(Problem):
    """The caller has not paid."""

    status = 402
    code = "payment"
    title = "Pay first"


def operations(*routers: APIRouter, **options: Any) -> Body:
    app = FastAPI()
    install(app)
    for router in routers:
        app.include_router(router, **options)
    return operations_of(app.openapi())


def errors(operation: Body) -> str:
    """Return the statuses of errors that are problems, and the others with the type of each."""
    found: list[str] = []
    for each, response in operation["responses"].items():
        if int(each) >= 400:
            (kind,) = response["content"]
            found.append(each if kind == PROBLEM else f"{each} {kind}")
    return " ".join(found)


# --- Authentication -------------------------------------------------------------------------------


async def named(token: Annotated[str, Header()]) -> None:
    if token != "a":  # noqa: S105 — of nothing
        raise HTTPException(401)


async def by_constant(token: Annotated[str, Header()]) -> None:
    error = HTTPException(status_code=status.HTTP_403_FORBIDDEN)
    if token:
        raise error


async def with_problem() -> None:
    raise Payment("Pay.")


async def nested() -> Callable[[], None]:
    def inner() -> None:
        raise HTTPException(403)

    return inner


async def of_another(_: Annotated[None, Depends(named)]) -> None: ...


async def without_errors() -> int:
    return 401


class Checker:
    """A dependency with a parameter."""

    def __init__(self, role: str) -> None:
        self.role = role

    async def __call__(self) -> None:
        raise HTTPException(403)

    async def check(self) -> None:
        raise HTTPException(429)


class Caller:
    """A class that FastAPI calls."""

    def __init__(self) -> None:
        if not vars(self):
            raise HTTPException(401)


def parametrized(role: str) -> None:
    raise HTTPException(403, role)


SECURITY = [
    (Depends(named), "401"),
    (Depends(by_constant), "403"),
    (Depends(with_problem), "402"),
    (Depends(nested), "403"),
    (Depends(of_another), "401"),
    (Depends(without_errors), ""),
    (Depends(Checker("admin")), "403"),
    (Depends(Checker("admin").check), "429"),
    (Depends(Caller), "401"),
    (Depends(partial(parametrized, "admin")), "403"),
    (Depends(HTTPBearer()), "401 403"),
    (Security(APIKeyHeader(name="X-Key")), "401 403"),
    (Security(OAuth2PasswordBearer("/token"), scopes=["write"]), "401 403"),
]


@pytest.mark.parametrize(("dependency", "added"), SECURITY)
def test_errors_of_a_dependency_are_told_for_each_operation(dependency: Any, added: str) -> None:
    usual = operations(stores())
    for name, operation in operations(stores(), dependencies=[dependency]).items():
        assert errors(operation).split() == sorted({*errors(usual[name]).split(), *added.split()})


def test_errors_of_the_dependencies_of_a_resource_are_told() -> None:
    class Owned(Resource[Store]):
        caller: Annotated[None, Depends(named)]

    for operation in operations(stores(Owned)).values():
        assert "401" in operation["responses"]


def test_a_refusal_of_credentials_says_how_to_send_them() -> None:
    for operation in operations(stores(), dependencies=[Depends(named)]).values():
        assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]


def test_a_router_tells_of_errors_that_nobody_can_see() -> None:
    declared: dict[int, Body] = {403: {}, 423: {"description": "Somebody works on it."}}
    for operation in operations(stores(), responses=declared).values():
        responses = operation["responses"]
        assert {"403", "423"} <= {*errors(operation).split()}
        assert responses["403"]["description"] == "Not allowed"
        assert responses["423"]["description"] == "Somebody works on it."


def test_a_response_of_ones_own_stays_as_it_is() -> None:
    class Own(BaseModel):
        reason: str

    (operation, *_) = operations(stores(), responses={401: {"model": Own}}).values()
    assert errors(operation).startswith("400 401 application/json 406")


# --- Endpoints that are added ---------------------------------------------------------------------


class Change(BaseModel):
    size: int


def test_errors_of_an_endpoint_that_is_added() -> None:
    router = stores()

    @router.get("/counts")
    async def count(_: SessionDep) -> int:
        return 1

    @router.post("/{id}/grow")
    async def grow(id: str, change: Change, _: SessionDep) -> None: ...  # noqa: A002

    @router.get("/status", response_model=None)
    async def show_status() -> None: ...

    found = operations(router)
    assert errors(found["count_stores_counts_get"]) == "400 406 414 422 431 500 503"
    assert errors(found["grow_stores__id__grow_post"]) == "400 404 409 413 414 415 422 431 500 503"
    assert errors(found["show_status_stores_status_get"]) == "400 414 422 431 500"


@pytest.mark.parametrize("route_class", [StrictRoute, APIRoute])
def test_no_operation_shows_errors_of_fastapi(route_class: type[APIRoute]) -> None:
    router = APIRouter(route_class=route_class)

    @router.post("/things")
    async def create(change: Change) -> None: ...

    @router.get("/things")
    async def show() -> None: ...

    app = FastAPI()
    install(app)
    app.include_router(router)
    document = app.openapi()
    assert document["components"]["schemas"].keys() == {"Change", "ProblemDetails"}
    found = operations_of(document)
    assert "422" in errors(found["create_things_post"]).split()
    assert ("422" in errors(found["show_things_get"]).split()) is (route_class is StrictRoute)


def test_a_status_of_ones_own_stays_as_it_is() -> None:
    router = APIRouter(route_class=StrictRoute)

    @router.get("/things", responses={422: {"description": "No."}, "default": {}})
    async def show() -> None: ...

    (operation,) = operations(router).values()
    assert operation["responses"]["422"]["description"] == "No."
    assert operation["responses"]["default"] == {
        "description": "Default Response",
        "headers": operation["responses"]["200"]["headers"],
    }


@pytest.mark.parametrize(("route_class", "is_bounded"), [(StrictRoute, True), (APIRoute, False)])
def test_bounds_are_those_of_a_route_that_keeps_them(
    route_class: type[APIRoute],
    is_bounded: bool,  # noqa: FBT001 — a parameter of the test
) -> None:
    router = APIRouter(route_class=route_class)

    @router.get("/things")
    async def show(size: int = 1) -> None: ...

    (operation,) = operations(router).values()
    (parameter,) = operation["parameters"]
    assert ({"minimum", "maximum"} <= parameter["schema"].keys()) is is_bounded


def test_reference_of_ones_own_stays_as_it_is() -> None:
    router = APIRouter(route_class=StrictRoute)

    @router.get("/things", responses={404: {"$ref": "#/components/responses/Own"}})
    async def show() -> None: ...

    app = FastAPI()
    install(app)
    app.include_router(router)
    assert app.openapi()["paths"]["/things"]["get"]["responses"]["404"] == {
        "description": "Not Found",
        "$ref": "#/components/responses/Own",
    }


def test_two_routes_with_one_path_and_method_are_one_operation() -> None:
    router, other = APIRouter(route_class=StrictRoute), APIRouter(route_class=StrictRoute)

    async def show() -> None: ...

    router.add_api_route("/things", show, methods=["GET"])
    router.add_api_route("/things", show, methods=["PURGE"])
    other.add_api_route("/things", show, methods=["GET"], operation_id="other")
    app = FastAPI()
    install(app)
    for each in (router, other):
        app.include_router(each)
    (found, *_) = operations_of(app.openapi()).values()
    assert errors(found) == "400 414 422 431 500"


# --- Code -----------------------------------------------------------------------------------------


def test_code_that_is_no_function_names_no_status() -> None:
    assert [raised_statuses(each) for each in (len, dict, 5, Conflict, object())] == [
        set(),
        set(),
        set(),
        set(),
        set(),
    ]
