"""Idempotency-Key: stored responses and their keys."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import pytest
from fastapi import Depends, Header
from httpx2 import AsyncClient
from sqlalchemy import Engine, Select, event, func, select
from sqlalchemy.orm import Session as SyncSession
from typing_extensions import override

from app.articles.models import Article
from app.authors.models import Author
from app.main import create_app
from app.settings import Settings
from brickwork import Database, IdempotencyKey, Resource
from brickwork.models.model import now
from brickwork.operations.idempotency import delete_expired_keys
from tests.support import shop
from tests.support.bodies import (
    MERGE_PATCH,
    MISSING,
    article,
    author,
    comment,
    create_row,
    get_json,
    quoted,
    summary,
    version_tag,
)
from tests.support.calls import calling
from tests.support.recording import statements
from tests.support.replays import KEY, articles_app, comparable, is_replay

pytestmark = pytest.mark.anyio

ARTICLE: Final = "01890000-0000-7000-8000-00000000000a"
DELETED: Final = "01890000-0000-7000-8000-00000000000d"
AUTHOR: Final = "01890000-0000-7000-8000-0000000000aa"


@pytest.fixture
async def rows(database: Database) -> None:
    """Create an article, a deleted article, and an author."""
    async with database.session() as session:
        session.add(Article(id=UUID(ARTICLE), title="A", slug="live"))
        session.add(Article(id=UUID(DELETED), title="B", slug="deleted", deleted_at=now()))
        session.add(Author(id=UUID(AUTHOR), name="Ada", email="ada@example.org"))


async def snapshot(client: AsyncClient) -> Sequence[object]:
    """Return every row."""
    paths = ("/articles?deleted=include&limit=100", "/authors?limit=100", "/comments?limit=100")
    return [await get_json(client, path) for path in paths]


async def count_keys(database: Database) -> int:
    """Return the number of stored keys."""
    async with database.session(readonly=True) as session:
        return await session.scalar(select(func.count()).select_from(IdempotencyKey)) or 0


# -- replays

WRITES: Final = [
    pytest.param("POST /articles", article(), {}, id="POST"),
    pytest.param("POST /articles", article(), {"prefer": "return=minimal"}, id="POST minimal"),
    pytest.param("POST /articles/batch", [article()], {}, id="POST of a batch"),
    pytest.param(f"PATCH /articles/{ARTICLE}", {"views": 1}, {}, id="PATCH"),
    pytest.param(
        f"PATCH /articles/{ARTICLE}",
        {"meta": {"a": 1}},
        {"content-type": MERGE_PATCH},
        id="PATCH as a merge patch",
    ),
    pytest.param(
        f"PATCH /articles/{ARTICLE}", {"views": 2}, {"if-match": '"1"'}, id="PATCH with If-Match"
    ),
    pytest.param(f"PATCH /articles/{ARTICLE}", {}, {}, id="PATCH of nothing"),
    pytest.param(
        "PATCH /articles/batch",
        [{"id": ARTICLE, "views": 3, "version": 1}],
        {},
        id="PATCH of a batch",
    ),
    pytest.param(f"POST /articles/{DELETED}/restore", None, {}, id="restore"),
    pytest.param("POST /authors", author(name="É\u2028"), {}, id="POST of an author"),
    pytest.param(f"PATCH /authors/{AUTHOR}", {"bio": "B."}, {}, id="PATCH of an author"),
    pytest.param("POST /comments", comment(ARTICLE), {}, id="POST of a comment"),
    pytest.param("POST /comments/batch", [comment(ARTICLE)], {}, id="POST of comments"),
]

every_write = pytest.mark.parametrize(("operation", "body", "headers"), WRITES)


@every_write
@pytest.mark.usefixtures("rows")
async def test_a_repeated_request_is_replayed(
    client: AsyncClient, operation: str, body: Any, headers: Mapping[str, str]
) -> None:
    sent = {**headers, "idempotency-key": "k"}
    first = await client.request(*operation.split(), json=body, headers=sent)
    assert first.is_success
    assert not is_replay(first)
    for row in await get_json(client, "/articles"):
        await client.patch(f"/articles/{row['id']}", json={"title": "Changed since"})
    before = await snapshot(client)

    for key in ("k", '"k"'):
        again = await client.request(
            *operation.split(), json=body, headers={**headers, "idempotency-key": key}
        )
        assert is_replay(again)
        assert comparable(again) == comparable(first)
    assert await snapshot(client) == before


async def test_a_replay_has_location_and_etag(client: AsyncClient) -> None:
    await client.post("/articles", json=article(), headers=KEY)
    response = await client.post("/articles", json=article(), headers=KEY)
    assert (response.status_code, is_replay(response)) == (201, True)
    assert response.headers["location"] == f"/articles/{response.json()['id']}"
    assert version_tag(response) == '"1"'


async def test_a_minimal_replay_has_no_body(client: AsyncClient) -> None:
    headers = {**KEY, "prefer": "return=minimal"}
    await client.post("/articles", json=article(), headers=headers)
    response = await client.post("/articles", json=article(), headers=headers)
    assert (response.status_code, is_replay(response), response.content) == (201, True, b"")
    assert response.headers["preference-applied"] == "return=minimal"


@pytest.mark.usefixtures("rows")
async def test_a_replay_precedes_preconditions(client: AsyncClient) -> None:
    path, headers = f"/articles/{ARTICLE}", {**KEY, "if-match": '"1"'}
    first = await client.patch(path, json={"views": 1}, headers=headers)
    assert version_tag(first) == '"2"'
    assert (
        summary(await client.patch(path, json={"views": 1}, headers={"if-match": '"1"'})) == "412"
    )

    again = await client.patch(path, json={"views": 1}, headers=headers)
    assert comparable(again) == comparable(first)
    stale = await client.patch(path, json={"views": 1}, headers={**KEY, "if-match": '"9"'})
    assert comparable(stale) == comparable(first)


@pytest.mark.parametrize("query", ["", "?purge=true"])
@pytest.mark.usefixtures("rows")
async def test_a_replay_does_not_need_the_row(client: AsyncClient, query: str) -> None:
    path = f"/articles/{ARTICLE}"
    first = await client.patch(path, json={"views": 1}, headers=KEY)
    assert summary(await client.delete(f"{path}{query}")) == "204"
    assert comparable(await client.patch(path, json={"views": 1}, headers=KEY)) == comparable(first)
    other = {"idempotency-key": "other"}
    assert summary(await client.patch(path, json={"views": 1}, headers=other)) == "404"


async def test_a_restart_keeps_stored_responses(service_url: str) -> None:
    async with calling(create_app(Settings(database_url=service_url))) as client:
        first = await client.post("/articles", json=article(), headers=KEY)
    async with calling(create_app(Settings(database_url=service_url))) as client:
        again = await client.post("/articles", json=article(), headers=KEY)

    assert comparable(again) == comparable(first)
    assert (is_replay(first), is_replay(again)) == (False, True)


async def test_a_large_response_is_replayed_byte_for_byte(client: AsyncClient) -> None:
    text = "Ünïcödé \u2028 \U0001f9f1 " * 4_000
    body = [article(slug=f"s-{n}", body=text) for n in range(10)]
    first = await client.post("/articles/batch", json=body, headers=KEY)

    assert first.status_code == 201
    assert len(first.content) > 700_000
    again = await client.post("/articles/batch", json=body, headers=KEY)
    assert comparable(again) == comparable(first)


# -- syntax of a key

LONG: Final = "k" * 255
GOOD: Final = {
    "a letter": "k",
    "the first visible character": "!",
    "the last visible character": "~",
    "a digit": "0",
    "punctuation": "a,b;c=d",
    "like a weak tag": "W/'k'",
    "a quoted part": 'W/"k"',
    "a quote": 'k"',
    "a backslash": "\\",
    "an escape": "\\k",
    "braces": "{}",
    "a UUID": MISSING,
    "255 characters": LONG,
    "255 characters that are escaped in quotes": "k" + '"\\' * 127,
}
BAD: Final = {
    "nothing": [b""],
    "two words": [b"two words"],
    "a tab": [b"two\twords"],
    "a list": [b"two, words"],
    "a byte beyond ASCII": [b"\xe9"],
    "a character beyond ASCII": ["é".encode()],
    "a control character": [b"k\x80"],
    "one quote": [b'"'],
    "quoted nothing": [b'""'],
    "no closing quote": [b'"k'],
    "a quote in quotes": [b'"k"k"'],
    "quoted twice": [b'""k""'],
    "a list in quotes": [b'"k", "k"'],
    "a needless escape": [rb'"\k"'],
    "an escaped closing quote": [rb'"k\"'],
    "a parameter": [b'"k";a=1'],
    "two words in quotes": [b'"two words"'],
    "a byte beyond ASCII in quotes": [b'"\xe9"'],
    "256 characters": [b"k" * 256],
    "256 characters in quotes": [b'"' + b"k" * 256 + b'"'],
    "the same on two lines": [b"k", b"k"],
    "another on two lines": [b"k", b"l"],
    "nothing on the second line": [b"k", b""],
    "half on each line": [b'"k', b'k"'],
    "quoted on two lines": [b'"k"', b'"k"'],
}


@pytest.mark.parametrize("key", GOOD.values(), ids=GOOD)
async def test_a_valid_key_is_the_same_bare_and_quoted(client: AsyncClient, key: str) -> None:
    first = await client.post("/authors", json=author(), headers={"idempotency-key": key})
    assert (first.status_code, is_replay(first)) == (201, False)
    headers = {"idempotency-key": quoted(key)}
    again = await client.post("/authors", json=author(), headers=headers)
    assert is_replay(again)
    assert comparable(again) == comparable(first)


@pytest.mark.parametrize("lines", BAD.values(), ids=BAD)
async def test_an_invalid_key_is_rejected(client: AsyncClient, lines: list[bytes]) -> None:
    headers = [(b"idempotency-key", line) for line in lines]
    response = await client.post("/articles", json=article(), headers=headers)
    assert summary(response) == "400 Idempotency-Key key"


@every_write
@pytest.mark.usefixtures("rows")
async def test_an_invalid_key_sends_no_statement(
    client: AsyncClient, operation: str, body: Any, headers: Mapping[str, str]
) -> None:
    sent = {**headers, "idempotency-key": "two words"}
    with statements() as executed:
        response = await client.request(*operation.split(), json=body, headers=sent)
    assert summary(response) == "400 Idempotency-Key key"
    assert executed == []


@pytest.mark.parametrize(
    ("operation", "body", "headers", "answer"),
    [
        pytest.param(
            "POST /articles",
            {"slug": "a"},
            {"idempotency-key": "two words"},
            "422 #/title missing",
            id="schema before key",
        ),
        pytest.param(
            "POST /articles",
            [],
            {"idempotency-key": "two words"},
            "422 # object_type",
            id="type before key",
        ),
        pytest.param(
            f"PATCH /articles/{MISSING}",
            {"views": -1},
            {"idempotency-key": ""},
            "422 #/views greater_than_equal",
            id="schema before key and row",
        ),
        pytest.param(
            f"PATCH /articles/{MISSING}",
            {},
            {"idempotency-key": "two words"},
            "400 Idempotency-Key key",
            id="key before row",
        ),
        pytest.param(f"PATCH /articles/{MISSING}", {}, KEY, "404", id="row"),
        pytest.param(
            f"PATCH /articles/{MISSING}",
            {},
            {**KEY, "if-match": "1"},
            "400 If-Match etag",
            id="precondition before row",
        ),
        pytest.param(
            f"POST /articles/{MISSING}/restore",
            None,
            {"idempotency-key": "two words"},
            "400 Idempotency-Key key",
            id="key before deleted row",
        ),
        pytest.param(f"POST /articles/{MISSING}/restore", None, KEY, "404", id="deleted row"),
    ],
)
async def test_the_key_is_checked_between_schema_and_row(
    client: AsyncClient, operation: str, body: Any, headers: Mapping[str, str], answer: str
) -> None:
    response = await client.request(*operation.split(), json=body, headers=headers)
    assert summary(response) == answer


@pytest.mark.parametrize("key", ["k", "two words"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.usefixtures("rows")
async def test_a_read_ignores_keys(client: AsyncClient, method: str, key: str) -> None:
    headers = {"idempotency-key": key}
    response = await client.request(method, f"/articles/{ARTICLE}", headers=headers)
    assert response.is_success
    assert not is_replay(response)


@pytest.mark.parametrize("key", ["k", "two words"])
@pytest.mark.usefixtures("rows")
async def test_a_put_ignores_keys(client: AsyncClient, key: str) -> None:
    path, headers = f"/articles/{ARTICLE}", {"idempotency-key": key}
    await client.put(path, json=article(title="One"), headers=headers)
    response = await client.put(path, json=article(title="Two"), headers=headers)
    assert (response.status_code, is_replay(response)) == (200, False)
    assert response.json()["title"] == "Two"


@pytest.mark.parametrize("key", ["k", "two words"])
@pytest.mark.parametrize("path", [f"/articles/{ARTICLE}", f"/articles/batch?id={ARTICLE}"])
@pytest.mark.usefixtures("rows")
async def test_a_delete_ignores_keys(client: AsyncClient, path: str, key: str) -> None:
    headers = {"idempotency-key": key}
    assert summary(await client.delete(path, headers=headers)) == "204"
    assert (await client.delete(path, headers=headers)).status_code == 404


# -- scope of a key


@pytest.mark.parametrize(
    ("operation", "first", "other"),
    [
        pytest.param("POST /articles", article(), article(slug="b"), id="another value in a POST"),
        pytest.param("POST /articles", article(), article(views=1), id="one more field"),
        pytest.param("POST /articles/batch", [article()], [article(slug="b")], id="batch"),
        pytest.param(f"PATCH /articles/{ARTICLE}", {"views": 1}, {"views": 2}, id="PATCH"),
        pytest.param(f"PATCH /articles/{ARTICLE}", {"views": 1}, {}, id="PATCH of nothing"),
        pytest.param(
            "PATCH /articles/batch",
            [{"id": ARTICLE, "views": 3}],
            [{"id": ARTICLE}],
            id="PATCH of a batch",
        ),
    ],
)
@pytest.mark.usefixtures("rows")
async def test_a_key_with_another_payload_is_rejected(
    client: AsyncClient, operation: str, first: Any, other: Any
) -> None:
    answer = await client.request(*operation.split(), json=first, headers=KEY)
    assert answer.is_success
    before = await snapshot(client)

    response = await client.request(
        *operation.split(), json=other, headers={"idempotency-key": '"k"'}
    )
    assert summary(response) == "422"
    assert response.json()["type"] == "/problems/idempotency_key_reused"
    assert not is_replay(response)
    assert await snapshot(client) == before
    again = await client.request(*operation.split(), json=first, headers=KEY)
    assert comparable(again) == comparable(answer)


@pytest.mark.parametrize(
    ("operation", "body", "headers"),
    [
        pytest.param(f"PATCH /articles/{ARTICLE}", {"views": 1}, {}, id="another path"),
        pytest.param(f"PATCH /authors/{AUTHOR}", {}, {}, id="another resource"),
        pytest.param("POST /articles/batch", [article(slug="b")], {}, id="a batch"),
        pytest.param(
            "POST /articles", article(slug="b"), {"authorization": "Bearer b"}, id="a caller"
        ),
    ],
)
@pytest.mark.usefixtures("rows")
async def test_another_request_may_have_the_same_key(
    client: AsyncClient, operation: str, body: Any, headers: Mapping[str, str]
) -> None:
    first = await client.post("/articles", json=article(), headers=KEY)
    other = await client.request(*operation.split(), json=body, headers={**KEY, **headers})
    assert (other.is_success, is_replay(other)) == (True, False)
    again = await client.post("/articles", json=article(), headers=KEY)
    assert comparable(again) == comparable(first)


@pytest.mark.usefixtures("rows")
async def test_another_method_may_have_the_same_key(client: AsyncClient) -> None:
    changes = [{"id": ARTICLE, "views": 2}]
    first = await client.post("/articles/batch", json=[article()], headers=KEY)
    other = await client.patch("/articles/batch", json=changes, headers=KEY)
    assert (other.status_code, is_replay(other)) == (200, False)
    assert is_replay(await client.post("/articles/batch", json=[article()], headers=KEY))
    assert first.status_code == 201


@every_write
@pytest.mark.usefixtures("rows")
async def test_a_path_with_a_trailing_slash_shares_the_keys(
    client: AsyncClient, operation: str, body: Any, headers: Mapping[str, str]
) -> None:
    sent = {**headers, "idempotency-key": "k"}
    first = await client.request(*operation.split(), json=body, headers=sent)
    again = await client.request(*f"{operation}/".split(), json=body, headers=sent)
    assert is_replay(again)
    assert comparable(again) == comparable(first)


async def test_credentials_identify_the_caller_by_default(client: AsyncClient) -> None:
    callers: list[list[tuple[str, str]]] = [
        [],
        [("authorization", "Bearer ann")],
        [("cookie", "user=ann")],
        [("cookie", "user=bob")],
        [("cookie", "user=ann"), ("cookie", "shop=1")],
        [("cookie", "user=ann"), ("cookie", "shop=2")],
        [("cookie", "user=ann"), ("authorization", "Bearer ann")],
        [("cookie", "Bearer ann")],
    ]
    for number, caller in enumerate(callers):
        body, headers = author(email=f"{number}@example.org"), [("idempotency-key", "k"), *caller]
        first = await client.post("/authors", json=body, headers=headers)
        assert (first.status_code, is_replay(first)) == (201, False), caller
        assert is_replay(await client.post("/authors", json=body, headers=headers)), caller


def current_user(user: Annotated[str, Header()]) -> str:
    return user


class Own(Resource[Article]):
    """Articles with a known writer."""

    user: Annotated[str, Depends(current_user)]

    @override
    def actor(self) -> str:
        return self.user


class Titled(Own):
    """The articles with one title, up to now."""

    title: Annotated[str, Header()]

    @override
    def query(self) -> Select[Article]:
        seen = (Article.title == self.title) & (Article.created_at <= now())
        return super().query().where(seen)


async def test_the_actor_overrides_the_credentials(service_url: str) -> None:
    async with calling(articles_app(Database(service_url), Own)) as client:
        headers = {**KEY, "user": "ann", "authorization": "Bearer 1", "cookie": "a=1"}
        first = await client.post("/articles", json=article(), headers=headers)
        headers |= {"authorization": "Bearer 2", "cookie": "a=2"}
        again = await client.post("/articles", json=article(), headers=headers)
        headers |= {"user": "bob"}
        other = await client.post("/articles", json=article(slug="b"), headers=headers)

    assert comparable(again) == comparable(first)
    assert [is_replay(answer) for answer in (first, again, other)] == [False, True, False]
    assert other.status_code == 201


@pytest.mark.parametrize("path", ["/articles", "/articles/batch"])
async def test_keys_of_an_actor_are_separate_in_each_scope(service_url: str, path: str) -> None:
    def body(title: str) -> object:
        one = article(title=title, slug=title.lower())
        return one if path == "/articles" else [one]

    async with calling(articles_app(Database(service_url), Titled)) as client:
        answers = [
            await client.post(
                path, json=body(title), headers={**KEY, "user": "ann", "title": title}
            )
            for title in ("One", "Two", "One", "Two")
        ]

    assert [(answer.status_code, is_replay(answer)) for answer in answers] == [
        (201, False),
        (201, False),
        (201, True),
        (201, True),
    ]
    assert comparable(answers[2]) == comparable(answers[0])


async def test_tenants_never_share_a_key(empty_url: str) -> None:
    async with calling(shop.create_app(empty_url)) as client:
        answers = [
            await client.post("/cities", json={"name": "Lisbon"}, headers={**KEY, "tenant": tenant})
            for tenant in ("a", "b", "", "a", "b")
        ]

    assert [is_replay(answer) for answer in answers] == [False, False, False, True, True]
    assert len({answer.json()["id"] for answer in answers}) == 3


async def test_an_application_with_custom_metadata_supports_keys(empty_url: str) -> None:
    async with calling(shop.create_app(empty_url)) as client:
        first = await client.post("/cities", json={"name": "Lisbon"}, headers=KEY)
        again = await client.post("/cities", json={"name": "Lisbon"}, headers=KEY)

    assert (first.status_code, is_replay(again)) == (201, True)
    assert comparable(again) == comparable(first)


# -- requests without a stored key


@pytest.mark.parametrize(
    ("operation", "body", "status"),
    [
        pytest.param("POST /articles", {}, 422, id="schema"),
        pytest.param("POST /articles", article(slug="live"), 409, id="conflict"),
        pytest.param("POST /articles", article(author_id=MISSING), 422, id="reference"),
        pytest.param("POST /articles/batch", [article(), article(slug="live")], 409, id="batch"),
        pytest.param("POST /articles/batch", [], 422, id="empty batch"),
        pytest.param(
            f"PATCH /articles/{ARTICLE}", {"author_id": MISSING}, 422, id="PATCH reference"
        ),
        pytest.param(f"PATCH /articles/{MISSING}", {}, 404, id="missing row"),
        pytest.param(
            "PATCH /articles/batch", [{"id": ARTICLE, "version": 7}], 412, id="stale batch"
        ),
        pytest.param("PATCH /articles/batch", [{"id": MISSING}], 404, id="missing in batch"),
        pytest.param(f"PATCH /authors/{AUTHOR}", {"email": "b"}, 409, id="PATCH conflict"),
        pytest.param(f"POST /articles/{ARTICLE}/restore", None, 409, id="restore"),
        pytest.param(f"POST /articles/{MISSING}/restore", None, 404, id="restore missing"),
        pytest.param("POST /comments", comment(MISSING), 422, id="missing article"),
    ],
)
@pytest.mark.usefixtures("rows")
async def test_a_rejected_request_stores_no_key(
    client: AsyncClient,
    database: Database,
    operation: str,
    body: Any,
    status: int,
) -> None:
    await create_row(client, "/authors", author(email="b"))
    for _ in range(2):
        response = await client.request(*operation.split(), json=body, headers=KEY)
        assert (response.status_code, is_replay(response)) == (status, False)
    assert await count_keys(database) == 0


@pytest.mark.usefixtures("rows")
async def test_a_failed_precondition_stores_no_key(client: AsyncClient, database: Database) -> None:
    headers = {**KEY, "if-match": '"7"'}
    response = await client.patch(f"/articles/{ARTICLE}", json={"views": 1}, headers=headers)
    assert summary(response) == "412"
    assert await count_keys(database) == 0


@pytest.mark.usefixtures("rows")
async def test_a_rejected_request_may_succeed_later_with_its_key(client: AsyncClient) -> None:
    body = article(slug="live")
    assert (
        summary(await client.post("/articles", json=body, headers=KEY)) == "409 #/slug not_unique"
    )
    assert summary(await client.delete(f"/articles/{ARTICLE}")) == "204"
    first = await client.post("/articles", json=body, headers=KEY)
    assert (first.status_code, is_replay(first)) == (201, False)
    assert is_replay(await client.post("/articles", json=body, headers=KEY))


@pytest.mark.usefixtures("rows")
async def test_the_key_of_a_rejected_request_is_reusable(client: AsyncClient) -> None:
    path = f"/articles/{ARTICLE}"
    assert summary(await client.patch(path, json={"title": 1}, headers=KEY)).startswith("422")
    first = await client.patch(path, json={"views": 5}, headers=KEY)
    assert (first.status_code, is_replay(first)) == (200, False)
    assert is_replay(await client.patch(path, json={"views": 5}, headers=KEY))


@contextmanager
def failing_event(target: Any, name: str) -> Generator[None]:
    """Raise an error in the event *name* of *target*."""

    def fail(*_: object) -> None:
        raise RuntimeError("not today")

    event.listen(target, name, fail)
    try:
        yield
    finally:
        event.remove(target, name, fail)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        pytest.param(SyncSession, "before_commit", id="before the commit"),
        pytest.param(Engine, "commit", id="at the commit"),
        pytest.param(IdempotencyKey, "before_insert", id="before the key"),
        pytest.param(IdempotencyKey, "after_insert", id="after the key"),
    ],
)
async def test_row_and_key_are_stored_together(
    client: AsyncClient, database: Database, target: Any, name: str
) -> None:
    with failing_event(target, name):
        assert summary(await client.post("/articles", json=article(), headers=KEY)) == "500"
    assert await get_json(client, "/articles") == []
    assert await count_keys(database) == 0

    first = await client.post("/articles", json=article(), headers=KEY)
    assert (first.status_code, is_replay(first)) == (201, False)
    again = await client.post("/articles", json=article(), headers=KEY)
    assert comparable(again) == comparable(first)
    assert len(await get_json(client, "/articles")) == 1
    assert await count_keys(database) == 1


@every_write
@pytest.mark.usefixtures("rows")
async def test_a_failed_commit_stores_neither_row_nor_key(
    client: AsyncClient,
    database: Database,
    operation: str,
    body: Any,
    headers: Mapping[str, str],
) -> None:
    before = await snapshot(client)
    with failing_event(SyncSession, "before_commit"):
        response = await client.request(*operation.split(), json=body, headers={**KEY, **headers})
    assert summary(response) == "500"
    assert await snapshot(client) == before
    assert await count_keys(database) == 0


async def test_a_reference_rejected_at_the_commit_stores_no_key(empty_url: str) -> None:
    async with calling(shop.create_app(empty_url)) as client:
        city = {"name": "Lisbon", "country_code": "PT"}
        response = await client.post("/cities", json=city, headers=KEY)
        assert summary(response) == "422 #/country_code reference_not_found"
        await create_row(client, "/countries", {"code": "PT", "name": "Portugal"})
        first = await client.post("/cities", json=city, headers=KEY)
        again = await client.post("/cities", json=city, headers=KEY)

    assert (first.status_code, is_replay(first)) == (201, False)
    assert comparable(again) == comparable(first)
    assert is_replay(again)


# -- expiry


async def post_author(client: AsyncClient, key: str) -> str:
    """Return `create_row`, `replayed`, or the problem of a POST with *key*."""
    headers = {"idempotency-key": key}
    response = await client.post("/authors", json=author(email=key), headers=headers)
    return "replayed" if is_replay(response) else summary(response)


async def test_keys_older_than_24_hours_are_deleted(
    client: AsyncClient, database: Database
) -> None:
    hours = {"0": 0, "23": 23, "25": 25, "500": 500}
    assert [await post_author(client, key) for key in hours] == ["201"] * 4
    async with database.session() as session:
        found = await session.scalars(select(IdempotencyKey).order_by("created_at"))
        for key, age in zip(found, hours.values(), strict=True):
            key.created_at = now() - timedelta(hours=age)
    async with database.session() as session:
        assert await delete_expired_keys(session) == 2

    taken = "409 #/email not_unique"
    expected = {"0": "replayed", "23": "replayed", "25": taken, "500": taken}
    assert {key: await post_author(client, key) for key in hours} == expected


async def test_keys_before_a_given_time_are_deleted(
    client: AsyncClient, database: Database
) -> None:
    assert await post_author(client, "k") == "201"
    async with database.session() as session:
        assert await delete_expired_keys(session) == 0
    async with database.session() as session:
        assert await delete_expired_keys(session, before=now()) == 1
    assert await count_keys(database) == 0
