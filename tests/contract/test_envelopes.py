"""Envelopes: pages that are objects."""

from typing import Any, Final
from urllib.parse import unquote

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from httpx2 import AsyncClient, Response

from brickwork import (
    Database,
    Filter,
    ListQuery,
    Resource,
    crud_router,
    install,
)
from brickwork.http.negotiation import NDJSON
from tests.support.both import FAST, serving_routers
from tests.support.calls import calling
from tests.support.orders import (
    ROWS,
    Base,
    FullOrderRead,
    Line,
    LineBrief,
    OrderCreate,
    OrderQuery,
    OrderRead,
    Orders,
    OrderUpdate,
)
from tests.support.recording import path_taken
from tests.support.rows import link_target, pages
from tests.support.running import Running
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio


class OrderPages(OrderQuery, envelope=True):
    """The parameters of a list of orders in an envelope."""


class MoreOrderPages(OrderPages):
    """A list that inherits its envelope."""


class BareOrders(OrderPages, envelope=False):
    """A list without the envelope of its base."""


class LinePages(ListQuery[Line], envelope=True):
    quantity: Filter[int] = None


class Lines(Resource[Line]): ...


def routers() -> list[APIRouter]:
    own = APIRouter(prefix="/own", default_response_class=JSONResponse)
    own.include_router(
        crud_router("/enclosed", Orders, read=OrderRead, query=OrderPages, omit={"get"})
    )
    whole: dict[str, Any] = {"read": OrderRead, "create": OrderCreate, "update": OrderUpdate}
    return [
        crud_router("/bare", Orders, query=OrderQuery, **whole),
        crud_router("/enclosed", Orders, query=OrderPages, **whole),
        crud_router("/full", Orders, read=FullOrderRead, query=MoreOrderPages),
        crud_router("/unclosed", Orders, read=OrderRead, query=BareOrders),
        crud_router("/lines", Lines, read=LineBrief, query=LinePages),
        own,
    ]


ROUTERS: Final = routers()
"""The orders with and without an envelope, and lines that can be deleted."""


def create_app(url: str) -> FastAPI:
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    """Return the URL of a database with orders."""
    return await tables.of(Base.metadata, backend, ROWS)


@pytest.fixture
async def client(running: Running, url: str) -> AsyncClient:
    """Return a client of lists with and without an envelope."""
    return await running.client(create_app, url)


QUERIES = (
    *("", "limit=2", "limit=2&sort=-number", "limit=2&offset=2", "offset=100", "priority__gte=9"),
    *("count=exact", "limit=2&count=exact", "count=estimated&limit=1", "number=A-1", "q=a&limit=1"),
    *("tags__name=red", "priority=1&count=exact", "limit=2&q=b+%2F&offset=0"),
)


def assert_enclosed(enclosed: Response, bare: Response) -> None:
    """Check that *enclosed* has the rows and the links of *bare*, and nothing else."""
    total = bare.headers.get("X-Total-Count")
    other = "/" + bare.request.url.path.split("/")[-1]
    paths = {rel: link_target(bare, rel) for rel in ("next", "prev")}
    assert enclosed.json() == {
        "items": bare.json(),
        "total": None if total is None else int(total),
        **{
            rel: path and path.replace(other, enclosed.request.url.path)
            for rel, path in paths.items()
        },
    }
    names = ("link", "vary", "x-total-count", "content-type")
    mine, theirs = ([item.headers.get(name) for name in names] for item in (enclosed, bare))
    assert mine == [
        text and text.replace(f"<{other}", f"<{enclosed.request.url.path}") for text in theirs
    ]


@pytest.mark.parametrize("path", ["/enclosed", "/own/enclosed"])
async def test_page_has_the_rows_and_links_of_the_array(client: AsyncClient, path: str) -> None:
    for query in QUERIES:
        enclosed, bare = [await client.get(f"{place}?{query}") for place in (path, "/bare")]
        assert bare.status_code == enclosed.status_code == 200
        assert_enclosed(enclosed, bare)
        assert [*enclosed.json()] == ["items", "total", "next", "prev"]


async def test_links_lead_through_all_pages(client: AsyncClient) -> None:
    forward = [page.json() async for page in pages(client, "/enclosed?limit=2&sort=number", "next")]
    assert [row["number"] for page in forward for row in page["items"]] == [
        "A-1",
        "A-1-1",
        "A-1-1-1",
        "A-2",
        "B-1",
        "C-1",
    ]
    assert [page["next"] is None for page in forward] == [False, False, True]
    assert [page["prev"] is None for page in forward] == [True, False, False]
    back = (await client.get(forward[1]["prev"])).json()
    assert back["items"] == forward[0]["items"]
    assert (await client.get(back["next"])).json()["items"] == forward[1]["items"]


async def test_page_without_rows_is_an_object(client: AsyncClient) -> None:
    response = await client.get("/enclosed?number=none")
    assert response.content == b'{"items":[],"total":null,"next":null,"prev":null}'
    counted = await client.get("/enclosed?number=none&count=exact")
    assert counted.json() == {"items": [], "total": 0, "next": None, "prev": None}


async def test_head_has_the_headers_of_a_get(client: AsyncClient) -> None:
    got, headed = [await client.request(method, "/enclosed?limit=1") for method in ("GET", "HEAD")]
    kept = {"x-request-id", "date", "x-brickwork-path"}
    assert {k: v for k, v in headed.headers.items() if k not in kept} == {
        k: v for k, v in got.headers.items() if k not in kept
    }
    assert headed.content == b""
    assert int(got.headers["content-length"]) == len(got.content)


async def test_export_has_the_lines_of_the_array(client: AsyncClient) -> None:
    for query in ("", "?sort=-number", "?tags__name=red", "?number=none"):
        texts = [
            (await client.get(path + query, headers={"Accept": NDJSON})).content
            for path in ("/bare", "/enclosed")
        ]
        assert texts[0] == texts[1]


async def test_deleted_rows_are_in_the_envelope(client: AsyncClient) -> None:
    response = await client.get("/lines?deleted=only&count=exact")
    (line,) = response.json()["items"]
    assert (line["quantity"], line["deleted_at"]) == (5, "2020-01-01T00:00:00Z")
    assert response.json()["total"] == 1


async def test_embedded_rows_are_in_the_envelope(client: AsyncClient) -> None:
    (order,) = (await client.get("/full?number=A-1")).json()["items"]
    assert order["customer"] == {"id": 1, "name": "Ada"}
    assert len(order["lines"]) == 2


async def test_envelope_can_be_undone(client: AsyncClient) -> None:
    assert (await client.get("/unclosed")).json() == (await client.get("/bare")).json()


async def test_only_the_list_has_an_envelope(client: AsyncClient) -> None:
    changed = await client.patch("/enclosed/batch", json=[{"id": 1, "number": "N"}])
    assert changed.json()[0]["number"] == "N"
    assert (await client.get("/enclosed/1")).json() == (await client.get("/bare/1")).json()


@pytest.mark.parametrize("query", ["limit=x", "cursor=none", "near=1", "cursor=a&offset=1"])
async def test_errors_are_those_of_the_array(client: AsyncClient, query: str) -> None:
    bare, enclosed = [await client.get(f"/{name}?{query}") for name in ("bare", "enclosed")]
    assert bare.status_code in {400, 422}
    assert {**enclosed.json(), "instance": ""} == {**bare.json(), "instance": ""}


async def test_links_have_the_root_path(url: str) -> None:
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app)
    app.include_router(crud_router("/orders", Orders, read=OrderRead, query=OrderPages))
    async with calling(app, root_path="/api") as client:
        page = (await client.get("/api/orders?limit=1&number__ne=%C3%A9")).json()
    assert unquote(page["next"]).startswith("/api/orders?limit=1&number__ne=é&cursor=")


def test_openapi_has_a_component_of_the_page() -> None:
    document: Any = create_app("sqlite:///unused.db").openapi()
    content = document["paths"]["/enclosed"]["get"]["responses"]["200"]["content"]
    row = {"$ref": "#/components/schemas/OrderRead"}
    assert content == {
        "application/json": {"schema": {"$ref": "#/components/schemas/OrderPage"}},
        NDJSON: {"schema": {"type": "array", "items": row}},
    }
    schema = document["components"]["schemas"]["OrderPage"]
    assert schema["required"] == ["items", "total", "next", "prev"]
    assert schema["properties"]["items"]["items"] == row
    bare = document["paths"]["/bare"]["get"]["responses"]["200"]["content"]
    assert bare["application/json"]["schema"]["type"] == "array"
    assert {name for name in document["components"]["schemas"] if "Page" in name} == {
        "OrderPage",
        "FullOrderPage",
        "LineBriefPage",
    }


@pytest.mark.both_paths
async def test_both_paths_send_equal_bytes(url: str) -> None:
    responses: list[list[Response]] = []
    for fast_path in FAST.values():
        app = FastAPI(lifespan=Database(url, fast_path=fast_path).lifespan)
        install(app, cursor_keys=["k" * 32])
        for router in ROUTERS:
            app.include_router(router)
        async with calling(app) as client:
            responses.append([await client.get(f"/enclosed?{query}") for query in QUERIES])
    for fast, slow in zip(*responses, strict=True):
        assert fast.content == slow.content
        assert {**fast.headers, "x-request-id": ""} == {**slow.headers, "x-request-id": ""}


@pytest.mark.both_paths
async def test_envelope_takes_the_fast_path(url: str) -> None:
    async with serving_routers(Database(url, fast_path=True), *ROUTERS) as client:
        assert await path_taken(client.get("/enclosed?limit=1")) == "200 fast"
        assert await path_taken(client.get("/enclosed?tags__name=red")) == "200 fast"
        assert await path_taken(client.get("/enclosed?count=exact")) == "200 ORM"
