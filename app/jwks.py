"""Public keys of an issuer of tokens (RFC 7517)."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil, inf
from typing import Final

import jwt
from httpx2 import AsyncClient

from brickwork import Problem

log: Final = logging.getLogger(__name__)

LIFESPAN: Final = 300.0
"""The seconds after which the keys are read again."""
MAX_AGE: Final = 3_600.0
"""The seconds that keys are used while they cannot be read again."""
COOLDOWN: Final = 10.0
"""The seconds between two readings. A token with an unknown key causes no more."""
TIMEOUT: Final = 5.0
"""The seconds that a reading may last, however slowly the issuer sends."""
MAX_SIZE: Final = 1_000_000
"""The bytes that the document with the keys may have."""


class AuthenticationUnavailable(Problem):
    """The keys that verify tokens cannot be read."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "authentication_unavailable"
    title = "Authentication is unavailable"
    remedy = "Repeat the request after the seconds of the Retry-After header."
    retry = True


class KeySet:
    """The public keys at a URL, which the issuer may rotate.

    - Only requests with an unknown key wait for a reading.
    - A key that the issuer removed is invalid after `LIFESPAN`.
    - A new key is valid after `COOLDOWN` at most.
    """

    algorithms: Sequence[str] = ("RS256", "ES256")

    def __init__(self, url: str) -> None:
        """Read nothing yet. Nothing in a token changes *url*."""
        self._url = url
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._read_at = self._tried_at = -inf
        self._reading: asyncio.Task[None] | None = None
        self._failure: str | None = None
        """Why the last reading failed. None if it did not."""

    async def find(self, token: str) -> jwt.PyJWK:
        """Return the key that *token* names. Raises `AuthenticationUnavailable`."""
        header = jwt.get_unverified_header(token)
        key_id = header.get("kid")
        if header.get("alg") not in self.algorithms or not isinstance(key_id, str):
            raise jwt.InvalidAlgorithmError("The token names no key, or another algorithm.")
        if key := self._find_known(key_id, LIFESPAN):
            return key
        is_outage = self._failure is not None
        if self._is_reading() or time.monotonic() - self._tried_at >= COOLDOWN:
            reading = self._start_reading()
            # In an outage, a request with a known key does not wait.
            if not (is_outage and self._find_known(key_id, MAX_AGE)):
                await asyncio.wait([reading])
        if key := self._find_known(key_id, MAX_AGE if self._failure else LIFESPAN):
            return key
        if self._failure:
            wait = max(1, ceil(COOLDOWN - (time.monotonic() - self._tried_at)))
            raise AuthenticationUnavailable(
                "The service cannot check the token now.", headers={"Retry-After": str(wait)}
            )
        raise jwt.InvalidKeyError("The issuer has no such key.")

    def _find_known(self, key_id: str, max_age: float) -> jwt.PyJWK | None:
        """Return a key that was read in the last *max_age* seconds. None if there is none."""
        is_fresh = time.monotonic() - self._read_at < max_age
        return self._keys.get(key_id) if is_fresh else None

    def _is_reading(self) -> bool:
        return self._reading is not None and not self._reading.done()

    def _start_reading(self) -> asyncio.Task[None]:
        """Return the task that reads the keys, which an earlier request may have started."""
        if self._reading is None or self._reading.done():
            self._tried_at = time.monotonic()
            self._reading = asyncio.create_task(self._read_keys())
        return self._reading

    async def _read_keys(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                keys = _signing_keys(await _download(self._url))
        except TimeoutError:
            self._report(f"no answer in {TIMEOUT:g} s")
        except Exception as error:  # noqa: BLE001 — an issuer that fails may answer anything
            self._report(str(error) or type(error).__name__)
        else:
            self._keys, self._read_at = keys, time.monotonic()
            if self._failure is not None:
                self._failure = None
                log.warning("The keys of AUTH_JWKS_URL can be read again.")

    def _report(self, failure: str) -> None:
        """Log the *failure* of a reading, unless the last one failed, too."""
        if self._failure is None:
            log.error(
                "The keys of AUTH_JWKS_URL cannot be read: %s. Correct it, or start the issuer.",
                failure,
            )
        self._failure = failure


async def _download(url: str) -> bytes:
    """Return the document at *url*. Raises if it is too large."""
    document = bytearray()
    async with AsyncClient(timeout=None) as client, client.stream("GET", url) as response:
        response.raise_for_status()
        async for part in response.aiter_bytes():
            document += part
            if len(document) > MAX_SIZE:
                raise ValueError(f"It has more than {MAX_SIZE} bytes")
    return bytes(document)


def _signing_keys(document: bytes) -> Mapping[str, jwt.PyJWK]:
    """Return the keys of *document* that verify signatures, by name. Raises if it has none."""
    keys = {
        key.key_id: key
        for key in jwt.PyJWKSet.from_json(document.decode())
        if isinstance(key.key_id, str) and key.public_key_use in {None, "sig"}
    }
    if not keys:
        raise jwt.PyJWKSetError("It has no key that verifies signatures")
    return keys
