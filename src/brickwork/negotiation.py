"""What media types a request admits and brings (RFC 9110, section 12.5.1 and 8.3)."""

from collections.abc import Iterable
from contextlib import suppress
from email.message import Message
from typing import Final

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"

_RANGES: Final = {"*/*": 0, "application/*": 1, JSON: 2}


def admits_json(accept: Iterable[str]) -> bool:
    """Tell whether `Accept` headers admit JSON; of the ranges with it the narrowest counts."""
    ranges = [each for line in accept for each in line.split(",") if each.strip()]
    weights = {
        _RANGES[name]: quality for name, quality in map(_weighted, ranges) if name in _RANGES
    }
    return not ranges or (bool(weights) and weights[max(weights)] > 0)


def _weighted(media_range: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in media_range.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            with suppress(ValueError):
                return name, float(parameter[2:])
    return name, 1


def is_utf8(content_type: str, *, among: Iterable[str]) -> bool:
    """Tell whether *content_type* is one of *among*, and its charset UTF-8 or not said."""
    message = Message()
    message["content-type"] = content_type
    charset = str(message.get_param("charset", "utf-8")).lower()
    return message.get_content_type() in among and charset in {"utf-8", "utf8"}
