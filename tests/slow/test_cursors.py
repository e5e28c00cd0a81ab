"""Every change of a cursor, and every cursor in every other list."""

from string import ascii_letters, digits
from typing import Final

import pytest
from httpx2 import AsyncClient

from tests.support.paging import INVALID, QUERIES, create_articles, cursor, summary_with
from tests.support.rows import got, linked

pytestmark = pytest.mark.anyio

LETTERS: Final = f"{ascii_letters}{digits}-_"


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
async def test_every_altered_cursor_is_invalid(client: AsyncClient, rel: str) -> None:
    await create_articles(client, 5)
    path = "/articles?sort=-rating,title&limit=2&count=exact"
    second = linked(await got(client, path), "next") or ""
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
            each: await summary_with(client, f"/articles?limit=1&{query}", text)
            for each, text in cursors.items()
        }
        assert answers == dict.fromkeys(QUERIES, INVALID) | {query: "200"}, query
