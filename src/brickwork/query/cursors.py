"""Encrypted cursors: positions in a list."""

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
"""The maximum length of a cursor, in characters."""

_TAG: Final = 16  # bytes
_BLOCK: Final = 64  # bytes
_SHORTEST: Final = 32  # characters


@dataclass(frozen=True)
class Cursor:
    """A position between two rows: the sort *values* of the row before it.

    Without values, it is the end of the list. With *backwards*, the page ends there.
    """

    values: Sequence[Any] | None
    backwards: bool = False


class CursorCipher:
    """Encrypts cursors with the first key, and decrypts them with any key."""

    def __init__(self, *keys: str) -> None:
        """Use *keys*, the newest first, or else a random key of this process.

        Raises `ValueError` for a short key.
        """
        if any(len(key) < _SHORTEST for key in keys):
            raise ValueError(f"A cursor key must be a secret of at least {_SHORTEST} characters.")
        self.is_process_local = not keys
        """Whether only this process can read the cursors."""
        encoded = [key.encode() for key in keys] or [secrets.token_bytes()]
        self._keys = [_Key(key) for key in encoded]
        self._warns = self.is_process_local

    def encode(self, cursor: Cursor, binding: bytes) -> str:
        """Return *cursor* as text that is valid only with the same *binding*."""
        document = to_json([cursor.backwards, cursor.values])
        return _encode(self._keys[0].encrypt(_pad(document), binding))

    def decode(self, text: str, binding: bytes) -> Cursor:
        """Return the cursor in *text*. Raises `InvalidCursor` if none of the keys encrypted it."""
        encrypted = _decode(text)
        for key in self._keys:
            if (document := key.decrypt(encrypted, binding)) is not None:
                backwards, values = from_json(document)
                return Cursor(values, backwards=backwards)
        self._warn()
        raise invalid_cursor()

    def _warn(self) -> None:
        """Log once that a cursor may come from another process, unless keys are shared."""
        if self._warns:
            self._warns = False
            log.warning(
                "A cursor was rejected. It may be of another process or of an earlier start: give "
                "all processes the same keys, install(app, cursor_keys=[…])."
            )


class _Key:
    """A key that encrypts cursors: BLAKE2b with a synthetic initialization vector (RFC 5297).

    The tag authenticates the document and its binding, and is the vector of the key stream. Equal
    cursors therefore are equal texts, and no nonce can repeat.
    """

    def __init__(self, secret: bytes) -> None:
        self._tag_key = blake2b(secret, person=b"brickwork tag").digest()
        self._stream_key = blake2b(secret, person=b"brickwork stream").digest()

    def encrypt(self, document: bytes, binding: bytes) -> bytes:
        """Return the tag of *document*, and the encrypted *document*."""
        tag = self._tag(document, binding)
        return tag + self._apply_key_stream(document, tag)

    def decrypt(self, encrypted: bytes, binding: bytes) -> bytes | None:
        """Return the document in *encrypted*. None if the key or the binding does not match."""
        tag = encrypted[:_TAG]
        document = self._apply_key_stream(encrypted[_TAG:], tag)
        return document if hmac.compare_digest(tag, self._tag(document, binding)) else None

    def _tag(self, document: bytes, binding: bytes) -> bytes:
        return blake2b(binding + document, digest_size=_TAG, key=self._tag_key).digest()

    def _apply_key_stream(self, data: bytes, tag: bytes) -> bytes:
        """Return *data*, encrypted or decrypted with the key stream of *tag*."""
        blocks = range(-(-len(data) // _BLOCK))
        counters = (tag + number.to_bytes(4) for number in blocks)
        stream = b"".join(blake2b(counter, key=self._stream_key).digest() for counter in counters)
        number = int.from_bytes(data) ^ int.from_bytes(stream[: len(data)])
        return number.to_bytes(len(data))


def _pad(document: bytes) -> bytes:
    """Pad a JSON *document* with spaces to a power of two.

    Otherwise the length of a cursor would reveal the length of a sort value.
    """
    return document.ljust(max(_BLOCK, 1 << (len(document) - 1).bit_length()))


def invalid_cursor() -> InvalidCursor:
    """Return the error for a cursor that cannot be used."""
    text = "The cursor does not come from a Link header of this list."
    error = ErrorDetail(code="invalid_cursor", detail=text, parameter="cursor")
    return InvalidCursor(text, errors=[error])


def _encode(encrypted: bytes) -> str:
    return urlsafe_b64encode(encrypted).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        encrypted = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Error, ValueError):
        raise invalid_cursor() from None
    if _encode(encrypted) != text:  # another text of the same bytes was altered, too
        raise invalid_cursor()
    return encrypted


cursor_cipher: Final = ContextVar("brickwork.cursors", default=CursorCipher())  # noqa: B039 — nothing changes it
"""The cipher of the current application."""
