"""Idempotency-Key: what is sent again is answered again, and carried out once."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any, Final, NamedTuple

import pytest
from fastapi import Depends, FastAPI, Header, Request, params
from httpx2 import AsyncClient, Response
from sqlalchemy import Engine, Select, event, func, select, text
from sqlalchemy.orm import Session as SyncSession
from typing_extensions import override

from app.articles.schemas import ArticleCreate, ArticleRead, ArticleUpdate
from app.main import create_app
from app.models import Article
from app.settings import Settings
from brickwork import Database, IdempotencyKey, Resource, Session, crud_router, install
from brickwork.database import Isolation
from brickwork.idempotency import idempotent, sweep
from brickwork.models import now
from tests.support import shop
from tests.support.bodies import (
    MERGE_PATCH,
    MISSING,
    article,
    author,
    changed,
    comment,
    create_article,
    created,
    quoted,
    shown,
    summary,
)
from tests.support.calls import calling
from tests.support.databases import Databases
from tests.support.recording import statements

pytestmark = pytest.mark.anyio

KEY: Final = "idempotency-key"
REPLAYED: Final = "idempotency-replayed"

KEYS: Final = 100
"""How many keys are raced for, each by 20 requests; 1 000 take a minute and more."""


class Write(NamedTuple):
    """A request that a key can be sent with."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = {}

    async def send(self, client: AsyncClient, key: str | None, **headers: str) -> Response:
        """Send it with *key*."""
        sent = {**self.headers, **headers} | ({} if key is None else {KEY: key})
        return await client.request(self.method, self.path, json=self.body, headers=sent)


async def writes(client: AsyncClient) -> list[Write]:
    """Return a request of every sort that a key can be sent with; all of them succeed."""
    path, row = await create_article(client)
    gone, _ = await create_article(client, slug="gone")
    assert summary(await client.delete(gone)) == "204"
    writer = await created(client, "/authors", author())
    return [
        Write("POST", "/articles", article(slug="a")),
        Write("POST", "/articles", article(slug="b"), {"prefer": "return=minimal"}),
        Write("POST", "/articles/batch", [article(slug=slug) for slug in "cde"]),
        Write("PATCH", path, {"views": 1}),
        Write("PATCH", path, {"meta": {"a": 1}}, {"content-type": MERGE_PATCH}),
        Write("PATCH", path, {"views": 2}, {"if-match": '"3"'}),
        Write("PATCH", path, {}),
        Write("PATCH", "/articles/batch", [{"id": row["id"], "views": 3, "version": 4}]),
        Write("POST", f"{gone}/restore"),
        Write("POST", "/authors", author(email="other@example.org", name="É\u2028")),
        Write("PATCH", f"/authors/{writer['id']}", {"bio": "Bricks."}),
        Write("POST", "/comments", comment(row["id"])),
        Write("POST", "/comments/batch", [comment(row["id"])]),
    ]


async def snapshot(client: AsyncClient) -> Sequence[object]:
    """Return all there is."""
    lists = ("/articles?deleted=include", "/authors", "/comments")
    return [await shown(client, f"{path}{'&' if '?' in path else '?'}limit=100") for path in lists]


def comparable(response: Response) -> tuple[int, bytes, Mapping[str, str]]:
    """Return what two answers have in common of which one repeats the other."""
    own = {"date", "x-request-id", REPLAYED}
    headers = {name: value for name, value in response.headers.items() if name not in own}
    return response.status_code, response.content, headers


def is_replay(response: Response) -> bool:
    value = response.headers.get(REPLAYED)
    assert value in {None, "true"}
    return value is not None


async def stored(url: str) -> int:
    """Return how many keys the database at *url* has."""
    database = Database(url)
    async with database.lifespan(None), database.session(readonly=True) as session:
        return await session.scalar(select(func.count()).select_from(IdempotencyKey)) or 0


class Articles(Resource[Article]): ...


def serving_articles(
    database: Database, articles: type[Resource[Article]] = Articles, *first: params.Depends
) -> FastAPI:
    """Return an application that serves *articles* from *database*."""
    app = FastAPI(lifespan=database.lifespan, dependencies=first)
    install(app)
    app.include_router(
        crud_router(
            "/articles", articles, read=ArticleRead, create=ArticleCreate, update=ArticleUpdate
        )
    )
    return app


# -- what is repeated


async def test_what_is_sent_again_is_answered_again_and_carried_out_once(
    client: AsyncClient,
) -> None:
    requests = await writes(client)
    first = [await each.send(client, f"key-{n}") for n, each in enumerate(requests)]
    assert [response.status_code for response in first if not response.is_success] == []
    assert not any(is_replay(response) for response in first)
    for row in await shown(client, "/articles?limit=100"):
        await changed(client, f"/articles/{row['id']}", {"title": "Moved on"})
    before = await snapshot(client)

    for form in ("{}", '"{}"'):
        order = random.sample(range(len(requests)), len(requests))
        for n in order:
            again = await requests[n].send(client, form.format(f"key-{n}"))
            assert is_replay(again), requests[n]
            assert comparable(again) == comparable(first[n])
    assert await snapshot(client) == before


async def test_a_replay_has_location_etag_and_applied_preference(client: AsyncClient) -> None:
    minimal = {"prefer": "return=minimal"}
    for write in (
        Write("POST", "/articles", article(slug="a")),
        Write("POST", "/articles", article(slug="b"), minimal),
    ):
        for expected in (False, True):
            response = await write.send(client, write.body["slug"])
            assert (response.status_code, is_replay(response)) == (201, expected)
            assert response.headers["location"].startswith("/articles/")
            assert response.headers["etag"] == '"1"'
            assert bool(response.content) is ("prefer" not in write.headers)
            assert response.headers.get("preference-applied") == write.headers.get("prefer")


async def test_a_replay_comes_before_preconditions_and_before_the_row(client: AsyncClient) -> None:
    path, _ = await create_article(client)
    write = Write("PATCH", path, {"views": 1}, {"if-match": '"1"'})
    first = await write.send(client, "k")
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    await changed(client, path, {"views": 7})

    assert summary(await write.send(client, None)) == "412"
    assert comparable(await write.send(client, "k")) == comparable(first)
    assert comparable(await write.send(client, "k", **{"if-match": '"9"'})) == comparable(first)
    assert (await shown(client, path))["views"] == 7
    assert summary(await client.delete(path)) == "204"
    assert comparable(await write.send(client, "k")) == comparable(first)
    assert summary(await client.delete(f"{path}?purge=true")) == "204"
    assert comparable(await write.send(client, "k")) == comparable(first)
    assert summary(await write.send(client, "other")) == "404"


async def test_an_answer_is_repeated_after_a_restart(service_url: str) -> None:
    write = Write("POST", "/articles", article())
    answers: list[Response] = []
    for _ in range(2):
        async with calling(create_app(Settings(database_url=service_url))) as client:
            answers.append(await write.send(client, "k"))

    first, again = answers
    assert comparable(again) == comparable(first)
    assert (is_replay(first), is_replay(again)) == (False, True)


async def test_a_large_answer_is_repeated_to_the_byte(client: AsyncClient) -> None:
    text = "Ünïcödé \u2028 \U0001f9f1 " * 400
    body = [article(slug=f"s-{n}", body=text) for n in range(100)]
    write = Write("POST", "/articles/batch", body)
    first = await write.send(client, "k")

    assert first.status_code == 201
    assert len(first.content) > 700_000
    assert comparable(await write.send(client, "k")) == comparable(first)


# -- what a key is

_LONG: Final = "k" * 255
GOOD: Final = (
    "k",
    "!",
    "~",
    "0",
    "a,b;c=d",
    "W/'k'",
    'W/"k"',
    'k"',
    "\\",
    "\\k",
    "{}",
    MISSING,
    _LONG,
    "k" + '"\\' * 127,
)
BAD: Final = (
    b"",
    b"two words",
    b"two\twords",
    b"two, words",
    b"\xe9",
    "é".encode(),
    b"k\x80",
    b'"',
    b'""',
    b'"k',
    b'"k"k"',
    b'""k""',
    b'"k", "k"',
    rb'"\k"',
    rb'"k\"',
    b'"k";a=1',
    b'"two words"',
    b'"\xe9"',
    (_LONG + "k").encode(),
    f'"{_LONG}k"'.encode(),
)
SEVERAL: Final = [(b"k", b"k"), (b"k", b"l"), (b"k", b""), (b'"k', b'k"'), (b'"k"', b'"k"')]


@pytest.mark.parametrize("key", GOOD)
async def test_a_key_is_up_to_255_visible_ascii_characters_bare_or_quoted(
    client: AsyncClient, key: str
) -> None:
    for first, second in ((key, quoted(key)), (quoted(key), key)):
        write = Write("POST", "/authors", author(email=f"{first[:9]}@example.org"))
        caller = {"authorization": first[:9]}
        made = await write.send(client, first, **caller)
        assert (made.status_code, is_replay(made)) == (201, False)
        again = await write.send(client, second, **caller)
        assert is_replay(again)
        assert comparable(again) == comparable(made)


async def test_what_is_no_key_is_refused_and_nothing_is_asked_of_the_database(
    client: AsyncClient,
) -> None:
    requests = await writes(client)
    before = await snapshot(client)
    complaints: list[str] = []
    with statements() as sent:
        for write in requests:
            for lines in [(key,) for key in BAD] + SEVERAL:
                headers = [(KEY.encode(), line) for line in lines]
                headers += [(k.encode(), v.encode()) for k, v in write.headers.items()]
                response = await client.request(
                    write.method, write.path, json=write.body, headers=headers
                )
                if summary(response) != "400 Idempotency-Key key":
                    complaints.append(f"{write.method} {write.path} {lines}: {summary(response)}")
    assert not complaints, "\n".join(complaints)
    assert sent == []
    assert await snapshot(client) == before


async def test_the_schema_is_checked_before_the_key_and_the_key_before_the_row(
    client: AsyncClient,
) -> None:
    missing = f"/articles/{MISSING}"
    for write, key, answer in (
        (Write("POST", "/articles", {"slug": "a"}), "two words", "422 #/title missing"),
        (Write("POST", "/articles", []), "two words", "422 # object_type"),
        (Write("PATCH", missing, {"views": -1}), "", "422 #/views greater_than_equal"),
        (Write("PATCH", missing, {}), "two words", "400 Idempotency-Key key"),
        (Write("PATCH", missing, {}), "k", "404"),
        (Write("PATCH", missing, {}, {"if-match": "1"}), "k", "400 If-Match etag"),
        (Write("POST", f"{missing}/restore"), "two words", "400 Idempotency-Key key"),
        (Write("POST", f"{missing}/restore"), "k", "404"),
    ):
        assert summary(await write.send(client, key)) == answer, write


async def test_a_key_says_nothing_on_other_methods(client: AsyncClient) -> None:
    path, row = await create_article(client)
    for key in ("k", "two words"):
        for method in ("GET", "HEAD", "OPTIONS"):
            assert (await Write(method, path).send(client, key)).is_success
        for title in ("One", "Two"):
            response = await Write("PUT", path, article(title=title)).send(client, key)
            assert (response.status_code, is_replay(response)) == (200, False)
            assert response.json()["title"] == title
        assert summary(await Write("DELETE", path).send(client, key)) == "204"
        assert summary(await Write("DELETE", path).send(client, key)) == "404"
        ids = f"/articles/batch?id={row['id']}"
        assert summary(await Write("POST", f"{path}/restore").send(client, None)) == "200"
        assert summary(await Write("DELETE", ids).send(client, key)) == "204"
        assert summary(await Write("POST", f"{path}/restore").send(client, None)) == "200"


# -- what a key is of


async def test_a_key_is_of_one_payload(client: AsyncClient) -> None:
    path, row = await create_article(client)
    gone, _ = await create_article(client, slug="gone")
    assert summary(await client.delete(gone)) == "204"
    pairs: list[tuple[Write, Sequence[object]]] = [
        (
            Write("POST", "/articles", article(slug="a")),
            [article(slug="b"), article(slug="a", views=1)],
        ),
        (Write("POST", "/articles/batch", [article(slug="c")]), [[article(slug="d")]]),
        (Write("PATCH", path, {"views": 1}), [{"views": 2}, {}]),
        (Write("PATCH", "/articles/batch", [{"id": row["id"], "views": 3}]), [[{"id": row["id"]}]]),
    ]
    for number, (write, others) in enumerate(pairs):
        first = await write.send(client, f"k{number}")
        assert first.is_success
        before = await snapshot(client)
        for other in others:
            response = await write._replace(body=other).send(client, f'"k{number}"')
            assert summary(response) == "422"
            assert response.json()["type"] == "/problems/idempotency_key_reused"
            assert not is_replay(response)
        assert comparable(await write.send(client, f"k{number}")) == comparable(first)
        assert await snapshot(client) == before


async def test_a_key_is_of_one_method_path_and_caller(client: AsyncClient) -> None:
    paths = [(await create_article(client, slug=slug))[0] for slug in "ab"]
    row = await shown(client, paths[0])
    ann, bob = {"authorization": "Bearer ann"}, {"authorization": "Bearer bob"}
    item = {"id": row["id"], "views": 2}
    requests = [
        Write("PATCH", paths[0], {"views": 1}),
        Write("PATCH", paths[1], {"views": 1}),
        Write("PATCH", paths[0], {"views": 2}, ann),
        Write("PATCH", paths[0], {"views": 3}, bob),
        Write("PATCH", "/articles/batch", [item]),
        Write("POST", "/articles/batch", [article(slug="c")]),
        Write("POST", "/articles", article(slug="d")),
        Write("POST", "/articles", article(slug="e"), ann),
        Write("POST", "/authors", author()),
    ]
    first = [await each.send(client, "k") for each in requests]

    assert [(each.is_success, is_replay(each)) for each in first] == [(True, False)] * len(first)
    for write, answer in zip(requests, first, strict=True):
        slashed = write._replace(path=f"{write.path}/")
        assert comparable(await write.send(client, "k")) == comparable(answer)
        assert is_replay(await slashed.send(client, "k"))


async def test_where_nobody_says_who_is_asking_credentials_do(client: AsyncClient) -> None:
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
        body = author(email=f"{number}@example.org")
        for replayed in (False, True):
            response = await client.post("/authors", json=body, headers=[(KEY, "k"), *caller])
            assert (response.status_code, is_replay(response)) == (201, replayed), caller


def user(user: Annotated[str, Header()]) -> str:
    return user


class Own(Resource[Article]):
    """Articles, of which it is known who writes them."""

    user: Annotated[str, Depends(user)]

    @override
    def actor(self) -> str:
        return self.user


class Titled(Own):
    """Articles, of which a user sees those with one title, of today."""

    title: Annotated[str, Header()]

    @override
    def query(self) -> Select[Article]:
        seen = (Article.title == self.title) & (Article.created_at <= now())
        return super().query().where(seen)


async def test_a_key_is_of_one_user_whatever_they_show_for_it(service_url: str) -> None:
    async with calling(serving_articles(Database(service_url), Own)) as client:
        for name in ("ann", "bob"):
            write = Write("POST", "/articles", article(slug=name), {"user": name})
            first = await write.send(client, "k", authorization="Bearer 1", cookie="a=1")
            assert (first.status_code, is_replay(first)) == (201, False)
            again = await write.send(client, "k", authorization="Bearer 2", cookie="a=2")
            assert is_replay(again)
            assert comparable(again) == comparable(first)


async def test_a_key_is_of_one_scope_whoever_is_asking(service_url: str) -> None:
    async with calling(serving_articles(Database(service_url), Titled)) as client:
        for title in ("One", "Two"):
            for write in (
                Write("POST", "/articles", article(title=title, slug=title.lower())),
                Write("POST", "/articles/batch", [article(title=title, slug=f"{title.lower()}-b")]),
            ):
                headers = {"user": "ann", "title": title}
                first = await write.send(client, "k", **headers)
                assert (first.status_code, is_replay(first)) == (201, False)
                again = await write.send(client, "k", **headers)
                assert is_replay(again)
                assert comparable(again) == comparable(first)


async def test_tenants_never_share_a_key(empty_url: str) -> None:
    async with calling(shop.create_app(empty_url)) as client:
        write = Write("POST", "/cities", {"name": "Lisbon"})
        answers = [
            await write.send(client, "k", tenant=tenant) for tenant in ("a", "b", "", "a", "b")
        ]

    assert [is_replay(each) for each in answers] == [False, False, False, True, True]
    assert len({each.json()["id"] for each in answers}) == 3


async def test_an_application_with_metadata_of_its_own_takes_keys_too(empty_url: str) -> None:
    async with calling(shop.create_app(empty_url)) as client:
        write = Write("POST", "/cities", {"name": "Lisbon"})
        first = await write.send(client, "k")

        assert first.status_code == 201
        assert comparable(await write.send(client, "k")) == comparable(first)


# -- what is not stored


async def test_of_a_request_that_is_refused_nothing_is_stored(
    client: AsyncClient, service_url: str
) -> None:
    path, row = await create_article(client)
    _, taken = await create_article(client, slug="taken")
    refused = [
        (Write("POST", "/articles", {}), 422),
        (Write("POST", "/articles", article(slug="taken")), 409),
        (Write("POST", "/articles", article(slug="a", author_id=MISSING)), 422),
        (Write("POST", "/articles/batch", [article(slug="a"), article(slug="taken")]), 409),
        (Write("POST", "/articles/batch", []), 422),
        (Write("PATCH", path, {"slug": "taken"}), 409),
        (Write("PATCH", path, {"views": 1}, {"if-match": '"7"'}), 412),
        (Write("PATCH", path, {"author_id": MISSING}), 422),
        (Write("PATCH", f"/articles/{MISSING}", {}), 404),
        (Write("PATCH", "/articles/batch", [{"id": row["id"], "version": 7}]), 412),
        (Write("PATCH", "/articles/batch", [{"id": MISSING}]), 404),
        (Write("POST", f"{path}/restore"), 409),
        (Write("POST", f"/articles/{MISSING}/restore"), 404),
        (Write("POST", "/comments", comment(MISSING)), 422),
    ]
    for write, status in refused:
        for _ in range(2):
            response = await write.send(client, "k")
            assert (response.status_code, is_replay(response)) == (status, False), write
    assert await stored(service_url) == 0

    # What stood in the way is gone: the same requests are carried out, or others with their key.
    assert summary(await client.delete(f"/articles/{taken['id']}")) == "204"
    for write, _ in refused[1:2]:
        assert [(await write.send(client, "k")).status_code for _ in range(2)] == [201, 201]
    other = Write("PATCH", path, {"views": 5})
    assert [is_replay(await other.send(client, "k")) for _ in range(2)] == [False, True]
    assert await stored(service_url) == 2


@contextmanager
def failing(target: Any, name: str) -> Generator[None]:
    """Have *name* of *target* fail."""

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
        (SyncSession, "before_commit"),
        (Engine, "commit"),
        (IdempotencyKey, "before_insert"),
        (IdempotencyKey, "after_insert"),
    ],
)
async def test_row_and_key_are_stored_together_or_not_at_all(
    client: AsyncClient, service_url: str, target: Any, name: str
) -> None:
    requests = await writes(client)
    before = await snapshot(client)
    with failing(target, name):
        for write in requests:
            if not write.headers.keys() & {"if-match"} and write.path != "/articles/batch":
                assert summary(await write.send(client, "k")) == "500"
    assert await snapshot(client) == before
    assert await stored(service_url) == 0

    first = await requests[0].send(client, "k")
    assert (first.status_code, is_replay(first)) == (201, False)
    assert comparable(await requests[0].send(client, "k")) == comparable(first)
    assert len(await shown(client, "/articles")) == 2
    assert await stored(service_url) == 1


async def test_a_reference_that_is_refused_at_the_commit_stores_no_key(empty_url: str) -> None:
    async with calling(shop.create_app(empty_url)) as client:
        write = Write("POST", "/cities", {"name": "Lisbon", "country_code": "PT"})
        for _ in range(2):
            assert (
                summary(await write.send(client, "k")) == "422 #/country_code reference_not_found"
            )
        assert summary(await client.post("/countries", json={"code": "PT", "name": "P"})) == "201"
        answers = [await write.send(client, "k") for _ in range(2)]

    assert [(each.status_code, is_replay(each)) for each in answers] == [(201, False), (201, True)]


# -- at once


def tally(answers: Sequence[Response]) -> Counter[str]:
    """Return how often a request was carried out, repeated, or told to come again."""
    counts: Counter[str] = Counter()
    for each in answers:
        if each.status_code == 409:
            assert summary(each) == "409"
            assert each.json()["type"] == "/problems/still_running"
            assert each.headers["retry-after"] == "1"
            counts["later"] += 1
        else:
            assert each.status_code == 201, each.text
            counts["replay" if is_replay(each) else "made"] += 1
    assert len({each.content for each in answers if each.is_success}) == 1
    return counts


async def test_of_many_at_once_with_one_key_one_is_carried_out(
    client: AsyncClient, backend: str, record_property: Callable[[str, object], None]
) -> None:
    free = asyncio.Semaphore(40)  # each has a connection, or waits for one a moment

    async def send(number: int) -> Response:
        async with free:
            return await Write("POST", "/articles", article(slug=f"s-{number}")).send(
                client, f"key-{number}"
            )

    numbers = [number for number in range(KEYS) for _ in range(20)]
    answers = await asyncio.gather(*(send(number) for number in numbers))

    tallies = [tally(answers[number * 20 : number * 20 + 20]) for number in range(KEYS)]
    assert [each["made"] for each in tallies] == [1] * KEYS
    count = await client.get("/articles?count=exact&limit=1")
    assert count.headers["x-total-count"] == str(KEYS)
    answered = dict(sum(tallies, Counter[str]()))
    record_property(f"{KEYS} keys by 20 requests each on {backend}", answered)


async def test_it_does_not_matter_which_process_is_asked(service_url: str) -> None:
    apps = [create_app(Settings(database_url=service_url)) for _ in range(2)]
    async with calling(apps[0]) as one, calling(apps[1]) as other:
        for number in range(10):
            write = Write("POST", "/articles", article(slug=f"s-{number}"))
            both = [write.send(client, f"k{number}") for client in (one, other) * 8]
            assert tally(await asyncio.gather(*both))["made"] == 1
        assert len(await shown(one, "/articles")) == 10


async def test_while_the_first_is_carried_out_the_others_wait_or_are_told_to(
    service_url: str, backend: str
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Resource[Article]):
        @override
        async def create(self, row: Article, /) -> None:
            await super().create(row)
            await self.session.flush()
            begun.set()
            await go_on.wait()

    write = Write("POST", "/articles", article())
    async with calling(serving_articles(Database(service_url), Slow)) as client:
        first = asyncio.create_task(write.send(client, "k"))
        await begun.wait()
        second = asyncio.create_task(write.send(client, '"k"'))
        if backend == "postgresql":
            for each in (
                await second,
                await write._replace(body=article(slug="b")).send(client, "k"),
            ):
                assert summary(each) == "409"
                assert each.json()["type"] == "/problems/still_running"
                assert each.headers["retry-after"] == "1"
                assert not is_replay(each)
        else:  # where there is one writer at a time, and others stand in line
            await asyncio.sleep(0.1)
            assert not second.done()
        go_on.set()
        made = await first
        again = await (second if backend == "sqlite" else write.send(client, "k"))

    assert (made.status_code, is_replay(made)) == (201, False)
    assert is_replay(again)
    assert comparable(again) == comparable(made)


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_who_began_before_the_first_was_done_is_answered_as_it_was(
    databases: Databases, isolation: Isolation
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def linger(session: Session, linger: Annotated[str, Header()] = "") -> None:
        await session.execute(text("SELECT"))
        if linger:
            begun.set()
            await go_on.wait()

    database = Database(databases.migrated("postgresql"), isolation=isolation)
    app = serving_articles(database, Articles, Depends(linger))
    async with calling(app) as client:
        for number, body in enumerate((article(slug="a"), [article(slug="b")])):
            write = Write("POST", "/articles/batch" if number else "/articles", body)
            late = asyncio.create_task(write.send(client, "k", linger="yes"))
            await begun.wait()
            first = await write.send(client, "k")
            go_on.set()
            again = await late

            assert (first.status_code, is_replay(first)) == (201, False)
            assert is_replay(again)
            assert comparable(again) == comparable(first)
            begun.clear()
            go_on.clear()
        assert len(await shown(client, "/articles")) == 2


async def test_a_batch_that_is_tried_item_by_item_keeps_its_key(databases: Databases) -> None:
    others: list[asyncio.Task[Response]] = []
    titles: list[object] = []

    class Noting(Resource[Article]):
        @override
        async def update(self, row: Article, /, changes: Mapping[str, Any]) -> None:
            titles.append(row.title)
            if len(titles) == 3:  # the first that is tried alone
                others.append(asyncio.create_task(write.send(client, "k")))
                await asyncio.sleep(0.1)
            await super().update(row, changes)

    database = Database(databases.migrated("postgresql"))
    async with calling(serving_articles(database, Noting)) as client:
        a, b = [await created(client, "/articles", article(slug=slug)) for slug in "ab"]
        items = [
            {"id": b["id"], "slug": "c", "version": 1},
            {"id": a["id"], "slug": "b", "version": 1},
        ]
        write = Write("PATCH", "/articles/batch", items)
        first = await write.send(client, "k")
        (other,) = await asyncio.gather(*others)
        again = await write.send(client, "k")

    assert (first.status_code, is_replay(first)) == (200, False)
    assert other.json()["type"] == "/problems/still_running"
    assert comparable(again) == comparable(first)


async def test_a_batch_whose_key_another_took_meanwhile_is_carried_out_anew(
    databases: Databases, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    async def taken(request: Request, rows: Resource[Any]) -> object:
        calls.append(request.method)
        # The second time is that before the items are tried one by one.
        return object() if len(calls) == 2 else await idempotent(request, rows)

    monkeypatch.setattr("brickwork.batches.idempotent", taken)
    database = Database(databases.migrated(backend))
    async with calling(serving_articles(database)) as client:
        a, b = [await created(client, "/articles", article(slug=slug)) for slug in "ab"]
        items = [{"id": b["id"], "slug": "c"}, {"id": a["id"], "slug": "b"}]
        response = await Write("PATCH", "/articles/batch", items).send(client, "k")
    assert response.status_code == 200
    assert (len(calls), database.retries) == (4, 1)


async def test_when_the_first_fails_the_next_is_carried_out(service_url: str) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    attempts: list[Article] = []

    class Failing(Resource[Article]):
        @override
        async def create(self, row: Article, /) -> None:
            await super().create(row)
            attempts.append(row)
            if len(attempts) == 1:
                begun.set()
                await go_on.wait()
                raise RuntimeError("not today")

    write = Write("POST", "/articles", article())
    async with calling(serving_articles(Database(service_url), Failing)) as client:
        first = asyncio.create_task(write.send(client, "k"))
        await begun.wait()
        second = asyncio.create_task(write.send(client, "k"))
        await asyncio.sleep(0.05)
        go_on.set()
        assert summary(await first) == "500"
        assert (await second).status_code in {201, 409}  # in line, or told to come again
        last = await write.send(client, "k")

        assert last.status_code == 201
        assert len(await shown(client, "/articles")) == 1
    assert len(attempts) == 2


# -- for how long


async def test_old_keys_are_swept_and_no_others(client: AsyncClient, service_url: str) -> None:
    ages = [timedelta(hours=each) for each in (0, 23, 25, 500)]
    answers = [
        await Write("POST", "/authors", author(email=f"{n}@example.org")).send(client, f"k{n}")
        for n in range(len(ages))
    ]
    database = Database(service_url)
    async with database.lifespan(None):
        async with database.session() as session:
            found = await session.scalars(select(IdempotencyKey).order_by("created_at"))
            for key, age in zip(found, ages, strict=True):
                key.created_at = now() - age
        async with database.session() as session:
            assert await sweep(session) == 2
        async with database.session() as session:
            assert await sweep(session) == 0

        for n, answer in enumerate(answers):
            again = await Write("POST", "/authors", author(email=f"{n}@example.org")).send(
                client, f"k{n}"
            )
            if n < 2:
                assert comparable(again) == comparable(answer)
            else:  # the row is there, and the key is as good as new
                assert summary(again) == "409 #/email not_unique"
        async with database.session() as session:
            assert await sweep(session, before=now()) == 2
    assert await stored(service_url) == 0
