"""The objects in responses."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from httpx2 import Response


def document_of(response: Response) -> Any:
    """Return the JSON of *response*, a list for lines of JSON. None without a success."""
    if not response.is_success or not response.content:
        return None
    if "ndjson" in response.headers.get("content-type", ""):
        return [_load(line) for line in response.text.splitlines()]
    return _load(response.text)


def objects_in(document: Any) -> Iterator[Mapping[str, Any]]:
    """Yield all objects in *document*, at any depth."""
    if isinstance(document, dict):
        yield cast("dict[str, Any]", document)
        document = [*cast("dict[str, Any]", document).values()]
    if isinstance(document, list):
        for item in cast("Iterable[Any]", document):
            yield from objects_in(item)


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
