"""ETag, If-Match and If-None-Match."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.articles.models import Article
from app.articles.schemas import ArticleCreate, ArticleRead, ArticleUpdate
from brickwork import Database, Resource, crud_router
from brickwork.models.model import now
from tests.support.bodies import (
    MISSING,
    Body,
    article,
    comment,
    create_article,
    create_row,
    get_json,
    patch_row,
    summary,
    version_tag,
)
from tests.support.running import Running
from tests.support.shop import app_of

pytestmark = pytest.mark.anyio

LIVE: Final = "01890000-0000-7000-8000-00000000000a"
DELETED: Final = "01890000-0000-7000-8000-00000000000d"


@pytest.fixture
async def rows(database: Database) -> None:
    """Create an article and a deleted article, both of version 1."""
    async with database.session() as session:
        session.add(Article(id=UUID(LIVE), title="A", slug="live"))
        row = Article(id=UUID(DELETED), title="B", slug="deleted", deleted_at=now())
        session.add(row)


FORMS: Final = [
    # the lines of a header, If-Match on a PATCH, If-None-Match on a GET
    (["*"], "200", "304"),
    (['"1"'], "200", "304"),
    (['"old"'], "412", "200"),
    (['W/"1"'], "412", "304"),
    (['W/"old"'], "412", "200"),
    (['"old", "1"'], "200", "304"),
    (['"1","old",W/"old"'], "200", "304"),
    (['"old",\tW/"1"'], "412", "304"),
    (['"old", "*", "", "1,old", "\xe9"'], "412", "200"),
    ([',, "old" , ,"1" ,'], "200", "304"),
    (['"old"', '"1"'], "200", "304"),
    (['"1"', '"old"'], "200", "304"),
    (['"old"', 'W/"1"'], "412", "304"),
    (["1"], "400", "400"),
    (['"1', '1"'], "400", "400"),
    (['"1" "1"'], "400", "400"),
    (['"1", 1'], "400", "400"),
    (['w/"1"'], "400", "400"),
    (['W/ "1"'], "400", "400"),
    (["W/*"], "400", "400"),
    (["'1'"], "400", "400"),
    (['"1";q=1'], "400", "400"),
    (['*, "1"'], "400", "400"),
    (["*", '"1"'], "400", "400"),
    ([""], "400", "400"),
    ([","], "400", "400"),
]


@pytest.mark.parametrize(
    ("lines", "answer"), [(lines, answer) for lines, answer, _ in FORMS], ids=str
)
@pytest.mark.usefixtures("rows")
async def test_if_match_on_a_patch_is_evaluated(
    client: AsyncClient, lines: list[str], answer: str
) -> None:
    headers = [(b"if-match", line.encode("latin-1")) for line in lines]
    response = await client.patch(f"/articles/{LIVE}", json={"views": 2}, headers=headers)
    assert summary(response) == (f"{answer} If-Match etag" if answer == "400" else answer)
    assert version_tag(response) == {"200": '"2"', "412": '"1"'}.get(answer)


@pytest.mark.parametrize(
    ("lines", "answer"), [(lines, answer) for lines, _, answer in FORMS], ids=str
)
@pytest.mark.usefixtures("rows")
async def test_if_none_match_on_a_get_is_evaluated(
    client: AsyncClient, lines: list[str], answer: str
) -> None:
    tag = (await client.get(f"/articles/{LIVE}")).headers["etag"]
    lines = [line.replace('"1"', tag) for line in lines]
    headers = [(b"if-none-match", line.encode("latin-1")) for line in lines]
    response = await client.get(f"/articles/{LIVE}", headers=headers)
    assert summary(response) == (f"{answer} If-None-Match etag" if answer == "400" else answer)
    assert response.headers.get("etag") == (tag if answer in {"200", "304"} else None)


BODIES: Final = {"PATCH": {"views": 2}, "PUT": article(slug="put")}
CONDITIONS: Final = (
    {"if-match": '"1"'},
    {"if-match": '"7"'},
    {"if-none-match": '"1"'},
    {"if-none-match": '"7"'},
)
ANSWERS: Final = {
    #                                       If-Match 1, 7; If-None-Match 1, 7
    f"GET /articles/{LIVE}": ("200", "412", "200", "200"),
    f"HEAD /articles/{LIVE}": ("200", "412", "200", "200"),
    f"PATCH /articles/{LIVE}": ("200", "412", "412", "200"),
    f"PUT /articles/{LIVE}": ("200", "412", "412", "200"),
    f"DELETE /articles/{LIVE}": ("204", "412", "412", "204"),
    f"DELETE /articles/{LIVE}?purge=true": ("204", "412", "412", "204"),
    f"POST /articles/{LIVE}/restore": ("409", "412", "412", "409"),
    f"GET /articles/{DELETED}": ("404", "404", "404", "404"),
    f"HEAD /articles/{DELETED}": ("404", "404", "404", "404"),
    f"PATCH /articles/{DELETED}": ("404", "404", "404", "404"),
    f"PUT /articles/{DELETED}": ("404", "404", "404", "404"),
    f"DELETE /articles/{DELETED}": ("404", "404", "404", "404"),
    f"DELETE /articles/{DELETED}?purge=true": ("204", "412", "412", "204"),
    f"POST /articles/{DELETED}/restore": ("200", "412", "412", "200"),
    f"GET /articles/{MISSING}": ("404", "404", "404", "404"),
    f"PATCH /articles/{MISSING}": ("404", "404", "404", "404"),
    f"PUT /articles/{MISSING}": ("404", "404", "404", "404"),
    f"DELETE /articles/{MISSING}": ("404", "404", "404", "404"),
    f"DELETE /articles/{MISSING}?purge=true": ("404", "404", "404", "404"),
    f"POST /articles/{MISSING}/restore": ("404", "404", "404", "404"),
}


@pytest.mark.parametrize(
    ("operation", "headers", "answer"),
    [
        (operation, headers, answer)
        for operation, answers in ANSWERS.items()
        for headers, answer in zip(CONDITIONS, answers, strict=True)
    ],
    ids=lambda value: str(value).replace(LIVE, "live").replace(DELETED, "deleted"),
)
@pytest.mark.usefixtures("rows")
async def test_every_route_evaluates_preconditions(
    client: AsyncClient, operation: str, headers: Mapping[str, str], answer: str
) -> None:
    before = await get_json(client, "/articles?deleted=include")
    method, path = operation.split()
    response = await client.request(method, path, json=BODIES.get(method), headers=headers)
    assert str(response.status_code) == answer
    if answer == "412":
        assert version_tag(response) == '"1"'
    if method in {"GET", "HEAD"} or answer >= "300":
        assert await get_json(client, "/articles?deleted=include") == before


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize(
    ("method", "suffix"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("DELETE", "?purge=true"),
        ("POST", "/restore"),
    ],
)
async def test_an_invalid_etag_is_rejected_before_the_lookup(
    client: AsyncClient, method: str, suffix: str, name: str
) -> None:
    path = f"/articles/{MISSING}{suffix}"
    response = await client.request(method, path, json=BODIES.get(method), headers={name: "2"})
    assert summary(response) == f"400 {name} etag"


async def test_every_response_with_one_article_has_its_etag(client: AsyncClient) -> None:
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
        assert version_tag(response) == tag, response.request
        if tag and response.content:
            assert f'"{response.json()["version"]}"' == tag


async def test_a_matching_if_none_match_is_304(client: AsyncClient) -> None:
    path, row = await create_article(client)
    known = {"if-none-match": (await client.get(path)).headers["etag"]}
    for method in ("GET", "HEAD"):
        response = await client.request(method, path, headers=known)
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == known["if-none-match"]
        assert "content-type" not in response.headers
        assert "x-request-id" in response.headers
    await patch_row(client, path, {"views": 1})
    response = await client.get(path, headers=known)
    assert (response.status_code, response.json()["id"]) == (200, row["id"])


async def test_every_response_has_the_etag_of_a_get(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    stale: Body = {"headers": {"if-match": '"7"'}}
    requests: list[tuple[str, str, Body]] = [
        ("PATCH", path, {"json": {"views": 1}}),
        ("PATCH", path, {"json": {}}),
        ("PUT", path, {"json": article()}),
        ("PATCH", path, {"json": {}, **stale}),
        ("DELETE", path, stale),
        ("POST", f"{path}/restore", stale),
    ]
    for method, target, options in requests:
        response = await client.request(method, target, **options)
        known = {"if-none-match": response.headers["etag"]}
        assert (await client.get(path, headers=known)).status_code == 304
    minimal = {"prefer": "return=minimal"}
    response = await client.post("/articles", json=article(slug="b"), headers=minimal)
    known = {"if-none-match": response.headers["etag"]}
    assert (await client.get(response.headers["location"], headers=known)).status_code == 304


async def test_an_etag_matches_until_the_version_changes(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    tag = (await client.get(path)).headers["etag"]
    for same in (tag, '"1"', '"1-aaaaaaaaaaaaaaaaaaaa"'):
        response = await client.patch(path, json={}, headers={"if-match": same})
        assert (response.status_code, response.headers["etag"]) == (200, tag)
    await patch_row(client, path, {"views": 1})
    assert summary(await client.patch(path, json={}, headers={"if-match": tag})) == "412"


async def test_openapi_declares_the_responses_of_preconditions(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    item, again = paths["/articles/{id}"], paths["/articles/{id}/restore"]
    assert {"200", "304", "400", "412"} <= item["get"]["responses"].keys()
    for operation in (item["patch"], item["put"], item["delete"], again["post"]):
        assert {"400", "404", "409", "412"} <= operation["responses"].keys()
    for operation in (paths["/articles/batch"]["patch"], paths["/articles/batch"]["delete"]):
        assert {"404", "409"} <= operation["responses"].keys()
    assert "412" in paths["/articles/batch"]["patch"]["responses"]
    assert '"428"' not in json.dumps(paths)  # the articles do not require If-Match


VALUES: Final[Body] = article(
    views=1, meta={"a": 1}, published_at="2026-02-03T04:05:06Z", rating=0.5
)


@pytest.mark.parametrize("headers", [{}, {"if-match": '"1"'}, {"if-match": "*"}])
@pytest.mark.parametrize(
    ("method", "body"),
    [
        pytest.param("PATCH", {}, id="PATCH of nothing"),
        pytest.param("PATCH", VALUES, id="PATCH of the same values"),
        pytest.param(
            "PATCH", {"published_at": "2026-02-03T05:05:06.000+01:00"}, id="PATCH in another zone"
        ),
        pytest.param("PATCH", {"meta": {"b": None}}, id="PATCH without a missing member"),
        pytest.param("PUT", VALUES, id="PUT of the same values"),
    ],
)
async def test_equal_values_keep_etag_version_and_time(
    client: AsyncClient, method: str, body: Body, headers: Mapping[str, str]
) -> None:
    path, row = await create_article(client, **VALUES)
    response = await client.request(method, path, json=body, headers=headers)
    assert (response.status_code, response.json()) == (200, row)
    assert version_tag(response) == '"1"'
    assert await get_json(client, path) == row


async def test_a_put_of_the_same_row_keeps_its_etag(client: AsyncClient) -> None:
    path, row = await create_article(client, **VALUES)
    response = await client.put(path, json=row)
    assert (response.json(), version_tag(response)) == (row, '"1"')


async def test_equal_values_in_a_batch_leave_the_row(client: AsyncClient) -> None:
    _, row = await create_article(client, **VALUES)
    response = await client.patch("/articles/batch", json=[{"id": row["id"], **VALUES}])
    assert (response.status_code, response.json()) == (200, [row])


async def test_the_version_in_a_list_serves_as_a_precondition(client: AsyncClient) -> None:
    for number in range(3):
        path, _ = await create_article(client, slug=f"s-{number}")
        for views in range(number):
            await patch_row(client, path, {"views": views + 1})
    rows = await get_json(client, "/articles")
    assert [row["version"] for row in rows] == [1, 2, 3]
    for row in rows:
        path, headers = f"/articles/{row['id']}", {"if-match": f'"{row["version"]}"'}
        response = await client.patch(path, json={"title": "Other"}, headers=headers)
        assert response.json()["version"] == row["version"] + 1
        assert summary(await client.delete(path, headers=headers)) == "412"
    assert [row["version"] for row in await get_json(client, "/articles")] == [2, 3, 4]


async def test_a_version_is_read_only(client: AsyncClient) -> None:
    path, row = await create_article(client)
    response = await client.post("/articles", json=article(slug="b", version=1))
    assert summary(response) == "422 #/version read_only"
    assert summary(await client.patch(path, json={"version": 1})) == "422 #/version read_only"
    assert summary(await client.put(path, json=row | {"version": 2})) == "422 #/version read_only"
    assert await get_json(client, path) == row


@pytest.mark.parametrize(
    ("operation", "body", "answer"),
    [
        pytest.param(
            f"PATCH /articles/{LIVE}", {"views": -1}, "422 #/views greater_than_equal", id="schema"
        ),
        pytest.param(
            f"DELETE /articles/{LIVE}?purge=maybe", None, "422 ?purge bool_parsing", id="parameter"
        ),
        pytest.param(f"PATCH /articles/{LIVE}", {"slug": "taken"}, "412", id="unique value"),
        pytest.param(f"PATCH /articles/{LIVE}", {"author_id": MISSING}, "412", id="reference"),
        pytest.param(f"PUT /articles/{LIVE}", article(slug="taken"), "412", id="PUT"),
        pytest.param(f"PUT /articles/{LIVE}", article(id=MISSING), "412", id="another id"),
        pytest.param(f"POST /articles/{LIVE}/restore", None, "412", id="restore"),
    ],
)
@pytest.mark.usefixtures("rows")
async def test_preconditions_are_checked_between_schema_and_constraints(
    client: AsyncClient, operation: str, body: Any, answer: str
) -> None:
    await create_article(client, slug="taken")
    before = await get_json(client, f"/articles/{LIVE}")
    headers = {"if-match": '"7"'}
    response = await client.request(*operation.split(), json=body, headers=headers)
    assert summary(response) == answer
    assert await get_json(client, f"/articles/{LIVE}") == before


async def test_allow_missing_accepts_a_precondition(client: AsyncClient) -> None:
    for headers in ({"if-match": '"1"'}, {"if-match": "*"}, {"if-none-match": "*"}):
        path = f"/articles/{MISSING}?allow_missing=true"
        assert summary(await client.delete(path, headers=headers)) == "204"
    path, row = await create_article(client)
    response = await client.delete(f"{path}?allow_missing=true", headers={"if-match": '"7"'})
    assert summary(response) == "412"
    assert await get_json(client, path) == row


async def test_one_of_several_changes_to_a_version_succeeds(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    one = {"if-match": '"1"'}
    requests = [client.patch(path, json={"views": n + 1}, headers=one) for n in range(8)]
    requests += [client.delete(path, headers=one), client.put(path, json=article(), headers=one)]
    first, *others = sorted([summary(response) for response in await asyncio.gather(*requests)])
    assert first in {"200", "204"}
    assert others == (["412"] if first == "200" else ["404"]) * 9
    (row,) = await get_json(client, "/articles?deleted=include")
    assert row["version"] == 2


async def test_an_unversioned_row_has_no_etag(client: AsyncClient) -> None:
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
    """Articles that require If-Match."""

    require_if_match = True


careful_articles = crud_router(
    "/articles", Careful, read=ArticleRead, create=ArticleCreate, update=ArticleUpdate
)


def create_app(url: str) -> FastAPI:
    """Create an application of articles that require If-Match."""
    return app_of(Database(url), careful_articles)


@pytest.fixture
async def careful(running: Running, service_url: str) -> AsyncClient:
    """Return a client of articles that require If-Match."""
    return await running.client(create_app, service_url)


REQUIRED: Final = "428 If-Match required"


ROUTES: Final = [
    ("PATCH", ""),
    ("PUT", ""),
    ("DELETE", ""),
    ("DELETE", "?purge=true"),
    ("POST", "/restore"),
]


async def test_openapi_declares_a_required_precondition(careful: AsyncClient) -> None:
    paths = (await get_json(careful, "/openapi.json"))["paths"]
    requiring = {
        (method, path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if "428" in operation["responses"]
    }
    assert requiring == {
        *((method, "/articles/{id}") for method in ("patch", "put", "delete")),
        *((method, "/articles/batch") for method in ("patch", "delete")),
        ("post", "/articles/{id}/restore"),
    }


@pytest.mark.parametrize("headers", [{}, {"if-none-match": '"7"'}])
@pytest.mark.parametrize(("method", "suffix"), ROUTES)
async def test_a_missing_precondition_is_428(
    careful: AsyncClient, method: str, suffix: str, headers: Mapping[str, str]
) -> None:
    path, row = await create_article(careful)
    response = await careful.request(
        method, f"{path}{suffix}", json=BODIES.get(method), headers=headers
    )
    assert summary(response) == REQUIRED
    assert response.json()["type"] == "/problems/precondition_required"
    assert await get_json(careful, path) == row


@pytest.mark.parametrize(("method", "suffix"), ROUTES)
async def test_a_missing_row_precedes_a_required_precondition(
    careful: AsyncClient, method: str, suffix: str
) -> None:
    path = f"/articles/{MISSING}{suffix}"
    assert summary(await careful.request(method, path, json=BODIES.get(method))) == "404"


@pytest.mark.parametrize("headers", [{}, {"if-match": '"1"'}])
async def test_a_get_requires_no_precondition(
    careful: AsyncClient, headers: Mapping[str, str]
) -> None:
    path, row = await create_article(careful)
    assert (await careful.get(path, headers=headers)).json() == row


@pytest.mark.parametrize("tag", ['"1"', "*"])
async def test_a_satisfied_precondition_is_accepted(careful: AsyncClient, tag: str) -> None:
    path, _ = await create_article(careful)
    response = await careful.patch(path, json={"views": 1}, headers={"if-match": tag})
    assert (response.status_code, version_tag(response)) == (200, '"2"')


async def test_a_required_precondition_is_checked(careful: AsyncClient) -> None:
    path, _ = await create_article(careful)
    assert summary(await careful.delete(path, headers={"if-match": '"7"'})) == "412"
    assert summary(await careful.delete(path, headers={"if-match": '"1"'})) == "204"
    assert summary(await careful.post(f"{path}/restore")) == REQUIRED
    response = await careful.post(f"{path}/restore", headers={"if-match": '"2"'})
    assert (response.status_code, version_tag(response)) == (200, '"3"')


async def test_a_batch_requires_a_version_of_every_row(
    careful: AsyncClient,
) -> None:
    rows = [await create_row(careful, "/articles", article(slug=slug)) for slug in "ab"]
    changes = [{"id": row["id"], "views": 1} for row in rows]
    named = [change | {"version": 1} for change in changes]
    for batch in (changes, [named[0], changes[1]], [changes[0], named[1]]):
        response = await careful.patch("/articles/batch", json=batch)
        assert response.status_code == 428
        assert summary(response).startswith("428")
    ids = "&".join(f"id={row['id']}" for row in rows)
    response = await careful.delete(f"/articles/batch?{ids}")
    assert summary(response).startswith("428")
    assert await get_json(careful, "/articles") == rows
    response = await careful.patch("/articles/batch", json=named)
    assert [row["version"] for row in response.json()] == [2, 2]
    response = await careful.post("/articles/batch", json=[article(slug="c")])
    assert response.status_code == 201
