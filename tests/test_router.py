"""Routers: operations, names, rejected declarations."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from httpx2 import AsyncClient
from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, mapped_column
from starlette.routing import Route as StarletteRoute

from brickwork import Database, Model, ReadSchema, Resource, Schema, crud_router, install
from brickwork.operations.naming import OperationName
from tests.support import shop
from tests.support.calls import calling
from tests.support.databases import sqlite_only
from tests.support.shop import Cities, CityCreate, CityRead, CityUpdate, Shop, Store, app_of
from tests.support.tables import insert_rows

pytestmark = pytest.mark.anyio

CITY: dict[str, Any] = {"read": CityRead, "create": CityCreate, "update": CityUpdate}


def described(*routers: APIRouter) -> dict[str, Any]:
    app = FastAPI()
    install(app)
    for router in routers:
        app.include_router(router)
    document: dict[str, Any] = app.openapi()
    return document


async def test_an_operation_is_named_after_its_resource() -> None:
    paths = described(crud_router("/big-cities", Cities, **CITY))["paths"]

    assert {
        (method, path): operation["operationId"]
        for path, operations in paths.items()
        for method, operation in operations.items()
    } == {
        ("get", "/big-cities"): "big_cities_list",
        ("post", "/big-cities"): "big_cities_create",
        ("post", "/big-cities/batch"): "big_cities_create_batch",
        ("patch", "/big-cities/batch"): "big_cities_update_batch",
        ("delete", "/big-cities/batch"): "big_cities_delete_batch",
        ("get", "/big-cities/{id}"): "big_cities_get",
        ("patch", "/big-cities/{id}"): "big_cities_update",
        ("put", "/big-cities/{id}"): "big_cities_replace",
        ("delete", "/big-cities/{id}"): "big_cities_delete",
    }


async def test_an_endpoint_can_replace_an_omitted_operation(empty_url: str) -> None:
    router = crud_router("/cities", Cities, **CITY, omit={"delete", "replace"})

    @router.delete("/{id}", status_code=202)
    async def retire(id: int) -> None: ...  # noqa: A002

    app = FastAPI(lifespan=Shop(empty_url).lifespan)
    install(app)
    app.include_router(router)
    async with calling(app) as client:
        assert (await client.delete("/cities/1")).status_code == 202
        refused = await client.put("/cities/1", json={"name": "Rome"})
        assert refused.status_code == 405
        assert refused.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH"


READ_ONLY: Final = {
    "/cities": "GET, HEAD, OPTIONS",
    "/cities/1": "GET, HEAD, OPTIONS",
}
WITHOUT_SCHEMA: Final[list[tuple[set[str], dict[str, str]]]] = [
    (set(), READ_ONLY),
    (
        {"create"},
        {
            "/cities": "GET, HEAD, OPTIONS, POST",
            "/cities/1": "DELETE, GET, HEAD, OPTIONS, PUT",
            "/cities/batch": "DELETE, OPTIONS, POST",
        },
    ),
    (
        {"update"},
        {
            "/cities": "GET, HEAD, OPTIONS",
            "/cities/1": "DELETE, GET, HEAD, OPTIONS, PATCH",
            "/cities/batch": "DELETE, OPTIONS, PATCH",
        },
    ),
]


@pytest.mark.parametrize(("given", "allowed"), WITHOUT_SCHEMA)
async def test_resource_without_a_schema_lacks_its_operations(
    empty_url: str, given: set[str], allowed: dict[str, str]
) -> None:
    router = crud_router(
        "/cities", Cities, **{name: CITY[name] for name in ("read", *sorted(given))}
    )
    app = FastAPI(lifespan=Shop(empty_url).lifespan)
    install(app)
    app.include_router(router)
    async with calling(app) as client:
        for path, methods in allowed.items():
            assert (await client.options(path)).headers["allow"] == methods
        assert (await client.get("/cities")).json() == []
        assert (await client.get("/cities/batch")).status_code == (405 if given else 404)


async def test_a_router_can_be_included_below_a_prefix(empty_url: str) -> None:
    app = FastAPI(lifespan=Shop(empty_url).lifespan)
    install(app)
    app.include_router(shop.cities, prefix="/v1")
    async with calling(app) as client:
        for path in ("/v1/cities", "/v1/cities/"):
            response = await client.post(path, json={"name": "Rome"})
            assert response.status_code == 201
            assert (await client.get(response.headers["location"])).json() == response.json()
        links = '</v1/cities?limit=1>; rel="first", </v1/cities?limit=1&offset=1>; rel="next"'
        assert (await client.get("/v1/cities?limit=1&offset=0")).headers["link"] == links
        assert (await client.options("/v1/cities/")).headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_the_key_in_a_path_is_described_by_its_type() -> None:
    paths = described(shop.cities, shop.countries)["paths"]

    def schema(path: str) -> dict[str, Any]:
        described: dict[str, Any] = paths[path]["get"]["parameters"][0]["schema"]
        return described | {"title": ""}

    assert schema("/cities/{id}") == {"type": "integer", "title": ""}
    assert schema("/countries/{id}") == {"type": "string", "title": ""}


async def test_a_field_without_an_attribute_is_rejected() -> None:
    class Wrong(CityCreate):
        colour: str
        size: int

    with pytest.raises(TypeError, match="Wrong has colour, but City does not"):
        crud_router("/cities", Cities, read=CityRead, create=Wrong, update=CityUpdate)


class Odd(Model):
    """The base of models with keys that have no URL form."""

    __abstract__ = True
    metadata = MetaData()


class Time(Odd):
    __tablename__ = "times"
    one: Mapped[int] = mapped_column(primary_key=True)
    other: Mapped[datetime] = mapped_column(primary_key=True)


class Weight(Odd):
    __tablename__ = "weights"
    kilos: Mapped[float] = mapped_column(primary_key=True)


class Empty(Schema): ...


class Times(Resource[Time]): ...


class Weights(Resource[Weight]): ...


@pytest.mark.parametrize(
    ("resource", "remedy"),
    [(Times, "Time is a datetime: use UUID, int"), (Weights, "use UUID, int, str or date")],
)
async def test_a_key_without_a_url_form_is_rejected(
    resource: type[Resource[Any]], remedy: str
) -> None:
    with pytest.raises(TypeError, match=remedy):
        crud_router("/odd", resource, read=CityRead, create=Empty, update=Empty)


class Town(Odd):
    __tablename__ = "towns"
    id: Mapped[int] = mapped_column(primary_key=True)


class Towns(Resource[Town]): ...


class TownRead(ReadSchema):
    id: int


TOWN: Final[dict[str, Any]] = {"read": TownRead, "create": Empty, "update": Empty}
BATCHES: Final[set[OperationName]] = {"create_batch", "update_batch", "delete_batch"}


class BlogPost(Odd):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)


class BlogPosts(Resource[BlogPost]): ...


class BlogPostRead(ReadSchema):
    id: int


def blog_posts(prefix: str) -> APIRouter:
    return crud_router(prefix, BlogPosts, read=BlogPostRead, create=Empty, update=Empty)


def test_a_summary_names_one_row_or_many() -> None:
    paths = described(blog_posts("/press/blog-posts"))["paths"].values()
    assert [operation["summary"] for operations in paths for operation in operations.values()] == [
        "List blog posts",
        "Create a blog post",
        "Create a batch of blog posts",
        "Update a batch of blog posts",
        "Delete a batch of blog posts",
        "Get a blog post",
        "Update a blog post",
        "Replace a blog post",
        "Delete a blog post",
    ]


# --- Names under prefixes -------------------------------------------------------------------------


def names(app: FastAPI) -> dict[str, str]:
    """Return the names of lists by their paths."""
    paths = app.openapi()["paths"]
    return {
        path: operations["get"]["operationId"]
        for path, operations in paths.items()
        if "{id}" not in path
    }


def test_a_router_included_twice_has_unique_operation_ids() -> None:
    app, router = FastAPI(), crud_router("/cities", Cities, **CITY, omit=BATCHES)
    install(app)
    for prefix in ("", "/v1", "/v2", "/groups/{group}"):
        app.include_router(router, prefix=prefix)
    assert names(app) == {
        "/cities": "cities_list",
        "/v1/cities": "v1_cities_list",
        "/v2/cities": "v2_cities_list",
        "/groups/{group}/cities": "groups_group_cities_list",
    }
    operations = [
        operation for path in app.openapi()["paths"].values() for operation in path.values()
    ]
    assert len(operations) == len({operation["operationId"] for operation in operations}) == 24


@pytest.mark.parametrize(
    ("prefix", "included", "name", "tag", "summary"),
    [
        ("", "/cities", "cities_list", "towns", "List towns"),
        ("", "/v1/big-cities", "v1_big_cities_list", "towns", "List towns"),
        ("", "/{tenant}", "tenant_towns_list", "towns", "List towns"),
        ("/{tenant}", "", "tenant_towns_list", "towns", "List towns"),
        ("/{tenant}/cities", "", "tenant_cities_list", "cities", "List cities"),
        (
            "/tenants/{tenant:int}/big_cities",
            "/v1",
            "v1_tenants_tenant_big_cities_list",
            "tenants/big_cities",
            "List big cities",
        ),
    ],
)
def test_names_of_prefixes_with_parameters_and_empty_prefixes(
    prefix: str, included: str, name: str, tag: str, summary: str
) -> None:
    app = FastAPI()
    install(app)
    app.include_router(crud_router(prefix, Towns, **TOWN, omit=BATCHES), prefix=included)
    path = included + prefix.replace(":int", "")
    operation = app.openapi()["paths"][path]["get"]
    assert operation["operationId"] == name
    assert operation["tags"] == [tag]
    assert operation["summary"] == summary


def test_an_application_function_generates_operation_ids() -> None:
    app = FastAPI(generate_unique_id_function=lambda route: f"{route.tags[0]}-{route.name}")
    install(app)
    app.include_router(crud_router("/cities", Cities, **CITY, omit=BATCHES))
    assert names(app) == {"/cities": "cities-cities_list"}


# --- Routes that are added to a router ------------------------------------------------------------


@pytest.fixture
async def client(shop_url: str) -> AsyncIterator[AsyncClient]:
    """Return a client of stores, with routes added to their router."""
    router = shop.stores()

    @router.get("/counts")
    async def count() -> str:
        return "counts"

    @router.get("/counts/{year}")
    async def count_of(year: int) -> int:
        return year

    @router.get("/report-{year}")
    async def report(year: int) -> int:
        return -year

    @router.get("/{code}")
    async def hidden(code: str) -> str:
        return code

    @router.get("/{code}/{part}")
    async def part(code: str, part: str) -> str:
        return code + part

    others, app = APIRouter(), app_of(database := Database(shop_url))
    others.add_api_route("/others", count)
    router.include_router(others)
    router.add_route("/stores/plain", plain)
    router.mount("/stores/files", StarletteRoute("/{rest:path}", plain))
    app.include_router(router, prefix="/v1")
    app.include_router(router)
    await insert_rows(
        database, {Store: [{"code": "aa", "name": "a"}, {"code": "others", "name": "o"}]}
    )
    async with calling(app) as client:
        yield client


async def plain(_: Request) -> JSONResponse:
    return JSONResponse("plain")


@sqlite_only
@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/stores/counts", "counts"),
        ("/stores/counts/", "counts"),
        ("/stores/counts/2026", 2026),
        ("/stores/report-2026", -2026),
        ("/stores/others", "counts"),
        ("/stores/plain", "plain"),
        ("/stores/files/a", "plain"),
        ("/stores/aa/part", "aapart"),
    ],
)
async def test_an_added_fixed_path_is_matched_before_rows(
    client: AsyncClient, path: str, answer: object
) -> None:
    for prefix in ("", "/v1"):
        assert (await client.get(prefix + path)).json() == answer


@sqlite_only
async def test_an_added_path_parameter_is_matched_after_rows(
    client: AsyncClient,
) -> None:
    assert (await client.get("/stores/aa")).json()["code"] == "aa"
    assert (await client.get("/stores/zz")).status_code == 404
    assert (await client.delete("/stores/counts")).status_code == 404


@pytest.mark.parametrize("omitted", [True, False])
def test_routes_keep_their_order_without_row_routes(*, omitted: bool) -> None:
    rows: set[OperationName] = {"get", "update", "replace", "delete"}
    router = shop.stores(omit=rows if omitted else ())
    if not omitted:
        del router.routes[-4:]
    for path in ("/{code}", "/counts"):
        router.add_api_route(path, plain)
    assert [route.path for route in router.routes if isinstance(route, APIRoute)][-2:] == [
        "/stores/{code}",
        "/stores/counts",
    ]
