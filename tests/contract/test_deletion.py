"""Soft delete: live, deleted and purged rows."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI, Header
from httpx2 import AsyncClient, Response
from sqlalchemy import Select, select
from typing_extensions import override

from app.articles.models import Article
from app.articles.schemas import ArticleCreate, ArticleQuery, ArticleRead, ArticleUpdate
from app.authors.endpoints import router as authors
from app.authors.models import Author
from app.comments.models import Comment
from app.comments.schemas import CommentCreate, CommentQuery, CommentRead, CommentUpdate
from brickwork import Database, Model, ReferenceScopes, Resource, crud_router, install
from tests.support.bodies import (
    MISSING,
    Body,
    article,
    author,
    comment,
    create_article,
    create_one_of_each,
    create_row,
    get_json,
    patch_row,
    summary,
)
from tests.support.databases import BACKENDS, Databases
from tests.support.rows import link_target, pages
from tests.support.services import Service

pytestmark = pytest.mark.anyio


def current_author(author: Annotated[UUID, Header()]) -> UUID:
    """Return the author who makes the request."""
    return author


Caller = Annotated[UUID, Depends(current_author)]


class OwnArticles(Resource[Article]):
    """The articles of the caller."""

    caller: Caller

    @override
    def query(self) -> Select[Article]:
        return super().query().where(Article.author_id == self.caller)


class OwnComments(Resource[Comment]):
    """The comments on articles of the caller."""

    caller: Caller
    articles: Annotated[OwnArticles, Depends()]

    @override
    def query(self) -> Select[Comment]:
        own = select(Article.id).where(Article.author_id == self.caller)
        return super().query().where(Comment.article_id.in_(own))

    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {"article_id": self.articles.query()}


@pytest.fixture(scope="module", params=BACKENDS)
async def service_of_callers(
    request: pytest.FixtureRequest, templates: Databases
) -> AsyncIterator[Service]:
    """Yield a service whose callers see their own rows only."""
    databases = templates.another()
    database = Database(url := databases.migrated(request.param))
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    app.include_router(authors)
    app.include_router(
        crud_router(
            "/articles",
            OwnArticles,
            read=ArticleRead,
            create=ArticleCreate,
            update=ArticleUpdate,
            query=ArticleQuery,
        )
    )
    app.include_router(
        crud_router(
            "/comments",
            OwnComments,
            read=CommentRead,
            create=CommentCreate,
            update=CommentUpdate,
            query=CommentQuery,
        )
    )
    async with app.router.lifespan_context(app) as state:
        yield Service(url, app, state, database, Model.metadata)
    databases.drop()


YES, NO = "there", "not there"
GONE, UNKNOWN = "404", "422 #/article_id reference_not_found"
TAKEN = "409 #/slug not_unique"
COMMENT = '{"article_id": "<id>", "author_name": "Bob", "body": "No."}'

PATHS: Final = [
    # a request, and its result for a live, deleted, purged, foreign, stale article
    ("GET /articles/<id>", "200", GONE, GONE, GONE, "412"),
    ("HEAD /articles/<id>", "200", "404", "404", "404", "412"),
    ("GET /articles", YES, NO, NO, NO, YES),
    ("GET /articles?count=exact", YES, NO, NO, NO, YES),
    ("GET /articles?slug=<slug>&count=exact", YES, NO, NO, NO, YES),
    ("GET /articles?slug__ne=zzz", YES, NO, NO, NO, YES),
    ("GET /articles?q=wanted", YES, NO, NO, NO, YES),
    ("GET /articles?sort=-title,views", YES, NO, NO, NO, YES),
    ("GET /articles?limit=1&offset=1", YES, NO, NO, NO, YES),
    ("EXPORT /articles", YES, NO, NO, NO, YES),
    ("EXPORT /articles?q=wanted&sort=-title", YES, NO, NO, NO, YES),
    ("GET /articles?deleted=include", YES, YES, NO, NO, YES),
    ("GET /articles?deleted=include&count=exact&q=wanted", YES, YES, NO, NO, YES),
    ("EXPORT /articles?deleted=include", YES, YES, NO, NO, YES),
    ("GET /articles?deleted=only", NO, YES, NO, NO, NO),
    ("GET /articles?deleted=only&count=exact&slug=<slug>", NO, YES, NO, NO, NO),
    ("EXPORT /articles?deleted=only&sort=title", NO, YES, NO, NO, NO),
    ('PATCH /articles/<id> {"views": 9}', "200", GONE, GONE, GONE, "412"),
    ("PATCH /articles/<id> {}", "200", GONE, GONE, GONE, "412"),
    (
        'PUT /articles/<id> {"title": "A", "slug": "<slug>", "author_id": "<me>"}',
        "200",
        GONE,
        GONE,
        GONE,
        "412",
    ),
    ("DELETE /articles/<id>", "204", GONE, GONE, GONE, "412"),
    ("DELETE /articles/<id>?purge=false", "204", GONE, GONE, GONE, "412"),
    ("DELETE /articles/<id>?allow_missing=true", "204", "204", "204", "204", "412"),
    ("DELETE /articles/<id>?purge=true", "204", "204", GONE, GONE, "412"),
    ("DELETE /articles/<id>?purge=true&allow_missing=true", *["204"] * 4, "412"),
    ("POST /articles/<id>/restore", "409", "200", GONE, GONE, "412"),
    (
        'PATCH /articles/batch [{"id": "<anchor>", "views": 9}, {"id": "<id>", "views": 9}]',
        *("200", *["404 #/1/id not_found"] * 3, "200"),
    ),
    (
        'PATCH /articles/batch [{"id": "<anchor>", "views": 9}, {"id": "<id>", "version":<v>}]',
        *("200", *["404 #/1/id not_found"] * 3, "412 #/1/version stale"),
    ),
    ("DELETE /articles/batch?id=<anchor>&id=<id>", "204", *["404 ?id not_found"] * 3, "204"),
    (
        'POST /articles {"title": "A", "slug": "<slug>", "author_id": "<me>"}',
        TAKEN,
        "201",
        "201",
        TAKEN,
        TAKEN,
    ),
    ('PATCH /articles/<anchor> {"slug": "<slug>"}', TAKEN, "200", "200", TAKEN, TAKEN),
    (
        'POST /articles/batch [{"title": "A", "slug": "<slug>", "author_id": "<me>"}]',
        *("409 #/0/slug not_unique", "201", "201"),
        *["409 #/0/slug not_unique"] * 2,
    ),
    ("GET /comments", YES, NO, NO, NO, YES),
    ("GET /comments?article_id=<id>&count=exact", YES, NO, NO, NO, YES),
    ("GET /comments?sort=-created_at", YES, NO, NO, NO, YES),
    ("EXPORT /comments", YES, NO, NO, NO, YES),
    ("GET /comments/<comment>", "200", GONE, GONE, GONE, "200"),
    ('PATCH /comments/<comment> {"body": "No."}', "200", GONE, GONE, GONE, "200"),
    (f"PUT /comments/<comment> {COMMENT}", "200", GONE, GONE, GONE, "200"),
    ("DELETE /comments/<comment>", "204", GONE, GONE, GONE, "204"),
    ("DELETE /comments/batch?id=<comment>", "204", *["404 ?id not_found"] * 3, "204"),
    (
        'PATCH /comments/batch [{"id": "<comment>", "body": "No."}]',
        *("200", *["404 #/0/id not_found"] * 3, "200"),
    ),
    (f"POST /comments {COMMENT}", "201", UNKNOWN, UNKNOWN, UNKNOWN, "201"),
    (
        f"POST /comments/batch [{COMMENT}, {COMMENT.replace('<id>', '<anchor>')}]",
        *("201", *["422 #/0/article_id reference_not_found"] * 3, "201"),
    ),
    (f"PUT /comments/<remark> {COMMENT}", "200", UNKNOWN, UNKNOWN, UNKNOWN, "200"),
    (
        'PATCH /comments/<remark> {"article_id": "<id>"}',
        *("200", UNKNOWN, UNKNOWN, UNKNOWN, "200"),
    ),
    (
        'PATCH /comments/batch [{"id": "<remark>", "article_id": "<id>"}]',
        *("200", *["422 #/0/article_id reference_not_found"] * 3, "200"),
    ),
]


KINDS: Final = ("live", "deleted", "purged", "foreign", "stale")


def names_of(kind: str) -> dict[str, str]:
    """Return the ids and the slug of the scene of *kind*."""
    number = KINDS.index(kind)
    rows = ("me", "you", "anchor", "id", "tail", "remark", "comment")
    ids = {row: f"01890000-0000-7000-8000-{number:06}{at:06}" for at, row in enumerate(rows)}
    return {**ids, "slug": f"wanted-{kind}", "v": "7" if kind == "stale" else "1"}


def scene(kind: str) -> list[Model]:
    """Return an article of *kind* between two others of a caller, and comments."""
    names = names_of(kind)
    ids = {name: UUID(value) for name, value in names.items() if name not in {"slug", "v"}}
    owner = ids["you"] if kind == "foreign" else ids["me"]
    remark = {"author_name": "Bob", "body": "Yes."}
    return [
        Author(id=ids["me"], name="Me", email=f"{kind}-me"),
        Author(id=ids["you"], name="You", email=f"{kind}-you"),
        Article(id=ids["anchor"], title="A", slug=f"anchor-{kind}", author_id=ids["me"]),
        Article(id=ids["id"], title="A wanted", slug=names["slug"], author_id=owner),
        Article(id=ids["tail"], title="A", slug=f"tail-{kind}", author_id=ids["me"]),
        Comment(id=ids["remark"], article_id=ids["anchor"], **remark),
        Comment(id=ids["comment"], article_id=ids["id"], **remark),
    ]


async def remove(client: AsyncClient, kind: str) -> None:
    """Delete the article of the scene of *kind* if it is to be deleted or purged."""
    names = names_of(kind)
    query = {"deleted": "", "purged": "?purge=true"}.get(kind)
    if query is not None:
        path, headers = f"/articles/{names['id']}{query}", {"author": names["me"]}
        assert summary(await client.delete(path, headers=headers)) == "204"


@pytest.fixture
async def scoped(service_of_callers: Service) -> AsyncIterator[AsyncClient]:
    """Yield a client of a service with a scene of each kind."""
    await service_of_callers.empty()
    async with service_of_callers.database.session() as session:
        rows = [row for kind in KINDS for row in scene(kind)]
        for model in (Author, Article, Comment):
            session.add_all([row for row in rows if isinstance(row, model)])
            await session.flush()
    async with service_of_callers.client() as client:
        yield client


class Answer(NamedTuple):
    """A response in short, and its problem without the request id."""

    short: str
    problem: Mapping[str, Any]


async def send(client: AsyncClient, line: str, kind: str) -> Answer:
    """Send the request in *line* to the scene of *kind*."""
    names = names_of(kind)
    for name, value in names.items():
        line = line.replace(f"<{name}>", value)
    method, target, *body = line.split(" ", 2)
    headers = {"author": names["me"]}
    if method == "EXPORT":
        headers["accept"] = "application/x-ndjson"
    if kind == "stale" and target.startswith(f"/articles/{names['id']}"):
        headers["if-match"] = '"7"'
    document = json.loads(body[0]) if body else None
    verb = "GET" if method == "EXPORT" else method
    response = await client.request(verb, target, json=document, headers=headers)
    return answer_of(response, {names["id"], names["comment"]})


def answer_of(response: Response, wanted: set[str]) -> Answer:
    """Return *response* in short; for a list, whether it has one of *wanted*."""
    if response.request.method == "HEAD":
        return Answer(str(response.status_code), {})
    if response.status_code >= 400:
        return Answer(summary(response), {**response.json(), "instance": ""})
    if (rows := list_rows(response)) is None:
        return Answer(summary(response), {})
    assert response.headers.get("x-total-count") in {None, str(len(rows))}
    return Answer(YES if wanted & {row["id"] for row in rows} else NO, {})


def list_rows(response: Response) -> list[Body] | None:
    """Return the rows in *response*. None if it is no list."""
    if response.headers.get("content-type") == "application/x-ndjson":
        return [json.loads(line) for line in response.text.splitlines()]
    rows: list[Body] | None = response.json() if "link" in response.headers else None
    return rows


async def stored_rows(database: Database) -> list[Sequence[Any]]:
    """Return the articles and comments of the database, hidden or not."""
    async with database.session(readonly=True) as session:
        articles = select(Article.id, Article.version, Article.updated_at, Article.deleted_at)
        comments = select(Comment.id, Comment.article_id, Comment.body, Comment.updated_at)
        return [(await session.execute(statement)).all() for statement in (articles, comments)]


@pytest.mark.parametrize(
    ("line", "expected"), [(line, answers) for line, *answers in PATHS], ids=[p[0] for p in PATHS]
)
async def test_each_request_respects_deletion_and_scope(
    scoped: AsyncClient, service_of_callers: Service, line: str, expected: list[str]
) -> None:
    answers: dict[str, Answer] = {}
    for kind in KINDS:
        await remove(scoped, kind)
        before = await stored_rows(service_of_callers.database)
        answers[kind] = await send(scoped, line, kind)
        if line.startswith(("GET", "HEAD", "EXPORT")) or answers[kind].short >= "300":
            assert await stored_rows(service_of_callers.database) == before
    assert [answer.short for answer in answers.values()] == expected
    missing = answers["purged"]
    hidden = [answer for answer in answers.values() if answer.short == missing.short]
    assert hidden == [missing] * len(hidden)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("live", YES), ("deleted", NO), ("purged", NO), ("foreign", NO), ("stale", YES)],
)
async def test_page_links_respect_deletion_and_scope(
    scoped: AsyncClient, kind: str, expected: str
) -> None:
    names = names_of(kind)
    scoped.headers["author"] = names["me"]
    first, *_, last = [page async for page in pages(scoped, "/articles?limit=1", "next")]
    await remove(scoped, kind)
    for url in (link_target(first, "next"), link_target(last, "prev")):
        assert (await send(scoped, f"GET {url}", kind)).short == expected


async def test_a_deleted_article_has_its_deletion_time(
    client: AsyncClient,
) -> None:
    path, row = await create_article(client, slug="deleted")
    _, live = await create_article(client, slug="live")
    assert "deleted_at" not in row
    before = datetime.now(UTC)
    assert summary(await client.delete(path)) == "204"
    assert await get_json(client, "/articles") == [live]
    gone, other = await get_json(client, "/articles?deleted=include")
    assert other == {**live, "deleted_at": None}
    assert before <= datetime.fromisoformat(gone["deleted_at"]) <= datetime.now(UTC)
    times = {name: gone[name] for name in ("deleted_at", "updated_at")}
    assert gone == {**row, **times, "version": 2}
    assert await get_json(client, "/articles?deleted=only") == [gone]
    lines = await client.get("/articles?deleted=only", headers={"accept": "application/x-ndjson"})
    assert json.loads(lines.text) == gone
    back = (await client.post(f"{path}/restore")).json()
    assert back == {**row, "updated_at": back["updated_at"], "version": 3}
    assert await get_json(client, path) == back
    assert await get_json(client, "/articles") == [back, live]


async def test_the_pages_of_deleted_articles_are_linked(client: AsyncClient) -> None:
    rows = [await create_article(client, slug=f"s-{number}") for number in range(6)]
    for path, _ in rows[::2]:
        assert summary(await client.delete(path)) == "204"
    ids = [row["id"] for _, row in rows]
    for deleted, expected in (("only", ids[::2]), ("include", ids)):
        first = f"/articles?deleted={deleted}&limit=1&count=exact"
        found = [page async for page in pages(client, first, "next")]
        assert [page.json()[0]["id"] for page in found] == expected
        assert {page.headers["x-total-count"] for page in found} == {str(len(expected))}
        live = (link_target(found[0], "next") or "").replace(f"deleted={deleted}&", "")
        response = await client.get(live)
        assert response.json()["type"] == "/problems/invalid_cursor"


async def test_deleted_at_is_an_unknown_field_and_parameter(client: AsyncClient) -> None:
    path, row = await create_article(client)
    for name, value in {"deleted_at": "2026-02-03T04:05:06Z", "is_deleted": True}.items():
        for method, target in (("POST", "/articles"), ("PATCH", path), ("PUT", path)):
            body = article(**{name: value})
            response = await client.request(method, target, json=body)
            assert summary(response) == f"422 #/{name} unknown_field"
        response = await client.get(f"/articles?{name}={value}")
        assert summary(response) == f"422 ?{name} unknown_parameter"
    assert await get_json(client, "/articles") == [row]
    remark = comment(row["id"], article_is_deleted=True)
    response = await client.post("/comments", json=remark)
    assert summary(response) == "422 #/article_is_deleted unknown_field"


async def test_a_resource_without_soft_delete_has_no_deletion_parameters(
    client: AsyncClient,
) -> None:
    for path, row in reversed((await create_one_of_each(client)).items()):
        item = f"{path}/{row['id']}"
        if path != "/articles":
            for value in ("include", "only"):
                response = await client.get(f"{path}?deleted={value}")
                assert summary(response) == "422 ?deleted unknown_parameter"
            response = await client.delete(f"{item}?purge=true")
            assert summary(response) == "422 ?purge unknown_parameter"
            assert summary(await client.post(f"{item}/restore")) == "404"
        assert (
            summary(await client.get(f"{item}?deleted=include")) == "422 ?deleted unknown_parameter"
        )
        assert await get_json(client, item) == row
    assert summary(await client.get("/articles?deleted=live")) == "422 ?deleted literal_error"
    assert summary(await client.get("/articles?deleted=only&deleted=include")).startswith("422")


async def test_a_slug_is_free_while_its_article_is_deleted(client: AsyncClient) -> None:
    path, _ = await create_article(client, slug="a")
    assert summary(await client.delete(path)) == "204"
    path, _ = await create_article(client, slug="a")
    assert summary(await client.delete(path)) == "204"  # deleted articles may have one slug, too
    path, row = await create_article(client, slug="a")
    first, second = await get_json(client, "/articles?deleted=only")
    for gone in (first, second):
        response = await client.post(f"/articles/{gone['id']}/restore")
        assert summary(response) == "409 #/slug not_unique"
        assert response.json()["type"] == "/problems/conflict"
    assert await get_json(client, "/articles?deleted=include") == [
        first,
        second,
        {**row, "deleted_at": None},
    ]
    await patch_row(client, path, {"slug": "b"})
    assert summary(await client.post(f"/articles/{second['id']}/restore")) == "200"
    assert summary(await client.post(f"/articles/{first['id']}/restore")) == "409 #/slug not_unique"
    response = await client.patch(path, json={"slug": "a"})
    assert summary(response) == "409 #/slug not_unique"


async def test_comments_are_hidden_while_their_article_is_deleted(client: AsyncClient) -> None:
    path, row = await create_article(client, slug="a")
    _, other = await create_article(client, slug="b")
    one, two, three = [
        await create_row(client, "/comments", comment(row["id"], body=body)) for body in "123"
    ]
    elsewhere = await create_row(client, "/comments", comment(other["id"]))
    assert summary(await client.delete(f"/comments/{two['id']}")) == "204"
    for _ in range(2):
        assert summary(await client.delete(path)) == "204"
        assert await get_json(client, "/comments") == [elsewhere]
        assert summary(await client.delete(f"/comments/{one['id']}")) == "404"
        assert summary(await client.post(f"{path}/restore")) == "200"
        assert await get_json(client, "/comments") == [one, three, elsewhere]
        assert await get_json(client, f"/comments?article_id={row['id']}") == [one, three]
        assert await get_json(client, f"/comments/{one['id']}") == one
    moved = await patch_row(client, f"/comments/{three['id']}", {"article_id": other["id"]})
    assert summary(await client.delete(path)) == "204"
    assert await get_json(client, "/comments") == [moved, elsewhere]


async def test_purging_an_article_removes_its_comments(
    client: AsyncClient, database: Database
) -> None:
    for deleted in (False, True):
        path, row = await create_article(client)
        await create_row(client, "/comments", comment(row["id"]))
        if deleted:
            assert summary(await client.delete(path)) == "204"
        response = await client.delete(f"{path}?purge=true")
        assert (response.status_code, response.content) == (204, b"")
        assert await stored_rows(database) == [[], []]
        for request in (client.post(f"{path}/restore"), client.delete(f"{path}?purge=true")):
            assert summary(await request) == "404"
        assert summary(await client.delete(f"{path}?purge=true&allow_missing=true")) == "204"


async def test_a_deleted_article_still_refers_to_its_author(client: AsyncClient) -> None:
    writer = await create_row(client, "/authors", author())
    path, _ = await create_article(client, author_id=writer["id"])
    assert summary(await client.delete(path)) == "204"
    assert summary(await client.delete(f"/authors/{writer['id']}")) == "409"
    assert (await client.post(f"{path}/restore")).json()["author_id"] == writer["id"]
    assert summary(await client.delete(f"{path}?purge=true")) == "204"
    assert summary(await client.delete(f"/authors/{writer['id']}")) == "204"


async def test_restore_accepts_post_only(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    response = await client.options(f"{path}/restore")
    assert (response.status_code, response.headers["allow"]) == (204, "OPTIONS, POST")
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        response = await client.request(method, f"{path}/restore")
        assert (response.status_code, response.headers["allow"]) == (405, "OPTIONS, POST")
    assert (
        summary(await client.post(f"{path}/restore?purge=true")) == "422 ?purge unknown_parameter"
    )
    for key in (MISSING, "abc", "%00"):
        assert summary(await client.post(f"/articles/{key}/restore")) == "404"
    assert summary(await client.delete(path)) == "204"
    assert summary(await client.post(f"{path}/restore/")) == "200"


@pytest.mark.parametrize("query", ["", "?purge=true"])
async def test_one_of_several_deletions_succeeds(client: AsyncClient, query: str) -> None:
    path, _ = await create_article(client)
    answers = await asyncio.gather(*(client.delete(f"{path}{query}") for _ in range(8)))
    assert sorted(map(summary, answers)) == ["204"] + ["404"] * 7


async def test_one_of_several_restorations_succeeds(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    assert summary(await client.delete(path)) == "204"
    answers = await asyncio.gather(*(client.post(f"{path}/restore") for _ in range(8)))
    assert sorted(map(summary, answers)) == ["200"] + ["409"] * 7


@pytest.mark.parametrize("place", [0, 8, 16])
async def test_comments_created_during_a_deletion_follow_their_article(
    client: AsyncClient, database: Database, place: int
) -> None:
    path, row = await create_article(client)
    requests = [client.post("/comments", json=comment(row["id"])) for _ in range(16)]
    requests.insert(place, client.delete(path))
    answers = await asyncio.gather(*requests)
    assert summary(answers.pop(place)) == "204"
    assert {summary(answer) for answer in answers} <= {"201", UNKNOWN}
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert await get_json(client, "/comments") == []
    assert {str(row.id) for row in (await stored_rows(database))[1]} == made
    assert summary(await client.post(f"{path}/restore")) == "200"
    assert {row["id"] for row in await get_json(client, "/comments?limit=100")} == made
