"""The errors a client is meant to read, as RFC 9457 problem details.

Every module may raise them; only `brickwork.app` knows how they become an HTTP answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import quote

# What RFC 3986 allows in a fragment, besides letters and digits.
_FRAGMENT = "!$&'()*+,;=:@/?-._~"


def pointer(*path: str | int) -> str:
    """Return the JSON pointer to *path* as a URI fragment, `#/meta/a~1b/0` (RFC 6901)."""
    tokens = (str(token).replace("~", "~0").replace("/", "~1") for token in path)
    return "#" + "".join("/" + quote(token, safe=_FRAGMENT, errors="replace") for token in tokens)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One part of the request that is to blame: exactly one of *pointer*, *parameter*, *header*.

    `code` is stable and for programs, `detail` is for people; neither repeats what was sent.
    """

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None

    def document(self) -> dict[str, str]:
        """Return the fault as the contract shows it in `errors[]`."""
        places = {"pointer": self.pointer, "parameter": self.parameter, "header": self.header}
        place = {name: value for name, value in places.items() if value is not None}
        return {**place, "code": self.code, "detail": self.detail}


@dataclass(eq=False)
class Problem(Exception):
    """An error the client is meant to read; raise one of the family, or make your own.

    A subclass sets `status`, `code` and `title`; the code ends the problem's `type`,
    `/problems/{code}`, and the title says the same in words.
    """

    status: ClassVar[HTTPStatus]
    code: ClassVar[str]
    title: ClassVar[str]

    detail: str
    errors: Sequence[Fault] = field(default=(), kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True)

    def document(self) -> dict[str, object]:
        """Return the members of the problem details object that depend on the problem alone."""
        members: dict[str, object] = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": self.status.value,
            "detail": self.detail,
        }
        return members | (
            {"errors": [each.document() for each in self.errors]} if self.errors else {}
        )


class Malformed(Problem):
    """The body is not JSON as RFC 8259 and the contract want it."""

    status = HTTPStatus.BAD_REQUEST
    code = "malformed"
    title = "The body cannot be read"


class NotFound(Problem):
    """There is no such row, or the caller may not know of it."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    title = "Not found"


class Conflict(Problem):
    """What is asked for contradicts what is stored."""

    status = HTTPStatus.CONFLICT
    code = "conflict"
    title = "Conflict with what is stored"


class UnsupportedMediaType(Problem):
    """The body is not of a media type the operation reads."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    title = "Unsupported media type"


class Invalid(Problem):
    """The request is well formed, and a value in it cannot be accepted."""

    status = HTTPStatus(422)  # its name changed in Python 3.13
    code = "invalid"
    title = "Values that cannot be accepted"


class Unavailable(Problem):
    """The database cannot answer now; the same request may succeed later."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    title = "The database cannot answer now"
