"""Verification of JSON Web Tokens (RFC 7519)."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import jwt
from fastapi import Request
from fastapi.security import HTTPBearer

from brickwork import BadRequest, ErrorDetail, Unauthorized

log: Final = logging.getLogger(__name__)

LEEWAY: Final = timedelta(seconds=30)
"""How far the clocks of the issuer and of this service may differ."""

BEARER: Final = HTTPBearer(
    scheme_name="token", bearerFormat="JWT", description="A JSON Web Token.", auto_error=False
)
"""The security scheme of openapi.json. It rejects nothing: `bearer_token` does."""

_MAX_SUBJECT: Final = 255  # characters (OpenID Connect Core, section 2)

_INVALID: Final = (jwt.PyJWTError, ArithmeticError, RecursionError, TypeError, ValueError)
"""The errors of a token that cannot be decoded, however hostile it is."""


class Keys(Protocol):
    """The keys that verify tokens, and their algorithms."""

    @property
    def algorithms(self) -> Sequence[str]:
        """Return the names of the algorithms, whatever a token says."""
        ...

    async def find(self, token: str) -> Any:
        """Return the key of *token*. Raises `jwt.PyJWTError` if there is none."""
        ...


@dataclass(frozen=True)
class SharedSecret:
    """One secret that signs and verifies tokens."""

    secret: str = field(repr=False)
    algorithms: Sequence[str] = field(default=("HS256",), init=False)

    async def find(self, token: str) -> str:  # noqa: ARG002 — all tokens have one secret
        """Return the secret."""
        return self.secret

    def sign(self, claims: Mapping[str, Any], *, lifetime: timedelta = timedelta(hours=1)) -> str:
        """Return a token with *claims* that is valid for its *lifetime*."""
        issued = datetime.now(UTC)
        times = {"iat": issued, "exp": issued + lifetime}
        return jwt.encode({**times, **claims}, self.secret, algorithm=self.algorithms[0])


class TokenVerifier:
    """Verifies tokens with *keys*, for one audience and one issuer. None: tokens name any."""

    def __init__(
        self, keys: Keys, *, audience: str | None = None, issuer: str | None = None
    ) -> None:
        """Verify with *keys* that a token is of *issuer*, and for *audience*.

        Without an *audience*, a token must not name one.
        """
        self._keys = keys
        self._audience = audience
        self._issuer = issuer

    async def verify(self, token: str) -> Mapping[str, Any]:
        """Return the claims of *token*, which name a subject. Raises `Unauthorized`."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                await self._keys.find(token),
                algorithms=[*self._keys.algorithms],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "sub"]},
            )
        except _INVALID as error:
            log.debug("A token was rejected: %r", error)
            raise invalid_token() from error
        if not is_subject(claims["sub"]):
            raise invalid_token()
        return claims


def is_subject(text: str) -> bool:
    """Return whether *text* may name a user: it is printable, and neither empty nor long."""
    return text.isprintable() and 0 < len(text) <= _MAX_SUBJECT


def invalid_token() -> Unauthorized:
    """Return the error of every invalid token. It does not say why: an attacker would learn."""
    text = "The token is not valid, or has expired."
    return Unauthorized(text, challenge='Bearer error="invalid_token"')


def bearer_token(request: Request) -> str:
    """Return the token of *request* (RFC 6750). Raises `Unauthorized` if it has none."""
    values = request.headers.getlist("authorization")
    if len(values) > 1:
        detail = ErrorDetail(code="repeated", detail="Send it once.", header="Authorization")
        raise BadRequest(
            "The request has several Authorization headers.",
            errors=[detail],
            headers={"WWW-Authenticate": 'Bearer error="invalid_request"'},
        )
    scheme, _, token = "".join(values).partition(" ")
    if scheme.lower() != "bearer" or not (token := token.strip(" ")):
        raise Unauthorized("Send a token: Authorization: Bearer …")
    return token
