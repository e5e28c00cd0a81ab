"""Cursors: where a page begins, in a text that only this service can write."""

import hmac
import logging
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json, to_json

from brickwork.problems import Fault, InvalidCursor

log: Final = logging.getLogger("brickwork")

_MAC: Final = 16  # bytes of SHA-256
_SHORTEST: Final = 32


@dataclass(frozen=True)
class Cursor:
    """A place between two rows: the *values* that the row before it is sorted by.

    Without values it is the end of the list. With *back*, the page is the one that ends there.
    """

    values: Sequence[Any] | None
    back: bool = False


class Signer:
    """Writes cursors with the first of its keys, and reads those of any."""

    def __init__(self, *keys: str) -> None:
        """Take the *keys*, the newest first; without, one that lasts as long as the process.

        Raises `ValueError` for a key that could be guessed.
        """
        if any(len(each) < _SHORTEST for each in keys):
            raise ValueError(f"A key of cursors is a secret of {_SHORTEST} characters or more.")
        self.is_alone = not keys
        """Whether no other process can read its cursors."""
        self._keys = [each.encode() for each in keys] or [secrets.token_bytes()]
        self._warns = self.is_alone

    def write(self, cursor: Cursor, binding: bytes) -> str:
        """Return *cursor* as text, of use only with the same *binding*."""
        document = to_json([cursor.back, cursor.values])
        return _text(document + _mac(self._keys[0], document, binding))

    def read(self, text: str, binding: bytes) -> Cursor:
        """Return the cursor that *text* is; raises `InvalidCursor` if none of ours wrote it."""
        signed = _bytes(text)
        document, mac = signed[:-_MAC], signed[-_MAC:]
        known = [hmac.compare_digest(mac, _mac(key, document, binding)) for key in self._keys]
        if not any(known):
            self._warn()
            raise invalid()
        back, values = from_json(document)
        return Cursor(values, back=back)

    def _warn(self) -> None:
        """Log once that the cursor may be that of another process, if that is possible."""
        if self._warns:
            self._warns = False
            log.warning(
                "A cursor was refused. It may be of another process or of an earlier start: give "
                "all processes the same keys, install(app, cursor_keys=[…])."
            )


def invalid() -> InvalidCursor:
    """Return what to tell a client whose cursor cannot be used."""
    text = "The cursor is not one that a Link of this list gave."
    fault = Fault(code="invalid_cursor", detail=text, parameter="cursor")
    return InvalidCursor(text, errors=[fault])


def _mac(key: bytes, document: bytes, binding: bytes) -> bytes:
    return hmac.digest(key, binding + document, "sha256")[:_MAC]


def _text(signed: bytes) -> str:
    return urlsafe_b64encode(signed).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        signed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Error, ValueError):
        raise invalid() from None
    if _text(signed) != text:  # what decodes to the same bytes was altered, too
        raise invalid()
    return signed


signer: Final = ContextVar("brickwork.cursors", default=Signer())  # noqa: B039 — nothing changes it
"""The signer of the application whose request is being answered."""
