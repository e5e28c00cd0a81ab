"""Problems of an application, and `Allow`."""

from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query
from fastapi.security import HTTPBearer
from httpx2 import Response
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route as StarletteRoute
from starlette.types import Message
from typing_extensions import override

from brickwork import Conflict, Problem, StrictRoute, install
from brickwork.http.json_request import PATCH_TYPES
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.server import serving

pytestmark = pytest.mark.anyio

PASSWORD = "hunter2"  # noqa: S105 — of nothing


class Unreadable:
    @override
    def __str__(self) -> str:
        return "a text of one's own"


DETAILS: Mapping[str, Any] = {
    "text": "Why.",
    "none": None,
    "object": {"a": [1, None]},
    "set": {1},
    "number": 5,
    "object of one's own": Unreadable(),
    "surrogate": "\ud800",
}


errors = APIRouter()


@errors.get("/raise/{status}")
async def raise_status(status: int, detail: str = "text") -> None:
    raise HTTPException(status, DETAILS[detail], headers={"X-Why": "b"})


@errors.get("/starlette_raise/{status}")
async def raise_starlettes(status: int) -> None:
    raise StarletteHTTPException(status)


@errors.get("/secured")
async def secured(_: Annotated[Any, Depends(HTTPBearer())]) -> None: ...


@errors.get("/problem")
async def raise_problem() -> None:
    raise Conflict("Not now.", headers={"Retry-After": "9"})


@errors.get("/bug")
async def bug() -> None:
    raise RuntimeError(PASSWORD)


@errors.get("/unserialisable", response_model=int)
async def unserialisable() -> str:
    return PASSWORD


@errors.get("/sunday")
async def sunday() -> None:
    raise HTTPException(405, "Not on Sundays.", headers={"Allow": "PURGE", "X-Why": "b"})


@errors.post("/body")
async def read(request: Request) -> int:
    return len(await request.body())


plain = APIRouter()


@plain.post("/plain")
async def write_plain() -> None: ...


@plain.get("/plain")
async def read_plain() -> None: ...


@plain.delete("/items")
async def delete_items() -> None: ...


@plain.websocket("/socket")
async def socket() -> None: ...


routed = APIRouter(prefix="/routed", route_class=StrictRoute)


@routed.get("")
async def read_routed() -> None: ...


@routed.patch("")
async def update_routed() -> None: ...


@routed.put("/{name}")
async def replace_routed(name: str) -> None: ...


async def ok(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


class Endpoint(HTTPEndpoint):
    async def get(self, _: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def post(self, _: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")


def create_app() -> FastAPI:
    app = FastAPI()
    install(app)
    for router in (errors, plain, routed):
        app.include_router(router)
    app.include_router(routed, prefix="/v1")
    app.router.routes += [
        StarletteRoute("/starlette", ok, methods=["GET", "PUT"]),
        StarletteRoute("/endpoint", Endpoint),
        Mount(
            "/mounted",
            routes=[
                StarletteRoute("/items", ok, methods=["GET"]),
                StarletteRoute("/items", ok, methods=["PUT"]),
            ],
        ),
        StarletteRoute("/api", ok, methods=["POST"]),
        StarletteRoute("/apiary", ok, methods=["PUT"]),
    ]
    return app


app = create_app()


async def get(path: str) -> Response:
    async with calling(app) as client:
        return await client.get(path)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 418, 422, 451, 499, 500, 599])
async def test_every_error_status_is_a_problem(status: int) -> None:
    response = await get(f"/raise/{status}")
    assert response.status_code == response.json()["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-why"] == "b"
    assert response.json()["detail"] == "Why."


@pytest.mark.parametrize("status", [400, 403, 404, 405, 418, 499, 500, 599])
async def test_the_type_of_a_problem_is_a_page_url(status: int) -> None:
    async with calling(app) as client:
        problem = (await client.get(f"/raise/{status}")).json()
        page = await client.get(problem["type"])
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("detail", sorted(DETAILS))
async def test_the_detail_of_a_problem_is_always_text(detail: str) -> None:
    response = await get(f"/raise/409?detail={detail}")
    assert summary(response) == "409"
    assert isinstance(response.json()["detail"], str)


async def test_the_default_detail_is_the_status_phrase() -> None:
    assert (await get("/starlette_raise/403")).json()["detail"] == "Forbidden"
    assert (await get("/raise/403?detail=none")).json()["detail"] == "Forbidden"


@pytest.mark.parametrize("status", [204, 205, 302, 304])
async def test_a_raised_status_below_400_is_no_problem(status: int) -> None:
    async with calling(app) as client:  # a server would reject the body of a 204 or 304
        response = await client.get(f"/raise/{status}")
        assert (response.status_code, response.content) == (status, b"")
        assert response.headers["x-why"] == "b"
        assert (await client.get("/starlette")).status_code == 200


async def test_the_headers_of_an_error_are_kept() -> None:
    response = await get("/secured")
    assert summary(response) == "401"
    assert response.headers["www-authenticate"] == "Bearer"
    response = await get("/problem")
    assert summary(response) == "409"
    assert response.headers["retry-after"] == "9"


@pytest.mark.parametrize(("path", "is_original"), [("/bug", True), ("/unserialisable", False)])
async def test_a_bug_is_logged_once_and_never_disclosed(
    path: str,
    is_original: bool,  # noqa: FBT001 — a parameter of the test
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(app) as client:
        response = await client.get(f"{path}?token={PASSWORD}")
    assert summary(response) == "500"
    assert PASSWORD not in response.text
    (error,) = (record.exc_info[1] for record in caplog.records if record.exc_info)
    assert (PASSWORD in str(error)) is is_original  # its own message, not one of FastAPI
    note = f"GET {path} failed, request {response.json()['instance']}"
    assert getattr(error, "__notes__", [])[-1] == note


async def test_client_errors_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    for path in ("/raise/404", "/problem", "/nowhere", "/raise/a"):
        await get(path)
    assert [record for record in caplog.records if record.name == "brickwork"] == []


async def test_a_disconnected_client_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None: ...

    headers: list[tuple[bytes, bytes]] = []
    scope = {"type": "http", "method": "POST", "path": "/body", "query_string": b""}
    scope = {**scope, "headers": headers}
    await app(scope, receive, send)
    assert [record for record in caplog.records if record.name == "brickwork"] == []


METHODS = [
    ("/plain", "GET, HEAD, OPTIONS, POST"),
    ("/routed", "GET, HEAD, OPTIONS, PATCH"),
    ("/routed/", "GET, HEAD, OPTIONS, PATCH"),
    ("/routed/a", "OPTIONS, PUT"),
    ("/routed/a/", "OPTIONS, PUT"),
    ("/v1/routed", "GET, HEAD, OPTIONS, PATCH"),
    ("/starlette", "GET, HEAD, OPTIONS, PUT"),
    ("/endpoint", "GET, HEAD, OPTIONS, POST"),
    ("/mounted/items", "GET, HEAD, OPTIONS, PUT"),
    ("/api", "OPTIONS, POST"),
    ("/apiary", "OPTIONS, PUT"),
    ("/problems", "GET, HEAD, OPTIONS"),
]


@pytest.mark.parametrize("root_path", ["", "/api"])
@pytest.mark.parametrize(("path", "methods"), METHODS)
async def test_allow_lists_all_methods_of_a_path(path: str, methods: str, root_path: str) -> None:
    async with calling(app, root_path=root_path) as client:
        options = await client.options(root_path + path)
        refused = await client.request("TRACE", root_path + path)
    assert (options.status_code, options.content) == (204, b"")
    assert summary(refused, root_path=root_path) == "405"
    patch = ", ".join(PATCH_TYPES) if "PATCH" in methods else None
    for response in (options, refused):
        assert response.headers["allow"] == methods
        assert response.headers.get("accept-patch") == patch


async def test_the_root_path_is_stripped_by_whole_segments() -> None:
    async with calling(app, root_path="/api") as client:
        assert (await client.options("/apiary")).headers["allow"] == "OPTIONS, PUT"
        assert (await client.options("/plain")).headers["allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize("path", ["/nowhere", "/plain/", "/socket", "/mounted", "/mounted/nowhere"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
async def test_a_path_without_a_route_is_not_found(path: str, method: str) -> None:
    async with calling(app) as client:
        response = await client.request(method, path)
    assert summary(response) == "404"
    assert "location" not in response.headers


async def test_a_405_of_an_endpoint_keeps_its_detail() -> None:
    response = await get("/sunday")
    assert summary(response) == "405"
    assert response.json()["detail"] == "Not on Sundays."
    assert response.headers["x-why"] == "b"


async def test_an_application_handler_takes_precedence() -> None:
    class Teapot(Problem):
        status = 418
        code = "teapot"
        title = "A teapot"

    app = create_app()

    @app.exception_handler(Teapot)
    async def handle(_: Request, error: Teapot) -> PlainTextResponse:
        return PlainTextResponse(error.detail, status_code=418)

    @app.get("/teapot")
    async def brew(detail: Annotated[str, Query()]) -> None:
        raise Teapot(detail)

    async with calling(app) as client:
        assert (await client.get("/teapot?detail=short")).text == "short"


# --- Installation ---------------------------------------------------------------------------------


def test_a_second_install_is_a_type_error() -> None:
    app = FastAPI()
    install(app)
    with pytest.raises(TypeError, match="twice for one application: keep one call"):
        install(app, development=True)
    assert len(app.user_middleware) == 1


def test_install_can_be_repeated_after_an_error() -> None:
    app = FastAPI()
    with pytest.raises(ValueError, match="at least 32 characters"):
        install(app, cursor_keys=["short"])
    assert app.user_middleware == []
    install(app, cursor_keys=["long" * 8])
    assert len(app.user_middleware) == 1
