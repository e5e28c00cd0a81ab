"""Problems as HTTP responses (RFC 9457)."""

import json
from typing import Final

from starlette.responses import Response
from starlette.types import Scope

from brickwork.context import REQUEST_ID, request_id
from brickwork.http.paths import root_path
from brickwork.problems import Problem

MEDIA_TYPE: Final = "application/problem+json"


def problem_response(problem: Problem, scope: Scope) -> Response:
    """Return the response for *problem* to the request of *scope*."""
    document = problem.document() | {"instance": request_id(scope)}
    if (kind := str(document["type"])).startswith("/"):
        document["type"] = root_path(scope) + kind
    return Response(
        json.dumps(document),  # as ASCII, so that lone surrogates can be sent
        status_code=problem.status,
        headers={**problem.headers, REQUEST_ID: request_id(scope)},
        media_type=MEDIA_TYPE,
    )
