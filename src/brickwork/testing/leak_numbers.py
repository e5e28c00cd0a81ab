"""Numbers that tell a stranger of rows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

from httpx2 import Response

from brickwork.testing.leak_collections import Collection, NotAttacked
from brickwork.testing.leak_documents import document_of
from brickwork.testing.leak_rows import Party

_ROUNDS: Final = 3
"""How often a number has to follow the rows of the owner. A clock does not."""


async def telling_urls(
    owner: Party, stranger: Party, collections: Sequence[Collection], urls: Sequence[str]
) -> Sequence[str]:
    """Return those of *urls* whose numbers change for *stranger* when *owner* creates rows."""
    telling = [*urls]
    for _ in range(_ROUNDS):
        if not telling:
            break
        before = await _ask(stranger, telling)
        steady = await _ask(stranger, telling)
        created = [await _creates(owner, collection) for collection in collections]
        after = await _ask(stranger, telling)
        telling = [
            url for url in telling if any(created) and before[url] == steady[url] != after[url]
        ]
    return telling


async def _ask(stranger: Party, urls: Sequence[str]) -> Mapping[str, object]:
    """Return the numbers that *stranger* sees at each of *urls*."""
    return {url: _numbers(await stranger.send("GET", url)) for url in urls}


async def _creates(owner: Party, collection: Collection) -> bool:
    """Let *owner* create a row in *collection*. Return whether it did."""
    rows = owner.rows.get(collection.path, [])
    if "Create" in collection.operations and rows:
        with suppress(NotAttacked):
            await owner.create(collection, rows[0].url)
            return True
    return False


def _numbers(response: Response) -> object:
    """Return the numbers of rows that *response* may tell."""
    if not response.is_success:
        return response.status_code
    total = response.headers.get("x-total-count")
    return total, [*_numbers_in(document_of(response))]


def _numbers_in(document: Any) -> Iterator[float]:
    """Yield the numbers in *document*, and the lengths of its lists."""
    if isinstance(document, dict):
        document = [*cast("dict[str, Any]", document).values()]
    elif isinstance(document, list):
        yield len(cast("Sequence[Any]", document))
    elif isinstance(document, int | float):
        yield document
    if isinstance(document, list):
        for item in cast("Sequence[Any]", document):
            yield from _numbers_in(item)
