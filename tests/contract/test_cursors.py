"""Cursors: validity, signatures and links."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import article, author, comment, create_row, get_json, summary
from tests.support.paging import INVALID, QUERIES, create_articles, cursor, summary_with
from tests.support.rows import get_ok, link_target, pages

pytestmark = pytest.mark.anyio

SORTS: Final = ("", "title", "-rating", "rating,-title", "-published_at,views", "created_at")


async def slugs(client: AsyncClient, path: str | None) -> list[str]:
    """Return the slugs on the page at *path*."""
    assert path
    return [row["slug"] for row in await get_json(client, path)]


async def sorted_slugs(client: AsyncClient, sort: str) -> list[str]:
    return await slugs(client, f"/articles?limit=100{sort}")


async def delete(client: AsyncClient, *unwanted: str) -> None:
    """Delete the articles that have the slugs *unwanted*."""
    for row in await get_json(client, "/articles?limit=100"):
        if row["slug"] in unwanted:
            assert (await client.delete(f"/articles/{row['id']}")).status_code == 204


def last_letter_changed(text: str) -> str:
    return text[:-1] + ("A" if text[-1] != "A" else "B")


CHANGES: Final[Mapping[str, Callable[[str], str]]] = {
    "the first letter changed": lambda text: f"{'AB'[text[0] == 'A']}{text[1:]}",
    "the tenth": lambda text: f"{text[:9]}{'AB'[text[9] == 'A']}{text[10:]}",
    "the last": last_letter_changed,
    "the last letter cut": lambda text: text[:-1],
    "half": lambda text: text[: len(text) // 2],
    "the first letter cut": lambda text: text[1:],
    "a letter more": lambda text: f"{text}A",
    "padded": lambda text: f"{text}=",
    "padded twice": lambda text: f"{text}==",
    "a line break more": lambda text: f"{text}\n",
    "a letter beyond ASCII more": lambda text: f"{text}é",
    "a space before": lambda text: f" {text}",
    "a dot in it": lambda text: f"{text[:9]}.{text[9:]}",
    "twice": lambda text: text * 2,
    "nothing": lambda _: "",
    "another document": lambda _: "W10",
    "words": lambda _: "no cursor",
    "long": lambda _: "A" * 4_000,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_an_altered_cursor_is_invalid(
    client: AsyncClient, change: Callable[[str], str]
) -> None:
    await create_articles(client, 3)
    path = "/articles?sort=-rating,title&limit=1"
    text = await cursor(client, path)
    assert change(text) != text
    assert await summary_with(client, path, text) == "200"
    assert await summary_with(client, path, change(text)) == INVALID


@pytest.mark.parametrize("rel", ["next", "prev", "last"])
async def test_a_cursor_of_each_link_is_signed(client: AsyncClient, rel: str) -> None:
    await create_articles(client, 5)
    path = "/articles?sort=-rating,title&limit=2&count=exact"
    second = link_target(await get_ok(client, path), "next") or ""
    text = await cursor(client, second, rel)
    assert await summary_with(client, path, text) == "200"
    assert await summary_with(client, path, last_letter_changed(text)) == INVALID


@pytest.mark.parametrize(("query", "other"), [*pairwise([*QUERIES, QUERIES[0]])])
async def test_a_cursor_is_invalid_with_another_query(
    client: AsyncClient, query: str, other: str
) -> None:
    await create_articles(client)
    text = await cursor(client, f"/articles?limit=1&{query}")
    assert await summary_with(client, f"/articles?limit=1&{query}", text) == "200"
    assert await summary_with(client, f"/articles?limit=1&{other}", text) == INVALID


@pytest.mark.parametrize("sort", ["", "&sort=created_at", "&sort=-created_at"])
async def test_a_cursor_is_invalid_for_another_resource(client: AsyncClient, sort: str) -> None:
    rows = await create_articles(client, 2)
    for email in ("a@example.org", "b@example.org"):
        await create_row(client, "/authors", author(email=email))
        await create_row(client, "/comments", comment(rows[0]["id"]))
    paths = [f"{path}?limit=1{sort}" for path in ("/authors", "/articles", "/comments")]
    cursors = {path: await cursor(client, path) for path in paths}
    for path in paths:
        answers = {
            source: await summary_with(client, path, text) for source, text in cursors.items()
        }
        assert answers == dict.fromkeys(paths, INVALID) | {path: "200"}, path


async def test_the_limit_may_change_between_pages(client: AsyncClient) -> None:
    await create_articles(client)
    for sort in SORTS:
        query = f"&sort={sort}" if sort else ""
        expected = await sorted_slugs(client, query)
        text, found = await cursor(client, f"/articles?limit=1{query}"), expected[:1]
        for limit in (2, 1, 3):
            path = f"/articles?limit={limit}{query}&cursor={text}"
            found += await slugs(client, path)
            text = await cursor(client, path)
        path = f"/articles?limit=100{query}&cursor={text}"
        assert found + await slugs(client, path) == expected
        back = await cursor(client, path, "prev")
        assert await slugs(client, f"/articles?limit=4{query}&cursor={back}") == expected[3:7]
        assert await slugs(client, f"/articles?limit=99{query}&cursor={back}") == expected[:7]


async def test_parameters_may_come_in_another_order(
    client: AsyncClient,
) -> None:
    await create_articles(client, 4)
    text = await cursor(client, "/articles?limit=1&views=0&sort=title&slug__ne=x")
    path = f"/articles?cursor={text}&slug__ne=x&sort=title&limit=2&views=0"
    assert await slugs(client, path) == ["s-2", "s-1"]


@pytest.mark.parametrize("sort", SORTS)
async def test_a_cursor_survives_the_deletion_of_rows_around_it(
    client: AsyncClient, sort: str
) -> None:
    await create_articles(client)
    query = f"&sort={sort}" if sort else ""
    rows = await sorted_slugs(client, query)
    first = await get_ok(client, f"/articles?limit=3{query}")
    second = await get_ok(client, link_target(first, "next") or "")
    ahead, back = link_target(first, "next"), link_target(second, "prev")

    await delete(client, rows[2])
    assert await slugs(client, ahead) == rows[3:6]
    assert await slugs(client, back) == rows[:2]
    await delete(client, rows[3])
    assert await slugs(client, ahead) == rows[4:7]
    assert await slugs(client, back) == rows[:2]
    await delete(client, rows[0], *rows[4:8])
    assert await slugs(client, ahead) == rows[8:]
    assert await slugs(client, back) == rows[1:2]


@pytest.mark.parametrize("sort", SORTS)
async def test_a_page_of_deleted_rows_is_empty(client: AsyncClient, sort: str) -> None:
    await create_articles(client)
    query = f"&sort={sort}" if sort else ""
    rows = await sorted_slugs(client, query)
    first = await get_ok(client, f"/articles?limit=3{query}")
    second = await get_ok(client, link_target(first, "next") or "")
    third = await get_ok(client, link_target(second, "next") or "")

    await delete(client, *rows[6:])
    last = await get_ok(client, link_target(second, "next") or "")
    assert (last.json(), link_target(last, "next")) == ([], None)
    assert await slugs(client, link_target(third, "prev")) == rows[3:6]
    await delete(client, *rows[:3])
    before = await get_ok(client, link_target(second, "prev") or "")
    assert (before.json(), link_target(before, "prev")) == ([], None)
    await delete(client, *rows)
    for response, rel in ((first, "next"), (second, "prev"), (second, "next"), (third, "prev")):
        assert await slugs(client, link_target(response, rel)) == []


async def test_a_new_row_after_a_cursor_is_on_its_page(client: AsyncClient) -> None:
    await create_articles(client, 4)
    text = await cursor(client, "/articles?limit=2&sort=slug")
    for slug in ("s-1-0", "s-0-0"):
        await create_row(client, "/articles", article(slug=slug))
    path = f"/articles?limit=2&sort=slug&cursor={text}"
    assert await slugs(client, path) == ["s-1-0", "s-2"]


@pytest.mark.parametrize("sort", SORTS)
async def test_the_ends_of_a_list_have_no_further_links(client: AsyncClient, sort: str) -> None:
    await create_articles(client)
    query = f"&count=exact&sort={sort}" if sort else "&count=exact"
    for limit in (3, 8, 9):
        path = f"/articles?limit={limit}{query}"
        forward = [page async for page in pages(client, path, "next")]
        backward = [page async for page in pages(client, str(forward[-1].request.url), "prev")]
        assert [bool(link_target(page, "prev")) for page in forward] == [
            False,
            *[True] * len(forward[1:]),
        ]
        assert [bool(link_target(page, "next")) for page in backward] == [
            False,
            *[True] * len(forward[1:]),
        ]
        assert link_target(backward[-1], "prev") is None
        last = await get_ok(client, link_target(forward[0], "last") or "")
        assert last.json()[-1] == forward[-1].json()[-1]
        assert link_target(last, "next") is None


async def test_a_cursor_and_an_offset_exclude_each_other(articles: AsyncClient) -> None:
    await create_articles(articles, 4)
    text = await cursor(articles, "/articles?limit=1")
    for query in (f"cursor={text}&offset=1", f"offset=1&cursor={text}", f"cursor={text}&offset=0"):
        answer = summary(await articles.get(f"/articles?limit=1&{query}"))
        assert answer.startswith("422 ?"), query
        assert "cursor" in answer, query


async def test_links_have_a_cursor_unless_the_request_has_an_offset(articles: AsyncClient) -> None:
    await create_articles(articles)
    for query, name in (("", "cursor"), ("&offset=0", "offset"), ("&offset=3", "offset")):
        response = await get_ok(articles, f"/articles?limit=2{query}")
        for rel in ("next", "prev")[: 2 if "3" in query else 1]:
            found = parse_qs(urlsplit(link_target(response, rel) or "").query)
            assert found.keys() == {"limit", name}
    response = await get_ok(articles, link_target(response, "next") or "")
    assert await slugs(articles, link_target(response, "first")) == ["s-0", "s-1"]


async def test_a_repeated_cursor_is_rejected(client: AsyncClient) -> None:
    await create_articles(client, 3)
    text = await cursor(client, "/articles?limit=1")
    answer = summary(await client.get(f"/articles?cursor={text}&cursor={text}"))
    assert answer == "422 ?cursor repeated"


async def test_an_invalid_cursor_is_a_bad_request(client: AsyncClient) -> None:
    problem = (await client.get("/articles?cursor=x")).json()
    assert (problem["status"], problem["type"]) == (400, "/problems/invalid_cursor")
    assert [error["parameter"] for error in problem["errors"]] == ["cursor"]
    assert (await client.get("/problems/invalid_cursor")).status_code == 200
