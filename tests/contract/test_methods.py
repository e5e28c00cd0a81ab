"""Methods and paths: HEAD, OPTIONS, 405 and 404."""

import pytest
from httpx2 import AsyncClient, Response

from tests.support.bodies import MISSING, Body, article, ask, create_article, get_json, summary

pytestmark = pytest.mark.anyio

OF_A_LIST = {"GET", "HEAD", "OPTIONS", "POST"}
OF_A_ROW = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"}


def allowed(response: Response) -> set[str]:
    """Return the methods in `Allow`."""
    return set(response.headers["allow"].split(", "))


def stable_headers(response: Response) -> dict[str, str]:
    """Return the headers that do not differ by request."""
    headers = dict(response.headers)
    return {name: headers[name] for name in headers.keys() - {"date", "x-request-id"}}


async def test_head_has_the_headers_of_get_and_no_body(articles: AsyncClient) -> None:
    path, _ = await create_article(articles)
    for target in ("/articles", "/articles/", "/articles?limit=1&offset=1", path, f"{path}/"):
        got, headed = await articles.get(target), await articles.head(target)
        assert (got.status_code, headed.status_code) == (200, 200)
        assert int(headed.headers["content-length"]) == len(got.content)
        assert headed.content == b""
        assert stable_headers(headed) == stable_headers(got)


async def test_head_is_rejected_like_get(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    for target in (f"/articles/{MISSING}", "/articles?limit=0", f"{path}?zzz=1", "/nothing"):
        got, headed = await client.get(target), await client.head(target)
        assert got.status_code == headed.status_code >= 400
        assert headed.content == b""
        assert stable_headers(headed) == stable_headers(got)


async def test_options_returns_the_allowed_methods(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    for target in ("/authors", "/articles", "/comments", "/articles/", "/articles?limit=0"):
        response = await client.options(target)
        assert (response.status_code, response.content) == (204, b"")
        assert allowed(response) == OF_A_LIST
        assert "accept-patch" not in response.headers
    for target in (path, f"{path}/", f"/authors/{MISSING}", "/comments/abc"):
        response = await client.options(target)
        assert (response.status_code, response.content) == (204, b"")
        assert allowed(response) == OF_A_ROW
        patches = set(response.headers["accept-patch"].split(", "))
        assert patches == {"application/json", "application/merge-patch+json"}


async def test_an_unsupported_method_is_405_with_the_allowed_methods(
    articles: AsyncClient,
) -> None:
    path, row = await create_article(articles)
    methods = allowed(await articles.options(path))
    assert methods >= OF_A_ROW - {"PUT"}  # which the example lacks
    for method in ("PUT", "PATCH", "DELETE", "TRACE"):
        for target in ("/articles", "/articles/"):
            response = await articles.request(method, target)
            assert summary(response) == "405"
            assert allowed(response) == OF_A_LIST
    for method in ("POST", "TRACE"):
        for target in (path, f"{path}/", f"/articles/{MISSING}"):
            response = await articles.request(method, target)
            assert summary(response) == "405"
            assert allowed(response) == methods
    assert await get_json(articles, "/articles") == [row]


async def test_a_path_with_a_trailing_slash_is_the_same_resource(articles: AsyncClient) -> None:
    response = await articles.post("/articles/", json=article())
    assert response.status_code == 201
    row = response.json()
    path = f"/articles/{row['id']}/"
    assert await get_json(articles, path) == row
    assert await get_json(articles, "/articles/") == await get_json(articles, "/articles") == [row]
    response = await articles.patch(path, json={"views": 1})
    assert (response.status_code, response.json()["views"]) == (200, 1)
    assert summary(await articles.delete(path)) == "204"
    assert summary(await articles.delete(path)) == "404"


async def test_an_unknown_path_is_404(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    targets = ("/nothing", "/Articles", "/articles//", "//articles", f"{path}//", f"{path}/a")
    for target in targets:
        for method in ("GET", "POST", "OPTIONS", "DELETE"):
            assert summary(await ask(client, method, target)) == "404", target


async def test_problems_of_one_type_have_one_title(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    responses = [
        await client.get("/nothing"),
        await client.get(f"/articles/{MISSING}"),
        await client.get("/articles/abc"),
        await client.post(path),
        await client.get("/articles?limit=0"),
        await client.post("/articles", json={}),
        await client.post("/articles", content="{", headers={"content-type": "application/json"}),
        await client.post("/articles", content="{"),
        await client.post("/articles", json=article()),
    ]
    problems = [response.json() for response in responses]
    titles = {(problem["type"], problem["title"]) for problem in problems}
    assert len(titles) == len({kind for kind, _ in titles}) == 6
    assert len({problem["instance"] for problem in problems}) == len(problems)


async def test_no_response_echoes_the_host_header(articles: AsyncClient) -> None:
    path, _ = await create_article(articles)
    expected: list[tuple[str, str, Body | None, str]] = [
        ("POST", "/articles", article(slug="a"), "201"),
        ("POST", "/articles/", article(slug="b"), "201"),
        ("GET", "/articles?limit=1&offset=1", None, "200"),
        ("GET", "/articles/?limit=1", None, "200"),
        ("GET", f"{path}/", None, "200"),
        ("PATCH", path, {"views": 1}, "200"),
        ("PATCH", "/articles/", {}, "405"),
        ("OPTIONS", path, None, "204"),
        ("GET", "/nothing/", None, "404"),
        ("GET", "/openapi.json", None, "200"),
        ("DELETE", f"{path}/", None, "204"),
    ]
    for method, target, body, answer in expected:
        headers = {"host": "evil.example:81"}
        response = await articles.request(method, target, json=body, headers=headers)
        assert summary(response) == answer
        assert not [value for value in response.headers.values() if "evil" in value]
        assert "evil" not in response.text
