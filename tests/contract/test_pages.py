"""`/`, `/docs` and `/redoc` of the reference service."""

import re

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.main import create_app
from app.settings import Settings
from tests.support.calls import calling

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
LINKS = {
    "docs": "/docs",
    "redoc": "/redoc",
    "openapi": "/openapi.json",
    "problems": "/problems",
    "authors": "/authors",
    "articles": "/articles",
    "comments": "/comments",
}


def addresses(html: str) -> list[str]:
    """Return the URLs in *html*, without `data:` URLs."""
    found = re.findall(r"""(?:href|src|url|spec-url)(?:=|: )["']([^"']+)""", html)
    return [address for address in found if not address.startswith("data:")]


async def test_a_client_gets_links(client: AsyncClient) -> None:
    response = await client.get("/")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == LINKS


async def test_a_browser_gets_a_page_with_the_same_links(client: AsyncClient) -> None:
    response = await client.get("/", headers=BROWSER)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert addresses(response.text) == [*LINKS.values()]


async def test_every_link_leads_to_a_response(client: AsyncClient) -> None:
    for path in LINKS.values():
        assert (await client.get(path)).status_code == 200, path


async def test_the_links_lead_to_every_resource(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    resources = {path for path, methods in paths.items() if "get" in methods and "{" not in path}
    assert resources <= {*LINKS.values()}


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/html", "text/html; charset=utf-8"),
        ("text/html, application/json", "application/json"),
        ("text/html, application/json;q=0.9", "text/html; charset=utf-8"),
    ],
)
async def test_the_accept_header_chooses_the_media_type(
    client: AsyncClient, accept: str, media_type: str
) -> None:
    response = await client.get("/", headers={"Accept": accept})
    assert response.headers["content-type"] == media_type
    assert response.headers["vary"] == "Accept"


async def test_an_accept_header_without_json_and_html_is_a_406(client: AsyncClient) -> None:
    response = await client.get("/", headers={"Accept": "image/png"})
    assert response.status_code == 406
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["vary"] == "Accept"


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc"])
async def test_head_has_the_headers_of_get(client: AsyncClient, path: str) -> None:
    get, head = await client.get(path), await client.head(path)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-type", "content-length"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc"])
async def test_options_names_the_methods(client: AsyncClient, path: str) -> None:
    response = await client.options(path)
    assert response.status_code == 204
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_a_page_loads_only_from_the_service(client: AsyncClient, path: str) -> None:
    page = await client.get(path, headers={"Host": "elsewhere.example"})
    policy = "default-src 'self' 'unsafe-inline' data: blob:"
    assert page.headers["content-security-policy"] == policy
    assert "elsewhere.example" not in page.text
    assert len(addresses(page.text)) >= 3
    for address in addresses(page.text):
        assert address.startswith("/")
        assert (await client.get(address)).status_code == 200, address


async def test_a_script_is_cached(client: AsyncClient) -> None:
    script = addresses((await client.get("/redoc")).text)[-1]
    tag = (await client.get(script)).headers["etag"]
    again = await client.get(script, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_missing_asset_is_a_problem(client: AsyncClient) -> None:
    response = await client.get("/assets/missing.js")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/problems"])
@pytest.mark.parametrize("placed", ["mounted", "behind a proxy"])
async def test_a_page_behind_a_prefix_loads_from_that_prefix(
    service_url: str, placed: str, path: str
) -> None:
    app = create_app(Settings(database_url=service_url))
    outer = FastAPI()
    outer.mount("/api", app)
    root, whole = ("", outer) if placed == "mounted" else ("/api", app)
    async with calling(whole, root_path=root) as client:
        links = (await client.get("/api/")).json()
        page = (await client.get(f"/api{path}")).text
        answers = {address: await client.get(address) for address in addresses(page)}

    assert links == {name: f"/api{path}" for name, path in LINKS.items()}
    assert answers
    for address, answer in answers.items():
        assert address.startswith("/api/")
        assert answer.status_code == 200, address


async def test_pages_are_not_in_openapi(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert {path.split("/")[1] for path in paths} == {"authors", "articles", "comments"}
