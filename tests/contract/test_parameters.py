"""Query parameters: unknown, repeated and invalid ones."""

import pytest
from httpx2 import AsyncClient

from brickwork.problems import BOUNDS
from tests.support.bodies import article, ask, create_article, get_json, summary

pytestmark = pytest.mark.anyio

NUMBERS = (
    "",
    "abc",
    "1.0",
    "1e1",
    "0x1",
    "1_0",
    "+1",
    "%2B1",
    "%201",
    "1%20",
    "%D9%A1",
    "%00",
    "1%00",
    "true",
    "null",
    "1,2",
    "--1",
    "9" * 5000,
)


async def test_every_route_rejects_an_unknown_parameter(
    articles: AsyncClient,
) -> None:
    path, row = await create_article(articles, slug="there")
    for method, target in (
        ("GET", "/articles"),
        ("GET", path),
        ("POST", "/articles"),
        ("PATCH", path),
        ("DELETE", path),
    ):
        body = article() if method in {"POST", "PATCH"} else None
        for query, name in {
            "foo=1": "foo",
            "foo": "foo",
            "Limit=1": "Limit",
            "%5B%5D=": "[]",
            "%3F=1": "?",
            "%00=1": "\0",
            "=1": "",
        }.items():
            response = await articles.request(method, f"{target}?{query}", json=body)
            assert summary(response) == f"422 ?{name} unknown_parameter"
    assert await get_json(articles, "/articles") == [row]


async def test_a_put_rejects_an_unknown_parameter(client: AsyncClient) -> None:
    path, row = await create_article(client, slug="there")
    response = await client.put(f"{path}?foo=1", json=article())
    assert summary(response) == "422 ?foo unknown_parameter"
    assert await get_json(client, path) == row


async def test_a_parameter_of_another_route_is_unknown(client: AsyncClient) -> None:
    path, _ = await create_article(client, slug="there")
    assert summary(await client.get(f"{path}?limit=1")) == "422 ?limit unknown_parameter"
    expected = "422 ?allow_missing unknown_parameter"
    assert summary(await client.get("/articles?allow_missing=true")) == expected


async def test_an_invalid_number_is_rejected(client: AsyncClient) -> None:
    for name in ("limit", "offset"):
        answers = {
            number: summary(await ask(client, "GET", f"/articles?{name}={number}"))
            for number in NUMBERS
        }
        assert answers == dict.fromkeys(NUMBERS, f"422 ?{name} int_parsing")


async def test_a_repeated_parameter_is_rejected(client: AsyncClient) -> None:
    for query in ("limit=1&limit=1", "limit=1&offset=0&limit=2", "limit=1&limit=x"):
        assert "?limit repeated" in summary(await client.get(f"/articles?{query}"))


async def test_an_invalid_boolean_is_rejected(client: AsyncClient) -> None:
    path, row = await create_article(client, slug="there")
    for value in ("", "maybe", "2", "null", "%00"):
        response = await ask(client, "DELETE", f"{path}?allow_missing={value}")
        assert summary(response) == "422 ?allow_missing bool_parsing"
    response = await client.delete(f"{path}?allow_missing=true&allow_missing=true")
    assert summary(response) == "422 ?allow_missing repeated"
    assert await get_json(client, path) == row


async def test_a_query_in_invalid_utf8_is_400(client: AsyncClient) -> None:
    path, row = await create_article(client, slug="there")
    targets = (
        "/articles?limit=%FF",
        "/articles?%FF=1",
        "/articles?limit=1%ED%A0%80",
        f"{path}?a=%C0",
    )
    answers = {target: summary(await ask(client, "GET", target)) for target in targets}
    assert answers == dict.fromkeys(targets, "400")
    assert summary(await ask(client, "DELETE", f"{path}?a=%FF")) == "400"
    assert await get_json(client, "/articles") == [row]


async def test_all_errors_of_a_query_are_reported_together(client: AsyncClient) -> None:
    response = await client.get("/articles?limit=0&offset=x&foo=1&bar=1&bar=2")
    assert summary(response) == (
        "422 ?bar unknown_parameter, ?foo unknown_parameter"
        ", ?limit greater_than_equal, ?offset int_parsing"
    )


async def test_errors_of_query_and_body_are_reported_together(articles: AsyncClient) -> None:
    path, row = await create_article(articles, slug="there")
    for method, target in (("POST", "/articles"), ("PATCH", path)):
        response = await articles.request(method, f"{target}?foo=1", json=article(views=-1))
        assert summary(response) == "422 #/views greater_than_equal, ?foo unknown_parameter"
    assert await get_json(articles, "/articles") == [row]


async def test_an_empty_query_is_accepted(client: AsyncClient) -> None:
    _, row = await create_article(client, slug="there")
    for query in ("?", "?&", "?limit=1&", "?&offset=0"):
        response = await ask(client, "GET", f"/articles{query}")
        assert response.json() == [row]


SORTED_BY = ("title", "slug", "status", "views", "rating", "published_at", "created_at")


@pytest.mark.parametrize(
    ("query", "bounds"),
    [
        ("limit=0", {"minimum": 1}),
        ("limit=101", {"maximum": 100}),
        ("offset=-1", {"minimum": 0}),
        ("offset=10001", {"maximum": 10_000}),
        ("views__in=" + ",".join("1" * 101), {"max_length": 100}),
        ("views=9223372036854775808", {"maximum": 2**63 - 1}),
        ("status=deleted", {"allowed": ["draft", "published"]}),
        ("count=all", {"allowed": ["exact", "estimated"]}),
        ("deleted=all", {"allowed": ["include", "only"]}),
        ("sort=body", {"allowed": [sign + column for column in SORTED_BY for sign in ("", "-")]}),
        ("q=" + "a" * 201, {"max_length": 200}),
    ],
)
async def test_error_of_a_parameter_has_its_bounds(
    client: AsyncClient, query: str, bounds: dict[str, object]
) -> None:
    (fault,) = (await client.get(f"/articles?{query}")).json()["errors"]
    assert fault["parameter"] == query.partition("=")[0]
    assert {name: fault[name] for name in fault.keys() & {*BOUNDS}} == bounds


async def test_error_for_too_many_ids_has_the_maximum(client: AsyncClient) -> None:
    ids = "&".join(["id=a"] * 101)
    (fault,) = (await client.delete(f"/articles/batch?{ids}")).json()["errors"]
    assert (fault["parameter"], fault["max_length"]) == ("id", 100)
