"""Batches: up to a hundred rows, all or none."""

import asyncio
import json
from typing import Any, Final

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from app.articles.endpoints import router as articles_router
from app.comments.endpoints import router as comments_router
from app.main import create_app
from app.settings import Settings
from brickwork import (
    Conflict,
    Database,
    ErrorDetail,
    Limits,
    ReadSchema,
    Resource,
    Schema,
    UnprocessableContent,
    crud_router,
    install,
)
from tests.support import shop
from tests.support.batches import BATCH, create_many, faults_at, new_articles, post_until_answered
from tests.support.bodies import (
    MISSING,
    Body,
    article,
    author,
    comment,
    create_article,
    create_row,
    get_json,
    nested,
    patch_row,
    send,
    summary,
)
from tests.support.calls import calling
from tests.support.recording import statements
from tests.support.running import Running

pytestmark = pytest.mark.anyio


async def all_articles(client: AsyncClient) -> list[Body]:
    rows: list[Body] = await get_json(client, "/articles?deleted=include&limit=100")
    return rows


@pytest.mark.parametrize("count", [1, 2, 100])
async def test_a_batch_creates_rows_in_the_order_sent(client: AsyncClient, count: int) -> None:
    response = await client.post(BATCH, json=new_articles(count))
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert not {"location", "etag"} & response.headers.keys()
    rows = response.json()
    assert [row["slug"] for row in rows] == [f"s-{number}" for number in range(count)]
    assert [row["id"] for row in rows] == sorted({row["id"] for row in rows})
    assert rows == await get_json(client, "/articles?limit=100")
    assert rows[-1] == await get_json(client, f"/articles/{rows[-1]['id']}")


async def test_batch_items_may_have_different_fields(client: AsyncClient) -> None:
    writer = await create_row(client, "/authors", author())
    fields: list[Body] = [
        {},
        {"meta": {"a": None, "b": [1.0, 1, True]}, "rating": 0.5},
        {"meta": None, "author_id": writer["id"], "published_at": "2026-02-03T04:05:06Z"},
        {"views": 2**63 - 1, "body": "é😀", "status": "published"},
    ]
    sent = [article(slug=f"s-{number}", **values) for number, values in enumerate(fields)]
    rows = (await client.post(BATCH, json=sent)).json()
    for row, body in zip(rows, sent, strict=True):
        alone = await create_row(client, "/articles", body | {"slug": f"alone-{body['slug']}"})
        own = ("id", "slug", "created_at", "updated_at")
        assert [(k, v) for k, v in row.items() if k not in own] == [
            (k, v) for k, v in alone.items() if k not in own
        ]
        assert json.dumps(row["meta"]) == json.dumps(body.get("meta"))


async def test_a_batch_is_one_insert_statement(client: AsyncClient) -> None:
    _, row = await create_article(client)
    bodies: dict[str, list[Body]] = {
        "articles": new_articles(100, meta={"a": 1}, author_id=None),
        "comments": [comment(row["id"], body=str(number)) for number in range(100)],
        "authors": [author(email=str(number)) for number in range(100)],
    }
    for name, sent in bodies.items():
        for batch in ([sent[0]], sent[1:]):
            with statements() as executed:
                response = await client.post(f"/{name}/batch", json=batch)
            assert (response.status_code, len(response.json())) == (201, len(batch))
            (statement,) = executed
            assert statement.startswith(f"INSERT INTO {name} ")


@pytest.mark.parametrize("count", [1, 2, 100])
async def test_every_invalid_item_is_named(client: AsyncClient, count: int) -> None:
    rows = await create_many(client, count)
    expected = f"422 {faults_at(range(count), 'slug string_pattern_mismatch')}"
    faulty = [body | {"slug": "NO"} for body in new_articles(count)]
    assert summary(await client.post(BATCH, json=faulty)) == expected
    changes = [{"id": row["id"], "views": 1, "slug": "NO"} for row in rows]
    assert summary(await client.patch(BATCH, json=changes)) == expected
    fresh = [article(slug=f"new-{number}") for number in range(count - 1)]
    response = await client.post(BATCH, json=[*fresh, {"zzz": 1, "id": 1, "version": 1}])
    last = count - 1
    assert summary(response) == (
        f"422 #/{last}/id read_only, #/{last}/slug missing, #/{last}/title missing, "
        f"#/{last}/version read_only, #/{last}/zzz unknown_field"
    )
    changes = [{"id": row["id"], "views": 1} for row in rows]
    response = await client.patch(BATCH, json=[*changes[:-1], {"zzz": 1, "title": None}])
    assert summary(response) == (
        f"422 #/{last}/id missing, #/{last}/title not_nullable, #/{last}/zzz unknown_field"
    )
    assert await get_json(client, "/articles?limit=100") == rows


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_a_rejected_row_of_a_batch_is_named(client: AsyncClient, count: int) -> None:
    rows = await create_many(client, count)
    taken, last = new_articles(count), count - 1
    fresh = [body | {"slug": f"new-{body['slug']}"} for body in taken]
    lost = [body | {"author_id": MISSING} for body in fresh]
    for batch, answer in (
        (taken, f"409 {faults_at(range(count), 'slug not_unique')}"),
        (lost, f"422 {faults_at(range(count), 'author_id reference_not_found')}"),
        ([*fresh[:-1], taken[-1]], f"409 #/{last}/slug not_unique"),
        ([*fresh[:-1], lost[-1]], f"422 #/{last}/author_id reference_not_found"),
    ):
        assert summary(await client.post(BATCH, json=batch)) == answer
        assert await get_json(client, "/articles?deleted=include&limit=100") == [
            {**row, "deleted_at": None} for row in rows
        ]


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_a_rejected_change_of_a_batch_is_named(client: AsyncClient, count: int) -> None:
    await create_article(client, slug="taken")
    rows, last = await create_many(client, count), count - 1
    taken = [{"id": row["id"], "views": 1, "slug": "taken"} for row in rows]
    lost = [{"id": row["id"], "views": 1, "author_id": MISSING} for row in rows]
    fine = [{"id": row["id"], "views": 1} for row in rows]
    for batch, answer in (
        (taken, f"409 {faults_at(range(count), 'slug not_unique')}"),
        (lost, f"422 {faults_at(range(count), 'author_id reference_not_found')}"),
        ([*fine[:-1], taken[-1]], f"409 #/{last}/slug not_unique"),
        ([*fine[:-1], lost[-1]], f"422 #/{last}/author_id reference_not_found"),
    ):
        assert summary(await client.patch(BATCH, json=batch)) == answer
        assert await get_json(client, "/articles?slug__ne=taken&limit=100") == rows


async def test_conflicting_items_are_named(client: AsyncClient) -> None:
    equal = [article(slug=slug) for slug in ("a", "b", "a", "c", "a", "b")]
    response = await client.post(BATCH, json=equal)
    assert summary(response) == "409 #/2/slug not_unique, #/4/slug not_unique, #/5/slug not_unique"
    assert await all_articles(client) == []
    one, two, three = await create_many(client, 3)
    changes = [{"id": row["id"], "slug": "a"} for row in (three, one, two)]
    response = await client.patch(BATCH, json=changes)
    assert summary(response) == "409 #/1/slug not_unique, #/2/slug not_unique"
    assert await get_json(client, "/articles") == [one, two, three]


async def test_errors_of_several_kinds_are_reported_together(client: AsyncClient) -> None:
    row = await create_row(client, "/articles", article(slug="a"))
    batch = [
        article(slug="b"),
        article(slug="c", author_id=MISSING),
        article(slug="a"),
        article(slug="b"),
    ]
    response = await client.post(BATCH, json=batch)
    assert summary(response) == (
        "422 #/1/author_id reference_not_found, #/2/slug not_unique, #/3/slug not_unique"
    )
    response = await client.post(BATCH, json=[batch[2], batch[1]])
    assert summary(response) == "409 #/0/slug not_unique, #/1/author_id reference_not_found"
    assert await get_json(client, "/articles") == [row]


async def test_the_service_works_after_a_rejected_batch(client: AsyncClient) -> None:
    await create_many(client, 2)
    for _ in range(15):  # more than a pool has connections
        assert summary(await client.post(BATCH, json=new_articles(1))) == "409 #/0/slug not_unique"
    assert summary(await client.post(BATCH, json=new_articles(4)[2:])) == "201"
    assert [row["slug"] for row in await all_articles(client)] == ["s-0", "s-1", "s-2", "s-3"]


async def test_a_batch_updates_rows_in_the_order_sent(client: AsyncClient) -> None:
    rows = await create_many(client, 100, meta={"a": 1})
    changes: list[Body] = [
        {"id": row["id"], "title": f"New {number}", "meta": {"a": None, "b": number}}
        for number, row in enumerate(rows)
    ]
    response = await client.patch(BATCH, json=changes[::-1])
    assert response.status_code == 200
    after = response.json()[::-1]
    for row, new_row, change in zip(rows, after, changes, strict=True):
        own = {"title": change["title"], "meta": {"b": change["meta"]["b"]}, "version": 2}
        assert new_row == {**row, **own, "updated_at": new_row["updated_at"]}
        assert new_row["updated_at"] > row["updated_at"]
    assert await get_json(client, "/articles?limit=100") == after


async def test_an_item_without_changes_leaves_its_row(client: AsyncClient) -> None:
    one, two = await create_many(client, 2)
    batch = [{"id": one["id"]}, {"id": two["id"], "views": 1}]
    same, other = (await client.patch(BATCH, json=batch)).json()
    assert (same, other["version"]) == (one, 2)


async def test_a_change_in_a_batch_may_name_its_version(client: AsyncClient) -> None:
    one, two, three = await create_many(client, 3)
    await patch_row(client, f"/articles/{three['id']}", {"views": 1})
    before = await all_articles(client)
    stale: list[tuple[list[Body], str]] = [
        ([{"id": one["id"], "views": 9, "version": 2}], "412 #/0/version stale"),
        (
            [
                {"id": one["id"], "views": 9},
                {"id": two["id"], "views": 9, "version": 1},
                {"id": three["id"], "version": 1},
            ],
            "412 #/2/version stale",
        ),
        (
            [{"id": row["id"], "slug": "one", "version": 7} for row in (one, two)],
            "412 #/0/version stale, #/1/version stale",
        ),
    ]
    for batch, answer in stale:
        response = await client.patch(BATCH, json=batch)
        assert summary(response) == answer
        assert response.json()["type"] == "/problems/precondition_failed"
        assert await all_articles(client) == before
    fresh = [
        {"id": one["id"], "views": 9, "version": 1},
        {"id": two["id"], "views": 9},
        {"id": three["id"], "views": 9, "version": 2},
    ]
    rows = (await client.patch(BATCH, json=fresh)).json()
    assert [(row["views"], row["version"]) for row in rows] == [(9, 2), (9, 2), (9, 3)]
    assert summary(await client.patch(BATCH, json=fresh[:1])) == "412 #/0/version stale"


async def test_an_unversioned_row_accepts_no_version(client: AsyncClient) -> None:
    _, row = await create_article(client)
    remark = await create_row(client, "/comments", comment(row["id"]))
    change = {"id": remark["id"], "body": "No."}
    response = await client.patch("/comments/batch", json=[change | {"version": 1}])
    assert summary(response) == "422 #/0/version unknown_field"
    assert (await client.patch("/comments/batch", json=[change])).json()[0]["body"] == "No."


@pytest.mark.parametrize(
    ("names", "of_patch", "of_delete"),
    [
        ("one one", "422 #/1/id repeated", "422 ?id repeated"),
        ("one two ONE", "422 #/2/id repeated", "422 ?id repeated"),
        ("missing missing", "422 #/1/id repeated", "422 ?id repeated"),
        ("gone one gone", "422 #/2/id repeated", "422 ?id repeated"),
        ("missing", "404 #/0/id not_found", "404 ?id not_found"),
        ("one gone", "404 #/1/id not_found", "404 ?id not_found"),
        (
            "gone two missing",
            "404 #/0/id not_found, #/2/id not_found",
            "404 ?id not_found, ?id not_found",
        ),
        ("one abc", "422 #/1/id uuid_parsing", "404 ?id not_found"),
        ("empty two", "422 #/0/id uuid_parsing", "404 ?id not_found"),
    ],
)
async def test_a_batch_names_each_row_once(
    client: AsyncClient, names: str, of_patch: str, of_delete: str
) -> None:
    one, two, gone = await create_many(client, 3)
    assert summary(await client.delete(f"/articles/{gone['id']}")) == "204"
    before = await all_articles(client)
    ids = {"one": one["id"], "two": two["id"], "gone": gone["id"], "missing": MISSING}
    ids |= {"ONE": one["id"].upper(), "abc": "abc", "empty": ""}
    named = [ids[name] for name in names.split()]

    changes = [{"id": key, "views": 9} for key in named]
    assert summary(await client.patch(BATCH, json=changes)) == of_patch
    response = await client.delete(BATCH, params={"id": named})
    assert summary(response) == of_delete
    if of_delete.startswith("404"):
        assert response.json()["detail"] == "Article not found"
    assert await all_articles(client) == before


@pytest.mark.parametrize("count", [1, 2, 100])
async def test_a_batch_deletes_its_rows(client: AsyncClient, count: int) -> None:
    rows = await create_many(client, count)
    kept = await create_row(client, "/articles", article(slug="kept"))
    remark = await create_row(client, "/comments", comment(rows[0]["id"]))
    response = await client.delete(BATCH, params={"id": [row["id"] for row in rows]})
    assert (response.status_code, response.content) == (204, b"")
    assert await get_json(client, "/articles") == [kept]
    assert await get_json(client, "/comments") == []
    deleted = await get_json(client, "/articles?deleted=only&limit=100")
    assert [row["id"] for row in deleted] == [row["id"] for row in rows]
    assert {row["version"] for row in deleted} == {2}
    assert summary(await client.post(f"/articles/{rows[0]['id']}/restore")) == "200"
    assert await get_json(client, "/comments") == [remark]


async def test_a_batch_deletes_no_referenced_row(client: AsyncClient) -> None:
    one, two, three = [
        await create_row(client, "/authors", author(email=str(number))) for number in range(3)
    ]
    await create_article(client, author_id=two["id"])
    response = await client.delete(
        "/authors/batch", params={"id": [one["id"], two["id"], three["id"]]}
    )
    assert summary(response) == "409 ?id conflict"
    assert await get_json(client, "/authors") == [one, two, three]
    response = await client.delete("/authors/batch", params={"id": [one["id"], three["id"]]})
    assert summary(response) == "204"
    assert await get_json(client, "/authors") == [two]


async def test_a_batch_has_1_to_100_items(client: AsyncClient) -> None:
    rows = await create_many(client, 100)
    ids = [row["id"] for row in rows]
    empty: Body = {}
    for items, answer in (
        ([], "too_short"),
        ([*rows, rows[0]], "too_long"),
        ([empty] * 101, "too_long"),
    ):
        assert summary(await client.post(BATCH, json=items)) == f"422 # {answer}"
        assert summary(await client.patch(BATCH, json=items)) == f"422 # {answer}"
    assert summary(await client.delete(BATCH)) == "422 ?id missing"
    assert summary(await client.delete(BATCH, params={"id": [*ids, MISSING]})) == "422 ?id too_long"
    response = await client.delete(f"{BATCH}?purge=true&allow_missing=true&id={ids[0]}")
    assert summary(response) == "422 ?allow_missing unknown_parameter, ?purge unknown_parameter"
    assert await get_json(client, "/articles?limit=100") == rows


BODIES: Final = [
    # a body, the answer to a POST, the answer to a PATCH where it differs
    ("{}", "422 # list_type", None),
    ('{"0": {"title": "A", "slug": "a"}}', "422 # list_type", None),
    (json.dumps(article()), "422 # list_type", None),
    ("null", "422 # list_type", None),
    ("3", "422 # list_type", None),
    ("true", "422 # list_type", None),
    ('"[]"', "422 # list_type", None),
    ("[[]]", "422 #/0 object_type", None),
    (
        '["a", 1, {}]',
        "422 #/0 object_type, #/1 object_type, #/2/slug missing, #/2/title missing",
        "422 #/0 object_type, #/1 object_type, #/2/id missing",
    ),
    (nested(64), "422 #/0 object_type", None),
    (nested(65), "422 # too_deep", None),
    ("", "400", None),
    ("[", "400", None),
    ("[{}],", "400", None),
    ('[{"slug": "a", "slug": "b"}]', "400", None),
    ("[NaN]", "400", None),
    (
        '[{"title": "A\\u0000", "slug": "a"}]',
        "422 #/0/title null_character",
        "422 #/0/id missing, #/0/title null_character",
    ),
    (
        '[{"title": "A", "slug": "a", "rating": 1e999}]',
        "422 #/0/rating finite_number",
        "422 #/0/id missing, #/0/rating finite_number",
    ),
]


@pytest.mark.parametrize(("body", "answer"), [(body, answer) for body, answer, _ in BODIES])
async def test_a_post_of_an_invalid_batch_is_rejected(
    client: AsyncClient, body: str, answer: str
) -> None:
    assert summary(await send(client, "POST", BATCH, body)) == answer


@pytest.mark.parametrize(
    ("body", "answer"), [(body, other or answer) for body, answer, other in BODIES]
)
async def test_a_patch_of_an_invalid_batch_is_rejected(
    client: AsyncClient, body: str, answer: str
) -> None:
    assert summary(await send(client, "PATCH", BATCH, body)) == answer


async def test_a_batch_of_another_media_type_is_rejected(client: AsyncClient) -> None:
    assert summary(await send(client, "POST", BATCH, "[]", "text/plain")) == "415"


@pytest.mark.parametrize("path", [BATCH, f"{BATCH}/", "/authors/batch", "/comments/batch"])
async def test_a_batch_cannot_be_read(client: AsyncClient, path: str) -> None:
    allowed = "DELETE, OPTIONS, PATCH, POST"
    response = await client.options(path)
    assert (response.status_code, response.headers["allow"]) == (204, allowed)
    for method in ("GET", "HEAD", "PUT", "TRACE"):
        response = await client.request(method, path)
        assert (response.status_code, response.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("path", [f"{BATCH}/restore", f"{BATCH}/a", "/articles/batch//"])
async def test_the_batch_path_has_no_subpaths(client: AsyncClient, path: str) -> None:
    assert summary(await client.post(path)) == "404"


async def test_rows_swap_unique_values_in_the_order_sent(client: AsyncClient) -> None:
    one, two = await create_many(client, 2)
    steps = [{"id": two["id"], "slug": "free"}, {"id": one["id"], "slug": two["slug"]}]
    response = await client.patch(BATCH, json=steps)
    assert [row["slug"] for row in response.json()] == ["free", two["slug"]]
    back = [{"id": one["id"], "slug": "free"}, {"id": two["id"], "slug": "s-1"}]
    assert summary(await client.patch(BATCH, json=back)) == (
        "409 #/0/slug not_unique, #/1/slug not_unique"
    )


async def test_one_of_several_equal_batches_succeeds(client: AsyncClient) -> None:
    batches = [new_articles(5)[:: -1 if number % 2 else 1] for number in range(6)]
    posts = [post_until_answered(client, batch) for batch in batches]
    assert sorted(await asyncio.gather(*posts)) == [201, 409, 409, 409, 409, 409]
    assert len(await all_articles(client)) == 5


async def test_batches_of_the_same_rows_wait_for_each_other(client: AsyncClient) -> None:
    ids = [row["id"] for row in await create_many(client, 20)]
    batches = [
        [{"id": key, "views": number} for key in ids[:: -1 if number % 2 else 1]]
        for number in range(1, 21)
    ]
    responses = await asyncio.gather(*(client.patch(BATCH, json=batch) for batch in batches))
    assert {response.status_code for response in responses} == {200}
    rows = await get_json(client, "/articles")
    assert {row["version"] for row in rows} == {21}
    assert len({row["views"] for row in rows}) == 1


@pytest.fixture
async def cities(running: Running, shop_url: str) -> AsyncClient:
    """Return a client of the shop, which capitalises cities and scopes them by tenant."""
    return await running.client(shop.create_app, shop_url)


async def test_overridden_methods_apply_to_each_item(cities: AsyncClient) -> None:
    batch = [{"name": "new york"}, {"name": "san josé", "people": 3}]
    rows = (await cities.post("/cities/batch", json=batch)).json()
    assert [(row["id"], row["name"]) for row in rows] == [(1, "New York"), (2, "San José")]
    changes: list[Body] = [{"id": 2, "name": "los angeles"}, {"id": 1, "people": 5}]
    rows = (await cities.patch("/cities/batch", json=changes)).json()
    assert [(row["id"], row["name"], row["people"]) for row in rows] == [
        (2, "Los Angeles", 3),
        (1, "New York", 5),
    ]


async def test_a_batch_excludes_rows_of_other_tenants(cities: AsyncClient) -> None:
    ours, theirs = {"tenant": "ours"}, {"tenant": "theirs"}
    batch = [{"name": "Rome"}, {"name": "Oslo"}]
    rows = (await cities.post("/cities/batch", json=batch, headers=ours)).json()
    own = (await cities.post("/cities/batch", json=[{"name": "Riga"}], headers=theirs)).json()
    changes: list[Body] = [{"id": own[0]["id"], "people": 1}, {"id": rows[0]["id"], "people": 1}]
    response = await cities.patch("/cities/batch", json=changes, headers=theirs)
    assert summary(response) == "404 #/1/id not_found"
    response = await cities.delete(f"/cities/batch?id={own[0]['id']}&id=1", headers=theirs)
    assert summary(response) == "404 ?id not_found"
    assert await get_json(cities, "/cities") == []
    for headers, expected in ((ours, rows), (theirs, own)):
        assert (await cities.get("/cities", headers=headers)).json() == expected
    changes = [{"id": row["id"], "people": 1} for row in rows]
    assert summary(await cities.patch("/cities/batch", json=changes, headers=ours)) == "200"
    assert summary(await cities.delete("/cities/batch?id=1&id=2", headers=ours)) == "204"
    assert (await cities.get("/cities", headers=ours)).json() == []


async def test_a_reference_checked_at_the_commit_names_its_field(
    cities: AsyncClient,
) -> None:
    await create_row(cities, "/countries", {"code": "PT", "name": "Portugal"})
    batch = [{"name": "Lisbon", "country_code": "PT"}, {"name": "Rome", "country_code": "IT"}]
    response = await cities.post("/cities/batch", json=batch)
    assert summary(response) == "422 #/country_code reference_not_found"
    assert await get_json(cities, "/cities") == []


class Flight(shop.Base):
    """A flight between two countries."""

    __tablename__ = "flights"

    id: Mapped[int] = mapped_column(primary_key=True)
    start_code: Mapped[str] = mapped_column(ForeignKey("countries.code"))
    end_code: Mapped[str] = mapped_column(ForeignKey("countries.code"))
    seats: Mapped[int] = mapped_column(default=0)


class FlightCreate(Schema):
    start_code: str
    end_code: str
    seats: int = 0


class FlightUpdate(FlightCreate, partial=True): ...


class FlightRead(ReadSchema):
    id: int
    start_code: str
    end_code: str
    seats: int


class Flights(Resource[Flight]):
    """Flights, which need seats and two different countries."""

    @override
    async def create(self, row: Flight, /) -> None:
        if row.seats < 0:
            raise UnprocessableContent(
                "A flight has seats.",
                errors=[ErrorDetail(code="no_seats", detail="None.", pointer="#/seats")],
            )
        if row.start_code == row.end_code:
            raise Conflict("A flight leads somewhere.")
        await super().create(row)


FLIGHTS: Final = crud_router(
    "/flights", Flights, read=FlightRead, create=FlightCreate, update=FlightUpdate
)


def create_flights_app(url: str) -> FastAPI:
    app = shop.create_app(url)
    app.include_router(FLIGHTS)
    return app


@pytest.fixture
async def flights(running: Running, shop_url: str) -> AsyncClient:
    """Return a client of flights between two countries."""
    client = await running.client(create_flights_app, shop_url)
    for code in ("IT", "PT"):
        await create_row(client, "/countries", {"code": code, "name": code})
    return client


def flight(start: str, end: str, seats: int = 9) -> Body:
    return {"start_code": start, "end_code": end, "seats": seats}


async def test_a_missing_reference_names_its_item(flights: AsyncClient) -> None:
    batch = [flight("IT", "PT"), flight("XX", "PT"), flight("IT", "YY"), flight("XX", "YY")]
    expected = "#/1/start_code reference_not_found, #/2/end_code reference_not_found"
    response = await flights.post("/flights/batch", json=batch[:3])
    assert summary(response) == f"422 {expected}"
    response = await flights.post("/flights/batch", json=batch)
    assert summary(response).startswith(f"422 {expected}, #/3/")
    response = await flights.post("/flights/batch", json=batch[:1] * 2)
    one, two = response.json()
    changes = [{"id": one["id"], "end_code": "XX"}, {"id": two["id"], "start_code": "XX"}]
    response = await flights.patch("/flights/batch", json=changes)
    assert summary(response) == (
        "422 #/0/end_code reference_not_found, #/1/start_code reference_not_found"
    )
    assert await get_json(flights, "/flights") == [one, two]


async def test_an_error_of_an_overridden_method_names_its_item(flights: AsyncClient) -> None:
    batch = [flight("IT", "PT"), flight("IT", "PT", seats=-1), flight("IT", "IT")]
    response = await flights.post("/flights/batch", json=batch)
    assert summary(response) == "422 #/1/seats no_seats, #/2 conflict"
    response = await flights.post("/flights/batch", json=batch[::-1])
    assert summary(response) == "409 #/0 conflict, #/1/seats no_seats"
    assert response.json()["detail"] == "A flight leads somewhere."
    assert await get_json(flights, "/flights") == []


async def test_a_batch_changes_no_keys(cities: AsyncClient) -> None:
    batch = [{"code": "PT", "name": "Portugal"}, {"code": "IT", "name": "Italy"}]
    assert summary(await cities.post("/countries/batch", json=batch)) == "201"
    changes = [{"code": "IT", "name": "Italia"}, {"code": "XX", "name": "None"}]
    response = await cities.patch("/countries/batch", json=changes)
    assert summary(response) == "404 #/1/code not_found"
    response = await cities.patch("/countries/batch", json=changes[:1])
    assert response.json() == changes[:1]
    again = [{"code": "ES", "name": "Spain"}, {"code": "PT", "name": "Other"}]
    assert summary(await cities.post("/countries/batch", json=again)) == "409 #/1/code not_unique"
    assert summary(await cities.delete("/countries/batch?id=PT&id=IT")) == "204"
    assert await get_json(cities, "/countries") == []


async def test_an_application_may_limit_its_batches(service_url: str) -> None:
    app = FastAPI(lifespan=Database(service_url).lifespan)
    install(app, limits=Limits(batch=3))
    app.include_router(articles_router)
    app.include_router(comments_router)
    async with calling(app) as client:
        rows = await create_many(client, 3)
        assert summary(await client.post(BATCH, json=new_articles(4))) == "422 # too_long"
        assert summary(await client.patch(BATCH, json=[*rows, {}])) == "422 # too_long"
        ids = [row["id"] for row in rows]
        response = await client.delete(BATCH, params={"id": [*ids, MISSING]})
        assert summary(response) == "422 ?id too_long"
        assert bounds((await client.get("/openapi.json")).json()) == {(1, 3)}
        assert summary(await client.delete(BATCH, params={"id": ids})) == "204"


def bounds(document: Any) -> set[tuple[int, int]]:
    """Return the limits of batches in the OpenAPI *document*, as (minimum, maximum)."""
    operations = document["paths"][BATCH]
    contents = [operations[method]["requestBody"]["content"] for method in ("post", "patch")]
    schemas = [media_type["schema"] for content in contents for media_type in content.values()]
    (parameter,) = operations["delete"]["parameters"]
    return {(schema["minItems"], schema["maxItems"]) for schema in (*schemas, parameter["schema"])}


async def test_openapi_has_the_size_of_a_batch(service_url: str) -> None:
    app = create_app(Settings(database_url=service_url))
    assert bounds(app.openapi()) == {(1, 100)}
