"""Paths of items and `Link` headers."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from fastapi import Request
from hypothesis import given, strategies as st

from brickwork import Page, item_path, link_header
from tests.support.shop import City
from tests.support.values import law


def request(path: str = "/bricks", query: str = "") -> Request:
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"host", b"evil.example"), (b"x-forwarded-host", b"evil.example")],
            "server": ("127.0.0.1", 80),
            "scheme": "http",
        }
    )


@pytest.mark.parametrize(
    ("path", "key", "item"),
    [
        ("/bricks", 5, "/bricks/5"),
        ("/bricks/", 5, "/bricks/5"),
        ("/api/v1/bricks", "abc", "/api/v1/bricks/abc"),
        ("/bricks", "a/b?c#d e", "/bricks/a%2Fb%3Fc%23d%20e"),
        ("/bricks", "é", "/bricks/%C3%A9"),
        ("/höfe", 5, "/h%C3%B6fe/5"),
        ("/a b", -1, "/a%20b/-1"),
    ],
)
def test_item_path_is_below_the_collection_path(path: str, key: object, item: str) -> None:
    assert item_path(request(path), key) == item


@pytest.mark.parametrize(
    ("page", "query", "links"),
    [
        (Page[City]([]), "", {"first": "/bricks"}),
        (
            Page[City]([], next={"cursor": "a-_"}),
            "",
            {"first": "/bricks", "next": "/bricks?cursor=a-_"},
        ),
        (
            Page[City]([], prev={"cursor": "b"}, next={"offset": "20"}, last={}),
            "limit=10&cursor=c",
            {
                "first": "/bricks?limit=10",
                "prev": "/bricks?limit=10&cursor=b",
                "next": "/bricks?limit=10&offset=20",
                "last": "/bricks?limit=10",
            },
        ),
        (
            Page[City]([], prev={}),
            "offset=10&a=1&b=x%20%26%3E%22%C3%A9&a=2&c=",
            dict.fromkeys(("first", "prev"), "/bricks?a=1&b=x+%26%3E%22%C3%A9&a=2&c="),
        ),
    ],
)
def test_page_links_to_its_neighbours(page: Page[City], query: str, links: dict[str, str]) -> None:
    header = link_header(request(query=query), page)
    assert header == ", ".join(f'<{to}>; rel="{rel}"' for rel, to in links.items())


@law
@given(st.lists(st.tuples(st.text(min_size=1), st.text())), st.text(min_size=1))
def test_link_keeps_all_other_parameters(parameters: list[tuple[str, str]], place: str) -> None:
    page = Page[City]([], next={"cursor": place})
    header = link_header(request(query=urlencode(parameters)), page)
    assert header.isascii()
    assert "evil" not in header
    *_, following = header.split(", ")
    target, _, relation = following.partition(">; ")
    assert relation == 'rel="next"'
    other_parameters = [
        parameter for parameter in parameters if parameter[0] not in {"offset", "cursor"}
    ]
    sent = parse_qsl(urlsplit(target[1:]).query, keep_blank_values=True)
    assert sent == [*other_parameters, ("cursor", place)]
