"""Retries after serialization failures."""

from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from httpx2 import AsyncClient
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from app.articles.models import Article
from tests.support.bodies import article, create_article, get_json, summary, version_tag
from tests.support.contention import ATTEMPTS, contention
from tests.support.recording import statements

B = article(slug="b")


@pytest.fixture
async def path(client: AsyncClient) -> str:
    """Return the path of an article with the slug `a`."""
    path, _ = await create_article(client, slug="a")
    return path


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the pauses between attempts."""
    monkeypatch.setattr("brickwork.database.retry._PAUSE", 0)


async def slugs_and_versions(client: AsyncClient) -> list[str]:
    return [f"{row['slug']} {row['version']}" for row in await get_json(client, "/articles")]


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "rows"),
    [
        pytest.param("POST", "/articles", B, 201, ["a 1", "b 1"], id="POST"),
        pytest.param("PATCH", "{path}", {"slug": "b"}, 200, ["b 2"], id="PATCH"),
        pytest.param("PUT", "{path}", B, 200, ["b 2"], id="PUT"),
        pytest.param("DELETE", "{path}", None, 204, [], id="DELETE"),
        pytest.param("POST", "/articles/batch", [B], 201, ["a 1", "b 1"], id="POST batch"),
        pytest.param("DELETE", "/articles/batch?id={key}", None, 204, [], id="DELETE batch"),
        pytest.param("GET", "{path}", None, 200, ["a 1"], id="GET"),
        pytest.param("HEAD", "{path}", None, 200, ["a 1"], id="HEAD"),
    ],
)
async def test_request_takes_effect_once_after_two_failures(  # noqa: PLR0913, PLR0917 — a case
    client: AsyncClient,
    path: str,
    method: str,
    target: str,
    body: object,
    status: int,
    rows: list[str],
) -> None:
    target = target.format(path=path, key=path.rpartition("/")[2])
    with contention(2) as commits:
        response = await client.request(method, target, json=body)

    assert (response.status_code, commits) == (status, [1, 2, 3])
    assert await slugs_and_versions(client) == rows


async def test_patch_of_a_batch_takes_effect_once(client: AsyncClient, path: str) -> None:
    items = [{"id": path.rpartition("/")[2], "slug": "b"}]
    with contention(2) as commits:
        response = await client.patch("/articles/batch", json=items)

    assert (response.status_code, commits) == (200, [1, 2, 3])
    assert await slugs_and_versions(client) == ["b 2"]


@pytest.mark.usefixtures("no_pauses")
async def test_request_fails_after_eight_attempts(client: AsyncClient, path: str) -> None:
    with contention(100) as commits:
        response = await client.patch(path, json={"slug": "b"})

    assert summary(response) == "503"
    assert response.headers["retry-after"] == "1"
    assert len(commits) == ATTEMPTS
    assert await slugs_and_versions(client) == ["a 1"]


async def test_concurrently_changed_row_is_read_again(client: AsyncClient, path: str) -> None:
    flushes: list[Session] = []

    def overtake(session: Session, *_: object) -> None:
        flushes.append(session)
        if len(flushes) <= 2:
            session.connection().execute(update(Article).values(version=Article.version + 1))

    event.listen(Session, "before_flush", overtake)
    try:
        response = await client.patch(path, json={"slug": "b"})
    finally:
        event.remove(Session, "before_flush", overtake)

    assert response.status_code == 200
    assert len(flushes) == 3
    assert await slugs_and_versions(client) == ["b 2"]


async def test_precondition_is_checked_again(
    client: AsyncClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def overtake(_: float) -> None:
        await client.patch(path, json={"views": 1})

    monkeypatch.setattr("brickwork.database.retry.asyncio", SimpleNamespace(sleep=overtake))
    with contention(1):
        response = await client.patch(path, json={"slug": "b"}, headers={"if-match": '"1"'})

    assert (summary(response), version_tag(response)) == ("412", '"2"')
    assert await slugs_and_versions(client) == ["a 2"]


async def test_body_is_read_once(client: AsyncClient) -> None:
    async def in_parts() -> AsyncIterator[bytes]:
        for part in (b'{"title": "A", ', b'"slug"', b": ", b'"a"}'):
            yield part

    with contention(1) as commits:
        headers = {"content-type": "application/json"}
        response = await client.post("/articles", content=in_parts(), headers=headers)

    assert (response.status_code, commits) == (201, [1, 2])
    assert await slugs_and_versions(client) == ["a 1"]


@pytest.mark.parametrize(("target", "body"), [("/articles", B), ("/articles/batch", [B])])
async def test_response_of_the_last_attempt_is_replayed(
    client: AsyncClient, target: str, body: object
) -> None:
    key = {"idempotency-key": "k"}
    with contention(1) as commits:
        first = await client.post(target, json=body, headers=key)
    again = await client.post(target, json=body, headers=key)

    assert (first.status_code, again.status_code, commits) == (201, 201, [1, 2])
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content


@pytest.mark.parametrize(
    ("headers", "body", "answer"),
    [
        pytest.param({}, {"slug": "b"}, "409 #/slug not_unique", id="a taken value"),
        pytest.param({"if-match": '"7"'}, {"slug": "c"}, "412", id="another version"),
    ],
)
async def test_rejected_request_is_not_retried(
    client: AsyncClient, path: str, headers: dict[str, str], body: object, answer: str
) -> None:
    await create_article(client, slug="b")
    with statements() as sent:
        response = await client.patch(path, json=body, headers=headers)

    assert summary(response) == answer
    assert len([statement for statement in sent if statement.startswith("SELECT")]) == 1
