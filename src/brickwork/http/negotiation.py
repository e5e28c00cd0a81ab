"""Media types of requests (RFC 9110, sections 8.3 and 12.5.1)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from email.message import Message
from typing import Final

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"

NDJSON: Final = "application/x-ndjson"


def preferred_media_type(accept: Iterable[str], offers: Sequence[str]) -> str | None:
    """Return the offer with the highest weight in *accept*, the first of equals.

    The most specific range that includes an offer gives its weight. None if no offer is acceptable.

    Args:
        accept: The values of the Accept headers.
        offers: The media types of the response.

    """
    ranges = dict(_parse_range(part) for line in accept for part in line.split(",") if part.strip())
    weights = [_weight(offer, ranges) for offer in offers]
    return offers[weights.index(max(weights))] if max(weights) > 0 else None


def _weight(offer: str, ranges: Mapping[str, float]) -> float:
    if not ranges:
        return 1
    kind = offer.partition("/")[0]
    return next((ranges[name] for name in (offer, f"{kind}/*", "*/*") if name in ranges), 0)


def _parse_range(media_range: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in media_range.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            with suppress(ValueError):
                return name, float(parameter[2:])
    return name, 1


def is_utf8_type(content_type: str, *, among: Collection[str]) -> bool:
    """Return whether *content_type* is one of *among*, in UTF-8 or without a charset."""
    if content_type in among:  # the common case
        return True
    message = Message()
    message["content-type"] = content_type
    charset = str(message.get_param("charset", "utf-8")).lower()
    return message.get_content_type() in among and charset in {"utf-8", "utf8"}
