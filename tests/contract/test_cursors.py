"""Cursors: each is good for the list that gave it, whatever became of its rows, and no other."""

from string import ascii_letters, digits
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import Body, article, created, shown, summary
from tests.support.rows import got, linked, pages

pytestmark = pytest.mark.anyio

LETTERS = f"{ascii_letters}{digits}-_"
INVALID: Final = "400 ?cursor invalid_cursor"
SORTS = ("", "title", "-rating", "rating,-title", "-published_at,views", "created_at")


async def filled(client: AsyncClient, count: int = 9) -> list[Body]:
    """Return *count* new articles, with ties and NULLs in what they are sorted by."""
    return [
        await created(
            client,
            "/articles",
            article(
                title="ab"[number % 2],
                slug=f"s-{number}",
                rating=(None, 1.5, 0.1)[number % 3],
                published_at=(None, "2024-02-29T12:00:00.000001Z")[number % 2],
            ),
        )
        for number in range(count)
    ]


async def cursor(client: AsyncClient, path: str, rel: str = "next") -> str:
    """Return the cursor in the link *rel* of the page at *path*."""
    url = linked(await got(client, path), rel)
    assert url
    return parse_qs(urlsplit(url).query)["cursor"][0]


async def with_cursor(client: AsyncClient, path: str, text: str) -> str:
    """Return what is told of the list at *path* with *text* as its cursor."""
    response = await client.get(f"{path}&{urlencode({'cursor': text})}")
    if response.status_code == 400:
        assert response.json()["type"] == "/problems/invalid_cursor"
    return summary(response)


async def slugs(client: AsyncClient, path: str | None) -> list[str]:
    """Return the slugs on the page at *path*."""
    assert path
    return [row["slug"] for row in await shown(client, path)]


async def sorted_slugs(client: AsyncClient, sort: str) -> list[str]:
    return await slugs(client, f"/articles?limit=100{sort}")


async def delete(client: AsyncClient, *unwanted: str) -> None:
    """Delete the articles that have the slugs *unwanted*."""
    for row in await shown(client, "/articles?limit=100"):
        if row["slug"] in unwanted:
            assert (await client.delete(f"/articles/{row['id']}")).status_code == 204


def altered(text: str) -> dict[str, str]:
    """Return other texts than the cursor *text*, by what was done to it."""
    others = {
        f"{place} changed": text[:place] + LETTERS[LETTERS.index(each) - 1] + text[place + 1 :]
        for place, each in enumerate(text)
    }
    others |= {f"cut to {length}": text[:length] for length in range(len(text))}
    others |= {f"ends in {each}": text[:-1] + each for each in LETTERS if each != text[-1]}
    others |= {f"{each!r} added": text + each for each in (*"A=-+ \n.é中", "==", "===", text)}
    others |= {f"{each!r} before": each + text for each in "A= \n"}
    middle = len(text) // 2
    others |= {f"{each!r} in it": text[:middle] + each + text[middle:] for each in "A=+/ \n.,é"}
    return others | {"nothing": "", "short": "W10", "words": "no cursor", "long": "A" * 4000}


@pytest.mark.parametrize("rel", ["next", "prev", "last"])
async def test_a_cursor_that_was_altered_is_invalid(client: AsyncClient, rel: str) -> None:
    await filled(client, 5)
    path = "/articles?sort=-rating,title&limit=2&count=exact"
    second = linked(await got(client, path), "next") or ""
    text = await cursor(client, second, rel)
    assert await with_cursor(client, path, text) == "200"
    others = altered(text)
    assert text not in others.values()
    answers = {name: await with_cursor(client, path, other) for name, other in others.items()}
    assert answers == dict.fromkeys(others, INVALID)


async def test_a_cursor_is_invalid_with_another_filter_or_another_order(
    client: AsyncClient,
) -> None:
    writer = await created(client, "/authors", {"name": "Ada", "email": "a@example.org"})
    await filled(client)
    queries = (
        "",
        "sort=title",
        "sort=-title",
        "sort=title,views",
        "sort=slug",
        "sort=created_at",
        "title=a",
        "title=b",
        "title__ne=b",
        "title__in=a",
        "title__in=a,b",
        "title__contains=a",
        "title__icontains=a",
        "title__startswith=a",
        "title__gte=a",
        "title=a&sort=title",
        "slug__ne=a",
        "views=0",
        "views__gte=0",
        "rating__isnull=true",
        "rating__isnull=false",
        f"author_id__ne={writer['id']}",
        "created_at__gt=2020-01-01T00:00:00Z",
        "created_at__gt=2021-01-01T00:00:00Z",
        "q=a",
        "q=b",
    )
    cursors = {query: await cursor(client, f"/articles?limit=1&{query}") for query in queries}
    for query in queries:
        answers = {
            each: await with_cursor(client, f"/articles?limit=1&{query}", text)
            for each, text in cursors.items()
        }
        assert answers == dict.fromkeys(queries, INVALID) | {query: "200"}, query


@pytest.mark.parametrize("sort", ["", "&sort=created_at", "&sort=-created_at"])
async def test_a_cursor_is_invalid_in_the_list_of_another_resource(
    client: AsyncClient, sort: str
) -> None:
    rows = await filled(client, 2)
    for number in range(2):
        author = {"name": "Ada", "email": f"{number}@example.org"}
        comment = {"article_id": rows[0]["id"], "author_name": "Bob", "body": "Yes."}
        await created(client, "/authors", author)
        await created(client, "/comments", comment)
    paths = [f"{path}?limit=1{sort}" for path in ("/authors", "/articles", "/comments")]
    cursors = {path: await cursor(client, path) for path in paths}
    for path in paths:
        answers = {each: await with_cursor(client, path, text) for each, text in cursors.items()}
        assert answers == dict.fromkeys(paths, INVALID) | {path: "200"}, path


async def test_the_limit_may_change_between_pages(client: AsyncClient) -> None:
    await filled(client)
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


async def test_the_order_of_the_parameters_makes_no_difference_to_a_cursor(
    client: AsyncClient,
) -> None:
    await filled(client, 4)
    text = await cursor(client, "/articles?limit=1&views=0&sort=title&slug__ne=x")
    path = f"/articles?cursor={text}&slug__ne=x&sort=title&limit=2&views=0"
    assert await slugs(client, path) == ["s-2", "s-1"]


@pytest.mark.parametrize("sort", SORTS)
async def test_a_cursor_survives_the_deletion_of_the_rows_around_it(
    client: AsyncClient, sort: str
) -> None:
    await filled(client)
    query = f"&sort={sort}" if sort else ""
    rows = await sorted_slugs(client, query)
    first = await got(client, f"/articles?limit=3{query}")
    second = await got(client, linked(first, "next") or "")
    ahead, back = linked(first, "next"), linked(second, "prev")

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
async def test_a_page_of_which_every_row_was_deleted_is_empty(
    client: AsyncClient, sort: str
) -> None:
    await filled(client)
    query = f"&sort={sort}" if sort else ""
    rows = await sorted_slugs(client, query)
    first = await got(client, f"/articles?limit=3{query}")
    second = await got(client, linked(first, "next") or "")
    third = await got(client, linked(second, "next") or "")

    await delete(client, *rows[6:])
    last = await got(client, linked(second, "next") or "")
    assert (last.json(), linked(last, "next")) == ([], None)
    assert await slugs(client, linked(third, "prev")) == rows[3:6]
    await delete(client, *rows[:3])
    before = await got(client, linked(second, "prev") or "")
    assert (before.json(), linked(before, "prev")) == ([], None)
    await delete(client, *rows)
    for response, rel in ((first, "next"), (second, "prev"), (second, "next"), (third, "prev")):
        assert await slugs(client, linked(response, rel)) == []


async def test_a_row_that_comes_behind_a_cursor_is_on_the_page(client: AsyncClient) -> None:
    await filled(client, 4)
    text = await cursor(client, "/articles?limit=2&sort=slug")
    for slug in ("s-1-0", "s-0-0"):
        await created(client, "/articles", article(slug=slug))
    path = f"/articles?limit=2&sort=slug&cursor={text}"
    assert await slugs(client, path) == ["s-1-0", "s-2"]


@pytest.mark.parametrize("sort", SORTS)
async def test_the_last_page_has_no_next_and_the_first_no_prev(
    client: AsyncClient, sort: str
) -> None:
    await filled(client)
    query = f"&count=exact&sort={sort}" if sort else "&count=exact"
    for limit in (2, 3, 8, 9, 10):
        path = f"/articles?limit={limit}{query}"
        forward = [each async for each in pages(client, path, "next")]
        backward = [each async for each in pages(client, str(forward[-1].request.url), "prev")]
        assert [bool(linked(each, "prev")) for each in forward] == [
            False,
            *[True] * len(forward[1:]),
        ]
        assert [bool(linked(each, "next")) for each in backward] == [
            False,
            *[True] * len(forward[1:]),
        ]
        assert linked(backward[-1], "prev") is None
        last = await got(client, linked(forward[0], "last") or "")
        assert last.json()[-1] == forward[-1].json()[-1]
        assert linked(last, "next") is None


async def test_a_cursor_and_an_offset_exclude_each_other(articles: AsyncClient) -> None:
    await filled(articles, 4)
    text = await cursor(articles, "/articles?limit=1")
    for query in (f"cursor={text}&offset=1", f"offset=1&cursor={text}", f"cursor={text}&offset=0"):
        answer = summary(await articles.get(f"/articles?limit=1&{query}"))
        assert answer.startswith("422 ?"), query
        assert "cursor" in answer, query


async def test_links_have_a_cursor_unless_the_request_has_an_offset(articles: AsyncClient) -> None:
    await filled(articles)
    for query, name in (("", "cursor"), ("&offset=0", "offset"), ("&offset=3", "offset")):
        response = await got(articles, f"/articles?limit=2{query}")
        for rel in ("next", "prev")[: 2 if "3" in query else 1]:
            found = parse_qs(urlsplit(linked(response, rel) or "").query)
            assert found.keys() == {"limit", name}
    response = await got(articles, linked(response, "next") or "")
    assert await slugs(articles, linked(response, "first")) == ["s-0", "s-1"]


async def test_a_cursor_may_not_come_twice(client: AsyncClient) -> None:
    await filled(client, 3)
    text = await cursor(client, "/articles?limit=1")
    answer = summary(await client.get(f"/articles?cursor={text}&cursor={text}"))
    assert answer == "422 ?cursor repeated"


async def test_an_invalid_cursor_asks_the_client_to_begin_again(client: AsyncClient) -> None:
    problem = (await client.get("/articles?cursor=x")).json()
    assert (problem["status"], problem["type"]) == (400, "/problems/invalid_cursor")
    assert [each["parameter"] for each in problem["errors"]] == ["cursor"]
    assert (await client.get("/problems/invalid_cursor")).status_code == 200
