"""The errors a client is meant to read, as RFC 9457 problem details.

Every module may raise them; only `brickwork.app` knows how they become an HTTP answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any, ClassVar, Final, cast
from urllib.parse import quote

from pydantic_core import to_jsonable_python
from typing_extensions import override

# What RFC 3986 allows in a fragment, besides letters and digits.
_FRAGMENT = "!$&'()*+,;=:@/?-._~"


def pointer(*path: str | int) -> str:
    """Return the JSON pointer to *path* as a URI fragment, `#/meta/a~1b/0` (RFC 6901)."""
    tokens = (str(token).replace("~", "~0").replace("/", "~1") for token in path)
    return "#" + "".join("/" + quote(token, safe=_FRAGMENT, errors="replace") for token in tokens)


@dataclass(frozen=True, kw_only=True)
class ErrorDetail:
    """One part of the request that is to blame: exactly one of *pointer*, *parameter*, *header*.

    `code` is stable and for programs, `detail` is for people; neither repeats what was sent. The
    other members are the bounds of the value, for a form that shows them.
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
        """Return the fault as the contract shows it in `errors[]`."""
        members = {name: getattr(self, name) for name in _MEMBERS}
        return {
            name: to_jsonable_python(value, fallback=str)
            for name, value in members.items()
            if value is not None
        }


PLACES: Final = ("pointer", "parameter", "header")
"""The members of a fault that say where it is."""

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
"""The members of a fault that bound the value."""

_MEMBERS: Final = (*PLACES, "code", "detail", *BOUNDS)


@dataclass(eq=False)
class Problem(Exception):
    """An error the client is meant to read; raise one of the family, or make your own.

    The docstring of a subclass says what happened and `remedy` what a client does about it, both
    in words for the page at `/problems/{code}`; `retry` whether the same request may succeed
    later.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    remedy: ClassVar[str] = "Change the request as its detail says."
    retry: ClassVar[bool] = False

    detail: str
    errors: Sequence[ErrorDetail] = field(default=(), kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True)
    again: bool = field(default=False, kw_only=True)
    """Whether it is worth trying the same at once, before the client is told."""

    @override
    def __str__(self) -> str:
        return self.detail

    def document(self) -> dict[str, object]:
        """Return the members of the problem details object that depend on the problem alone."""
        members: dict[str, object] = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
        }
        faults = [each.document() for each in self.errors]
        return members | {"errors": faults} if faults else members


def problem_in(error: BaseException | None) -> Problem | None:
    """Return the problem that *error* is, or that alone is in it; None for any other error.

    A task group of a middleware puts what its one task raised into a group.
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
    remedy = "Send JSON as RFC 8259 has it, in UTF-8, each key once, and no NaN or Infinity."


class InvalidCursor(Problem):
    """The cursor was altered, or is of another list, filter, order or scope."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_cursor"
    title = "The cursor cannot be used"
    remedy = "Begin the list again without cursor, and follow the next of its Link headers."


class Forbidden(Problem):
    """The caller may not do this, or not with these values."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    title = "Not allowed"
    remedy = "Send other values, or sign in as a user who may do this."


class NotFound(Problem):
    """There is nothing at this address, or nothing the caller may know of."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    title = "Not found"
    remedy = "Check the address; what was there may have been deleted."


class MethodNotAllowed(Problem):
    """What is at this address cannot be asked for this."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"
    title = "Method not allowed"
    remedy = "Use one of the methods that the Allow header names."


class NotAcceptable(Problem):
    """The Accept header admits nothing this service can answer with."""

    status = HTTPStatus.NOT_ACCEPTABLE
    code = "not_acceptable"
    title = "Not acceptable"
    remedy = "Accept application/json, or send no Accept header."


class Conflict(Problem):
    """What is asked for contradicts what is stored: a value is taken, a row is still in use."""

    status = HTTPStatus.CONFLICT
    code = "conflict"
    title = "Conflict with what is stored"
    remedy = "Read what is stored, then decide; the errors name the fields that clash."


class PreconditionFailed(Problem):
    """The row is not, or no longer, as the If-Match or If-None-Match header says."""

    status = HTTPStatus.PRECONDITION_FAILED
    code = "precondition_failed"
    title = "Precondition failed"
    remedy = "Read the row again, decide whether the change still makes sense, and send it anew."


class PreconditionRequired(Problem):
    """A row of this resource is changed only by those who say which version they mean."""

    status = HTTPStatus.PRECONDITION_REQUIRED
    code = "precondition_required"
    title = "Precondition required"
    remedy = "Read the row, and send its ETag in the If-Match header."


class ContentTooLarge(Problem):
    """The body is longer than this service reads."""

    status = HTTPStatus(413)  # its name changed in Python 3.13, as those of 414 and 422 did
    code = "content_too_large"
    title = "Content too large"
    remedy = "Send less at once."


class URITooLong(Problem):
    """The address, with its query, is longer than this service reads."""

    status = HTTPStatus(414)
    code = "uri_too_long"
    title = "URI too long"
    remedy = "Send fewer or shorter parameters."


class UnsupportedMediaType(Problem):
    """The body is of a media type, a charset or a coding that the operation does not read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    title = "Unsupported media type"
    remedy = "Send one of the types that the Accept or Accept-Patch header names, in UTF-8."


class UnprocessableContent(Problem):
    """The request can be read, and has values that cannot be accepted."""

    status = HTTPStatus(422)
    code = "invalid"
    title = "Values that cannot be accepted"
    remedy = "Mend every place that the errors name; they name all of them at once."


class RefusedByDatabase(Problem):
    """A rule of the database, such as a trigger, refuses the change."""

    status = HTTPStatus(422)
    code = "refused_by_database"
    title = "Refused by the database"
    remedy = "Change the values, or ask those who run the service for the rule."


class IdempotencyKeyReused(Problem):
    """The Idempotency-Key was sent before, with another request."""

    status = HTTPStatus(422)
    code = "idempotency_key_reused"
    title = "Idempotency key reused"
    remedy = "Make a new key for every request, and send the same one only with the same request."


class RequestInProgress(Problem):
    """The first request with this Idempotency-Key is still being carried out."""

    status = HTTPStatus.CONFLICT
    code = "still_running"
    title = "The first request is still running"
    remedy = "Send the same request again, after as many seconds as Retry-After says."
    retry = True


class HeadersTooLarge(Problem):
    """The headers are longer than this service reads."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "headers_too_large"
    title = "Headers too large"
    remedy = "Send fewer or shorter headers; old cookies are often the cause."


class InternalServerError(Problem):
    """Something went wrong in the service, through no fault of the request."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "internal"
    title = "Something went wrong here"
    remedy = "Report the instance to those who run the service: their log has it."


class ServiceUnavailable(Problem):
    """The database cannot answer now: it is busy, or away."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    title = "The database cannot answer now"
    remedy = "Send the same request again, after as many seconds as Retry-After says."
    retry = True


class _StatusProblem(Problem):
    """An error that is known by its HTTP status alone."""


@cache
def problem_for_status(status: int) -> type[Problem]:
    """Return the problem that stands for an HTTP status, 400 to 599."""
    if known := _BY_STATUS.get(status):
        return known
    names = {each.value: (each.name.lower(), each.phrase, each.description) for each in HTTPStatus}
    code, title, meaning = names.get(status, (f"status_{status}", f"Status {status}", ""))
    members = {
        "status": status,
        "code": code,
        "title": title,
        "__doc__": meaning or title,
    }
    return type(title, (_StatusProblem,), members)


def problem_types(root: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Yield every kind of problem that is declared, those of the application included."""
    for each in root.__subclasses__():
        if each is not _StatusProblem:
            if hasattr(each, "code"):  # and is no base of others
                yield each
            yield from problem_types(each)


# Of two with one status the first is the general one.
_BY_STATUS: Final = {each.status: each for each in reversed([*problem_types()])}
