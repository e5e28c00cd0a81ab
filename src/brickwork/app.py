"""How an application answers: `install` makes every error of it a problem (RFC 9457)."""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from brickwork.models import new_key
from brickwork.openapi import MEDIA_TYPE, describe
from brickwork.problems import Problem
from brickwork.refusals import refusal
from brickwork.routes import ACCEPT_PATCH, Route, other_form

log: Final = logging.getLogger("brickwork")

_STATUSES: Final = {status.value for status in HTTPStatus}


def install(app: FastAPI) -> None:
    """Make *app* keep the contract: every error is a problem, and 405 names what is allowed.

    OPTIONS is answered from the routing table. No path is redirected to its other slash form,
    as that would repeat the Host a client sent.
    """
    app.router.redirect_slashes = False
    for kind in (Problem, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)
    describe(app)


async def answer(request: Request, error: Exception) -> Response:
    """Return the answer to a request that ended in *error*."""
    match error:
        case Problem():
            return _render(error.document(), error.headers)
        case RequestValidationError():
            problem = refusal(request, error)
            return _render(problem.document(), problem.headers)
        case HTTPException(status_code=HTTPStatus.METHOD_NOT_ALLOWED):
            return _not_allowed(request)
        case HTTPException():
            return _render(_document(error.status_code, error.detail), dict(error.headers or {}))
        case _:
            document = _document(500, "Something went wrong here, and it is logged.")
            log.error("A request failed: %s", error, exc_info=error)
            return _render(document, {})


def _not_allowed(request: Request) -> Response:
    methods = _allowed(request)
    headers = {"Allow": ", ".join(sorted(methods))}
    if request.method != "OPTIONS":
        return _render(_document(405, "The resource has no such method."), headers)
    if "PATCH" in methods:
        headers["Accept-Patch"] = ACCEPT_PATCH
    return Response(status_code=204, headers=headers)


def _allowed(request: Request) -> set[str]:
    """Return every method that some route of the application has for the path asked for."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    methods = {"OPTIONS"}
    for route in iter_route_contexts(request.app.routes):
        forms = {path, other_form(path)} if isinstance(route.original_route, Route) else {path}
        if route.methods and any(route.path_regex.match(form) for form in forms):
            methods |= route.methods
    return methods | {"HEAD"} if "GET" in methods else methods


def _document(status: int, detail: str) -> dict[str, object]:
    known = HTTPStatus(status) if status in _STATUSES else HTTPStatus(status // 100 * 100)
    return {
        "type": f"/problems/{known.name.lower()}",
        "title": known.phrase,
        "status": status,
        "detail": detail,
    }


def _render(document: Mapping[str, object], headers: Mapping[str, str]) -> Response:
    return Response(
        # ASCII, so that whatever is in it can be sent.
        json.dumps({**document, "instance": f"urn:uuid:{new_key()}"}),
        status_code=int(str(document["status"])),
        headers=headers,
        media_type=MEDIA_TYPE,
    )
