"""Every change of a cursor, and every cursor in every other list."""

from string import ascii_letters, digits
from typing import Final

import pytest
from httpx2 import AsyncClient

from tests.support.paging import INVALID, QUERIES, create_articles, cursor, summary_with
from tests.support.rows import get_ok, link_target

pytestmark = pytest.mark.anyio

LETTERS: Final = f"{ascii_letters}{digits}-_"


def altered(text: str) -> dict[str, str]:
    """Return altered copies of the cursor *text*, by a description of the change."""
    others = {
        f"{place} changed": text[:place] + LETTERS[LETTERS.index(letter) - 1] + text[place + 1 :]
        for place, letter in enumerate(text)
    }
    others |= {f"cut to {length}": text[:length] for length in range(len(text))}
    others |= {f"ends in {letter}": text[:-1] + letter for letter in LETTERS if letter != text[-1]}
    others |= {f"{part!r} added": text + part for part in (*"A=-+ \n.é中", "==", "===", text)}
    others |= {f"{letter!r} before": letter + text for letter in "A= \n"}
    middle = len(text) // 2
    others |= {
        f"{letter!r} in it": text[:middle] + letter + text[middle:] for letter in "A=+/ \n.,é"
    }
    return others | {"nothing": "", "short": "W10", "words": "no cursor", "long": "A" * 4000}


@pytest.mark.parametrize("rel", ["next", "prev", "last"])
async def test_every_altered_cursor_is_invalid(client: AsyncClient, rel: str) -> None:
    await create_articles(client, 5)
    path = "/articles?sort=-rating,title&limit=2&count=exact"
    second = link_target(await get_ok(client, path), "next") or ""
    text = await cursor(client, second, rel)
    assert await summary_with(client, path, text) == "200"
    others = altered(text)
    assert text not in others.values()
    answers = {name: await summary_with(client, path, other) for name, other in others.items()}
    assert answers == dict.fromkeys(others, INVALID)


async def test_a_cursor_is_invalid_in_every_other_list(client: AsyncClient) -> None:
    await create_articles(client)
    cursors = {query: await cursor(client, f"/articles?limit=1&{query}") for query in QUERIES}
    for query in QUERIES:
        answers = {
            origin: await summary_with(client, f"/articles?limit=1&{query}", text)
            for origin, text in cursors.items()
        }
        assert answers == dict.fromkeys(QUERIES, INVALID) | {query: "200"}, query
