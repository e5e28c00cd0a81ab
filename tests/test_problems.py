"""Problems and the errors in them: documents, pointers, statuses."""

import pickle
import string
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import unquote

import pytest
from hypothesis import given, strategies as st

from brickwork import (
    BadRequest,
    Conflict,
    ContentTooLarge,
    ErrorDetail,
    HeadersTooLarge,
    InternalServerError,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    Problem,
    RequestInProgress,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    UnprocessableContent,
    UnsupportedMediaType,
    URITooLong,
)
from brickwork.problems import pointer, problem_for_status, problem_types
from tests.support.garbage import collected_garbage
from tests.support.values import law

# RFC 6901, section 6.
RFC = [
    ((), "#"),
    (("foo",), "#/foo"),
    (("foo", 0), "#/foo/0"),
    (("",), "#/"),
    (("a/b",), "#/a~1b"),
    (("c%d",), "#/c%25d"),
    (("e^f",), "#/e%5Ef"),
    (("g|h",), "#/g%7Ch"),
    (("i\\j",), "#/i%5Cj"),
    (('k"l',), "#/k%22l"),
    ((" ",), "#/%20"),
    (("m~n",), "#/m~0n"),
]


@pytest.mark.parametrize(("path", "written"), RFC)
def test_pointer_is_the_uri_fragment_of_rfc_6901(path: tuple[str | int, ...], written: str) -> None:
    assert pointer(*path) == written


@law
@given(st.lists(st.text() | st.integers(min_value=0)))
def test_pointer_can_be_parsed(path: list[str | int]) -> None:
    tokens = unquote(pointer(*path)).split("/")[1:]
    assert [token.replace("~1", "/").replace("~0", "~") for token in tokens] == list(map(str, path))


@law
@given(st.lists(st.text(st.characters())))
def test_pointer_of_any_text_is_a_uri_fragment(path: list[str]) -> None:
    written = pointer(*path)
    assert written[0] == "#"
    assert set(written[1:]) <= {*string.ascii_letters, *string.digits, *"-._~!$&'()*+,;=:@/?%"}


@pytest.mark.parametrize(
    "place", [{"pointer": "#/title"}, {"parameter": "limit"}, {"header": "Prefer"}]
)
def test_error_detail_shows_its_place(place: dict[str, str]) -> None:
    fault = ErrorDetail(code="missing", detail="This field is required.", **place)
    assert fault.document() == {
        **place,
        "code": "missing",
        "detail": "This field is required.",
    }


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (BadRequest, 400, "malformed"),
        (NotFound, 404, "not_found"),
        (MethodNotAllowed, 405, "method_not_allowed"),
        (NotAcceptable, 406, "not_acceptable"),
        (Conflict, 409, "conflict"),
        (ContentTooLarge, 413, "content_too_large"),
        (URITooLong, 414, "uri_too_long"),
        (UnsupportedMediaType, 415, "unsupported_media_type"),
        (UnprocessableContent, 422, "invalid"),
        (HeadersTooLarge, 431, "headers_too_large"),
        (InternalServerError, 500, "internal"),
        (ServiceUnavailable, 503, "unavailable"),
    ],
)
def test_problem_has_a_status_and_a_code(kind: type[Problem], status: int, code: str) -> None:
    assert kind("Why.").document() == {
        "type": f"/problems/{code}",
        "title": kind.title,
        "status": status,
        "detail": "Why.",
    }


def test_problem_keeps_the_order_of_its_errors() -> None:
    faults = [ErrorDetail(code=code, detail="Why.", pointer="#/a") for code in ("b", "a")]
    assert UnprocessableContent("Why.", errors=faults).document()["errors"] == [
        {"pointer": "#/a", "code": "b", "detail": "Why."},
        {"pointer": "#/a", "code": "a", "detail": "Why."},
    ]


@pytest.fixture
def own_problems() -> Iterator[None]:
    """Remove the problems that a test declares when it ends."""
    problem_for_status.cache_clear()
    with collected_garbage():
        yield
    problem_for_status.cache_clear()


@pytest.mark.usefixtures("own_problems")
def test_application_can_declare_a_problem() -> None:
    class Expired(Problem):
        status = HTTPStatus.PAYMENT_REQUIRED
        code = "expired"
        title = "The trial is over"

    problem = Expired("It ended today.", headers={"Link": "</plans>; rel=help"})
    assert problem.document() == {
        "type": "/problems/expired",
        "title": "The trial is over",
        "status": 402,
        "detail": "It ended today.",
    }
    assert problem.headers == {"Link": "</plans>; rel=help"}
    assert Expired in problem_types()


@pytest.mark.usefixtures("own_problems")
def test_status_never_selects_a_problem_of_the_application() -> None:
    class Expired(Problem):
        status = HTTPStatus.FORBIDDEN
        code = "expired"
        title = "The trial is over"

    assert problem_for_status(403) is not Expired
    assert problem_for_status(403).code == "forbidden"


@pytest.mark.usefixtures("own_problems")
def test_base_class_of_problems_is_no_problem() -> None:
    class Billing(Problem):
        """A base class that is never raised."""

    class Expired(Billing):
        status = HTTPStatus.FORBIDDEN
        code = "expired"
        title = "The trial is over"

    assert Expired in problem_types()
    assert Billing not in problem_types()
    assert problem_for_status(402).code == "payment_required"


@pytest.mark.parametrize(
    ("status", "code", "title"),
    [
        (400, "malformed", "The request cannot be read"),
        (401, "unauthorized", "Authentication required"),
        (402, "payment_required", "Payment Required"),
        (404, "not_found", "Not found"),
        (413, "content_too_large", "Content too large"),
        (418, "im_a_teapot", "I'm a Teapot"),
        (422, "invalid", "Invalid values"),
        (499, "status_499", "Status 499"),
        (500, "internal", "Internal error"),
        (599, "status_599", "Status 599"),
    ],
)
def test_status_has_one_problem(status: int, code: str, title: str) -> None:
    problem = problem_for_status(status)("Why.")
    assert problem.document() == {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": "Why.",
    }
    assert problem_for_status(status) is type(problem)
    assert type(problem).__doc__


def test_every_problem_has_a_unique_code_and_a_text() -> None:
    ours = [kind for kind in problem_types() if kind.__module__ == "brickwork.problems"]
    assert len({kind.code for kind in ours}) == len(ours)
    assert all(problem_for_status(kind.status).status == kind.status for kind in ours)
    assert all(kind.__doc__ and kind.remedy for kind in ours)
    retried = [RequestInProgress, TooManyRequests, ServiceUnavailable]
    assert [kind for kind in ours if kind.retry] == retried


@pytest.mark.parametrize(
    ("problem", "headers"),
    [
        (Unauthorized("Why."), {"WWW-Authenticate": "Bearer"}),
        (Unauthorized("Why.", challenge="Basic"), {"WWW-Authenticate": "Basic"}),
        (
            Unauthorized("Why.", headers={"www-authenticate": "Digest"}),
            {"www-authenticate": "Digest"},
        ),
        (
            problem_for_status(401)("Why.", headers={"A": "b"}),
            {"WWW-Authenticate": "Bearer", "A": "b"},
        ),
        (TooManyRequests("Why."), {}),
        (TooManyRequests("Why.", retry_after=0.2), {"Retry-After": "1"}),
        (TooManyRequests("Why.", retry_after=-1), {"Retry-After": "0"}),
        (
            TooManyRequests("Why.", retry_after=9, headers={"Retry-After": "1"}),
            {"Retry-After": "1"},
        ),
    ],
)
def test_headers_that_a_problem_adds(problem: Problem, headers: dict[str, str]) -> None:
    assert problem.headers == headers
    copy = pickle.loads(pickle.dumps(problem))  # noqa: S301 — of our own making
    assert copy.headers == headers


def test_problems_do_not_share_headers() -> None:
    assert NotFound("a").headers is not NotFound("b").headers


def test_str_of_a_problem_is_its_detail() -> None:
    assert str(Conflict("The value is taken.")) == "The value is taken."
    assert str(Conflict(detail="The value is taken.")) == "The value is taken."


def test_problem_can_be_pickled() -> None:
    fault = ErrorDetail(code="not_unique", detail="Taken.", pointer="#/slug")
    problem = Conflict("Taken.", errors=[fault], headers={"A": "b"})
    copy = pickle.loads(pickle.dumps(problem))  # noqa: S301 — of our own making
    assert (type(copy), copy.document()) == (Conflict, problem.document())
    assert copy.headers == {"A": "b"}


def test_problems_are_compared_by_identity() -> None:
    assert len({NotFound("a"), NotFound("a")}) == 2
