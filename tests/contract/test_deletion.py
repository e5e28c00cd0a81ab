"""Soft delete: a row is live, deleted or purged, and so on every path that could show it."""

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

from app.articles.schemas import ArticleCreate, ArticleQuery, ArticleRead, ArticleUpdate
from app.authors.resource import router as authors
from app.comments.schemas import CommentCreate, CommentQuery, CommentRead, CommentUpdate
from app.models import Article, Comment
from brickwork import Database, Resource, Scopes, crud_router, install
from tests.support.bodies import (
    MISSING,
    Body,
    article,
    author,
    changed,
    comment,
    create_article,
    create_one_of_each,
    created,
    shown,
    summary,
)
from tests.support.calls import calling
from tests.support.rows import linked, pages

pytestmark = pytest.mark.anyio


def current_author(author: Annotated[UUID, Header()]) -> UUID:
    """Return who is asking."""
    return author


Caller = Annotated[UUID, Depends(current_author)]


class OwnArticles(Resource[Article]):
    """The articles of whoever asks."""

    caller: Caller

    @override
    def query(self) -> Select[Article]:
        return super().query().where(Article.author_id == self.caller)


class OwnComments(Resource[Comment]):
    """The comments on articles of whoever asks."""

    caller: Caller
    articles: Annotated[OwnArticles, Depends()]

    @override
    def query(self) -> Select[Comment]:
        own = select(Article.id).where(Article.author_id == self.caller)
        return super().query().where(Comment.article_id.in_(own))

    @override
    def references(self) -> Scopes:
        return {"article_id": self.articles.query()}


@pytest.fixture
async def scoped(service_url: str) -> AsyncIterator[AsyncClient]:
    """A client of a service that shows its callers their own rows."""
    app = FastAPI(lifespan=Database(service_url).lifespan)
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
    async with calling(app) as client:
        yield client


class Path(NamedTuple):
    """A request that is about one article, and what it is told of each kind of article.

    Of a list it is told whether that article, or the comment on it, is there. What stands in `<>`
    is one of a scene's `names`.
    """

    request: str
    live: str
    deleted: str
    purged: str
    foreign: str
    stale: str


YES, NO = "there", "not there"
GONE, UNKNOWN = "404", "422 #/article_id reference_not_found"
TAKEN = "409 #/slug not_unique"
COMMENT = '{"article_id": "<id>", "author_name": "Bob", "body": "No."}'

PATHS: Final = [
    Path(*line)
    for line in (
        #                                       live, deleted, purged, foreign, stale
        ("GET /articles/<id>", "200", GONE, GONE, GONE, "412"),
        ("HEAD /articles/<id>", "200", "404", "404", "404", "412"),
        ("GET /articles", YES, NO, NO, NO, YES),
        ("GET /articles?count=exact", YES, NO, NO, NO, YES),
        ("GET /articles?slug=<slug>&count=exact", YES, NO, NO, NO, YES),
        ("GET /articles?slug__ne=zzz", YES, NO, NO, NO, YES),
        ("GET /articles?q=wanted", YES, NO, NO, NO, YES),
        ("GET /articles?sort=-title,views", YES, NO, NO, NO, YES),
        ("GET /articles?limit=1&offset=1", YES, NO, NO, NO, YES),
        ("GET <next>", YES, NO, NO, NO, YES),
        ("GET <prev>", YES, NO, NO, NO, YES),
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
        ('PUT /articles/<id> {"title": "A", "slug": "<slug>"}', "200", GONE, GONE, GONE, "412"),
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
        ('POST /articles {"title": "A", "slug": "<slug>"}', TAKEN, "201", "201", TAKEN, TAKEN),
        ('PATCH /articles/<anchor> {"slug": "<slug>"}', TAKEN, "200", "200", TAKEN, TAKEN),
        (
            'POST /articles/batch [{"title": "A", "slug": "<slug>"}]',
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
    )
]


async def scene(client: AsyncClient, kind: str, number: int) -> dict[str, str]:
    """Make an article of *kind* between two others of a new caller; return what they are called."""
    me, you = [
        await created(client, "/authors", author(email=f"{kind}-{number}-{each}"))
        for each in ("me", "you")
    ]
    client.headers["author"] = me["id"]
    owner = you if kind == "foreign" else me
    rows: list[Body] = []
    for name in ("anchor", "wanted", "tail"):
        slug = f"{name}-{kind}-{number}"
        writer = owner if name == "wanted" else me
        body = article(title=f"A {name}", slug=slug, author_id=writer["id"])
        rows.append(await created(client, "/articles", body))
    anchor, wanted, _ = rows
    remark = await created(client, "/comments", comment(anchor["id"]))
    on_wanted = await client.post(
        "/comments", json=comment(wanted["id"]), headers={"author": owner["id"]}
    )
    first, *_, last = [each async for each in pages(client, "/articles?limit=1", "next")]
    names = {
        "id": wanted["id"],
        "slug": wanted["slug"],
        "anchor": anchor["id"],
        "remark": remark["id"],
        "comment": on_wanted.json()["id"],
        "v": "7" if kind == "stale" else "1",
        "next": linked(first, "next") or "",
        "prev": linked(last, "prev") or "",
    }
    suffix = {"deleted": "", "purged": "?purge=true"}.get(kind)
    if suffix is not None:
        assert summary(await client.delete(f"/articles/{wanted['id']}{suffix}")) == "204"
    return names


class Answer(NamedTuple):
    """What a request was told: in short, and the problem in full but for the request's id."""

    short: str
    problem: Mapping[str, Any]


async def asked(client: AsyncClient, request: str, names: Mapping[str, str], kind: str) -> Answer:
    """Send *request*, and return what it is told."""
    for name, value in names.items():
        request = request.replace(f"<{name}>", value)
    method, target, *body = request.split(" ", 2)
    headers = {"accept": "application/x-ndjson"} if method == "EXPORT" else {}
    if kind == "stale" and target.startswith(f"/articles/{names['id']}"):
        headers["if-match"] = '"7"'
    document = json.loads(body[0]) if body else None
    verb = "GET" if method == "EXPORT" else method
    response = await client.request(verb, target, json=document, headers=headers)
    return heard(response, {names["id"], names["comment"]})


def heard(response: Response, wanted: set[str]) -> Answer:
    """Return what *response* says, of a list whether it has a row of *wanted*."""
    if response.request.method == "HEAD":
        return Answer(str(response.status_code), {})
    if response.status_code >= 400:
        return Answer(summary(response), {**response.json(), "instance": ""})
    if (rows := listed(response)) is None:
        return Answer(summary(response), {})
    assert response.headers.get("x-total-count") in {None, str(len(rows))}
    return Answer(YES if wanted & {row["id"] for row in rows} else NO, {})


def listed(response: Response) -> list[Body] | None:
    """Return the rows in *response*, if it is a list."""
    if response.headers.get("content-type") == "application/x-ndjson":
        return [json.loads(line) for line in response.text.splitlines()]
    rows: list[Body] | None = response.json() if "link" in response.headers else None
    return rows


async def stored(database: Database) -> list[Sequence[Any]]:
    """Return what the database has of articles and comments, hidden or not."""
    async with database.session(readonly=True) as session:
        articles = select(Article.id, Article.version, Article.updated_at, Article.deleted_at)
        comments = select(Comment.id, Comment.article_id, Comment.body, Comment.updated_at)
        return [(await session.execute(each)).all() for each in (articles, comments)]


async def test_every_path_knows_every_kind_of_article(
    scoped: AsyncClient, database: Database
) -> None:
    complaints: list[str] = []
    missing: dict[str, Answer] = {}
    for kind in ("purged", "live", "deleted", "foreign", "stale"):
        names, before = await scene(scoped, kind, 0), await stored(database)
        for number, path in enumerate(PATHS, start=1):
            answer, expected = await asked(scoped, path.request, names, kind), getattr(path, kind)
            if kind == "purged":
                missing[path.request] = answer
            elif expected == path.purged and answer != missing[path.request]:
                complaints.append(f"{path.request}: {kind} is not answered like a missing one")
            if answer.short != expected:
                complaints.append(f"{path.request}: {kind} is told {answer.short}, not {expected}")
            if await stored(database) != before:
                if path.request.startswith(("GET", "HEAD", "EXPORT")) or expected >= "300":
                    complaints.append(f"{path.request}: {kind} was changed")
                names, before = await scene(scoped, kind, number), await stored(database)
    assert not complaints, "\n".join(complaints)


async def test_a_deleted_article_says_since_when_where_it_is_asked_for(
    client: AsyncClient,
) -> None:
    path, row = await create_article(client, slug="deleted")
    _, live = await create_article(client, slug="live")
    assert "deleted_at" not in row
    before = datetime.now(UTC)
    assert summary(await client.delete(path)) == "204"
    assert await shown(client, "/articles") == [live]
    gone, other = await shown(client, "/articles?deleted=include")
    assert other == {**live, "deleted_at": None}
    assert before <= datetime.fromisoformat(gone["deleted_at"]) <= datetime.now(UTC)
    times = {name: gone[name] for name in ("deleted_at", "updated_at")}
    assert gone == {**row, **times, "version": 2}
    assert await shown(client, "/articles?deleted=only") == [gone]
    lines = await client.get("/articles?deleted=only", headers={"accept": "application/x-ndjson"})
    assert json.loads(lines.text) == gone
    back = (await client.post(f"{path}/restore")).json()
    assert back == {**row, "updated_at": back["updated_at"], "version": 3}
    assert await shown(client, path) == back
    assert await shown(client, "/articles") == [back, live]


async def test_the_pages_of_deleted_articles_are_linked(client: AsyncClient) -> None:
    rows = [await create_article(client, slug=f"s-{number}") for number in range(6)]
    for path, _ in rows[::2]:
        assert summary(await client.delete(path)) == "204"
    ids = [row["id"] for _, row in rows]
    for deleted, expected in (("only", ids[::2]), ("include", ids)):
        first = f"/articles?deleted={deleted}&limit=1&count=exact"
        found = [each async for each in pages(client, first, "next")]
        assert [each.json()[0]["id"] for each in found] == expected
        assert {each.headers["x-total-count"] for each in found} == {str(len(expected))}
        live = (linked(found[0], "next") or "").replace(f"deleted={deleted}&", "")
        response = await client.get(live)
        assert response.json()["type"] == "/problems/invalid_cursor"


async def test_when_an_article_is_deleted_is_written_by_no_client(client: AsyncClient) -> None:
    path, row = await create_article(client)
    for name, value in {"deleted_at": "2026-02-03T04:05:06Z", "is_deleted": True}.items():
        for method, target in (("POST", "/articles"), ("PATCH", path), ("PUT", path)):
            body = article(**{name: value})
            response = await client.request(method, target, json=body)
            assert summary(response) == f"422 #/{name} unknown_field"
        response = await client.get(f"/articles?{name}={value}")
        assert summary(response) == f"422 ?{name} unknown_parameter"
    assert await shown(client, "/articles") == [row]
    remark = comment(row["id"], article_is_deleted=True)
    response = await client.post("/comments", json=remark)
    assert summary(response) == "422 #/article_is_deleted unknown_field"


async def test_deleted_rows_are_no_concern_of_resources_that_remove_them(
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
        assert await shown(client, item) == row
    assert summary(await client.get("/articles?deleted=live")) == "422 ?deleted literal_error"
    assert summary(await client.get("/articles?deleted=only&deleted=include")).startswith("422")


async def test_a_slug_is_free_while_its_article_is_deleted(client: AsyncClient) -> None:
    path, _ = await create_article(client, slug="a")
    assert summary(await client.delete(path)) == "204"
    path, _ = await create_article(client, slug="a")
    assert summary(await client.delete(path)) == "204"  # deleted articles may have one slug, too
    path, row = await create_article(client, slug="a")
    first, second = await shown(client, "/articles?deleted=only")
    for gone in (first, second):
        response = await client.post(f"/articles/{gone['id']}/restore")
        assert summary(response) == "409 #/slug not_unique"
        assert response.json()["type"] == "/problems/conflict"
    assert await shown(client, "/articles?deleted=include") == [
        first,
        second,
        {**row, "deleted_at": None},
    ]
    await changed(client, path, {"slug": "b"})
    assert summary(await client.post(f"/articles/{second['id']}/restore")) == "200"
    assert summary(await client.post(f"/articles/{first['id']}/restore")) == "409 #/slug not_unique"
    response = await client.patch(path, json={"slug": "a"})
    assert summary(response) == "409 #/slug not_unique"


async def test_comments_are_hidden_and_shown_with_their_article(client: AsyncClient) -> None:
    path, row = await create_article(client, slug="a")
    _, other = await create_article(client, slug="b")
    one, two, three = [
        await created(client, "/comments", comment(row["id"], body=body)) for body in "123"
    ]
    elsewhere = await created(client, "/comments", comment(other["id"]))
    assert summary(await client.delete(f"/comments/{two['id']}")) == "204"
    for _ in range(2):
        assert summary(await client.delete(path)) == "204"
        assert await shown(client, "/comments") == [elsewhere]
        assert summary(await client.delete(f"/comments/{one['id']}")) == "404"
        assert summary(await client.post(f"{path}/restore")) == "200"
        assert await shown(client, "/comments") == [one, three, elsewhere]
        assert await shown(client, f"/comments?article_id={row['id']}") == [one, three]
        assert await shown(client, f"/comments/{one['id']}") == one
    moved = await changed(client, f"/comments/{three['id']}", {"article_id": other["id"]})
    assert summary(await client.delete(path)) == "204"
    assert await shown(client, "/comments") == [moved, elsewhere]


async def test_what_is_purged_is_gone_with_its_comments(
    client: AsyncClient, database: Database
) -> None:
    for deleted in (False, True):
        path, row = await create_article(client)
        await created(client, "/comments", comment(row["id"]))
        if deleted:
            assert summary(await client.delete(path)) == "204"
        response = await client.delete(f"{path}?purge=true")
        assert (response.status_code, response.content) == (204, b"")
        assert await stored(database) == [[], []]
        for request in (client.post(f"{path}/restore"), client.delete(f"{path}?purge=true")):
            assert summary(await request) == "404"
        assert summary(await client.delete(f"{path}?purge=true&allow_missing=true")) == "204"


async def test_a_deleted_article_refers_to_its_author_still(client: AsyncClient) -> None:
    writer = await created(client, "/authors", author())
    path, _ = await create_article(client, author_id=writer["id"])
    assert summary(await client.delete(path)) == "204"
    assert summary(await client.delete(f"/authors/{writer['id']}")) == "409"
    assert (await client.post(f"{path}/restore")).json()["author_id"] == writer["id"]
    assert summary(await client.delete(f"{path}?purge=true")) == "204"
    assert summary(await client.delete(f"/authors/{writer['id']}")) == "204"


async def test_restoring_takes_no_body_and_no_other_method(client: AsyncClient) -> None:
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


async def test_of_deletions_at_once_one_deletes_and_of_restorations_one_restores(
    client: AsyncClient,
) -> None:
    path, _ = await create_article(client)
    for answers, requests in (
        (["204"] + ["404"] * 19, [client.delete(path) for _ in range(20)]),
        (["200"] + ["409"] * 19, [client.post(f"{path}/restore") for _ in range(20)]),
        (["204"] + ["404"] * 19, [client.delete(f"{path}?purge=true") for _ in range(20)]),
    ):
        assert sorted([summary(each) for each in await asyncio.gather(*requests)]) == answers


async def test_no_comment_outlives_an_article_that_is_deleted_while_it_is_written(
    client: AsyncClient, database: Database
) -> None:
    for number in range(3):
        path, row = await create_article(client, slug=f"s-{number}")
        requests = [client.post("/comments", json=comment(row["id"])) for _ in range(50)]
        requests.insert(10 * number + 10, client.delete(path))
        responses = await asyncio.gather(*requests)
        deleted = responses.pop(10 * number + 10)
        assert summary(deleted) == "204"
        assert {summary(each) for each in responses} <= {"201", UNKNOWN}
        made = {each.json()["id"] for each in responses if each.status_code == 201}
        assert await shown(client, "/comments") == []
        assert {str(each.id) for each in (await stored(database))[1]} == made
        assert summary(await client.post(f"{path}/restore")) == "200"
        assert {each["id"] for each in await shown(client, "/comments?limit=100")} == made
        assert summary(await client.delete(f"{path}?purge=true")) == "204"
