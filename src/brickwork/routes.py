"""How a route meets HTTP: it answers HEAD, takes both slash forms, and reads strict JSON."""

from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from brickwork.documents import parse
from brickwork.negotiation import JSON, MERGE_PATCH, admits_json, is_utf8
from brickwork.problems import Malformed, NotAcceptable, Problem, UnsupportedMediaType

UNREADABLE: Final = "brickwork.unreadable"
"""Where in a request's scope stands the problem with its body, if there is one."""

current_request: Final = ContextVar[Request]("brickwork.request")
"""The request that a route of ours is handling."""

QUERY_NAMES: Final = "?"
"""The parameter that stands for the names of all, in the errors of FastAPI."""

PATCH_TYPES: Final = [MERGE_PATCH, JSON]
"""What a PATCH may bring."""


class Route(APIRoute):
    """A route of FastAPI's that keeps the contract: `APIRouter(route_class=Route)`.

    HEAD is answered wherever GET is, a trailing slash makes no difference, and a body that is
    not strict JSON is refused, after the dependencies had their say of who is asking.
    """

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(_as_get(scope))
        if match is Match.NONE and scope["type"] == "http":
            return super().matches({**_as_get(scope), "path": other_form(scope["path"])})
        return match, child

    @override
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().handle(_as_get(scope), receive, send)

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        body = self.body_field
        annotation: Any = body.field_info.annotation if body else None
        takes_anything = annotation is Any or annotation is object

        async def negotiate_and_handle(request: Request) -> Response:
            current_request.set(request)
            if self.response_model and not admits_json(request.headers.getlist("accept")):
                raise NotAcceptable("The answer is JSON, and the Accept header admits none.")
            if body:
                request = JSONRequest(request.scope, request.receive)
                if (problem := await request.read()) and takes_anything:
                    raise problem
            return await handle(request)

        return negotiate_and_handle


class JSONRequest(Request):
    """A request whose body is strict JSON, or nothing that a schema would take for it."""

    async def read(self) -> Problem | None:
        """Read the body; return what is wrong with it, and note it in the scope."""
        try:
            self._json = await _document(self)
        except Problem as problem:
            # Raised later, by the handler of what FastAPI says of a body that fits no schema:
            # first its dependencies are to tell whether the caller may ask at all.
            self._json = ...  # no schema takes it
            self.scope[UNREADABLE] = problem
            return problem
        return None


async def _document(request: Request) -> object:
    refusal = _type_refusal(request)
    if refusal and "content-type" in request.headers:
        raise refusal
    if not (body := await request.body()):
        raise Malformed("The body is empty: send a JSON document.")
    if refusal:
        raise refusal
    return parse(body)


def _type_refusal(request: Request) -> Problem | None:
    header, types = ("Accept", [JSON])
    if request.method == "PATCH":
        header, types = ("Accept-Patch", PATCH_TYPES)
    coding = request.headers.get("content-encoding", "identity")
    if coding == "identity" and is_utf8(request.headers.get("content-type", ""), among=types):
        return None
    names = ", ".join(types)
    detail = f"The body must be one of {names}, in UTF-8 and not compressed."
    return UnsupportedMediaType(detail, headers={header: names})


def _as_get(scope: Scope) -> Scope:
    return {**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope


def other_form(path: str) -> str:
    """Return *path* with the trailing slash it has not, or without the one it has."""
    return path[:-1] if path.endswith("/") else path + "/"
