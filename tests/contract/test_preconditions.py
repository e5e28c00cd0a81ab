"""ETag, If-Match and If-None-Match: on every route of one row, and whatever row it is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.articles.schemas import ArticleCreate, ArticleRead, ArticleUpdate
from app.models import Article
from brickwork import Database, Resource, crud_router, install
from tests.support.bodies import (
    MISSING,
    Body,
    article,
    changed,
    comment,
    create_article,
    created,
    shown,
    summary,
)
from tests.support.calls import calling

pytestmark = pytest.mark.anyio


class Form(NamedTuple):
    """Whether a header names the tag of the row: so that it matches strongly, or weakly."""

    strongly: bool
    weakly: bool


HAS = Form(strongly=True, weakly=True)
HAS_WEAK = Form(strongly=False, weakly=True)
LACKS = Form(strongly=False, weakly=False)

# The lines of a header, with {} for the version of the row; None is what cannot be read.
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
    """A request for one row: its answers to one that is live, deleted, or the client's own."""

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
    """Return what a request with *form* in *header* is to be told of a row in *state*."""
    answer = {"live": route.live, "deleted": route.deleted, "missing": "404"}[state]
    if form is None:
        return f"400 {header} etag"
    if answer == "404":
        return answer
    if header == "If-Match":
        return answer if form.strongly else "412"
    return route.known if form.weakly else answer


async def kept(client: AsyncClient) -> Sequence[Body]:
    """Return all there is, deleted or not."""
    rows: Sequence[Body] = await shown(client, "/articles?deleted=include")
    return rows


async def alone(client: AsyncClient, state: str) -> Sequence[Body]:
    """Leave one article, in *state*; return all there is then."""
    for row in await kept(client):
        assert summary(await client.delete(f"/articles/{row['id']}?purge=true")) == "204"
    if state != "missing":
        path, _ = await create_article(client)
        await changed(client, path, {"views": 1})
        if state == "deleted":
            assert summary(await client.delete(path)) == "204"
    return await kept(client)


async def sent(
    client: AsyncClient, route: Route, rows: Sequence[Body], header: str, lines: Sequence[str]
) -> Response:
    """Return the answer to *route* of the one row that there may be."""
    key, version = (rows[0]["id"], rows[0]["version"]) if rows else (MISSING, 1)
    headers = [
        (header.encode(), line.replace("{}", str(version)).encode("latin-1")) for line in lines
    ]
    path = f"/articles/{key}{route.suffix}"
    return await client.request(route.method, path, json=route.body, headers=headers)


def heard(response: Response) -> str:
    """Return what an answer says; that to a HEAD says no more than its status."""
    is_head = response.request.method == "HEAD"
    return str(response.status_code) if is_head else summary(response)


def complaint(response: Response, answer: str, rows: Sequence[Body]) -> str | None:
    """Return what is wrong with *response*, which is about the one of *rows*."""
    request, status = response.request, answer.split(maxsplit=1)[0]
    if heard(response) != (status if request.method == "HEAD" else answer):
        return f"{heard(response)} and not {answer}"
    if status in {"204", "304"} and response.content:
        return "has a body"
    tag = None
    if status in {"304", "412"} or (status == "200" and request.method in {"GET", "HEAD"}):
        tag = f'"{rows[0]["version"]}"'
    elif status == "200":
        tag = f'"{rows[0]["version"] + 1}"'
    if response.headers.get("etag") != tag:
        return f"has the ETag {response.headers.get('etag')} and not {tag}"
    return None


@pytest.mark.parametrize("state", STATES)
async def test_every_form_of_a_precondition_holds_on_every_route(
    client: AsyncClient, state: str
) -> None:
    complaints: list[str] = []
    rows = await alone(client, state)
    for header, absent in {"If-Match": HAS, "If-None-Match": LACKS}.items():
        for route in ROUTES:
            for lines, form in ({(): absent} | FORMS).items():
                answer = expected(route, state, header, form)
                response = await sent(client, route, rows, header, lines)
                if wrong := complaint(response, answer, rows):
                    complaints.append(f"{route.method} {route.suffix} {header} {lines}: {wrong}")
                if response.is_success and route.method not in {"GET", "HEAD"}:
                    rows = await alone(client, state)
            if await kept(client) != rows:
                complaints.append(f"{route.method} {route.suffix} {header}: changed a row")
    assert not complaints, "\n".join(complaints)


async def test_every_answer_with_one_article_has_its_etag(client: AsyncClient) -> None:
    path, row = await create_article(client)
    put = article(slug="b", title="Other")
    minimal = {"prefer": "return=minimal"}
    requests = [
        (await client.post("/articles", json=article(slug="a")), '"1"'),
        (await client.post("/articles", json=article(slug="c"), headers=minimal), '"1"'),
        (await client.get(path), '"1"'),
        (await client.head(path), '"1"'),
        (await client.patch(path, json={}), '"1"'),
        (await client.patch(path, json={"views": 1}), '"2"'),
        (await client.get(f"{path}/"), '"2"'),
        (await client.put(path, json=put), '"3"'),
        (await client.put(path, json=put), '"3"'),
        (await client.delete(path), None),
        (await client.get(path), None),
        (await client.post(f"{path}/restore"), '"5"'),
        (await client.post(f"{path}/restore"), None),
        (await client.get(path), '"5"'),
        (await client.options(path), None),
        (await client.get("/articles"), None),
        (await client.get(f"/articles?slug={put['slug']}"), None),
        (await client.patch("/articles/batch", json=[{"id": row["id"], "views": 9}]), None),
        (await client.get(path), '"6"'),
    ]
    for response, tag in requests:
        assert response.headers.get("etag") == tag, response.request
        if tag and response.content:
            assert f'"{response.json()["version"]}"' == tag


async def test_a_row_that_a_client_has_is_not_sent_again(client: AsyncClient) -> None:
    path, row = await create_article(client)
    for method in ("GET", "HEAD"):
        response = await client.request(method, path, headers={"if-none-match": '"1"'})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == '"1"'
        assert "content-type" not in response.headers
        assert "x-request-id" in response.headers
    await changed(client, path, {"views": 1})
    response = await client.get(path, headers={"if-none-match": '"1"'})
    assert (response.status_code, response.json()["id"]) == (200, row["id"])


async def test_openapi_tells_what_preconditions_answer(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    item, again = paths["/articles/{id}"], paths["/articles/{id}/restore"]
    assert {"200", "304", "400", "412"} <= item["get"]["responses"].keys()
    for operation in (item["patch"], item["put"], item["delete"], again["post"]):
        assert {"400", "404", "409", "412", "428"} <= operation["responses"].keys()
    for operation in (paths["/articles/batch"]["patch"], paths["/articles/batch"]["delete"]):
        assert {"404", "409", "428"} <= operation["responses"].keys()
    assert "412" in paths["/articles/batch"]["patch"]["responses"]


async def test_what_changes_nothing_leaves_etag_version_and_time(client: AsyncClient) -> None:
    values = article(views=1, meta={"a": 1}, published_at="2026-02-03T04:05:06Z", rating=0.5)
    path, row = await create_article(client, **values)
    requests: list[tuple[str, Body]] = [
        ("PATCH", {}),
        ("PATCH", values),
        ("PATCH", {"published_at": "2026-02-03T05:05:06.000+01:00", "meta": {"b": None}}),
        ("PUT", values),
        ("PUT", row),
    ]
    for method, body in requests:
        for headers in ({}, {"if-match": '"1"'}, {"if-match": "*"}):
            response = await client.request(method, path, json=body, headers=headers)
            assert (response.status_code, response.json()) == (200, row)
            assert response.headers["etag"] == '"1"'
    response = await client.patch("/articles/batch", json=[{"id": row["id"], **values}])
    assert (response.status_code, response.json()) == (200, [row])
    assert await shown(client, path) == row


async def test_the_version_in_a_list_serves_as_a_precondition(client: AsyncClient) -> None:
    for number in range(3):
        path, _ = await create_article(client, slug=f"s-{number}")
        for views in range(number):
            await changed(client, path, {"views": views + 1})
    rows = await shown(client, "/articles")
    assert [row["version"] for row in rows] == [1, 2, 3]
    for row in rows:
        path, headers = f"/articles/{row['id']}", {"if-match": f'"{row["version"]}"'}
        response = await client.patch(path, json={"title": "Other"}, headers=headers)
        assert response.json()["version"] == row["version"] + 1
        assert summary(await client.delete(path, headers=headers)) == "412"
    assert [row["version"] for row in await shown(client, "/articles")] == [2, 3, 4]


async def test_a_version_is_written_by_no_client(client: AsyncClient) -> None:
    path, row = await create_article(client)
    response = await client.post("/articles", json=article(slug="b", version=1))
    assert summary(response) == "422 #/version read_only"
    assert summary(await client.patch(path, json={"version": 1})) == "422 #/version read_only"
    assert summary(await client.put(path, json=row | {"version": 2})) == "422 #/version read_only"
    assert await shown(client, path) == row


async def test_a_precondition_comes_after_the_schema_and_before_the_constraints(
    client: AsyncClient,
) -> None:
    path, row = await create_article(client)
    await create_article(client, slug="taken")
    stale = {"if-match": '"7"'}
    requests: list[tuple[str, Body, str]] = [
        ("PATCH", {"views": -1}, "422 #/views greater_than_equal"),
        ("PATCH", {"slug": "taken"}, "412"),
        ("PATCH", {"author_id": MISSING}, "412"),
        ("PUT", article(slug="taken"), "412"),
        ("PUT", row | {"id": MISSING}, "412"),
    ]
    for method, body, answer in requests:
        response = await client.request(method, path, json=body, headers=stale)
        assert summary(response) == answer
    assert summary(await client.post(f"{path}/restore", headers=stale)) == "412"
    assert summary(await client.delete(f"{path}?purge=maybe", headers=stale)) == (
        "422 ?purge bool_parsing"
    )
    assert await shown(client, path) == row


async def test_a_row_may_be_missing_whatever_is_expected_of_it(client: AsyncClient) -> None:
    for headers in ({"if-match": '"1"'}, {"if-match": "*"}, {"if-none-match": "*"}):
        path = f"/articles/{MISSING}?allow_missing=true"
        assert summary(await client.delete(path, headers=headers)) == "204"
    path, row = await create_article(client)
    response = await client.delete(f"{path}?allow_missing=true", headers={"if-match": '"7"'})
    assert summary(response) == "412"
    assert await shown(client, path) == row


async def test_of_changes_to_one_version_at_once_one_is_made(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    one = {"if-match": '"1"'}
    requests = [client.patch(path, json={"views": n + 1}, headers=one) for n in range(30)]
    requests += [client.delete(path, headers=one), client.put(path, json=article(), headers=one)]
    first, *others = sorted([summary(response) for response in await asyncio.gather(*requests)])
    assert first in {"200", "204"}
    assert others == (["412"] if first == "200" else ["404"]) * 31
    (row,) = await kept(client)
    assert row["version"] == 2


async def test_a_row_without_versions_has_no_etag(client: AsyncClient) -> None:
    _, row = await create_article(client)
    response = await client.post("/comments", json=comment(row["id"]))
    path, remark = f"/comments/{response.json()['id']}", response.json()
    body = comment(row["id"], body="No.")
    for answer in (
        response,
        await client.get(path),
        await client.head(path),
        await client.get("/comments"),
        await client.patch(path, json={"body": "No."}),
        await client.put(path, json=body),
        await client.patch(path, json={}, headers={"if-match": "*"}),
        await client.get(path, headers={"if-none-match": '"1", W/"1"'}),
        await client.put(path, json=body, headers={"if-none-match": '"1"'}),
    ):
        assert answer.is_success
        assert "etag" not in answer.headers
    assert "version" not in remark
    for headers in ({"if-match": '"1"'}, {"if-match": '""'}, {"if-none-match": "*"}):
        response = await client.delete(path, headers=headers)
        assert summary(response) == "412"
        assert "etag" not in response.headers
    assert (await client.get(path, headers={"if-none-match": "*"})).status_code == 304
    assert summary(await client.get(path, headers={"if-match": "1"})) == "400 If-Match etag"
    assert summary(await client.delete(path, headers={"if-match": "*"})) == "204"


class Careful(Resource[Article]):
    """Articles that nobody changes who does not say which version."""

    require_match = True


@pytest.fixture
async def careful(service_url: str) -> AsyncIterator[AsyncClient]:
    """A client of articles that are changed with a precondition only."""
    app = FastAPI(lifespan=Database(service_url).lifespan)
    install(app)
    app.include_router(
        crud_router(
            "/articles", Careful, read=ArticleRead, create=ArticleCreate, update=ArticleUpdate
        )
    )
    async with calling(app) as client:
        yield client


REQUIRED: Final = "428 If-Match required"


async def test_a_resource_may_require_a_precondition(careful: AsyncClient) -> None:
    path, row = await create_article(careful)
    for headers in ({}, {"if-none-match": '"7"'}):
        for route in (PATCH, PUT, DELETE, PURGE, RESTORE):
            target = path + route.suffix
            response = await careful.request(route.method, target, json=route.body, headers=headers)
            assert summary(response) == REQUIRED
            assert response.json()["type"] == "/problems/precondition_required"
            missing = f"/articles/{MISSING}{route.suffix}"
            response = await careful.request(route.method, missing, json=route.body)
            assert summary(response) == "404"
    for headers in ({}, {"if-match": '"1"'}):
        assert (await careful.get(path, headers=headers)).json() == row
    for number, headers in enumerate(({"if-match": '"1"'}, {"if-match": "*"})):
        response = await careful.patch(path, json={"views": number + 1}, headers=headers)
        assert (response.status_code, response.headers["etag"]) == (200, f'"{number + 2}"')
    assert summary(await careful.delete(path, headers={"if-match": '"1"'})) == "412"
    assert summary(await careful.delete(path, headers={"if-match": '"3"'})) == "204"
    assert summary(await careful.post(f"{path}/restore")) == REQUIRED
    response = await careful.post(f"{path}/restore", headers={"if-match": '"4"'})
    assert (response.status_code, response.headers["etag"]) == (200, '"5"')


async def test_a_batch_says_of_each_row_which_version_where_one_is_required(
    careful: AsyncClient,
) -> None:
    rows = [await created(careful, "/articles", article(slug=slug)) for slug in "ab"]
    changes = [{"id": row["id"], "views": 1} for row in rows]
    named = [each | {"version": 1} for each in changes]
    for batch in (changes, [named[0], changes[1]], [changes[0], named[1]]):
        response = await careful.patch("/articles/batch", json=batch)
        assert response.status_code == 428
        assert summary(response).startswith("428")
    ids = "&".join(f"id={row['id']}" for row in rows)
    response = await careful.delete(f"/articles/batch?{ids}")
    assert summary(response).startswith("428")
    assert await shown(careful, "/articles") == rows
    response = await careful.patch("/articles/batch", json=named)
    assert [row["version"] for row in response.json()] == [2, 2]
    response = await careful.post("/articles/batch", json=[article(slug="c")])
    assert response.status_code == 201
