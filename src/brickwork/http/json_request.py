"""Requests with a body of strict JSON."""

from typing import Any, Final

from fastapi import Request
from starlette.types import Receive, Scope
from typing_extensions import override

from brickwork.http.body import RequestBody
from brickwork.http.negotiation import JSON, MERGE_PATCH, is_utf8_type
from brickwork.http.starlette_internals import KeptBodyRequest
from brickwork.problems import Problem, UnsupportedMediaType, problem_in

PATCH_TYPES: Final = [MERGE_PATCH, JSON]
"""The media types of a PATCH."""


class JSONRequest(KeptBodyRequest):
    """A request with a body of strict JSON."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        """Wrap a request."""
        super().__init__(scope, receive)
        self._json_body: RequestBody | None = None

    async def read(self) -> RequestBody:
        """Read the body once, with the problem that kept it from being read, if any."""
        if self._json_body is None:
            try:
                self._json_body = RequestBody(await _read_body(self))
            except Exception as error:
                if (problem := problem_in(error)) is None:
                    raise
                self._json_body = RequestBody(problem=problem)
        return self._json_body

    @override
    async def json(self) -> Any:
        body = await self.read()
        body.document()
        if problem := body.problem:
            raise problem
        return body.parsed_document()


async def _read_body(request: Request) -> bytes:
    """Return the body of *request*. Raises the problem with its media type or its size."""
    problem = _media_type_problem(request)
    if problem and "content-type" in request.headers:
        raise problem
    body = await request.body()
    if body and problem:  # an empty body has no type; validation reports a missing body
        raise problem
    return body


def _media_type_problem(request: Request) -> Problem | None:
    header, types = ("Accept", [JSON])
    if request.method == "PATCH":
        header, types = ("Accept-Patch", PATCH_TYPES)
    coding = request.headers.get("content-encoding", "identity").lower()
    if coding == "identity" and is_utf8_type(request.headers.get("content-type", ""), among=types):
        return None
    names = ", ".join(types)
    detail = f"The body must be one of {names}, in UTF-8 and not compressed."
    return UnsupportedMediaType(detail, headers={header: names})
