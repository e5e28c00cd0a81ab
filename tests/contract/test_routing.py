"""Routing, compared with FastAPI's own router."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pytest
from fastapi import APIRouter, FastAPI
from httpx2 import AsyncClient, Response
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select

from brickwork import Database
from brickwork.schemas.strict_json import is_array
from tests.support.calls import calling, client_of
from tests.support.databases import sqlite_only
from tests.support.recording import path_taken
from tests.support.routing import Built, Crud, Mounted, Nested, Node, Own
from tests.support.shop import Base, Country, Store, app_of, stores
from tests.support.tables import Rows, insert_rows, remove_rows
from tests.support.values import law

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths, sqlite_only]

ROWS: Final[Rows] = {
    model: [{"code": code, "name": f"{model.__name__} {code}".upper()} for code in ("aa", "bb")]
    for model in (Country, Store)
}
BODILESS: Final = {"HEAD", "PATCH"}
"""The methods without a compared body."""

NEW: Final = {"code": "zz", "name": "NEW"}


@pytest.fixture
async def database(shop_url: str) -> AsyncGenerator[Database]:
    """Yield a database with two countries and two stores."""
    database = Database(shop_url)
    await insert_rows(database, ROWS)
    yield database
    await database.dispose()


# --- Random trees ---------------------------------------------------------------------------------

Names = Mapping[str, Mapping[str, str]]
"""The names of the rows by their keys, by the model."""


@dataclass(frozen=True)
class Outcome:
    """The status of a response, the compared part of its body, and the rows after it."""

    status: int
    body: object
    rows: Names


def prefixes(depth: int) -> st.SearchStrategy[str]:
    segments = st.sampled_from(["/aa", "/bb", f"/{{p{depth}}}", "/batch"])
    return st.lists(segments, min_size=1, max_size=2, unique=True).map("".join)


def nodes(depth: int) -> st.SearchStrategy[Node]:
    here = prefixes(depth)
    cruds = st.builds(Crud, here, st.sampled_from(["Country", "Store"]))
    paths = st.tuples(here, st.sampled_from(["", "/", "/{own}", "/{own:path}"])).map("".join)
    methods = st.sampled_from(["GET", "POST", "PATCH", "DELETE"])
    own = st.builds(Own, paths, methods, st.sampled_from(["x", "y", "z"]))
    if not depth:
        return cruds | own
    children = st.lists(nodes(depth - 1), min_size=1, max_size=3)
    included = st.lists(st.just("") | here, min_size=1, max_size=2, unique=True)
    return st.one_of(
        cruds, own, st.builds(Nested, included, children), st.builds(Mounted, here, children)
    )


Requests: TypeAlias = Sequence[tuple[str, Sequence[str], str]]
"""The methods of requests, the segments of their paths, and the trailing slashes."""

REQUESTS: Final = st.lists(
    st.tuples(
        st.sampled_from(["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]),
        st.lists(st.sampled_from(["aa", "bb", "batch", "cc"]), min_size=1, max_size=5),
        st.sampled_from(["", "/"]),
    ),
    min_size=1,
    max_size=8,
)


@dataclass(frozen=True)
class Change:
    """A change of a router at run time; indexes wrap around."""

    router: int
    removed: int | None
    added: Node | None

    def make(self, built: Built) -> None:
        """Remove a route, and add another."""
        own, reference = built.routers[self.router % len(built.routers)]
        if own.routes and self.removed is not None:
            index = self.removed % len(own.routes)
            del own.routes[index], reference.routes[index]
        if self.added:
            built.add(self.added, own, reference)


NUMBERS: Final = st.integers(0, 5)


CHANGES: Final = st.builds(Change, NUMBERS, st.none() | NUMBERS, st.none() | nodes(0))


@pytest.mark.parametrize("fast", [True, False])
@settings(law, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tree=st.lists(nodes(2), min_size=1, max_size=4),
    talk=st.tuples(REQUESTS, CHANGES, REQUESTS),
)
async def test_random_routers_match_like_fastapi(
    shop_url: str,
    *,
    fast: bool,
    tree: Sequence[Node],
    talk: tuple[Requests, Change, Requests],
) -> None:
    built, database = Built(tree), Database(shop_url, fast_path=fast)
    requests, change, more = talk
    try:
        await compare(built, database, requests)
        change.make(built)
        await compare(built, database, more)
    finally:
        await database.dispose()


async def compare(built: Built, database: Database, requests: Requests) -> None:
    """Compare the responses of both applications, and the rows after each."""
    await remove_rows(database, Base.metadata)
    await insert_rows(database, ROWS)
    own, reference = client_of(built.app, {"database": database}), client_of(built.reference, {})
    before = await rows_of(database)
    for method, segments, slash in requests:
        path = "/" + "/".join(segments) + slash
        said = await send(reference, "GET" if method == "HEAD" else method, path)
        expected = predict(said, method, before)
        answer = await send(own, method, path)
        before = await rows_of(database)
        assert outcome(answer, method, before) == expected, f"{method} {path}"


async def send(client: AsyncClient, method: str, path: str) -> Response:
    body: Any = {"json": NEW} if method in {"POST", "PUT"} else {}
    body = {"json": {"name": "CHANGED"}} if method == "PATCH" else body
    return await client.request(method, "/", extensions={"target": path.encode()}, **body)


async def rows_of(database: Database) -> Names:
    async with database.session(readonly=True) as session:
        countries = await session.scalars(select(Country))
        stores = await session.scalars(select(Store))
        return {
            "Country": {row.code: row.name for row in countries},
            "Store": {row.code: row.name for row in stores},
        }


def outcome(answer: Response, method: str, rows: Names) -> Outcome:
    body: Any = answer.json() if answer.status_code == 200 and method not in BODILESS else None
    if is_array(body):
        body = sorted(name_of(row) for row in body)
    elif body and "code" in body:
        body = body["name"]
    return Outcome(answer.status_code, body, rows)


def name_of(row: Any) -> str:
    return str(row["name"])


def predict(said: Response, method: str, rows: Names) -> Outcome:
    """Return the outcome of the operation in *said*, the response of FastAPI's router."""
    route: dict[str, str] = said.json() if said.status_code == 200 else {}
    if "operation" not in route:
        return Outcome(said.status_code, None if method in BODILESS else route or None, rows)
    model, key = route["model"], route["id"]
    status, body, own = perform(route["operation"], rows[model], key)
    if status == 201 and len(own) == len(rows[model]):
        status = 409  # for the key
    if model == "Country" and len({*own.values()}) < len(own):
        status, own = 409, rows[model]  # for the name
    return Outcome(status, None if method in BODILESS else body, {**rows, model: own})


def perform(
    operation: str, own: Mapping[str, str], key: str
) -> tuple[int, object, Mapping[str, str]]:
    """Return the status, the names in the body and the rows after *operation*."""
    known = key in own
    outcomes: dict[str, tuple[int, object, Mapping[str, str]]] = {
        "list": (200, sorted(own.values()), own),
        "create": (201, None, {**own, "zz": "NEW"}),
        "get": (200, own.get(key), own) if known else (404, None, own),
        "update": (200, None, {**own, key: "CHANGED"}) if known else (404, None, own),
        "replace": (409 if known else 404, None, own),
        "delete": (204 if known else 404, None, {k: v for k, v in own.items() if k != key}),
    }
    return outcomes.get(operation, (422, None, own))  # of many, whose bodies are arrays


# --- Examples -------------------------------------------------------------------------------------


def own_router(path: str, *methods: str) -> APIRouter:
    router = APIRouter()

    @router.api_route(path, methods=[*methods])
    async def answer() -> str:
        return "own"

    return router


@pytest.mark.parametrize("prefix", ["/countries/{country}", "/{lang}", "/v1/{a}/{b}"])
async def test_prefix_with_parameters_matches_no_row(database: Database, prefix: str) -> None:
    app = app_of(database, own_router("/countries/{code}", "DELETE"))
    app.include_router(stores(), prefix=prefix)
    place = prefix.format(country="aa", lang="aa", a="bb", b="bb")
    async with calling(app) as client:
        assert (await client.delete("/countries/aa")).json() == "own"
        assert (await client.get(place)).status_code in {404, 405}
        assert await path_taken(client.get(f"{place}/stores/aa")) == "200 fast"
        assert await path_taken(client.patch(f"{place}/stores/aa", json={"rank": 2})) == "200 fast"
        assert await path_taken(client.delete(f"{place}/stores/aa")) == "204 fast"


async def test_route_below_a_row_is_matched(database: Database) -> None:
    app = app_of(database, stores(), own_router("/stores/{store}/secrets", "GET"))
    async with calling(app) as client:
        assert (await client.get("/stores/aa")).json()["code"] == "aa"
        assert (await client.get("/stores/aa/secrets")).json() == "own"
        assert (await client.delete("/stores/aa/secrets")).status_code == 405


@pytest.mark.parametrize(
    ("method", "path", "row", "rows"),
    [
        ("GET", "/stores/special", "200 fast", "200 fast"),
        ("GET", "/stores/{name}", "200 ORM", "200 fast"),
        ("GET", "/{rest:path}", "200 ORM", "200 ORM"),
        ("POST", "/stores/{name}", "200 fast", "200 fast"),
        ("GET", "/others/{name}", "200 fast", "200 fast"),
    ],
)
async def test_route_before_a_resource_is_matched_first(
    database: Database, method: str, path: str, row: str, rows: str
) -> None:
    async with calling(app_of(database, own_router(path, method), stores())) as client:
        assert await path_taken(client.get("/stores/aa")) == row
        assert await path_taken(client.get("/stores?limit=5")) == rows


async def test_route_after_a_resource_is_matched_last(database: Database) -> None:
    async with calling(app_of(database, stores(), own_router("/{rest:path}", "GET"))) as client:
        assert await path_taken(client.get("/stores/aa")) == "200 fast"
        assert (await client.get("/others")).json() == "own"


async def test_routers_included_later_use_the_fast_path(database: Database) -> None:
    app = app_of(database)
    app.include_router(stores(), prefix="/v1")
    async with calling(app) as client:
        assert await path_taken(client.get("/v1/stores")) == "200 fast"
        assert await path_taken(client.get("/v1/stores/aa/")) == "200 fast"
        app.include_router(stores(), prefix="/v2")
        assert await path_taken(client.get("/v2/stores")) == "200 fast"
        assert await path_taken(client.get("/stores")) == "404 ORM"


async def test_mounted_application_uses_the_fast_path(database: Database) -> None:
    inner, outer = app_of(database, stores()), app_of(database)
    inner.include_router(stores(), prefix="/inner")
    outer.mount("/inner", inner)
    async with calling(outer) as client:
        assert await path_taken(client.get("/inner/stores")) == "200 fast"
        assert await path_taken(client.get("/inner/inner/stores/aa")) == "200 fast"
        assert await path_taken(client.get("/inner/stores/aa/stores")) == "404 ORM"


async def test_host_before_a_resource_is_matched_first(database: Database) -> None:
    app = app_of(database)
    app.host("other.example.org", FastAPI())
    app.include_router(stores())
    async with calling(app) as client:
        other = {"host": "other.example.org"}
        assert await path_taken(client.get("/stores", headers=other)) == "404 ORM"
        assert await path_taken(client.get("/stores")) == "200 fast"


# --- HEAD -----------------------------------------------------------------------------------------


async def test_head_is_answered_by_the_route_of_get(database: Database) -> None:
    app = app_of(database, own_router("/stores/{name}", "GET"), stores())
    async with calling(app) as client:
        head = await client.head("/stores/missing")
    assert (head.status_code, head.headers["content-length"]) == (200, "5")


async def test_explicit_head_route_is_matched(database: Database) -> None:
    app = app_of(database, own_router("/others", "HEAD"), own_router("/others", "GET"))
    async with calling(app) as client:
        assert (await client.head("/others")).status_code == 200
        assert (await client.get("/others")).status_code == 200


@pytest.mark.parametrize("fast", [True, False])
async def test_max_body_size_of_an_included_router_applies(shop_url: str, *, fast: bool) -> None:
    app = app_of(database := Database(shop_url, fast_path=fast))
    app.include_router(stores(), max_body_size=100)
    async with calling(app) as client:
        body = {"code": "cc", "name": "x" * 100}
        assert (await client.post("/stores", json=body)).status_code == 413
        assert (await client.patch("/stores/aa", json=body)).status_code == 413
    await database.dispose()
