"""POST of rows and batches on each path."""

import asyncio
from typing import Any, Final

import pytest
from pydantic import field_validator

from brickwork import Database, Resource, Schema, crud_router
from tests.support.articles import ADA, ROWS
from tests.support.bodies import MERGE_PATCH, MISSING, article, summary
from tests.support.calls import calling
from tests.support.paths import Paths, Step
from tests.support.recording import path_taken, record_fast_path
from tests.support.shop import (
    City,
    CityCreate,
    CityRead,
    CityUpdate,
    StoreRead,
    app_of,
    calling_stores,
    stores,
)

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


# --- The same responses ---------------------------------------------------------------------------


def post(json: Any, path: str = "/articles", status: int = 201, **options: Any) -> Step:
    return Step("POST", path, json, status=status, **options)


def batch(json: Any, **options: Any) -> Step:
    return post(json, "/articles/batch", **options)


NEW: Final = article(slug="new")

LISTED: Final = [article(slug=f"s{n}", views=n, meta={"n": n}, body="ü😀") for n in range(100)]

STEPS: Final = [
    post(NEW, id="row"),
    post(NEW, "/articles/", id="row with a slash"),
    post(NEW | {"rating": -0.0, "published_at": None, "meta": None}, id="nulls"),
    post(NEW | {"meta": {"b": [1.0, None], "a": {}}}, id="document"),
    post(NEW | {"published_at": "2024-02-03T04:05:06+05:30"}, id="instant"),
    post(NEW | {"views": 2**63 - 1, "body": "😀\u2028"}, id="large number"),
    post(NEW | {"author_id": ADA}, id="reference"),
    post(article(slug="d"), id="slug of a deleted row"),
    post({"name": "Eve", "email": "eve@example.org"}, "/authors", id="author"),
    post(NEW, headers={"prefer": "return=minimal"}, id="Prefer"),
    post(NEW, headers={"idempotency-key": "k"}, fast=False, id="Idempotency-Key"),
    post(NEW, "/articles?a=1", status=422, fast=False, id="unknown parameter"),
    post(NEW, headers={"content-type": "text/plain"}, status=415, fast=False, id="text"),
    post(NEW, headers={"accept": "text/html"}, status=406, fast=False, id="HTML wanted"),
    post(article(slug="a"), status=409, fast=False, id="taken slug"),
    post(NEW | {"author_id": MISSING}, status=422, fast=False, id="reference to nothing"),
    post(article(slug="No"), status=422, fast=False, id="odd slug"),
    post({}, status=422, fast=False, id="nothing"),
    post([1], status=422, fast=False, id="array"),
    batch([NEW], id="batch of one"),
    batch(LISTED, id="batch of a hundred"),
    batch([NEW | {"published_at": "2024-02-03T04:05:06Z"}, article(slug="e")], id="batch of two"),
    batch([NEW], headers={"idempotency-key": "k"}, fast=False, id="batch, Idempotency-Key"),
    batch([NEW], headers={"if-match": '"1"'}, id="batch, If-Match"),
    batch([NEW], headers={"content-type": "text/plain"}, status=415, fast=False, id="batch, text"),
    batch([NEW], headers={"content-type": MERGE_PATCH}, status=415, fast=False, id="batch, patch"),
    batch([NEW, article(slug="a")], status=409, fast=False, id="batch, taken slug"),
    batch([NEW, NEW], status=409, fast=False, id="batch, slug twice"),
    batch([NEW | {"author_id": MISSING}], status=422, fast=False, id="batch, no such author"),
    batch([NEW, {}], status=422, fast=False, id="batch, nothing in it"),
    batch([*LISTED, NEW], status=422, fast=False, id="batch of too many"),
    batch([], status=422, fast=False, id="batch of none"),
    batch({}, status=422, fast=False, id="batch, object"),
    batch(None, status=400, fast=False, id="batch, no body"),
]


@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_create_is_the_same_on_each_path(paths: Paths, step: Step) -> None:
    together, alone, orm = await paths.outcomes(step, ROWS)
    assert together.status == step.status
    assert together == alone == orm
    assert [together.fast, alone.fast, orm.fast] == [step.fast, step.fast, False]


# --- Concurrent requests --------------------------------------------------------------------------


async def test_concurrent_creates_return_their_own_rows(paths: Paths) -> None:
    await paths.fill({})
    bodies = [article(slug=f"s{n}", meta={"n": [n]}, rating=n / 2) for n in range(12)]
    async with paths.client(paths.fast) as client:
        with record_fast_path() as taken:
            posts = (client.post("/articles", json=body) for body in bodies)
            answers = await asyncio.gather(*posts)
        assert taken == [True] * 12
        for body, answer in zip(bodies, answers, strict=True):
            assert answer.json().items() >= body.items()
            assert (await client.get(answer.headers["location"])).content == answer.content


async def test_concurrent_creates_are_rejected_separately(paths: Paths) -> None:
    await paths.fill({})
    slugs = [f"slug-{n}" for n in range(10)]
    bodies = [article(slug=slug) for slug in slugs * 2] + [article(slug="x", author_id=MISSING)]
    async with paths.client(paths.fast) as client:
        with record_fast_path() as taken:
            posts = (client.post("/articles", json=body) for body in bodies)
            answers = await asyncio.gather(*posts)
        rows = (await client.get("/articles")).json()
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 10 + [422]
    assert sorted(taken) == [False] * 11 + [True] * 10
    assert sorted(row["slug"] for row in rows) == slugs


async def test_one_of_concurrent_equal_batches_is_stored(paths: Paths) -> None:
    await paths.fill({})
    batch = [article(slug=f"s{n}") for n in range(5)]
    async with paths.client(paths.fast) as client:
        posts = (client.post("/articles/batch", json=batch) for _ in range(5))
        answers = [summary(response)[:3] for response in await asyncio.gather(*posts)]
        assert sorted(answers) == ["201"] + ["409"] * 4
        assert len((await client.get("/articles")).json()) == 5


async def test_concurrent_creates_fail_separately_at_commit(shop_url: str) -> None:
    codes = [{"code": f"s{n}", "country_code": "xx" if n % 5 == 0 else None} for n in range(15)]
    async with calling_stores(Database(shop_url)) as client:
        posts = (client.post("/stores", json=store) for store in codes)
        answers = [response.status_code for response in await asyncio.gather(*posts)]
        assert answers == [422, 201, 201, 201, 201] * 3
        assert len((await client.get("/stores")).json()) == 12


async def test_batch_fails_as_a_whole_at_commit(shop_url: str) -> None:
    async with calling_stores(Database(shop_url)) as client:
        odd = [{"code": "a"}, {"code": "b", "country_code": "xx"}]
        assert await path_taken(client.post("/stores/batch", json=odd)) == "422 ORM"
        assert (await client.get("/stores")).json() == []
        assert await path_taken(client.post("/stores/batch", json=odd[:1])) == "201 fast"


# --- Values from the database, and columns of all kinds -------------------------------------------


class PlainCities(Resource[City]): ...


cities = crud_router("/cities", PlainCities, read=CityRead, create=CityCreate, update=CityUpdate)


async def test_values_from_the_database_are_returned(shop_url: str) -> None:
    async with calling(app_of(Database(shop_url), cities)) as client:
        with record_fast_path() as taken:
            response = await client.post("/cities", json={"name": "Quito", "people": 9})
        assert response.headers["location"] == "/cities/1"
        assert response.json() == {
            "id": 1,
            "name": "Quito",
            "people": 9,
            "visits": 0,
            "country_code": None,
        }
        assert taken == [True]


async def test_concurrent_rows_have_different_keys(shop_url: str) -> None:
    async with calling(app_of(Database(shop_url), cities)) as client:
        posts = (client.post("/cities", json={"name": f"n{n}"}) for n in range(10))
        for answer in await asyncio.gather(*posts):
            assert (await client.get(answer.headers["location"])).content == answer.content


class MottoCreate(Schema):
    name: str
    motto: str | None = None


async def test_omitted_field_with_a_default_takes_the_orm_path(shop_url: str) -> None:
    router = crud_router(
        "/cities", PlainCities, read=CityRead, create=MottoCreate, update=CityUpdate
    )
    async with calling(app_of(Database(shop_url), router)) as client:
        given = {"name": "Quito", "motto": "Light"}
        assert await path_taken(client.post("/cities", json=given)) == "201 fast"
        assert await path_taken(client.post("/cities", json=given | {"motto": None})) == "201 fast"
        assert await path_taken(client.post("/cities", json={"name": "Quito"})) == "201 ORM"


@pytest.mark.parametrize("code", ["batch", "a/b", ".."])
async def test_key_without_a_path_is_rejected(shop_url: str, code: str) -> None:
    async with calling_stores(Database(shop_url)) as client:
        assert await path_taken(client.post("/stores", json={"code": code})) == "422 fast"
        assert (await client.get("/stores")).json() == []


class SmallStoreRead(StoreRead):
    @field_validator("rank")
    @classmethod
    def small(cls, value: int) -> int:
        if value > 10:
            raise ValueError("It cannot be shown.")
        return value


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/stores", {"code": "a", "rank": 11}),
        ("/stores/batch", [{"code": "b"}, {"code": "a", "rank": 11}]),
    ],
    ids=["row", "batch"],
)
async def test_unserialisable_row_is_not_stored(shop_url: str, path: str, body: Any) -> None:
    async with calling(app_of(Database(shop_url), stores(read=SmallStoreRead))) as client:
        assert await path_taken(client.post(path, json=body)) == "500 ORM"
        assert (await client.get("/stores")).json() == []


class SmallCityRead(CityRead):
    @field_validator("people")
    @classmethod
    def small(cls, value: int) -> int:
        if value > 10:
            raise ValueError("It cannot be shown.")
        return value


async def test_unserialisable_row_with_a_generated_key_is_a_500(shop_url: str) -> None:
    router = crud_router(
        "/cities", PlainCities, read=SmallCityRead, create=CityCreate, update=CityUpdate
    )
    async with calling(app_of(Database(shop_url), router)) as client:
        response = await client.post("/cities", json={"name": "Quito", "people": 11})
        assert summary(response) == "500"
