"""How a route meets HTTP: it answers HEAD, takes both slash forms, and reads strict JSON."""

from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from brickwork.documents import parse
from brickwork.problems import Malformed, Problem, UnsupportedMediaType

UNREADABLE: Final = "brickwork.unreadable"
"""Where in a request's scope stands the problem with its body, if there is one."""

MERGE_PATCH: Final = "application/merge-patch+json"
_JSON: Final = "application/json"
ACCEPT_PATCH: Final = f"{MERGE_PATCH}, {_JSON}"


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
        if self.body_field is None:
            return handle
        annotation: Any = self.body_field.field_info.annotation
        takes_anything = annotation is Any or annotation is object

        async def read_then_handle(request: Request) -> Response:
            request = JSONRequest(request.scope, request.receive)
            if (problem := await request.read()) is not None and takes_anything:
                raise problem
            return await handle(request)

        return read_then_handle


class JSONRequest(Request):
    """A request whose body is strict JSON, or nothing that a schema would take for it."""

    async def read(self) -> Problem | None:
        """Read the body; return what is wrong with it, and note it in the scope."""
        try:
            self._json = _document(self, await self.body())
        except Problem as problem:
            # Raised later, by the handler of what FastAPI says of a body that fits no schema:
            # first its dependencies are to tell whether the caller may ask at all.
            self._json = _Nothing()
            self.scope[UNREADABLE] = problem
            return problem
        return None


class _Nothing:
    """Stands for the document of a body that has none."""


def _document(request: Request, body: bytes) -> object:
    patch = request.method == "PATCH"
    types = ACCEPT_PATCH if patch else _JSON
    header = request.headers.get("content-type")
    if (header is not None or body) and not _readable(request, types):
        detail = f"The body must be one of {types}, in UTF-8 and not compressed."
        raise UnsupportedMediaType(detail, headers={"Accept-Patch" if patch else "Accept": types})
    if not body:
        raise Malformed("The body is empty: send a JSON document.")
    return parse(body)


def _readable(request: Request, types: str) -> bool:
    message = Message()
    message["content-type"] = request.headers.get("content-type", "")
    return (
        message.get_content_type() in types.split(", ")
        and message.get_content_charset("utf-8") in {"utf-8", "utf8"}
        and request.headers.get("content-encoding", "identity") == "identity"
    )


def _as_get(scope: Scope) -> Scope:
    return {**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope


def other_form(path: str) -> str:
    """Return *path* with the trailing slash it has not, or without the one it has."""
    return path[:-1] if path.endswith("/") else path + "/"
