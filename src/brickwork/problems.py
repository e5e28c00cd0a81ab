"""Errors for clients, as RFC 9457 problem details.

Every module may raise them. `brickwork.http` turns them into responses.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from math import ceil
from typing import Any, ClassVar, Final, cast
from urllib.parse import quote

from pydantic_core import to_jsonable_python
from typing_extensions import override

# What RFC 3986 allows in a fragment, apart from letters and digits.
_FRAGMENT = "!$&'()*+,;=:@/?-._~"


def pointer(*path: str | int) -> str:
    """Return the JSON pointer to *path* as a URI fragment, `#/meta/a~1b/0` (RFC 6901)."""
    tokens = (str(token).replace("~", "~0").replace("/", "~1") for token in path)
    return "#" + "".join("/" + quote(token, safe=_FRAGMENT, errors="replace") for token in tokens)


@dataclass(frozen=True, kw_only=True)
class ErrorDetail:
    """An error of one part of the request: a *pointer*, a *parameter* or a *header*.

    `code` is stable and for programs, `detail` is for people. Neither repeats the value that was
    sent. The other members are the bounds of the value, for a form to show.
    """

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None
    minimum: object = None
    maximum: object = None
    exclusive_minimum: object = None
    exclusive_maximum: object = None
    min_length: object = None
    max_length: object = None
    pattern: object = None
    allowed: object = None

    def document(self) -> dict[str, Any]:
        """Return the item of `errors` in the problem details."""
        members = {name: getattr(self, name) for name in _MEMBERS}
        return {
            name: to_jsonable_python(value, fallback=str)
            for name, value in members.items()
            if value is not None
        }


PLACES: Final = ("pointer", "parameter", "header")
"""The members of an error that say where it is."""

BOUNDS: Final = (
    "minimum",
    "maximum",
    "exclusive_minimum",
    "exclusive_maximum",
    "min_length",
    "max_length",
    "pattern",
    "allowed",
)
"""The members of an error that bound the value."""

_MEMBERS: Final = (*PLACES, "code", "detail", *BOUNDS)


@dataclass(eq=False)
class Problem(Exception):
    """An error for the client. Raise a subclass, or define one.

    The page at `/problems/{code}` shows the docstring of the subclass, which says what happened,
    and `remedy`, which says what the client can do. `retry` says whether the same request may
    succeed later.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    remedy: ClassVar[str] = "Change the request as its detail says."
    retry: ClassVar[bool] = False

    detail: str
    errors: Sequence[ErrorDetail] = field(default=(), kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True)
    retryable: bool = field(default=False, kw_only=True)
    """Whether the server may retry the request before it answers."""

    @override
    def __str__(self) -> str:
        return self.detail

    def document(self) -> dict[str, object]:
        """Return the problem details without the members of one request."""
        members: dict[str, object] = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
        }
        errors = [error.document() for error in self.errors]
        return members | {"errors": errors} if errors else members


def _with_header(headers: Mapping[str, str], name: str, value: str) -> Mapping[str, str]:
    """Return *headers* with a header, unless they have one of that *name*."""
    has_header = name.lower() in {known.lower() for known in headers}
    return headers if has_header else {name: value, **headers}


def problem_in(error: BaseException | None) -> Problem | None:
    """Return *error* if it is a problem, or the only problem in an exception group.

    A task group in a middleware wraps the error of its task in a group. None for other errors.
    """
    while isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
        error = inner[0] if len(inner) == 1 else None
    return error if isinstance(error, Problem) else None


class BadRequest(Problem):
    """The request cannot be read: a body that is not JSON, a query that is not UTF-8, no Host."""

    status = HTTPStatus.BAD_REQUEST
    code = "malformed"
    title = "The request cannot be read"
    remedy = "Send JSON (RFC 8259) in UTF-8, with unique keys and without NaN or Infinity."


class InvalidCursor(Problem):
    """The cursor was altered, or is of another list, filter, order or scope."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_cursor"
    title = "The cursor cannot be used"
    remedy = "Request the list without cursor, and follow the links of its Link headers."


@dataclass(eq=False)
class Unauthorized(Problem):
    """The request has no valid credentials."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthorized"
    title = "Authentication required"
    remedy = "Sign in, and send valid credentials: most often a token in the Authorization header."

    challenge: str = field(default="Bearer", kw_only=True)
    """The WWW-Authenticate header (RFC 9110), unless *headers* has one.

    `Bearer error="invalid_token"` is the challenge for a rejected token (RFC 6750).
    """

    def __post_init__(self) -> None:
        """Add the challenge to the headers."""
        self.headers = _with_header(self.headers, "WWW-Authenticate", self.challenge)


class Forbidden(Problem):
    """The caller may not do this, or not with these values."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    title = "Not allowed"
    remedy = "Send other values, or sign in as a user who may do this."


class NotFound(Problem):
    """There is nothing at this address, or the caller may not see it."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    title = "Not found"
    remedy = "Check the address. The resource may have been deleted."


class MethodNotAllowed(Problem):
    """The resource at this address does not support the method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"
    title = "Method not allowed"
    remedy = "Use one of the methods in the Allow header."


class NotAcceptable(Problem):
    """The Accept header admits no media type of this operation."""

    status = HTTPStatus.NOT_ACCEPTABLE
    code = "not_acceptable"
    title = "Not acceptable"
    remedy = "Accept application/json, or send no Accept header."


class Conflict(Problem):
    """The request conflicts with stored rows: a value is taken, or a row is still in use."""

    status = HTTPStatus.CONFLICT
    code = "conflict"
    title = "Conflict with stored data"
    remedy = "Read the stored rows, and correct the fields listed in errors."


class PreconditionFailed(Problem):
    """The row does not match the If-Match or If-None-Match header."""

    status = HTTPStatus.PRECONDITION_FAILED
    code = "precondition_failed"
    title = "Precondition failed"
    remedy = "Read the row again, and repeat the change if it still makes sense."


class PreconditionRequired(Problem):
    """A change of this resource must name the version of the row."""

    status = HTTPStatus.PRECONDITION_REQUIRED
    code = "precondition_required"
    title = "Precondition required"
    remedy = "Read the row, and send its ETag in the If-Match header."


class ContentTooLarge(Problem):
    """The body is larger than this service accepts."""

    status = HTTPStatus(413)  # its name changed in Python 3.13, as those of 414 and 422 did
    code = "content_too_large"
    title = "Content too large"
    remedy = "Send fewer values, or split the request."


class URITooLong(Problem):
    """The URL is longer than this service accepts."""

    status = HTTPStatus(414)
    code = "uri_too_long"
    title = "URI too long"
    remedy = "Send fewer or shorter parameters."


class UnsupportedMediaType(Problem):
    """The operation does not support the media type, charset or coding of the body."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    title = "Unsupported media type"
    remedy = "Send a media type of the Accept or Accept-Patch header, in UTF-8."


class UnprocessableContent(Problem):
    """The request is well-formed, but has invalid values."""

    status = HTTPStatus(422)
    code = "invalid"
    title = "Invalid values"
    remedy = "Correct every field listed in errors."


class RefusedByDatabase(Problem):
    """A rule of the database, such as a trigger, rejects the change."""

    status = HTTPStatus(422)
    code = "refused_by_database"
    title = "Rejected by the database"
    remedy = "Change the values, or ask the operator of the service for the rule."


class IdempotencyKeyReused(Problem):
    """The Idempotency-Key was used before, with another request."""

    status = HTTPStatus(422)
    code = "idempotency_key_reused"
    title = "Idempotency key reused"
    remedy = "Generate a key for each request, and reuse it only to repeat that request."


class RequestInProgress(Problem):
    """The first request with this Idempotency-Key is still running."""

    status = HTTPStatus.CONFLICT
    code = "still_running"
    title = "The first request is still running"
    remedy = "Repeat the request after the seconds of the Retry-After header."
    retry = True


@dataclass(eq=False)
class TooManyRequests(Problem):
    """The caller has sent too many requests."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_requests"
    title = "Too many requests"
    remedy = "Wait for the seconds of the Retry-After header, and send fewer requests."
    retry = True

    retry_after: float | None = field(default=None, kw_only=True)
    """The seconds of the Retry-After header, which are rounded up. None: no header."""

    def __post_init__(self) -> None:
        """Add the seconds to the headers."""
        if self.retry_after is not None:
            seconds = max(0, ceil(self.retry_after))
            self.headers = _with_header(self.headers, "Retry-After", str(seconds))


class HeadersTooLarge(Problem):
    """The headers are larger than this service accepts."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "headers_too_large"
    title = "Headers too large"
    remedy = "Send fewer or shorter headers. Old cookies are often the cause."


class InternalServerError(Problem):
    """The service failed. The request is not the cause."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "internal"
    title = "Internal error"
    remedy = "Report the instance to the operator of the service. It is in the server log."


class ServiceUnavailable(Problem):
    """The database is busy or unavailable."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    title = "The database is unavailable"
    remedy = "Repeat the request after the seconds of the Retry-After header."
    retry = True


class _StatusProblem(Problem):
    """A problem that has an HTTP status and no class of its own."""


@cache
def problem_for_status(status: int) -> type[Problem]:
    """Return the problem class for an HTTP *status*, 400 to 599."""
    if problem := _BY_STATUS.get(status):
        return problem
    names = {item.value: (item.name.lower(), item.phrase, item.description) for item in HTTPStatus}
    code, title, meaning = names.get(status, (f"status_{status}", f"Status {status}", ""))
    members = {
        "status": status,
        "code": code,
        "title": title,
        "__doc__": meaning or title,
    }
    return type(title, (_StatusProblem,), members)


def problem_types(root: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Yield the subclasses of *root* that have a code, including those of the application."""
    for problem in root.__subclasses__():
        if problem is not _StatusProblem:
            if hasattr(problem, "code"):  # and is no base of others
                yield problem
            yield from problem_types(problem)


# Of several classes with one status, the first is the general one.
_BY_STATUS: Final = {problem.status: problem for problem in reversed([*problem_types()])}
