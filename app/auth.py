"""Authentication: who sends a request, and what they may do.

`python -m app.auth --subject ada --role admin` prints a token for development.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, cast

from fastapi import Depends, FastAPI, Request, Security, params
from pydantic import TypeAdapter, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from brickwork import Forbidden, Unauthorized

from .jwks import KeySet
from .settings import Settings, error_lines
from .tokens import (
    BEARER,
    Keys,
    SharedSecret,
    TokenVerifier,
    bearer_token,
    invalid_token,
    is_subject,
)

ADMIN: Final = "admin"
"""The role that sees deleted rows and histories, restores rows, and removes them for good."""


@dataclass(frozen=True)
class User:
    """The user who sends a request."""

    id: str
    roles: frozenset[str] = frozenset()

    def require(self, role: str) -> None:
        """Raise `Forbidden` unless the user has *role*."""
        if role not in self.roles:
            raise Forbidden(f"Only users with the role {role} may do this.")


ANYBODY: Final = User("anybody", frozenset({ADMIN}))
"""The user of all requests while AUTH is off, and of scripts. It may do everything."""

_user: ContextVar[User | None] = ContextVar("user", default=ANYBODY)
"""The user of the request. None: a request without a user, to a service with users."""


def find_user() -> User | None:
    """Return the user of this request. None if its route is public, in a service with users."""
    return _user.get()


def require_user() -> User:
    """Return the user of this request. Raises `Unauthorized` if it has none."""
    if (user := find_user()) is None:
        raise Unauthorized("Sign in first.")
    return user


async def current_user(request: Request) -> User:
    """Return the user whose token *request* has. While AUTH is off, that is `ANYBODY`."""
    authentication: _Authentication | None = getattr(request.app.state, "authentication", None)
    if authentication is None:
        return require_user()
    return await authentication.verify(bearer_token(request))


CurrentUser = Annotated[User, Depends(current_user)]


async def authenticate(user: CurrentUser) -> None:
    """Make *user* the user of this request, for resources too."""
    _user.set(user)


def protect(app: FastAPI, settings: Settings) -> Sequence[params.Depends]:
    """Return the dependencies of the routes of *app* that need a user. None while AUTH is off."""
    if settings.auth == "off":
        return []
    app.state.authentication = _Authentication(settings)
    app.add_middleware(_ForgetUser)
    return [Security(BEARER), Depends(authenticate)]


class _Authentication:
    """The tokens of a service."""

    def __init__(self, settings: Settings) -> None:
        keys: Keys = (
            KeySet(settings.auth_jwks_url)
            if settings.auth_jwks_url
            else SharedSecret(settings.auth_secret.get_secret_value())
        )
        self._verifier = TokenVerifier(
            keys, audience=settings.auth_audience or None, issuer=settings.auth_issuer or None
        )
        self._roles_claim = settings.auth_roles_claim

    async def verify(self, token: str) -> User:
        """Return the user of *token*. Raises `Unauthorized`."""
        claims = await self._verifier.verify(token)
        return User(claims["sub"], _read_roles(claims, self._roles_claim))


_ROLES: Final = TypeAdapter[list[str]](list[str], config={"strict": True})


def _read_roles(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Return the roles in the claim *name*: a list of texts, or one text with spaces.

    A token without the claim has no roles. Raises `Unauthorized` for another type.
    """
    roles = _find_claim(claims, name)
    if roles is None:
        return frozenset()
    if isinstance(roles, str):
        return frozenset(roles.split())
    try:
        return frozenset(_ROLES.validate_python(roles))
    except ValidationError as error:
        raise invalid_token() from error


def _find_claim(claims: Any, name: str) -> Any:
    """Return the claim *name*, where `a.b` is a claim or the claim `b` in `a`. None without it."""
    if not isinstance(claims, Mapping):
        return None
    known = cast("Mapping[str, Any]", claims)
    outer, _, inner = name.partition(".")
    if inner and name not in known:
        return _find_claim(known.get(outer), inner)
    return known.get(name)


class _ForgetUser:
    """ASGI middleware: a request begins without a user, and leaves none behind.

    A route that was included without the dependencies of `protect` is public. It has no user, and
    never the rights of `ANYBODY`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # its tasks have the rights of scripts
            await self._app(scope, receive, send)
            return
        token = _user.set(None)
        try:
            await self._app(scope, receive, send)
        finally:
            _user.reset(token)


def create_token(
    user: User, settings: Settings, *, lifetime: timedelta = timedelta(hours=1)
) -> str:
    """Return a token of *user* for development and tests. Raises `ValueError` without a secret."""
    secret = settings.auth_secret.get_secret_value()
    if not is_subject(user.id):
        raise ValueError("A subject is printable text of 1 to 255 characters.")
    if settings.auth == "off" or not secret:
        raise ValueError(
            "Set AUTH=jwt and AUTH_SECRET. With AUTH_JWKS_URL, the issuer alone makes tokens."
        )
    roles: Any = sorted(user.roles)
    for name in reversed(settings.auth_roles_claim.split(".")):
        roles = {name: roles}
    claims = {"sub": user.id, **roles}
    if settings.auth_audience:
        claims["aud"] = settings.auth_audience
    if settings.auth_issuer:
        claims["iss"] = settings.auth_issuer
    return SharedSecret(secret).sign(claims, lifetime=lifetime)


def main() -> None:
    """Print a token of the user that the command line names."""
    parser = ArgumentParser(prog=f"python -m {__spec__.name}", description=main.__doc__)
    parser.add_argument("--subject", required=True, help="the name of the user")
    parser.add_argument("--role", action="append", default=[], help="a role, as often as needed")
    parser.add_argument("--hours", type=float, default=1, help="how long it is valid (default: 1)")
    options = parser.parse_args()
    user = User(options.subject, frozenset(options.role))
    try:
        token = create_token(user, Settings(), lifetime=timedelta(hours=options.hours))
    except ValidationError as error:
        sys.exit(error_lines(error))
    except (ValueError, OverflowError) as error:
        sys.exit(str(error))
    print(token)  # noqa: T201 — a command


if __name__ == "__main__":
    main()
