"""Signs of a leak in a response."""

import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final, cast

from httpx2 import Response

from brickwork.query.keys import primary_key
from brickwork.testing.leak_attacks import Attack
from brickwork.testing.leak_collections import Collection, Row
from brickwork.testing.leak_documents import document_of, objects_in
from brickwork.testing.leak_rows import Party

_MIN_SECRET: Final = 8
"""The number of characters of a text that no response has by accident."""

_REQUIRED: Final = HTTPStatus.PRECONDITION_REQUIRED

_INVALID: Final = {400, 405, 406, 415, 422, 428}
"""The statuses of requests that a resource rejects before it looks for the row."""

_OF_CALLER: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
"""The statuses of callers who get no further, whatever they ask for."""


def is_invalid(response: Response) -> bool:
    """Return whether *response* rejects the form of a request, perhaps before it looks for rows."""
    return response.status_code in _INVALID


class Signs:
    """The signs of an owner in responses."""

    def __init__(self, owner: Party, stranger: Party, *, public: str) -> None:
        """Take the parties, and the *public* text, which has no secrets."""
        self._owner = owner
        self._others = [stranger, *([owner.shared] if owner.shared else [])]
        self._public = public
        self._secrets: set[str] = set()

    def learn(self) -> None:
        """Learn the texts in rows of the owner that are in no other row, and no constants."""
        others = {text for party in self._others for text in row_texts(party)}
        self._secrets = {
            text
            for text in {*row_texts(self._owner)} - others
            if len(text) >= _MIN_SECRET and text not in self._public
        }

    def find(
        self, response: Response, attack: Attack, collection: Collection | None = None
    ) -> str | None:
        """Return what *response* shows of the owner, except what the stranger sent."""
        if collection is not None:
            keys = [collection.key_of(row.content) for row in self._owner.rows[collection.path]]
            for found in collection.rows_in(response):
                if (key := collection.key_of(found)) is not None and key in keys:
                    return f"it shows the row {key_text(key)}"
        if row := self._find_row(response):
            return f"it shows the row {row.key} of {row.collection.path}"
        text = f"{response.text} {response.headers}"
        sent = f"{attack.url} {json.dumps(attack.json)} {attack.headers}"
        shown = sorted(one for one in self._secrets if one in text and one not in sent)
        return f"it shows {', '.join(map(repr, shown[:3]))}" if shown else None

    def _find_row(self, response: Response) -> Row | None:
        """Return a row of the owner, and of nobody else, in *response*."""
        others = [row for party in self._others for row in party.all_rows()]
        for found in objects_in(document_of(response)):
            row = next((row for row in self._owner.all_rows() if row.is_in(found)), None)
            if row is not None and not any(other.is_in(found) for other in others):
                return row
        return None


def says_nothing(attack: Attack, response: Response) -> bool:
    """Return whether *response* may be the same for a row of the stranger.

    An invalid body or a bug hides what the operation would do.
    """
    if response.is_server_error or response.status_code in _OF_CALLER:
        return True
    if attack.operation == "List":
        return response.is_error
    if attack.operation == "DeleteBatch" and response.status_code == _REQUIRED:
        return False  # no batch has preconditions, so this one is never accepted
    # A rejected reference is a 422, too.
    return attack.refused and not attack.why and response.status_code in _INVALID


def miscounts(response: Response) -> str | None:
    """Return how the number of all rows differs from a list with all of them."""
    total = response.headers.get("x-total-count")
    if total is None or "next" in response.links or not response.text.startswith("["):
        return None
    count = len(response.json())
    return None if count == int(total) else f"it shows {count} rows, and counts {total}"


def row_texts(party: Party) -> Iterator[str]:
    """Yield the keys and the texts in the rows of *party*."""
    for rows in party.rows.values():
        for row in rows:
            yield row.key
            yield from _texts(row.content)
            yield from _texts(row.body)  # no response of its resource may show them


def _texts(document: object) -> Iterator[str]:
    """Yield the texts in *document*."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, Mapping):
        for value in cast("Mapping[str, object]", document).values():
            yield from _texts(value)
    elif isinstance(document, list):
        for item in cast("list[object]", document):
            yield from _texts(item)


def key_text(key: Sequence[object]) -> str:
    """Return *key* for a message."""
    return "/".join(map(str, key))


def missing_key(collection: Collection) -> str:
    """Return a key that no row has, as in a path."""
    examples: dict[str, str] = {
        "UUID": "00000000-0000-4000-8000-00000000dead",
        "int": "2000000000",
        "date": "1901-01-01",
    }
    kinds = primary_key(collection.definition.model).kinds
    return "/".join(
        examples.get(kind.__name__, f"missing-{secrets.token_hex(4)}") for kind in kinds
    )


def replace_key(url: str, key: str, other: str) -> str:
    """Return *url* with *other* in place of its last *key*, a segment or an `id` of a batch."""
    found = [
        *re.finditer(rf"(?<=/){re.escape(key)}(?=$|[/?])|(?<=id=){re.escape(key)}(?=$|&)", url)
    ]
    return url[: found[-1].start()] + other + url[found[-1].end() :] if found else url
