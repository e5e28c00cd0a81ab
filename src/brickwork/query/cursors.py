"""Cursors: places in a list, as text that only this service can read and write."""

import hmac
import logging
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from pydantic_core import from_json, to_json

from brickwork.problems import ErrorDetail, InvalidCursor

log: Final = logging.getLogger("brickwork")

MAX_CURSOR_LENGTH: Final = 6000
"""The length of a cursor at most, in characters."""

_TAG: Final = 16  # bytes
_BLOCK: Final = 64  # bytes
_SHORTEST: Final = 32  # characters


@dataclass(frozen=True)
class Cursor:
    """A place between two rows: the *values* that the row before it is sorted by.

    Without values it is the end of the list. With *back*, the page is the one that ends there.
    """

    values: Sequence[Any] | None
    back: bool = False


class CursorCipher:
    """Writes cursors with the first of its keys, and reads those of any."""

    def __init__(self, *keys: str) -> None:
        """Take the *keys*, the newest first; without, one that lasts as long as the process.

        Raises `ValueError` for a key that could be guessed.
        """
        if any(len(each) < _SHORTEST for each in keys):
            raise ValueError(f"A key of cursors is a secret of {_SHORTEST} characters or more.")
        self.is_alone = not keys
        """Whether no other process can read its cursors."""
        known = [each.encode() for each in keys] or [secrets.token_bytes()]
        self._keys = [_Key(each) for each in known]
        self._warns = self.is_alone

    def write(self, cursor: Cursor, binding: bytes) -> str:
        """Return *cursor* as text, of use only with the same *binding*."""
        document = to_json([cursor.back, cursor.values])
        return _encode(self._keys[0].encrypt(_pad(document), binding))

    def read(self, text: str, binding: bytes) -> Cursor:
        """Return the cursor that *text* is; raises `InvalidCursor` if none of ours wrote it."""
        encrypted = _decode(text)
        for key in self._keys:
            if (document := key.decrypt(encrypted, binding)) is not None:
                back, values = from_json(document)
                return Cursor(values, back=back)
        self._warn()
        raise invalid_cursor()

    def _warn(self) -> None:
        """Log once that the cursor may be that of another process, if that is possible."""
        if self._warns:
            self._warns = False
            log.warning(
                "A cursor was refused. It may be of another process or of an earlier start: give "
                "all processes the same keys, install(app, cursor_keys=[…])."
            )


class _Key:
    """A key that encrypts cursors: BLAKE2b with a synthetic initialization vector (RFC 5297).

    The tag authenticates the document and its binding, and is the vector of the key stream. So
    equal cursors are equal texts, and no nonce can repeat.
    """

    def __init__(self, secret: bytes) -> None:
        self._tag_key = blake2b(secret, person=b"brickwork tag").digest()
        self._stream_key = blake2b(secret, person=b"brickwork stream").digest()

    def encrypt(self, document: bytes, binding: bytes) -> bytes:
        """Return the tag of *document*, and the encrypted *document*."""
        tag = self._tag(document, binding)
        return tag + self._crypted(document, tag)

    def decrypt(self, encrypted: bytes, binding: bytes) -> bytes | None:
        """Return the document in *encrypted*; None if another key or binding was used for it."""
        tag = encrypted[:_TAG]
        document = self._crypted(encrypted[_TAG:], tag)
        return document if hmac.compare_digest(tag, self._tag(document, binding)) else None

    def _tag(self, document: bytes, binding: bytes) -> bytes:
        return blake2b(binding + document, digest_size=_TAG, key=self._tag_key).digest()

    def _crypted(self, data: bytes, tag: bytes) -> bytes:
        """Return *data*, encrypted or decrypted with the key stream of *tag*."""
        blocks = range(-(-len(data) // _BLOCK))
        counters = (tag + number.to_bytes(4) for number in blocks)
        stream = b"".join(blake2b(each, key=self._stream_key).digest() for each in counters)
        number = int.from_bytes(data) ^ int.from_bytes(stream[: len(data)])
        return number.to_bytes(len(data))


def _pad(document: bytes) -> bytes:
    """Return a JSON *document* with spaces up to a power of two, so that its length tells little.

    The length of a text that is sorted by would else be the length of the cursor.
    """
    return document.ljust(max(_BLOCK, 1 << (len(document) - 1).bit_length()))


def invalid_cursor() -> InvalidCursor:
    """Return what to tell a client whose cursor cannot be used."""
    text = "The cursor is not one that a Link of this list gave."
    fault = ErrorDetail(code="invalid_cursor", detail=text, parameter="cursor")
    return InvalidCursor(text, errors=[fault])


def _encode(encrypted: bytes) -> str:
    return urlsafe_b64encode(encrypted).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        encrypted = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Error, ValueError):
        raise invalid_cursor() from None
    if _encode(encrypted) != text:  # what decodes to the same bytes was altered, too
        raise invalid_cursor()
    return encrypted


cursor_cipher: Final = ContextVar("brickwork.cursors", default=CursorCipher())  # noqa: B039 — nothing changes it
"""The signer of the application whose request is being answered."""
