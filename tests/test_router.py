"""What a router is made of: operations, names, and errors where a declaration does not fit."""

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import Model, ReadSchema, Resource, Schema, crud_router, install
from tests.support import shop
from tests.support.calls import calling
from tests.support.shop import Cities, CityCreate, CityRead, CityUpdate, Shop

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


async def test_an_operation_may_be_left_out_and_written_instead(empty_url: str) -> None:
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


async def test_a_router_may_be_included_below_a_prefix(empty_url: str) -> None:
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


async def test_a_field_without_an_attribute_is_refused_where_it_is_declared() -> None:
    class Wrong(CityCreate):
        colour: str
        size: int

    with pytest.raises(TypeError, match="Wrong has colour, and City does not"):
        crud_router("/cities", Cities, read=CityRead, create=Wrong, update=CityUpdate)


class Odd(Model):
    """The base of models whose keys no URL can name."""

    __abstract__ = True
    metadata = MetaData()


class Pair(Odd):
    __tablename__ = "pairs"
    one: Mapped[int] = mapped_column(primary_key=True)
    other: Mapped[int] = mapped_column(primary_key=True)


class Weight(Odd):
    __tablename__ = "weights"
    kilos: Mapped[float] = mapped_column(primary_key=True)


class Empty(Schema): ...


class Pairs(Resource[Pair]): ...


class Weights(Resource[Weight]): ...


@pytest.mark.parametrize(
    ("resource", "remedy"),
    [(Pairs, "a key of several columns: give it one"), (Weights, "use UUID, int or str")],
)
async def test_a_key_that_a_url_cannot_name_is_refused_where_it_is_declared(
    resource: type[Resource[Any]], remedy: str
) -> None:
    with pytest.raises(TypeError, match=remedy):
        crud_router("/odd", resource, read=CityRead, create=Empty, update=Empty)


class BlogPost(Odd):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)


class BlogPosts(Resource[BlogPost]): ...


class BlogPostRead(ReadSchema):
    id: int


def test_a_summary_names_one_row_or_many() -> None:
    router = crud_router(
        "/press/blog-posts", BlogPosts, read=BlogPostRead, create=Empty, update=Empty
    )
    paths = described(router)["paths"].values()
    assert [operation["summary"] for operations in paths for operation in operations.values()] == [
        "List blog posts",
        "Create blog post",
        "Create many blog posts",
        "Update many blog posts",
        "Delete many blog posts",
        "Get blog post",
        "Update blog post",
        "Replace blog post",
        "Delete blog post",
    ]
