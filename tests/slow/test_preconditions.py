"""Every form of If-Match and If-None-Match on every route of one row."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import pytest
from httpx2 import AsyncClient, Response

from tests.support.bodies import (
    MISSING,
    Body,
    create_article,
    get_json,
    patch_row,
    summary,
    version_tag,
)

pytestmark = pytest.mark.anyio


class Form(NamedTuple):
    """The result of the comparison of a header with the tag of the row, strong and weak."""

    strongly: bool
    weakly: bool


HAS = Form(strongly=True, weakly=True)
HAS_WEAK = Form(strongly=False, weakly=True)
LACKS = Form(strongly=False, weakly=False)

# The lines of a header, with {} for the text of the row's tag. None: the header is malformed.
FORMS: Final[dict[tuple[str, ...], Form | None]] = {
    ("*",): HAS,
    ('"{}"',): HAS,
    ('"old"',): LACKS,
    ('W/"{}"',): HAS_WEAK,
    ('W/"old"',): LACKS,
    ('"old", "{}"',): HAS,
    ('"{}","old",W/"old"',): HAS,
    ('"old",\tW/"{}"',): HAS_WEAK,
    ('"old", "*", "", "{},old", "é"',): LACKS,
    (',, "old" , ,"{}" ,',): HAS,
    ('"old"', '"{}"'): HAS,
    ('"{}"', '"old"'): HAS,
    ('"old"', 'W/"{}"'): HAS_WEAK,
    ("{}",): None,
    ('"{}', '{}"'): None,
    ('"{}" "{}"',): None,
    ('"{}", {}',): None,
    ('w/"{}"',): None,
    ('W/ "{}"',): None,
    ("W/*",): None,
    ("'{}'",): None,
    ('"{}";q=1',): None,
    ('*, "{}"',): None,
    ("*", '"{}"'): None,
    ("",): None,
    (",",): None,
}


class Route(NamedTuple):
    """A request for one row, and its responses for a live row, a deleted row, a known tag."""

    method: str
    suffix: str
    live: str
    deleted: str
    known: str = "412"
    body: Body | None = None


GET = Route("GET", "", live="200", deleted="404", known="304")
HEAD = Route("HEAD", "", live="200", deleted="404", known="304")
PATCH = Route("PATCH", "", live="200", deleted="404", body={"views": 2})
PUT = Route("PUT", "", live="200", deleted="404", body={"title": "Other", "slug": "other"})
DELETE = Route("DELETE", "", live="204", deleted="404")
PURGE = Route("DELETE", "?purge=true", live="204", deleted="204")
RESTORE = Route("POST", "/restore", live="409", deleted="200")
ROUTES: Final = (GET, HEAD, PATCH, PUT, DELETE, PURGE, RESTORE)

STATES: Final = ("live", "deleted", "missing")


def expected(route: Route, state: str, header: str, form: Form | None) -> str:
    """Return the expected response to *form* in *header* for a row in *state*."""
    answer = {"live": route.live, "deleted": route.deleted, "missing": "404"}[state]
    if form is None:
        return f"400 {header} etag"
    if answer == "404":
        return answer
    if header == "If-Match":
        return answer if form.strongly else "412"
    return route.known if form.weakly else answer


async def snapshot(client: AsyncClient) -> Sequence[Body]:
    """Return every article, deleted or not."""
    rows: Sequence[Body] = await get_json(client, "/articles?deleted=include")
    return rows


async def make_one_article(client: AsyncClient, state: str) -> Sequence[Body]:
    """Remove all articles and make one in *state*; return every article."""
    for row in await snapshot(client):
        assert summary(await client.delete(f"/articles/{row['id']}?purge=true")) == "204"
    if state != "missing":
        path, _ = await create_article(client)
        await patch_row(client, path, {"views": 1})
        if state == "deleted":
            assert summary(await client.delete(path)) == "204"
    return await snapshot(client)


async def send(
    client: AsyncClient, route: Route, rows: Sequence[Body], header: str, lines: Sequence[str]
) -> Response:
    """Send the request of *route* for the only row, or for a missing key."""
    key, version = (rows[0]["id"], rows[0]["version"]) if rows else (MISSING, 1)
    known = await client.get(f"/articles/{key}")
    tag = known.headers.get("etag", f'"{version}"').strip('"')
    headers = [(header.encode(), line.replace("{}", tag).encode("latin-1")) for line in lines]
    path = f"/articles/{key}{route.suffix}"
    return await client.request(route.method, path, json=route.body, headers=headers)


def answer_of(response: Response) -> str:
    """Return the summary of a response. The response to a HEAD has only a status."""
    is_head = response.request.method == "HEAD"
    return str(response.status_code) if is_head else summary(response)


def fault_of(response: Response, answer: str, rows: Sequence[Body]) -> str | None:
    """Return the fault of *response*. None: it is correct."""
    request, status = response.request, answer.split(maxsplit=1)[0]
    if answer_of(response) != (status if request.method == "HEAD" else answer):
        return f"{answer_of(response)} and not {answer}"
    if status in {"204", "304"} and response.content:
        return "has a body"
    tag = None
    if status in {"304", "412"} or (status == "200" and request.method in {"GET", "HEAD"}):
        tag = f'"{rows[0]["version"]}"'
    elif status == "200":
        tag = f'"{rows[0]["version"] + 1}"'
    if version_tag(response) != tag:
        return f"has the ETag {response.headers.get('etag')} and not {tag}"
    return None


@pytest.mark.parametrize("state", STATES)
async def test_every_form_of_a_precondition_on_every_route(client: AsyncClient, state: str) -> None:
    complaints: list[str] = []
    rows = await make_one_article(client, state)
    for header, absent in {"If-Match": HAS, "If-None-Match": LACKS}.items():
        for route in ROUTES:
            for lines, form in ({(): absent} | FORMS).items():
                answer = expected(route, state, header, form)
                response = await send(client, route, rows, header, lines)
                if wrong := fault_of(response, answer, rows):
                    complaints.append(f"{route.method} {route.suffix} {header} {lines}: {wrong}")
                if response.is_success and route.method not in {"GET", "HEAD"}:
                    rows = await make_one_article(client, state)
            if await snapshot(client) != rows:
                complaints.append(f"{route.method} {route.suffix} {header}: changed a row")
    assert not complaints, "\n".join(complaints)
