"""Routes: methods, slashes, bodies and media types."""

import json
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, HTTPException, Request
from starlette.routing import Match
from starlette.types import Scope

from brickwork import Schema, StrictRoute, install
from brickwork.http.routing import toggle_slash
from tests.support.bodies import JSON, MERGE_PATCH, summary
from tests.support.calls import calling

pytestmark = pytest.mark.anyio


class Thing(Schema):
    size: int


def require_authorization(request: Request) -> None:
    if "authorization" not in request.headers:
        raise HTTPException(401, "Who are you?")


things = APIRouter(prefix="/things", route_class=StrictRoute)


@things.get("")
async def list_things(request: Request) -> str:
    return request.method


@things.get("/{name}")
async def get_thing(name: str) -> str:
    return name


@things.post("")
async def create_thing(thing: Thing) -> int:
    return thing.size


@things.patch("")
async def update_thing(thing: Thing) -> int:
    return thing.size


@things.delete("/{name}", status_code=204)
async def delete_thing(name: str) -> None: ...


bodies = APIRouter(route_class=StrictRoute)


@bodies.post("/guarded", dependencies=[Depends(require_authorization)])
async def guarded(thing: Thing) -> int:
    return thing.size


@bodies.post("/anything")
async def anything(body: Annotated[Any, Body()]) -> str:
    return json.dumps(body)


@bodies.post("/object")
async def an_object(body: Annotated[object, Body()]) -> str:
    return json.dumps(body)


@bodies.post("/anything_or_nothing")
async def anything_or_nothing(body: Annotated[Any | None, Body()] = None) -> str:
    return json.dumps(body)


@bodies.post("/mapping")
async def mapping(body: dict[str, Any]) -> str:
    return json.dumps(body)


@bodies.post("/list")
async def a_list(body: list[Any]) -> str:
    return json.dumps(body)


@bodies.post("/part")
async def a_part(one: Annotated[Any, Body(embed=True)] = None) -> str:
    return json.dumps(one)


@bodies.post("/none")
async def none(request: Request) -> str:
    return (await request.body()).decode()


plain = APIRouter()


@plain.get("/plain")
async def get_plain() -> None: ...


def read_thing(thing: Annotated[Thing, Body()]) -> int:
    return thing.size


def create_app() -> FastAPI:
    app = FastAPI()
    install(app)
    for router in (things, bodies, plain):
        app.include_router(router)
    app.include_router(things, prefix="/v1")
    app.include_router(bodies, prefix="/sized", dependencies=[Depends(read_thing)])
    return app


app = create_app()


@pytest.mark.parametrize(
    ("path", "other"),
    [("/a", "/a/"), ("/a/", "/a"), ("/", ""), ("", "/"), ("/a//", "/a/")],
)
def test_path_has_one_other_slash_form(path: str, other: str) -> None:
    assert toggle_slash(path) == other


def scope(method: str, path: str, kind: str = "http") -> Scope:
    return {"type": kind, "method": method, "path": path, "path_params": {}}


@pytest.mark.parametrize(
    ("method", "path", "match"),
    [
        ("GET", "/things", Match.FULL),
        ("GET", "/things/", Match.FULL),
        ("HEAD", "/things", Match.FULL),
        ("HEAD", "/things/", Match.FULL),
        ("POST", "/things", Match.PARTIAL),
        ("POST", "/things/", Match.PARTIAL),
        ("GET", "/things//", Match.NONE),
        ("GET", "/things/a", Match.NONE),
        ("GET", "//things", Match.NONE),
        ("GET", "/", Match.NONE),
    ],
)
def test_route_matches_both_slash_forms_and_head(method: str, path: str, match: Match) -> None:
    route = StrictRoute("/things", list_things, methods=["GET"])
    assert route.matches(scope(method, path))[0] is match


def test_route_does_not_match_websockets() -> None:
    route = StrictRoute("/things", list_things, methods=["GET"])
    assert route.matches({"type": "websocket", "path": "/things/"})[0] is Match.NONE


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("/api/things", Match.FULL),
        ("/api/things/", Match.FULL),
        ("/api/other", Match.NONE),
        ("/things", Match.FULL),
    ],
)
def test_route_matches_below_a_root_path(path: str, match: Match) -> None:
    route = StrictRoute("/things", list_things, methods=["GET"])
    assert route.matches({**scope("GET", path), "root_path": "/api"})[0] is match


def test_match_does_not_change_the_scope() -> None:
    route = StrictRoute("/things/{name}", get_thing, methods=["GET"])
    asked = scope("HEAD", "/things/a/")
    match, child = route.matches(asked)
    assert (match, child["path_params"]) == (Match.FULL, {"name": "a"})
    assert asked == scope("HEAD", "/things/a/")


@pytest.mark.parametrize("path", ["/things", "/things/", "/v1/things", "/v1/things/"])
async def test_head_equals_get_in_both_slash_forms(path: str) -> None:
    async with calling(app) as client:
        got, head = await client.get(path), await client.head(path)
    assert (got.status_code, got.json()) == (200, "GET")
    assert head.status_code == 200
    assert head.headers["content-length"] == got.headers["content-length"]


async def test_item_matches_both_slash_forms() -> None:
    async with calling(app) as client:
        for path in ("/things/a", "/things/a/", "/v1/things/a/"):
            assert (await client.get(path)).json() == "a"
        assert summary(await client.get("/things/a//")) == "404"


async def test_plain_route_is_unchanged() -> None:
    async with calling(app) as client:
        assert (await client.post("/plain")).status_code == 405
        assert summary(await client.get("/plain/")) == "404"


async def test_both_slash_forms_are_one_path_in_openapi() -> None:
    paths = app.openapi()["paths"]
    assert [path for path in paths if path.startswith("/things")] == ["/things", "/things/{name}"]
    assert paths["/things"].keys() == {"get", "post", "patch"}


@pytest.mark.parametrize(
    ("accept", "answer"),
    [("application/json", "200"), ("*/*", "200"), ("text/html", "406"), ("image/*;q=0.5", "406")],
)
async def test_accept_without_json_is_not_acceptable(accept: str, answer: str) -> None:
    async with calling(app) as client:
        assert summary(await client.get("/things", headers={"accept": accept})) == answer


async def test_response_without_a_body_is_always_acceptable() -> None:
    async with calling(app) as client:
        response = await client.delete("/things/a", headers={"accept": "text/html"})
    assert response.status_code == 204


async def test_authentication_error_precedes_a_body_error() -> None:
    async with calling(app) as client:
        for content, answer in ((b"{", "400"), (b'{"size": "a"}', "422 #/size int_type")):
            headers = {"content-type": JSON}
            response = await client.post("/guarded", content=content, headers=headers)
            assert summary(response) == "401"
            headers["authorization"] = "me"
            response = await client.post("/guarded", content=content, headers=headers)
            assert summary(response) == answer


UNREADABLE = [
    (b"{", JSON),
    (b"", JSON),
    (b'{"a": 1, "a": 2}', JSON),
    (b"{}", "text/plain"),
    (b"{}", ""),
]


@pytest.mark.parametrize(
    "path",
    ["/anything", "/object", "/anything_or_nothing", "/mapping", "/list", "/part", "/things"],
)
async def test_unreadable_body_is_rejected(path: str) -> None:
    async with calling(app) as client:
        for content, kind in UNREADABLE:
            if not content and path in {"/anything_or_nothing", "/part"}:
                continue  # where there may be no body
            headers = {"content-type": kind} if kind else {}
            response = await client.post(path, content=content, headers=headers)
            assert summary(response) == ("400" if kind == JSON else "415")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/anything", None),
        ("/anything", [1]),
        ("/object", {"a": None}),
        ("/anything_or_nothing", 1.5),
        ("/mapping", {"a": 1}),
        ("/list", []),
    ],
)
async def test_readable_body_reaches_the_endpoint(path: str, body: object) -> None:
    async with calling(app) as client:
        response = await client.post(path, content=json.dumps(body), headers={"content-type": JSON})
    assert json.loads(response.json()) == body


async def test_body_of_a_router_dependency_is_strict() -> None:
    async with calling(app) as client:
        for content in (b'{"size": 1, "size": 2}', b'{"size": 1'):
            response = await client.post(
                "/sized/none", content=content, headers={"content-type": JSON}
            )
            assert summary(response) == "400"


async def test_undeclared_body_is_left_to_the_endpoint() -> None:
    async with calling(app) as client:
        response = await client.post("/none", content=b"\0 no JSON")
    assert (response.status_code, response.json()) == (200, "\0 no JSON")


@pytest.mark.parametrize(
    ("method", "kind", "named"),
    [
        ("POST", "text/plain", {"accept": JSON}),
        ("POST", MERGE_PATCH, {"accept": JSON}),
        ("PATCH", "text/plain", {"accept-patch": f"{MERGE_PATCH}, {JSON}"}),
    ],
)
async def test_unsupported_media_type_names_the_supported_types(
    method: str, kind: str, named: dict[str, str]
) -> None:
    async with calling(app) as client:
        headers = {"content-type": kind}
        response = await client.request(method, "/things", content=b"{}", headers=headers)
    assert summary(response) == "415"
    assert response.headers.items() >= named.items()


async def test_patch_accepts_both_media_types() -> None:
    async with calling(app) as client:
        for kind in (JSON, MERGE_PATCH):
            headers = {"content-type": kind}
            response = await client.patch("/things", content=b'{"size": 5}', headers=headers)
            assert response.json() == 5


async def test_unknown_parameter_is_rejected_on_any_strict_route() -> None:
    async with calling(app) as client:
        assert summary(await client.get("/things/a?zzz=1")) == "422 ?zzz unknown_parameter"


def test_url_path_for_builds_the_path_of_a_row() -> None:
    route = StrictRoute("/things/{id:key}", get_thing, name="thing", methods=["GET"])
    assert route.url_path_for("thing", id="a") == "/things/a"
    assert route.matches(scope("GET", "/things/batch"))[0] is Match.NONE
