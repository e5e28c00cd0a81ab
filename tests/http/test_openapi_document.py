"""Errors of routes, dependencies and routers in OpenAPI."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Security, status
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer, OAuth2PasswordBearer
from pydantic import BaseModel, ConfigDict

from brickwork import Conflict, Problem, Resource, Schema, SessionDep, StrictRoute, install
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


def openapi_operations(*routers: APIRouter, **options: Any) -> Body:
    app = FastAPI()
    install(app)
    for router in routers:
        app.include_router(router, **options)
    return operations_of(app.openapi())


def error_statuses(operation: Body) -> str:
    """Return the statuses of errors, with the media type if it is no problem."""
    found: list[str] = []
    for code, response in operation["responses"].items():
        if int(code) >= 400:
            (kind,) = response["content"]
            found.append(code if kind == PROBLEM else f"{code} {kind}")
    return " ".join(found)


# --- Authentication -------------------------------------------------------------------------------


async def require_token(token: Annotated[str, Header()]) -> None:
    if token != "a":  # noqa: S105 — of nothing
        raise HTTPException(401)


async def forbid_by_constant(token: Annotated[str, Header()]) -> None:
    error = HTTPException(status_code=status.HTTP_403_FORBIDDEN)
    if token:
        raise error


async def require_payment() -> None:
    raise Payment("Pay.")


async def raise_in_inner_function() -> Callable[[], None]:
    def inner() -> None:
        raise HTTPException(403)

    return inner


async def depend_on_token(_: Annotated[None, Depends(require_token)]) -> None: ...


async def raise_nothing() -> int:
    return 401


class Checker:
    """A dependency with a role."""

    def __init__(self, role: str) -> None:
        self.role = role

    async def __call__(self) -> None:
        raise HTTPException(403)

    async def check(self) -> None:
        raise HTTPException(429)


class ClassDependency:
    """A class that is a dependency itself."""

    def __init__(self) -> None:
        if not vars(self):
            raise HTTPException(401)


def require_role(role: str) -> None:
    raise HTTPException(403, role)


SECURITY = [
    (Depends(require_token), "401"),
    (Depends(forbid_by_constant), "403"),
    (Depends(require_payment), "402"),
    (Depends(raise_in_inner_function), "403"),
    (Depends(depend_on_token), "401"),
    (Depends(raise_nothing), ""),
    (Depends(Checker("admin")), "403"),
    (Depends(Checker("admin").check), "429"),
    (Depends(ClassDependency), "401"),
    (Depends(partial(require_role, "admin")), "403"),
    (Depends(HTTPBearer()), "401 403"),
    (Security(APIKeyHeader(name="X-Key")), "401 403"),
    (Security(OAuth2PasswordBearer("/token"), scopes=["write"]), "401 403"),
]


@pytest.mark.parametrize(("dependency", "added"), SECURITY)
def test_errors_of_a_dependency_are_in_every_operation(dependency: Any, added: str) -> None:
    usual = openapi_operations(stores())
    for name, operation in openapi_operations(stores(), dependencies=[dependency]).items():
        assert error_statuses(operation).split() == sorted(
            {*error_statuses(usual[name]).split(), *added.split()}
        )


def test_errors_of_a_resource_dependency_are_in_openapi() -> None:
    class Owned(Resource[Store]):
        caller: Annotated[None, Depends(require_token)]

    for operation in openapi_operations(stores(Owned)).values():
        assert "401" in operation["responses"]


def test_401_response_has_the_www_authenticate_header() -> None:
    for operation in openapi_operations(stores(), dependencies=[Depends(require_token)]).values():
        assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]


def test_declared_responses_of_a_router_are_in_openapi() -> None:
    declared: dict[int, Body] = {403: {}, 423: {"description": "Somebody works on it."}}
    for operation in openapi_operations(stores(), responses=declared).values():
        responses = operation["responses"]
        assert {"403", "423"} <= {*error_statuses(operation).split()}
        assert responses["403"]["description"] == "Not allowed"
        assert responses["423"]["description"] == "Somebody works on it."


def test_custom_response_is_unchanged() -> None:
    class Own(BaseModel):
        reason: str

    (operation, *_) = openapi_operations(stores(), responses={401: {"model": Own}}).values()
    assert error_statuses(operation).startswith("400 401 application/json 406")


# --- Custom endpoints -----------------------------------------------------------------------------


class Change(BaseModel):
    size: int


def test_custom_endpoint_has_its_errors_in_openapi() -> None:
    router = stores()

    @router.get("/counts")
    async def count(_: SessionDep) -> int:
        return 1

    @router.post("/{id}/grow")
    async def grow(id: str, change: Change, _: SessionDep) -> None: ...  # noqa: A002

    @router.get("/status", response_model=None)
    async def show_status() -> None: ...

    found = openapi_operations(router)
    assert error_statuses(found["count_stores_counts_get"]) == "400 406 414 422 431 500 503"
    assert (
        error_statuses(found["grow_stores__id__grow_post"])
        == "400 404 409 413 414 415 422 431 500 503"
    )
    assert error_statuses(found["show_status_stores_status_get"]) == "400 414 422 431 500"


def test_errors_in_the_code_of_an_endpoint_are_in_openapi() -> None:
    router = APIRouter(route_class=StrictRoute)

    @router.post("/sizes")
    async def choose(change: Change) -> int:
        if change.size > 9:
            raise Conflict("There is no such size.")
        if change.size > 8:
            raise HTTPException(status.HTTP_404_NOT_FOUND)
        return change.size

    (operation,) = openapi_operations(router).values()
    assert error_statuses(operation) == "400 404 406 409 413 414 415 422 431 500"
    properties = operation["responses"]["422"]["content"][PROBLEM]["schema"]["properties"]
    assert "pointer" in properties["errors"]["items"]["properties"]


def test_declared_errors_of_an_endpoint_are_problems() -> None:
    router = APIRouter(route_class=StrictRoute)

    @router.get("/sizes", responses={404: {}, 409: {"description": "Out of stock."}})
    async def show() -> None: ...

    (operation,) = openapi_operations(router).values()
    assert error_statuses(operation) == "400 404 409 414 422 431 500"
    assert operation["responses"]["409"]["description"] == "Out of stock."


@pytest.mark.parametrize("route_class", [StrictRoute, APIRoute])
def test_operation_has_no_error_schemas_of_fastapi(route_class: type[APIRoute]) -> None:
    router = APIRouter(route_class=route_class)

    @router.post("/things")
    async def create(change: Change) -> None: ...

    @router.get("/things")
    async def show() -> None: ...

    app = FastAPI()
    install(app)
    app.include_router(router)
    document = app.openapi()
    assert document["components"]["schemas"].keys() == {
        "Change",
        "ProblemDetails",
        "ProblemErrorDetail",
    }
    found = operations_of(document)
    assert "422" in error_statuses(found["create_things_post"]).split()
    assert ("422" in error_statuses(found["show_things_get"]).split()) is (
        route_class is StrictRoute
    )


def test_custom_description_is_unchanged() -> None:
    router = APIRouter(route_class=StrictRoute)

    @router.get("/things", responses={422: {"description": "No."}, "default": {}})
    async def show() -> None: ...

    (operation,) = openapi_operations(router).values()
    assert operation["responses"]["422"]["description"] == "No."
    assert operation["responses"]["default"] == {
        "description": "Default Response",
        "headers": operation["responses"]["200"]["headers"],
    }


@pytest.mark.parametrize(("route_class", "is_bounded"), [(StrictRoute, True), (APIRoute, False)])
def test_parameter_bounds_are_only_on_strict_routes(
    route_class: type[APIRoute],
    is_bounded: bool,  # noqa: FBT001 — a parameter of the test
) -> None:
    router = APIRouter(route_class=route_class)

    @router.get("/things")
    async def show(size: int = 1) -> None: ...

    (operation,) = openapi_operations(router).values()
    (parameter,) = operation["parameters"]
    assert ({"minimum", "maximum"} <= parameter["schema"].keys()) is is_bounded


def test_custom_reference_is_unchanged() -> None:
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


def test_routes_with_the_same_path_and_method_share_an_operation() -> None:
    router, other = APIRouter(route_class=StrictRoute), APIRouter(route_class=StrictRoute)

    async def show() -> None: ...

    router.add_api_route("/things", show, methods=["GET"])
    router.add_api_route("/things", show, methods=["PURGE"])
    other.add_api_route("/things", show, methods=["GET"], operation_id="other")
    app = FastAPI()
    install(app)
    for included in (router, other):
        app.include_router(included)
    (found, *_) = operations_of(app.openapi()).values()
    assert error_statuses(found) == "400 414 422 431 500"


# --- Schemas --------------------------------------------------------------------------------------


class Part(Schema):
    """A part with parts."""

    name: str = "part"
    parts: "list[Part]"


class Pair(Part):
    """Two parts."""

    model_config = ConfigDict(title="Part")


def test_schemas_have_different_titles() -> None:
    router = APIRouter(route_class=StrictRoute)

    @router.post("/parts")
    async def change(part: Part) -> Part:
        return part

    @router.post("/pairs")
    async def join(pair: Pair) -> None: ...

    app = FastAPI()
    install(app)
    app.include_router(router)
    schemas = app.openapi()["components"]["schemas"]
    assert {name: schema["title"] for name, schema in schemas.items()} == {
        "Pair": "Pair",
        "Part-Input": "PartInput",
        "Part-Output": "PartOutput",
        "ProblemDetails": "ProblemDetails",
        "ProblemErrorDetail": "ProblemErrorDetail",
    }


class PartUpdate(Part, partial=True):
    """Changes to a part."""

    spare: Part | None


def test_a_patch_is_one_schema() -> None:
    router = APIRouter(route_class=StrictRoute)

    @router.patch("/parts")
    async def change(part: PartUpdate) -> None: ...

    @router.patch("/parts/batch")
    async def change_all(parts: list[PartUpdate], others: list[PartUpdate]) -> None: ...

    app = FastAPI()
    install(app)
    app.include_router(router)
    document = app.openapi()
    reference = {"$ref": "#/components/schemas/PartUpdate"}
    content = document["paths"]["/parts"]["patch"]["requestBody"]["content"]
    assert content["application/json"]["schema"] == reference
    schemas = document["components"]["schemas"]
    (together,) = [schema for name, schema in schemas.items() if name.startswith("Body_")]
    assert {name: field["items"] for name, field in together["properties"].items()} == {
        "parts": reference,
        "others": reference,
    }


# --- Code -----------------------------------------------------------------------------------------


def test_object_without_code_raises_no_status() -> None:
    assert [raised_statuses(value) for value in (len, dict, 5, Conflict, object())] == [
        set(),
        set(),
        set(),
        set(),
        set(),
    ]
