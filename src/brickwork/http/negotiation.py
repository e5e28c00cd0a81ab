"""What media types a request admits and brings (RFC 9110, section 12.5.1 and 8.3)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from email.message import Message
from typing import Final

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"

NDJSON: Final = "application/x-ndjson"


def preferred_media_type(accept: Iterable[str], offers: Sequence[str]) -> str | None:
    """Return the one of *offers* that `Accept` headers like best, of equals the first.

    None is admitted, if none is. Of the ranges that an offer is in, the narrowest counts.
    """
    ranges = dict(_parse_range(each) for line in accept for each in line.split(",") if each.strip())
    weights = [_weight(offer, ranges) for offer in offers]
    return offers[weights.index(max(weights))] if max(weights) > 0 else None


def _weight(offer: str, ranges: Mapping[str, float]) -> float:
    if not ranges:
        return 1
    kind = offer.partition("/")[0]
    return next((ranges[each] for each in (offer, f"{kind}/*", "*/*") if each in ranges), 0)


def _parse_range(media_range: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in media_range.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            with suppress(ValueError):
                return name, float(parameter[2:])
    return name, 1


def is_utf8_type(content_type: str, *, among: Collection[str]) -> bool:
    """Tell whether *content_type* is one of *among*, and its charset UTF-8 or not said."""
    if content_type in among:  # as most have it
        return True
    message = Message()
    message["content-type"] = content_type
    charset = str(message.get_param("charset", "utf-8")).lower()
    return message.get_content_type() in among and charset in {"utf-8", "utf8"}
