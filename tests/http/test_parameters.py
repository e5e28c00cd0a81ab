"""Known and unknown query parameters."""

from collections import deque
from collections.abc import Sequence
from copy import copy
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Query
from fastapi.dependencies.utils import get_dependant
from fastapi.security import APIKeyQuery
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from brickwork import CustomFilter, ListQuery, OneOf, StrictRoute, install
from brickwork.http import pipeline
from brickwork.http.parameters import read_query_directly
from tests.support.bodies import summary
from tests.support.calls import calling

pytestmark = pytest.mark.anyio


class Range(BaseModel):
    since: int = Field(0, alias="from")
    until: int = Field(9, validation_alias="to")
    tags: list[str] = []
    marks: list[str] | None = None


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    page_size: int = 1


def outer(outer: int = 0) -> int:
    return outer


def inner(inner: int = 0, outer: int = Depends(outer)) -> int:
    return inner + outer


async def scalar(v: int = 0) -> Any: ...
async def optional(v: int | None = None) -> Any: ...
async def renamed(v: Annotated[int, Query(alias="w")] = 0) -> Any: ...
async def read_as(v: Annotated[int, Query(validation_alias="w")] = 0) -> Any: ...
async def either(v: Annotated[int, Query(validation_alias=AliasChoices("w", "x"))] = 0) -> Any: ...
async def many(v: Annotated[list[int], Query()]) -> Any: ...
async def optional_many(v: Annotated[list[int] | None, Query()] = None) -> Any: ...
async def several(v: Annotated[tuple[int, ...], Query()]) -> Any: ...
async def distinct(v: Annotated[set[int], Query()]) -> Any: ...
async def frozen(v: Annotated[frozenset[int], Query()]) -> Any: ...
async def abstract(v: Annotated[Sequence[int], Query()]) -> Any: ...
async def queued(v: Annotated[deque[int], Query()]) -> Any: ...
async def model(at: Annotated[Range, Query()]) -> Any: ...
async def camel(at: Annotated[Camel, Query()]) -> Any: ...
async def dependent(v: Annotated[int, Depends(inner)]) -> Any: ...
async def secured(key: Annotated[str, Depends(APIKeyQuery(name="key"))]) -> Any: ...
async def bare() -> Any: ...


ENDPOINTS = (
    *(scalar, optional, renamed, read_as, either, many, optional_many, several, distinct),
    *(frozen, abstract, queued, model, camel, dependent, secured, bare),
)


def create_app() -> FastAPI:
    router = APIRouter(route_class=StrictRoute)
    for endpoint in ENDPOINTS:
        router.add_api_route(f"/{endpoint.__name__}", endpoint)
    app = FastAPI()
    install(app)
    app.include_router(router)
    app.include_router(router, prefix="/included", dependencies=[Depends(outer)])
    return app


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app()


@pytest.mark.parametrize(
    "path",
    [
        "/scalar?v=1",
        "/optional?v=1",
        "/renamed?w=1",
        "/read_as?w=1",
        "/either?w=1",
        "/either?x=1",
        "/many?v=1&v=2",
        "/optional_many?v=1&v=2",
        "/several?v=1&v=2",
        "/distinct?v=1&v=2",
        "/frozen?v=1&v=2",
        "/abstract?v=1&v=2",
        "/queued?v=1&v=2",
        "/model?from=1",
        "/model?to=1",
        "/model?tags=a&tags=b",
        "/model?marks=a&marks=b",
        "/camel?pageSize=1",
        "/dependent?inner=1&outer=1",
        "/secured?key=1",
        "/bare",
        "/bare?",
        "/included/bare?outer=1",
    ],
)
async def test_declared_parameter_is_accepted(app: FastAPI, path: str) -> None:
    async with calling(app) as client:
        assert summary(await client.get(path)) == "200"


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/bare?v=1", "422 ?v unknown_parameter"),
        ("/bare?v", "422 ?v unknown_parameter"),
        ("/bare?=1", "422 ? unknown_parameter"),
        ("/bare?%3F=1", "422 ?? unknown_parameter"),
        ("/bare?b=1&a=1&b=2", "422 ?a unknown_parameter, ?b unknown_parameter"),
        ("/scalar?V=1", "422 ?V unknown_parameter"),
        ("/scalar?v=1&v=1", "422 ?v repeated"),
        ("/optional?v=1&v=2", "422 ?v repeated"),
        ("/scalar?v=a&x=1", "422 ?v int_parsing, ?x unknown_parameter"),
        ("/renamed?v=1", "422 ?v unknown_parameter"),
        ("/renamed?w=1&w=1", "422 ?w repeated"),
        ("/model?since=1", "422 ?since unknown_parameter"),
        ("/model?from=1&from=2", "422 ?from repeated"),
        ("/model?at=1", "422 ?at unknown_parameter"),
        ("/camel?page_size=1", "422 ?page_size unknown_parameter"),
        ("/dependent?v=1", "422 ?v unknown_parameter"),
        ("/dependent?inner=1&inner=1", "422 ?inner repeated"),
        ("/bare?outer=1", "422 ?outer unknown_parameter"),
    ],
)
async def test_unknown_or_repeated_parameter_is_rejected(
    app: FastAPI, path: str, answer: str
) -> None:
    async with calling(app) as client:
        assert summary(await client.get(path)) == answer


async def test_parameters_of_an_application_route_are_checked() -> None:
    app = FastAPI()
    install(app)
    app.router.route_class = StrictRoute

    @app.get("/")
    async def show(v: int = 0) -> int:
        return v

    async with calling(app) as client:
        assert summary(await client.get("/?v=1")) == "200"
        assert summary(await client.get("/?w=1")) == "422 ?w unknown_parameter"


async def test_parameter_check_is_not_in_openapi(app: FastAPI) -> None:
    assert "parameters" not in app.openapi()["paths"]["/bare"]["get"]


class Found(ListQuery[Any]):
    word: str | None = None
    near: OneOf[int] | None = None


class Renamed(Found):
    word: str | None = Field(None, alias="w")


class Repeated(Found):
    tags: Annotated[list[str], CustomFilter] = Field(default_factory=list)


class Exact(Found):
    model_config = ConfigDict(extra="forbid")


QUERIES = {"found": Found, "renamed": Renamed, "repeated": Repeated, "exact": Exact}


@pytest.mark.parametrize("path", QUERIES)
@pytest.mark.parametrize(
    "query",
    [
        "",
        "limit=3&word=a&near=1,2",
        "word=&near=",
        "w=a&limit=3",
        "limit=x&near=1,x&word=a",
        "cursor=a&offset=1",
        "tags=a",
        "tags=a&tags=b&word=a",
    ],
)
async def test_direct_query_validation_equals_that_of_fastapi(
    path: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endpoint(at: Any) -> Any:
        return [at, sorted(at.model_fields_set)]

    async def response() -> tuple[int, bytes]:
        router = APIRouter(route_class=StrictRoute)
        router.add_api_route("/", endpoint)
        app = FastAPI()
        install(app)
        app.include_router(router)
        async with calling(app) as client:
            answer = await client.get(f"/?{query}", headers={"X-Request-Id": "1"})
        return answer.status_code, answer.content

    endpoint.__annotations__["at"] = Annotated[QUERIES[path], Query()]
    direct = await response()
    monkeypatch.setattr(pipeline, "read_query_directly", copy)
    assert direct == await response()


def test_query_with_aliases_or_lists_is_left_to_fastapi() -> None:
    for query in QUERIES.values():

        async def endpoint(at: Any) -> None: ...

        endpoint.__annotations__["at"] = Annotated[query, Query()]
        whole = get_dependant(path="/", call=endpoint)
        (before,), (after,) = whole.query_params, read_query_directly(whole).query_params
        assert (before is after) == (query in {Renamed, Repeated})
